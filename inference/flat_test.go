package inference_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// flatCard is of projections in shares of their range.
func flatCard() modelcard.Card {
	return modelcard.Card{Gate: ungated(), ID: "flat", Version: "1", Name: "flat",
		Use:   modelcard.Use{Modality: []study.Modality{study.MG}},
		Input: modelcard.Input{Name: "x", Kind: study.Images, Type: "float32", Layout: "NCHW", Values: "unit"},
		Flag:  modelcard.Flag{By: modelcard.FlagLabels},
	}
}

func imageBlock(tiles ...study.Tile) []study.Block {
	return []study.Block{{Kind: study.Images, Series: "2.25.1.3", Tiles: tiles}}
}

func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

// spotted draws a disk of that gray on black.
func spotted(cx, cy, r float64, gray uint8) func(x, y int) uint8 {
	return func(x, y int) uint8 {
		if math.Hypot(float64(x)-cx, float64(y)-cy) <= r {
			return gray
		}
		return 0
	}
}

// TestSegmentsOfProjectionsAreMeasuredInTheirSpacing: an ellipse on pixels of
// 0.1 × 0.2 mm has its own area, on an image of the right side that the network
// saw turned round, and lies where it was drawn.
func TestSegmentsOfProjectionsAreMeasuredInTheirSpacing(t *testing.T) {
	s := newShelf()
	tile := s.projection(1, 160, 120, func(img *study.Image) {
		img.SpacingMM, img.Laterality = [2]float64{0.2, 0.1}, "R"
	}, func(x, y int) uint8 {
		if math.Hypot((float64(x)-40)/30, (float64(y)-50)/12) <= 1 {
			return 200
		}
		return 20
	})
	g := graph.New("bright")
	dims := []graph.Dim{graph.Free("n"), graph.Fixed(1), graph.Free("h"), graph.Free("w")}
	x := g.Input("x", graph.Float, dims...)
	g.Named("mask", "Mul", nil, g.Node("Sub", nil, x, g.Scalar(0.4)), g.Scalar(20))
	g.Output("mask", graph.Float, dims...)
	network, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	card := flatCard()
	card.Output = []modelcard.Output{{Name: "mask", Role: modelcard.RoleSegments, Activation: "sigmoid"}}
	card.Segment = []modelcard.Segment{{Name: "mass", Output: "mask", Threshold: 0.5, What: noduleCode, Lesions: true, MinMM: 1, Total: sct("42798000", "Area")}}
	card.Flag = modelcard.Flag{By: "mass", Flagged: 5}
	card.Pose.Orient = modelcard.OrientLeft
	run := session(t, network)
	for _, window := range []*modelcard.Sliding{nil, {Rows: 48, Columns: 64, Overlap: 0.5}} {
		card.Sliding = window
		r := throughORT(t, s, card, run, imageBlock(tile))
		area := math.Pi * 3 * 2.4
		if r.AI != study.Flagged || len(r.Findings) != 1 || len(r.Measurements) != 1 || math.Abs(r.Measurements[0].Value-area) > 0.3 {
			t.Fatalf("%s: %+v", r.AI, r.Measurements)
		}
		f := r.Findings[0]
		for code, want := range map[string]float64{"42798000": area, "103339001": 6, "103340004": 4.8} {
			if got := sizeOf(t, f, code); math.Abs(got-want) > 0.35 {
				t.Errorf("%s is %g, want %g", code, got, want)
			}
		}
		left, right := f.Regions[0].Points[0], f.Regions[0].Points[0]
		for i := 0; i < len(f.Regions[0].Points); i += 2 {
			left, right = min(left, f.Regions[0].Points[i]), max(right, f.Regions[0].Points[i])
		}
		if math.Abs(left-10.5) > 1.5 || math.Abs(right-70.5) > 1.5 {
			t.Errorf("outlined from column %g to %g, drawn from 10 to 70", left, right)
		}
	}
}

