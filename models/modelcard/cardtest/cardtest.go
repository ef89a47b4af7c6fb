// Package cardtest holds cards for tests, with networks that fit them: one of the
// plainest kind, and one for each way in which a head speaks about a slide.
//
//	Plain, Card    patches in, one number out
//	Head           the same slide by a map, by boxes, or by a second network
package cardtest

import (
	"crypto/sha256"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/study"
)

// Plain draws a network that a plain card fits: patches in, one number out.
func Plain(t testing.TB, seed float32) []byte {
	t.Helper()
	g := graph.New("plain")
	x := g.Input("in", graph.Float, graph.Free("n"), graph.Fixed(3), graph.Free("h"), graph.Free("w"))
	y := g.Node("ReduceMean", graph.Attrs{"axes": []int64{1, 2, 3}, "keepdims": 0}, x)
	g.Named("p", "Mul", nil, y, g.Scalar(seed))
	g.Output("p", graph.Float, graph.Free("n"))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const plainCard = `
id = "plain"
version = "VERSION"
name = "Plain"
vendor = "Tests"
regulatory = "not a medical device"
network = "plain.onnx"
sha256 = "HASH"
[use]
text = "tests"
measures = "the mean"
limits = "everything"
modality = ["SM"]
[input]
name = "in"
kind = "patches"
type = "float32"
layout = "NCHW"
values = "rgb"
width = 64
height = 64
microns_per_pixel = 0.5
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[[output]]
name = "p"
role = "scalar"
activation = "sigmoid"
aggregate = "top"
probability = true
[flag]
by = "p"
flagged = 0.5
`

// Card gives the plain card of a version, which pins that network. Its model is
// plain@version, and its network lies in plain.onnx.
func Card(network []byte, version string) string {
	h := study.Hash(sha256.Sum256(network))
	return strings.NewReplacer("HASH", h.String(), "VERSION", version).Replace(plainCard)
}
