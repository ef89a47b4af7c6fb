package cardtest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
)

// slideCard is a card of patches of 64 pixels without outputs and flag.
const slideCard = `
id = "head"
version = "1.0"
name = "A head"
vendor = "Tests"
regulatory = "not a medical device"
network = "head.onnx"
sha256 = "HASH"

[use]
text = "tests"
measures = "something"
limits = "everything"
modality = ["SM"]

[input]
name = "tiles"
kind = "patches"
type = "uint8"
layout = "NHWC"
values = "rgb"
width = 64
height = 64
microns_per_pixel = 0.5
overlap = 16
`

// MapHead gives a map, whose area is the answer.
const MapHead = `
[[output]]
name = "map"
role = "map"
aggregate = "area"
above = 0.5
tile = "mean"
measure = { value = "AREA", scheme = "99X", meaning = "Area" }
unit = { value = "mm2", scheme = "UCUM", meaning = "square millimeter" }

[find]
map = "map"
threshold = 0.5
what = { value = "1", scheme = "99X", meaning = "x" }

[flag]
by = "map"
flagged = 0.5
`

// BoxHead gives boxes of two kinds, which are counted.
const BoxHead = `
[[output]]
name = "boxes"
role = "boxes"
format = "cxcywh"

[[output]]
name = "scores"
role = "scores"

[[output]]
name = "classes"
role = "classes"

[find]
objects = "boxes"
scores = "scores"
classes = "classes"
class = 1
same = 0.3
threshold = 0.5
what = { value = "1", scheme = "99X", meaning = "x" }

[count]
window_mm2 = 2.37
hotspot = { value = "2", scheme = "99X", meaning = "y" }

[heat]
output = "boxes"
low = 0.0
high = 1.0

[flag]
by = "hotspot"
flagged = 10
`

// MILHead gives features, of which a second network makes the answer.
const MILHead = `
[[output]]
name = "features"
role = "features"

[mil]
network = "mil.onnx"
sha256 = "SECOND"
features = "features"
input = "bag"
attention = "attention"

[[mil.output]]
name = "slide"
probability = true
measure = { value = "1", scheme = "99X", meaning = "x" }
unit = { value = "%", scheme = "UCUM", meaning = "percent" }

[flag]
by = "slide"
flagged = 0.5
`

// Head gives a card with that head, the network that is for it, and the second
// one where there is one. The files are head.onnx and mil.onnx.
func Head(t testing.TB, head string) (text string, network []byte, second [][]byte) {
	t.Helper()
	var err error
	switch head {
	case MapHead:
		network, err = graph.Segmenter(64, 64, 2, 1)
	case BoxHead:
		network, err = graph.Detector(64, 64, 3, 8, 5)
	default:
		network, err = graph.Features(64, 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	mil, err := graph.AttentionMIL([]float32{1, 0, 0}, []float32{0, 1, 0}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if head == MILHead {
		second = [][]byte{mil}
	}
	hash := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	return strings.NewReplacer("HASH", hash(network), "SECOND", hash(mil)).Replace(slideCard + head), network, second
}