// TestLabelsHaveTheirOwnThresholds: of several labels each is held against its
// own threshold, over the images of a study, and a grade is that in which half of
// the probability is reached.
func TestLabelsHaveTheirOwnThresholds(t *testing.T) {
	s := newShelf()
	dark := s.projection(1, 32, 32, nil, spotted(16, 16, 40, 50))
	bright := s.projection(2, 32, 32, nil, spotted(16, 16, 40, 150))
	g := graph.New("labels")
	x := g.Input("x", graph.Float, graph.Free("n"), graph.Fixed(1), graph.Fixed(32), graph.Fixed(32))
	mean := g.Node("ReduceMean", graph.Attrs{"axes": []int64{1, 2, 3}, "keepdims": int64(0)}, x)
	mean = g.Node("Unsqueeze", nil, mean, g.Ints(1))
	g.Named("found", "Add", nil, g.Node("Mul", nil, mean, g.Floats([]float32{10, 10, -10}, 1, 3)), g.Floats([]float32{-4, -7, 0}, 1, 3))
	g.Output("found", graph.Float, graph.Free("n"), graph.Fixed(3))
	g.Named("grades", "Add", nil, g.Node("Mul", nil, mean, g.Floats([]float32{10, 10, 10}, 1, 3)), g.Floats([]float32{-1, -4, -9}, 1, 3))
	g.Output("grades", graph.Float, graph.Free("n"), graph.Fixed(3))
	g.Named("inner", "Concat", graph.Attrs{"axis": int64(1)}, mean, mean)
	g.Output("inner", graph.Float, graph.Free("n"), graph.Fixed(2))
	network, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	card := flatCard()
	card.Output = []modelcard.Output{{Name: "found", Role: modelcard.RoleLabels, Activation: "sigmoid", Probability: true},
		{Name: "grades", Role: modelcard.RoleLabels, Activation: modelcard.ActivationCumulative}, {Name: "inner", Role: modelcard.RoleEmbedding}}
	card.Label = []modelcard.Label{
		{Name: "mass", Output: "found", Index: 0, What: noduleCode, Flagged: 0.8, Uncertain: 0.5},
		{Name: "calcium", Output: "found", Index: 1, What: calciumFor, Flagged: 0.9, Uncertain: 0.2},
		{Name: "density", Output: "grades", What: sct("129715009", "Breast composition"), Flagged: 3.5,
			Grade: []modelcard.Grade{{Code: sct("1", "a"), Value: 1}, {Code: sct("2", "b"), Value: 2}, {Code: sct("3", "c"), Value: 3}, {Code: sct("4", "d"), Value: 4}}},
	}
	r := throughORT(t, s, card, session(t, network), imageBlock(dark, bright))
	if len(r.Labels) != 3 || r.AI != study.Flagged || r.Probability == nil {
		t.Fatalf("%s, %+v", r.AI, r.Labels)
	}
	sigmoid := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	m := 150.0 / 255
	for i, want := range []struct {
		ai    study.AIState
		value float64
	}{{study.Flagged, sigmoid(10*m - 4)}, {study.Uncertain, sigmoid(10*m - 7)},
		{study.NotFlagged, 1 + sigmoid(10*m-1) + sigmoid(10*m-4) + sigmoid(10*m-9)}} {
		if l := r.Labels[i]; l.AI != want.ai || math.Abs(l.Value-want.value) > 1e-4 {
			t.Errorf("%s: %s with %g, want %s with %g", l.Name, l.AI, l.Value, want.ai, want.value)
		}
	}
	if d := r.Labels[2]; d.Grade == nil || d.Grade.Meaning != "c" || len(d.Shares) != 4 || r.Labels[0].Grade != nil {
		t.Errorf("%+v", d)
	}
	only := throughORT(t, s, card, session(t, network), []study.Block{{Kind: study.Images, Series: "2.25.1.3", Tiles: []study.Tile{dark, {Instance: "2.25.1.3.2", Frame: 7, W: 32, H: 32}}}})
	if only.AI != study.Uncertain || slices.ContainsFunc(only.Labels, func(l study.Label) bool { return l.AI == study.NotFlagged }) {
		t.Errorf("half of the study: %s, %+v", only.AI, only.Labels)
	}
}

// TestBoxesOnProjectionsLieWhereTheThingIs: two boxes of one thing count once, in
// pixels of the image, also where the network saw it smaller and turned round.
func TestBoxesOnProjectionsLieWhereTheThingIs(t *testing.T) {
	s := newShelf()
	tile := s.projection(1, 64, 80, func(img *study.Image) { img.Laterality = "R" }, spotted(20, 20, 5, 200))
	card := flatCard()
	card.Input.Width, card.Input.Height = 32, 40
	card.Output = []modelcard.Output{{Name: "boxes", Role: modelcard.RoleBoxes, Format: modelcard.FormatXYXY, Probability: true}}
	card.Find = &modelcard.Find{Objects: "boxes", Threshold: 0.5, What: noduleCode}
	card.Flag = modelcard.Flag{By: modelcard.FlagFindings, Flagged: 1}
	card.Pose.Orient = modelcard.OrientLeft
	detector := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		return map[string]pixel.Tensor{"boxes": {Shape: []int64{1, 3, 5}, Data: []float32{
			19, 7, 25, 13, 0.9, 19.5, 7, 25, 13, 0.8, 1, 1, 4, 4, 0.2}}}, nil
	})
	r := throughORT(t, s, card, detector, imageBlock(tile))
	if len(r.Findings) != 1 || *r.Findings[0].Probability < 0.89 {
		t.Fatalf("%d findings: %+v", len(r.Findings), r)
	}
	got := r.Findings[0].Regions[0]
	if want := []float64{14, 14, 26, 14, 26, 26, 14, 26, 14, 14}; got.Total || got.Frame != 1 || !reflect.DeepEqual(got.Points, want) {
		t.Errorf("%+v, want %v", got, want)
	}
	if w := sizeOf(t, r.Findings[0], "103339001"); math.Abs(w-1.2) > 1e-9 {
		t.Errorf("%g mm wide, want 1.2", w)
	}
}

