package modelcard_test

import (
	"errors"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

func TestHeadsOfSlidesAreTaken(t *testing.T) {
	for name, tt := range map[string]struct{ head, heat string }{
		"map": {cardtest.MapHead, "map"}, "boxes": {cardtest.BoxHead, "boxes"}, "attention": {cardtest.MILHead, "attention"},
	} {
		text, network, second := cardtest.Head(t, tt.head)
		c, err := modelcard.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := modelcard.Check(c, network, second...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if h, ok := c.Heat(); !ok || h.Name != tt.heat || h.Late != (tt.head == cardtest.MILHead) || h.Index != 0 {
			t.Errorf("%s: heat is %+v", name, h)
		}
		if c.Stitched() != (tt.head == cardtest.MapHead) {
			t.Errorf("%s: stitched is %v", name, c.Stitched())
		}
	}
}

func TestFaultyHeadsAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ head, old, new, want string }{
		"an area in meters":                  {cardtest.MapHead, `value = "mm2"`, `value = "m2"`, "an area is in mm2"},
		"an area that is a probability":      {cardtest.MapHead, `tile = "mean"`, `probability = true`, "a area is no probability"},
		"a percentile of a map":              {cardtest.MapHead, `aggregate = "area"`, `aggregate = "p95"`, "aggregate of a map"},
		"a percentile beyond all":            {cardtest.MapHead, `aggregate = "area"`, `aggregate = "p100"`, "p1 to p99.9"},
		"a top without one":                  {cardtest.MapHead, `above = 0.5`, `top = 3`, "goes with aggregate top"},
		"above without an area":              {cardtest.MapHead, `aggregate = "area"`, `aggregate = "max"`, "goes with aggregate area"},
		"a heat of nothing known":            {cardtest.MapHead, `tile = "mean"`, `tile = "median"`, "tile"},
		"half a pixel of overlap":            {cardtest.MapHead, `overlap = 16`, `overlap = 16.5`, "whole pixels"},
		"too much overlap":                   {cardtest.MapHead, `overlap = 16`, `overlap = 40`, "by half at most"},
		"a map of projections with an area":  {cardtest.MapHead, "kind = \"patches\"", "kind = \"images\"", "for patches"},
		"boxes of no format":                 {cardtest.BoxHead, `format = "cxcywh"`, ``, "format"},
		"scores with a format":               {cardtest.BoxHead, `role = "scores"`, "role = \"scores\"\nformat = \"xyxy\"", "format is for boxes"},
		"scores that are aggregated":         {cardtest.BoxHead, `role = "scores"`, "role = \"scores\"\naggregate = \"max\"", "have no aggregate"},
		"boxes that nobody looks for":        {cardtest.BoxHead, `objects = "boxes"`, `map = "boxes"`, "nobody looks for"},
		"scores that are no scores":          {cardtest.BoxHead, `scores = "scores"`, `scores = "boxes"`, "no output of scores"},
		"classes that are not there":         {cardtest.BoxHead, `classes = "classes"`, `classes = "kinds"`, "no output of classes"},
		"a class without classes":            {cardtest.BoxHead, `classes = "classes"`, ``, "no output names classes"},
		"a share above one":                  {cardtest.BoxHead, `same = 0.3`, `same = 3`, "find.same"},
		"a distance of boxes":                {cardtest.BoxHead, `same = 0.3`, `same_um = 3`, "for points"},
		"points without a distance":          {cardtest.BoxHead, "role = \"boxes\"\nformat = \"cxcywh\"", `role = "points"`, "same_um is missing"},
		"a window as large as a table":       {cardtest.BoxHead, `window_mm2 = 2.37`, `window_mm2 = 1e6`, "count.window_mm2"},
		"a hot spot without a window":        {cardtest.BoxHead, `window_mm2 = 2.37`, ``, "hotspot needs window_mm2"},
		"a flag by nothing":                  {cardtest.BoxHead, `flagged = 10`, `flagged = 0`, "no finding would be flagged"},
		"a heat of no output":                {cardtest.BoxHead, `output = "boxes"`, `output = "scores"`, "heat.output"},
		"a scale upside down":                {cardtest.BoxHead, `low = 0.0`, `low = 2.0`, "heat.low"},
		"counts of a map":                    {cardtest.MapHead, "[flag]", "[count]\nwindow_mm2 = 1\n[flag]", "count is of boxes"},
		"features that nobody sees":          {cardtest.MILHead, `features = "features"`, `features = "others"`, "no second network sees"},
		"a second network somewhere else":    {cardtest.MILHead, `network = "mil.onnx"`, `network = "../mil.onnx"`, "mil.network"},
		"a second network that is the first": {cardtest.MILHead, `network = "mil.onnx"`, `network = "head.onnx"`, "not the first"},
		"no hash of it":                      {cardtest.MILHead, "sha256 = \"SECOND\"\n", ``, "mil.sha256"},
		"no input":                           {cardtest.MILHead, `input = "bag"`, ``, "mil.input"},
		"an output that is aggregated":       {cardtest.MILHead, `probability = true`, `aggregate = "max"`, "for what a tile gives"},
		"an output of a name that is taken":  {cardtest.MILHead, `name = "slide"`, `name = "features"`, "named twice"},
		"an output by the name of attention": {cardtest.MILHead, `name = "slide"`, `name = "attention"`, "which mean something else"},
		"too many patches":                   {cardtest.MILHead, `input = "bag"`, "input = \"bag\"\nmost = 9000000", "mil.most"},
		"a flag by no output":                {cardtest.MILHead, `by = "slide"`, `by = "slides"`, "flag.by"},
		"a key that means nothing":           {cardtest.MILHead, `input = "bag"`, "input = \"bag\"\ninputs = 1", "no such key"},
	} {
		good, _, _ := cardtest.Head(t, tt.head)
		hashed := strings.NewReplacer("\"SECOND\"", good[strings.LastIndex(good, "sha256 = ")+9:][:66])
		text := strings.Replace(good, hashed.Replace(tt.old), tt.new, 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := modelcard.Parse([]byte(text)); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryFaultOfAHeadIsNamedAtOnce: those of several sections come together.
func TestEveryFaultOfAHeadIsNamedAtOnce(t *testing.T) {
	good, _, _ := cardtest.Head(t, cardtest.BoxHead)
	text := strings.NewReplacer(`same = 0.3`, `same = 3`, `window_mm2 = 2.37`, `window_mm2 = -1`, `format = "cxcywh"`, `format = "polar"`,
		`high = 1.0`, `high = -1.0`, `scores = "scores"`, `scores = "x"`).Replace(good)
	_, err := modelcard.Parse([]byte(text))
	for _, want := range []string{"find.same", "count.window_mm2", "format is", "heat.low", "find.scores"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in:\n%v", want, err)
		}
	}
}

func TestNetworksThatDoNotFitTheirHeadAreRefused(t *testing.T) {
	type change func(c *modelcard.Card)
	for name, tt := range map[string]struct {
		head   string
		change change
		second func([][]byte) [][]byte
		want   string
	}{
		"a map as boxes":  {cardtest.MapHead, func(c *modelcard.Card) { c.Output[0].Role = modelcard.RoleClasses }, nil, "are no classes"},
		"boxes as a map":  {cardtest.BoxHead, func(c *modelcard.Card) { c.Output[0].Role = modelcard.RoleMap }, nil, "is no map"},
		"scores as boxes": {cardtest.BoxHead, func(c *modelcard.Card) { c.Output[1].Role = modelcard.RoleBoxes }, nil, "are no boxes"},
		"scores as points of one number": {cardtest.BoxHead, func(c *modelcard.Card) {
			c.Output = c.Output[:1]
			c.Output[0] = modelcard.Output{Name: "scores", Role: modelcard.RolePoints}
		}, nil, "are no points"},
		"no second network":                  {cardtest.MILHead, nil, func([][]byte) [][]byte { return nil }, "is missing"},
		"a second network for a card of one": {cardtest.MapHead, nil, func([][]byte) [][]byte { return [][]byte{{1}} }, "names none"},
		"a second network that is none":      {cardtest.MILHead, nil, func([][]byte) [][]byte { return [][]byte{[]byte("mil")} }, "second network"},
		"another second network":             {cardtest.MILHead, func(c *modelcard.Card) { c.MIL.SHA256 = study.Hash{1} }, nil, "second network has SHA-256"},
		"another input":                      {cardtest.MILHead, func(c *modelcard.Card) { c.MIL.Input = "bags" }, nil, `no input "bags"`},
		"a slide too many":                   {cardtest.MILHead, func(c *modelcard.Card) { c.MIL.Batched = true }, nil, "has 2 dimensions, and the card gives 3"},
		"another output":                     {cardtest.MILHead, func(c *modelcard.Card) { c.MIL.Output[0].Name = "case" }, nil, `no output "case"`},
		"another attention":                  {cardtest.MILHead, func(c *modelcard.Card) { c.MIL.Attention = "weights" }, nil, `no output "weights"`},
		"another number of features": {cardtest.MILHead, nil, func([][]byte) [][]byte {
			b, err := graph.AttentionMIL([]float32{1, 0}, []float32{0, 1}, 0)
			if err != nil {
				t.Fatal(err)
			}
			return [][]byte{b}
		}, "takes 2 features"},
	} {
		text, network, second := cardtest.Head(t, tt.head)
		c, err := modelcard.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if tt.change != nil {
			tt.change(&c)
		}
		if tt.second != nil {
			second = tt.second(second)
		}
		if _, err := modelcard.Check(c, network, second...); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
