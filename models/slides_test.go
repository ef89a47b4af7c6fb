package models_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/models"
	"varde/study"
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

const mapHead = `
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

const boxHead = `
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

const milHead = `
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

// headOf gives a card with that head, the network that is for it, and the second
// one where there is one.
func headOf(t testing.TB, head string) (text string, network []byte, second [][]byte) {
	t.Helper()
	var err error
	switch head {
	case mapHead:
		network, err = graph.Segmenter(64, 64, 2, 1)
	case boxHead:
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
	if head == milHead {
		second = [][]byte{mil}
	}
	hash := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	return strings.NewReplacer("HASH", hash(network), "SECOND", hash(mil)).Replace(slideCard + head), network, second
}

func TestHeadsOfSlidesAreTaken(t *testing.T) {
	for name, tt := range map[string]struct{ head, heat string }{
		"map": {mapHead, "map"}, "boxes": {boxHead, "boxes"}, "attention": {milHead, "attention"},
	} {
		text, network, second := headOf(t, tt.head)
		c, err := models.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := models.Check(c, network, second...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if h, ok := c.Heat(); !ok || h.Name != tt.heat || h.Late != (tt.head == milHead) || h.Index != 0 {
			t.Errorf("%s: heat is %+v", name, h)
		}
		if c.Stitched() != (tt.head == mapHead) {
			t.Errorf("%s: stitched is %v", name, c.Stitched())
		}
	}
}

func TestFaultyHeadsAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ head, old, new, want string }{
		"an area in meters":                  {mapHead, `value = "mm2"`, `value = "m2"`, "an area is in mm2"},
		"an area that is a probability":      {mapHead, `tile = "mean"`, `probability = true`, "a area is no probability"},
		"a percentile of a map":              {mapHead, `aggregate = "area"`, `aggregate = "p95"`, "aggregate of a map"},
		"a percentile beyond all":            {mapHead, `aggregate = "area"`, `aggregate = "p100"`, "p1 to p99.9"},
		"a top without one":                  {mapHead, `above = 0.5`, `top = 3`, "goes with aggregate top"},
		"above without an area":              {mapHead, `aggregate = "area"`, `aggregate = "max"`, "goes with aggregate area"},
		"a heat of nothing known":            {mapHead, `tile = "mean"`, `tile = "median"`, "tile"},
		"half a pixel of overlap":            {mapHead, `overlap = 16`, `overlap = 16.5`, "whole pixels"},
		"too much overlap":                   {mapHead, `overlap = 16`, `overlap = 40`, "by half at most"},
		"a map of projections with an area":  {mapHead, "kind = \"patches\"", "kind = \"images\"", "for patches"},
		"boxes of no format":                 {boxHead, `format = "cxcywh"`, ``, "format"},
		"scores with a format":               {boxHead, `role = "scores"`, "role = \"scores\"\nformat = \"xyxy\"", "format is for boxes"},
		"scores that are aggregated":         {boxHead, `role = "scores"`, "role = \"scores\"\naggregate = \"max\"", "have no aggregate"},
		"boxes that nobody looks for":        {boxHead, `objects = "boxes"`, `map = "boxes"`, "nobody looks for"},
		"scores that are no scores":          {boxHead, `scores = "scores"`, `scores = "boxes"`, "no output of scores"},
		"classes that are not there":         {boxHead, `classes = "classes"`, `classes = "kinds"`, "no output of classes"},
		"a class without classes":            {boxHead, `classes = "classes"`, ``, "no output names classes"},
		"a share above one":                  {boxHead, `same = 0.3`, `same = 3`, "find.same"},
		"a distance of boxes":                {boxHead, `same = 0.3`, `same_um = 3`, "for points"},
		"points without a distance":          {boxHead, "role = \"boxes\"\nformat = \"cxcywh\"", `role = "points"`, "same_um is missing"},
		"a window as large as a table":       {boxHead, `window_mm2 = 2.37`, `window_mm2 = 1e6`, "count.window_mm2"},
		"a hot spot without a window":        {boxHead, `window_mm2 = 2.37`, ``, "hotspot needs window_mm2"},
		"a flag by nothing":                  {boxHead, `flagged = 10`, `flagged = 0`, "no finding would be flagged"},
		"a heat of no output":                {boxHead, `output = "boxes"`, `output = "scores"`, "heat.output"},
		"a scale upside down":                {boxHead, `low = 0.0`, `low = 2.0`, "heat.low"},
		"counts of a map":                    {mapHead, "[flag]", "[count]\nwindow_mm2 = 1\n[flag]", "count is of boxes"},
		"features that nobody sees":          {milHead, `features = "features"`, `features = "others"`, "no second network sees"},
		"a second network somewhere else":    {milHead, `network = "mil.onnx"`, `network = "../mil.onnx"`, "mil.network"},
		"a second network that is the first": {milHead, `network = "mil.onnx"`, `network = "head.onnx"`, "not the first"},
		"no hash of it":                      {milHead, "sha256 = \"SECOND\"\n", ``, "mil.sha256"},
		"no input":                           {milHead, `input = "bag"`, ``, "mil.input"},
		"an output that is aggregated":       {milHead, `probability = true`, `aggregate = "max"`, "for what a tile gives"},
		"an output of a name that is taken":  {milHead, `name = "slide"`, `name = "features"`, "named twice"},
		"an output by the name of attention": {milHead, `name = "slide"`, `name = "attention"`, "which mean something else"},
		"too many patches":                   {milHead, `input = "bag"`, "input = \"bag\"\nmost = 9000000", "mil.most"},
		"a flag by no output":                {milHead, `by = "slide"`, `by = "slides"`, "flag.by"},
		"a key that means nothing":           {milHead, `input = "bag"`, "input = \"bag\"\ninputs = 1", "no such key"},
	} {
		good, _, _ := headOf(t, tt.head)
		hashed := strings.NewReplacer("\"SECOND\"", good[strings.LastIndex(good, "sha256 = ")+9:][:66])
		text := strings.Replace(good, hashed.Replace(tt.old), tt.new, 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := models.Parse([]byte(text)); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryFaultOfAHeadIsNamedAtOnce: those of several sections come together.
func TestEveryFaultOfAHeadIsNamedAtOnce(t *testing.T) {
	good, _, _ := headOf(t, boxHead)
	text := strings.NewReplacer(`same = 0.3`, `same = 3`, `window_mm2 = 2.37`, `window_mm2 = -1`, `format = "cxcywh"`, `format = "polar"`,
		`high = 1.0`, `high = -1.0`, `scores = "scores"`, `scores = "x"`).Replace(good)
	_, err := models.Parse([]byte(text))
	for _, want := range []string{"find.same", "count.window_mm2", "format is", "heat.low", "find.scores"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in:\n%v", want, err)
		}
	}
}

func TestNetworksThatDoNotFitTheirHeadAreRefused(t *testing.T) {
	type change func(c *models.Card)
	for name, tt := range map[string]struct {
		head   string
		change change
		second func([][]byte) [][]byte
		want   string
	}{
		"a map as boxes":  {mapHead, func(c *models.Card) { c.Output[0].Role = models.RoleClasses }, nil, "are no classes"},
		"boxes as a map":  {boxHead, func(c *models.Card) { c.Output[0].Role = models.RoleMap }, nil, "is no map"},
		"scores as boxes": {boxHead, func(c *models.Card) { c.Output[1].Role = models.RoleBoxes }, nil, "are no boxes"},
		"scores as points of one number": {boxHead, func(c *models.Card) {
			c.Output = c.Output[:1]
			c.Output[0] = models.Output{Name: "scores", Role: models.RolePoints}
		}, nil, "are no points"},
		"no second network":                  {milHead, nil, func([][]byte) [][]byte { return nil }, "is missing"},
		"a second network for a card of one": {mapHead, nil, func([][]byte) [][]byte { return [][]byte{{1}} }, "names none"},
		"a second network that is none":      {milHead, nil, func([][]byte) [][]byte { return [][]byte{[]byte("mil")} }, "second network"},
		"another second network":             {milHead, func(c *models.Card) { c.MIL.SHA256 = study.Hash{1} }, nil, "second network has SHA-256"},
		"another input":                      {milHead, func(c *models.Card) { c.MIL.Input = "bags" }, nil, `no input "bags"`},
		"a slide too many":                   {milHead, func(c *models.Card) { c.MIL.Batched = true }, nil, "has 2 dimensions, and the card gives 3"},
		"another output":                     {milHead, func(c *models.Card) { c.MIL.Output[0].Name = "case" }, nil, `no output "case"`},
		"another attention":                  {milHead, func(c *models.Card) { c.MIL.Attention = "weights" }, nil, `no output "weights"`},
		"another number of features": {milHead, nil, func([][]byte) [][]byte {
			b, err := graph.AttentionMIL([]float32{1, 0}, []float32{0, 1}, 0)
			if err != nil {
				t.Fatal(err)
			}
			return [][]byte{b}
		}, "takes 2 features"},
	} {
		text, network, second := headOf(t, tt.head)
		c, err := models.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if tt.change != nil {
			tt.change(&c)
		}
		if tt.second != nil {
			second = tt.second(second)
		}
		if _, err := models.Check(c, network, second...); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSecondNetworkIsKeptBesideTheFirst: it outlives the process, is found by its
// own hash, never runs once altered, and is put right when it is added again.
func TestSecondNetworkIsKeptBesideTheFirst(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	text, network, second := headOf(t, milHead)
	if _, err := r.Add(t.Context(), []byte(text), network, "anna"); !errors.Is(err, study.ErrInvalid) {
		t.Fatalf("without it: %v", err)
	}
	c, err := r.Add(t.Context(), []byte(text), network, "anna", second...)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = models.Open(dir, states); err != nil {
		t.Fatal(err)
	}
	for _, card := range []models.Card{c, c.Second()} {
		if b, err := r.Network(card.Ref()); err != nil || study.Hash(sha256.Sum256(b)) != card.SHA256 {
			t.Errorf("network %s: %d bytes, %v", card.Network, len(b), err)
		}
	}
	other := c.Second().Ref()
	other.SHA256[0]++
	if _, err := r.Network(other); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a network of another hash: %v", err)
	}
	file := filepath.Join(dir, "head@1.0", "mil.onnx")
	if err := os.WriteFile(file, second[0][1:], 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Network(c.Second().Ref()); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("altered: %v", err)
	}
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "anna", "tests"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a model runs with an altered second network: %v", err)
	}
	if _, err := r.Add(t.Context(), []byte(text), network, "anna", second...); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Network(c.Second().Ref()); err != nil {
		t.Errorf("put right: %v", err)
	}
}

// TestLooseModelHasItsSecondNetwork: a folder outside the registry has both.
func TestLooseModelHasItsSecondNetwork(t *testing.T) {
	r, _ := registry(t, &memory{})
	text, network, second := headOf(t, milHead)
	folder := t.TempDir()
	for name, b := range map[string][]byte{"card.toml": []byte(text), "head.onnx": network, "mil.onnx": second[0]} {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := r.Resolve(folder)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Card(ref)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.Network(c.Second().Ref()); err != nil || string(b) != string(second[0]) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := os.Remove(filepath.Join(folder, "mil.onnx")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(folder); err == nil {
		t.Error("a folder without its second network is a model")
	}
}