// TestAnImageThatTheGateTurnsAwayIsNeverScored: the network does not see it, one
// among others makes the study partial, and alone it is out of scope.
func TestAnImageThatTheGateTurnsAwayIsNeverScored(t *testing.T) {
	s := newShelf()
	good := s.projection(1, 64, 64, nil, spotted(32, 32, 20, 200))
	empty := s.projection(2, 64, 64, nil, spotted(0, 0, -1, 0))
	card := flatCard()
	card.Gate = nil
	card.Output = []modelcard.Output{{Name: "score", Role: modelcard.RoleScalar, Aggregate: "max", Measure: noduleCode}}
	card.Flag = modelcard.Flag{By: "score", Flagged: 10}
	runs := 0
	one := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		runs += int(in.Shape[0])
		v := make([]float32, in.Shape[0])
		return map[string]pixel.Tensor{"score": {Shape: []int64{in.Shape[0], 1}, Data: v}}, nil
	})
	if r := throughORT(t, s, card, one, imageBlock(empty)); r.AI != study.OutOfScope || r.Reason.Code != study.ReasonEmpty || runs != 0 || len(r.Measurements) != 0 || r.Probability != nil {
		t.Errorf("an empty image: %s because of %s, %d runs, %+v", r.AI, r.Reason, runs, r.Measurements)
	}
	if r := throughORT(t, s, card, one, imageBlock(good, empty)); r.AI != study.Uncertain || r.Reason.Code != study.ReasonEmpty || !r.Partial() || runs != 1 {
		t.Errorf("one of two: %s because of %s, %d runs", r.AI, r.Reason, runs)
	}
}

func TestAVolumeThatTheGateTurnsAwaySaysNothing(t *testing.T) {
	s := newShelf()
	tiles := s.ct(12, 32, func(x, y, z int) int { return -1000 + x%2 })
	card := ctCard()
	card.Gate = nil
	r := conclude(t, s, card, thick, cut(tiles, 2, 2))
	if r.AI != study.OutOfScope || r.Reason.Code != study.ReasonEmpty || len(r.Findings) != 0 || r.Probability != nil {
		t.Errorf("%s because of %s, %d findings", r.AI, r.Reason, len(r.Findings))
	}
}

// TestAWindowMakesGrayOfZeroToOne: the card's window or the image's own, dark to
// bright as displayed, and what has no value is dark.
func TestAWindowMakesGrayOfZeroToOne(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*study.Image)
		source string
		value  uint8
		want   float64
	}{
		{"the card's", nil, "", 100, (100-99.5)/100 + 0.5},
		{"below", nil, "", 20, 0},
		{"above", nil, "", 220, 1},
		{"the image's", func(img *study.Image) { img.WindowCenter, img.WindowWidth = 128, 256 }, modelcard.WindowDataset, 51, 51.0 / 255},
		{"none of its own", nil, modelcard.WindowDataset, 100, (100-99.5)/100 + 0.5},
		{"after the modality LUT", func(img *study.Image) { img.Slope, img.Intercept = 2, -100 }, "", 100, (100-99.5)/100 + 0.5},
		{"inverted", func(img *study.Image) { img.Photometric = "MONOCHROME1" }, "", 220, 0},
		{"padding of an inverted image", func(img *study.Image) { p := 20; img.Photometric, img.Padding = "MONOCHROME1", &p }, "", 20, 0},
	} {
		s := newShelf()
		tile := s.projection(1, 8, 8, tt.change, func(int, int) uint8 { return tt.value })
		card := flatCard()
		card.Input.Values = modelcard.ValuesWindow
		card.Display = modelcard.Display{Source: tt.source, Center: 100, Width: 101}
		card.Output = []modelcard.Output{{Name: "score", Role: modelcard.RoleScalar, Aggregate: "max"}}
		card.Flag = modelcard.Flag{By: "score", Flagged: 2}
		var seen float32
		look := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
			seen = in.Data.([]float32)[0]
			return map[string]pixel.Tensor{"score": {Shape: []int64{1, 1}, Data: []float32{0}}}, nil
		})
		throughORT(t, s, card, look, imageBlock(tile))
		if math.Abs(float64(seen)-tt.want) > 1e-6 {
			t.Errorf("%s: the network sees %g, want %g", tt.name, seen, tt.want)
		}
	}
}
