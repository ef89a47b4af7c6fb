package main_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/study"
)

// judgeCard is of a model with two networks: the first gives the mean color of
// each patch, and the second judges the slide.
const judgeCard = `
id = "their-judge"
version = "1.0"
name = "A judge of slides"
vendor = "Tests"
regulatory = "not a medical device"
network = "features.onnx"
sha256 = "%x"

[use]
text = "tests"
measures = "how dark a slide's darkest patches are"
limits = "everything"
modality = ["SM"]

[input]
name = "tiles"
kind = "patches"
type = "uint8"
layout = "NHWC"
values = "rgb"
width = 128
height = 128
microns_per_pixel = 0.5
min_tissue = 0.5

[[output]]
name = "features"
role = "features"

[mil]
network = "mil.onnx"
sha256 = "%x"
features = "features"
input = "bag"
attention = "attention"

[[mil.output]]
name = "slide"
probability = true
measure = { value = "JUDGED", scheme = "99TEST", meaning = "Darkness" }
unit = { value = "%%", scheme = "UCUM", meaning = "percent" }

[flag]
by = "slide"
flagged = 0.5
`

// TestModelOfTwoNetworksGoesItsWay: it is refused without its second network,
// kept, shown and promoted with it, scores slides beside a running service, and
// says the same of files.
func TestModelOfTwoNetworksGoesItsWay(t *testing.T) {
	first, err := graph.Features(128, 128)
	if err != nil {
		t.Fatal(err)
	}
	second, err := graph.AttentionMIL([]float32{-30, -30, -30}, []float32{-20, 0, 0}, 15)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "card.toml"), fmt.Sprintf(judgeCard, sha256.Sum256(first), sha256.Sum256(second)))
	write(t, filepath.Join(folder, "features.onnx"), string(first))
	if e := run(t, "model", "check", folder); e.code == 0 || !strings.Contains(e.stderr, "second network") {
		t.Errorf("without its second network: %d %s", e.code, e.stderr)
	}
	write(t, filepath.Join(folder, "mil.onnx"), string(first))
	if e := run(t, "model", "check", folder); e.code != 3 || !strings.Contains(e.stderr, "the second network has SHA-256") {
		t.Errorf("with another: %d %s", e.code, e.stderr)
	}
	write(t, filepath.Join(folder, "mil.onnx"), string(second))
	run(t, "model", "check", folder).must(t)

	s := newService(t).start()
	s.verb("model", "add", folder).must(t)
	hash := study.Hash(sha256.Sum256(second))
	says(t, s.verb("model", "show", "their-judge"), `second network mil\.onnx, sha256 `+hash.String())
	for range 2 {
		s.verb("model", "promote", "their-judge", "--reason", "tried in a test").must(t)
	}
	s.second("their-judge@1.0", "confirm")
	for n, positive := range []bool{true, false} {
		d := smallSM(t, uint64(80+n), positive)
		s.push(d)
		s.reported(d.Study, len(d.Objects))
		r := judgment(t, s.verb("result", "show", "--json", string(d.Study)).must(t))
		if r.Ran.MIL != hash || r.Probability == nil || r.Partial() || len(r.Slides) != 1 || r.Slide == "" || len(r.Measurements) != 1 {
			t.Errorf("%s: %+v", d.Name, r)
			continue
		}
		if (r.AI == study.Flagged) != positive {
			t.Errorf("%s: %s with %v", d.Name, r.AI, *r.Probability)
		}
		_, paths := files(t, d)
		again := judgment(t, `{"results":[`+run(t, append([]string{"score", "--model", folder}, paths...)...).must(t)+`]}`)
		// The service may have measured that the network runs best in other batches or on
		// other threads, which sum in another order.
		if math.Abs(*again.Probability-*r.Probability) > 1e-3 || again.Ran.MIL != hash {
			t.Errorf("%s from files: %v, by the service %v", d.Name, *again.Probability, *r.Probability)
		}
	}
}

// judgment gives the result of the model of two networks.
func judgment(t *testing.T, text string) study.Result {
	t.Helper()
	var shown struct {
		Results []study.Result `json:"results"`
	}
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatal(err)
	}
	for _, r := range shown.Results {
		if r.Model.ID == "their-judge" {
			return r
		}
	}
	t.Fatalf("no result of the model in %s", text)
	return study.Result{}
}
