package inference_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"varde/inference"
	"varde/inference/sessions"
	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/onnx/graph"
	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// A spotOn is something dark on a drawn slide: a cone, darkest in the middle.
type spotOn struct {
	x, y, r int
	red     bool
}

// stained shelves a slide of 1536×1024 pixels at 0.5 µm: pale tissue on white
// glass, and dark spots in it.
func stained(s *shelf, series study.UID, spots []spotOn) {
	const w, h, side = 1536, 1024, 64
	var frames [][]byte
	for f := range w / side * (h / side) {
		b := make([]byte, 0, 3*side*side)
		for i := range side * side {
			x, y := f%(w/side)*side+i%side, f/(w/side)*side+i/side
			c := [3]float64{255, 255, 255}
			if x > 100 && x < 1400 && y > 80 && y < 940 {
				c = [3]float64{225, 175, 210}
			}
			for _, p := range spots {
				if d := math.Hypot(float64(x-p.x), float64(y-p.y)); d < float64(p.r) {
					dark := [3]float64{40, 20, 90}
					if p.red {
						dark = [3]float64{90, 20, 40}
					}
					for k := range c {
						c[k] += (dark[k] - c[k]) * (1 - d/float64(p.r))
					}
				}
			}
			b = append(b, byte(c[0]), byte(c[1]), byte(c[2]))
		}
		frames = append(frames, b)
	}
	s.keep(study.Instance{
		UID: series + ".1", Series: series, Class: smClass, TransferSyntax: explicitLE, Modality: study.SM, Number: 1,
		Image: &study.Image{
			Rows: side, Columns: side, Frames: len(frames), Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "RGB",
			Slide: &study.SlideLevel{TotalColumns: w, TotalRows: h, MicronsPerPixel: [2]float64{0.5, 0.5}, TiledFull: true, Kind: "VOLUME", ContainerID: "C" + string(series)},
		},
	}, frames...)
}

// headCard is of a model with patches of 128 pixels that overlap by 32.
func headCard(id string, network []byte) modelcard.Card {
	return modelcard.Card{
		ID: id, Version: "1", Name: id, SHA256: sha256.Sum256(network), Hash: study.Hash{9},
		Use: modelcard.Use{Modality: []study.Modality{study.SM}},
		Input: modelcard.Input{Name: "tiles", Kind: study.Patches, Type: "uint8", Layout: "NHWC", Values: "rgb", Width: 128, Height: 128,
			MicronsPerPixel: 0.5, MinTissue: 0.3, Overlap: 32},
	}
}

// planned asks ingest for the plan of a shelf.
func planned(t *testing.T, s *shelf, card modelcard.Card) study.ModelPlan {
	t.Helper()
	f := plan.Facts{Study: study.Study{UID: "2.25.1"}, Instances: s.instances, Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}
	var err error
	if f.Tissue, err = plan.Survey(t.Context(), &slide.Reader{Objects: s, Frames: s.Frames}, f); err != nil {
		t.Fatal(err)
	}
	p := plan.Plan(f)
	if len(p.Models) != 1 || len(p.Models[0].Blocks) < 2 {
		t.Fatalf("%+v", p)
	}
	return p.Models[0]
}

// inOne is the same plan with one block for each slide.
func inOne(p study.ModelPlan) study.ModelPlan {
	var order []study.UID
	by := map[study.UID][]study.Tile{}
	for _, b := range p.Blocks {
		if by[b.Series] == nil {
			order = append(order, b.Series)
		}
		by[b.Series] = append(by[b.Series], slices.DeleteFunc(slices.Clone(b.Tiles), func(t study.Tile) bool { return t.Context })...)
	}
	p.Blocks = nil
	for _, series := range order {
		slices.SortFunc(by[series], func(a, b study.Tile) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) })
		p.Blocks = append(p.Blocks, study.Block{Kind: study.Patches, Series: series, Tiles: by[series]})
	}
	return p
}

// both scores a shelf by the plan and in one block a slide, and expects the same.
func both(t *testing.T, s *shelf, f inference.Files) study.Result {
	t.Helper()
	f.Study, f.Instances, f.Plan, f.Runners, f.At = "2.25.1", s.instances, planned(t, s, f.Card), 2, time.UnixMilli(0)
	got, err := inference.ScoreFiles(t.Context(), scorer(s), f)
	if err != nil {
		t.Fatal(err)
	}
	blocks := len(f.Plan.Blocks)
	f.Plan = inOne(f.Plan)
	want, err := inference.ScoreFiles(t.Context(), scorer(s), f)
	if err != nil {
		t.Fatal(err)
	}
	got.Seconds, want.Seconds = 0, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %d blocks give\n%+v\none gives\n%+v", f.Card.ID, blocks, got, want)
	}
	if got.Partial() || got.Seen == 0 {
		t.Errorf("%s: %d of %d patches", f.Card.ID, got.Seen, got.Planned)
	}
	return got
}

// TestSegmentationFindsWhatWasDrawn with ONNX Runtime: regions on the borders of
// patches and blocks are whole, in their place, and of their size.
func TestSegmentationFindsWhatWasDrawn(t *testing.T) {
	network, err := graph.Segmenter(128, 128, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	spots := []spotOn{{x: 400, y: 300, r: 60}, {x: 768, y: 480, r: 90}, {x: 769, y: 769, r: 40}, {x: 1200, y: 200, r: 30}}
	s := newShelf()
	stained(s, "2.25.1.8", spots)
	card := headCard("segmenter", network)
	card.Output = []modelcard.Output{{Name: "map", Role: "map", Aggregate: "area", Above: 0.5, Measure: lesion, Unit: squareMM}}
	card.Find = &modelcard.Find{Map: "map", Threshold: 0.5, MinMM: 0.005, What: lesion}
	card.Flag = modelcard.Flag{By: "map", Flagged: 0.001}
	r := both(t, s, inference.Files{Card: card, Session: session(t, network)})
	if len(r.Findings) != len(spots) || r.AI != study.Flagged {
		t.Fatalf("%d findings for %d spots: %+v", len(r.Findings), len(spots), r)
	}
	total := 0.0
	for _, p := range spots {
		// A cone is as dark as the threshold where (1−d/r) of the way from the
		// tissue's darkness to that of its middle.
		tissue, darkest := 1-(225+175+210)/765.0, 1-(40+20+90)/765.0
		radius := float64(p.r) * (1 - (0.5-tissue)/(darkest-tissue))
		area := math.Pi * radius * radius * 0.25 / 1e6
		total += area
		near := slices.ContainsFunc(r.Findings, func(f study.Finding) bool {
			x, y := middle(f.Regions[0].Points)
			return math.Hypot(x-float64(p.x), y-float64(p.y)) < 4 && math.Abs(f.Measurements[1].Value/area-1) < 0.13 &&
				math.Abs(f.Measurements[0].Value-2*radius*0.0005) < 0.003
		})
		if !near {
			t.Errorf("nothing of %.5f mm² at %+v: %+v", area, p, r.Findings)
		}
	}
	if got := r.Measurements[0].Value; math.Abs(got/total-1) > 0.05 {
		t.Errorf("%g mm² in all, want %g", got, total)
	}
}

// middle is that of the box around a shape.
func middle(points []float64) (x, y float64) {
	low, high := slices.Clone(points[:2]), slices.Clone(points[:2])
	for i, v := range points {
		low[i%2], high[i%2] = min(low[i%2], v), max(high[i%2], v)
	}
	return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
}

// TestDetectionFindsWhatWasDrawn with ONNX Runtime: of spots of two colors those
// of the class that is asked for are found, each once.
func TestDetectionFindsWhatWasDrawn(t *testing.T) {
	network, err := graph.Detector(128, 128, 6, 20, 16)
	if err != nil {
		t.Fatal(err)
	}
	var spots []spotOn
	for i, x := range []int{200, 288, 384, 480, 545, 672, 700, 768, 865, 960, 1056, 1152} { // steps are 96 pixels
		spots = append(spots, spotOn{x: x, y: 200 + 53*i, r: 8, red: i%3 == 2})
	}
	s := newShelf()
	stained(s, "2.25.1.8", spots)
	card := headCard("detector", network)
	class := 1
	card.Output = []modelcard.Output{{Name: "boxes", Role: "boxes", Format: "cxcywh"}, {Name: "scores", Role: "scores"}, {Name: "classes", Role: "classes"}}
	card.Find = &modelcard.Find{Objects: "boxes", Scores: "scores", Classes: "classes", Class: &class, Threshold: 0.5, What: mitosis}
	card.Count = &modelcard.Count{WindowMM2: 0.05, Hotspot: mitosis}
	card.Flag = modelcard.Flag{By: "hotspot", Flagged: 2}
	r := both(t, s, inference.Files{Card: card, Session: session(t, network)})
	var got, want [][2]float64
	for _, f := range r.Findings {
		x, y := middle(f.Regions[0].Points)
		got = append(got, [2]float64{x, y})
	}
	for _, p := range spots {
		if !p.red {
			want = append(want, [2]float64{float64(p.x) + 0.5, float64(p.y) + 0.5})
		}
	}
	order := func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) || r.AI != study.Flagged {
		t.Errorf("found at %v, want %v", got, want)
	}
}

// milNetworks draws a pair: the first gives mean colors, the second looks for red.
func milNetworks(t *testing.T) (first, second []byte, look, judge []float32, bias float32) {
	t.Helper()
	look, judge, bias = []float32{-20, 0, 0}, []float32{-8, 0, 0}, 5
	first, err := graph.Features(128, 128)
	if err != nil {
		t.Fatal(err)
	}
	if second, err = graph.AttentionMIL(look, judge, bias); err != nil {
		t.Fatal(err)
	}
	return first, second, look, judge, bias
}

func milCard(first, second []byte) modelcard.Card {
	card := headCard("mil", first)
	card.Input.Overlap = 0
	card.Output = []modelcard.Output{{Name: "features", Role: "features"}}
	card.MIL = &modelcard.MIL{Network: "mil.onnx", SHA256: sha256.Sum256(second), Features: "features", Input: "bag", Attention: "attention",
		Output: []modelcard.Output{{Name: "slide", Probability: true, Measure: lesion, Unit: unit}}}
	card.Flag = modelcard.Flag{By: "slide", Flagged: 0.6, Uncertain: 0.5}
	return card
}

// judged works out by hand what [graph.AttentionMIL] gives for a bag.
func judged(bag [][]float32, look, judge []float32, bias float32) (slide float64, attention []float64) {
	dot := func(a, b []float32) float64 {
		s := 0.0
		for i := range a {
			s += float64(a[i]) * float64(b[i])
		}
		return s
	}
	sum := 0.0
	for _, f := range bag {
		attention = append(attention, math.Exp(dot(look, f)))
		sum += attention[len(attention)-1]
	}
	logit := float64(bias)
	for i, f := range bag {
		attention[i] /= sum
		logit += attention[i] * dot(judge, f)
	}
	return 1 / (1 + math.Exp(-logit)), attention
}

// A pairOf is the sessions of a model with two networks.
type pairOf struct {
	first, second sessions.Session
	card          modelcard.Card
}

func (p pairOf) Acquire(_ context.Context, card modelcard.Card) (sessions.Session, func(), error) {
	if card.SHA256 == p.card.MIL.SHA256 {
		return p.second, func() {}, nil
	}
	return p.first, func() {}, nil
}

// TestSlideIsJudgedByAllItsPatches with ONNX Runtime: features are kept beside the
// parts, the second network sees those of each slide in order, and its answer and
// its attention are those that are worked out by hand. Both networks are named.
func TestSlideIsJudgedByAllItsPatches(t *testing.T) {
	first, second, look, judge, bias := milNetworks(t)
	c := &clerk{shelf: newShelf(), card: milCard(first, second)}
	stained(c.shelf, "2.25.1.8", nil)
	stained(c.shelf, "2.25.1.9", []spotOn{{x: 700, y: 500, r: 160}})
	sessions := pairOf{first: session(t, first), second: session(t, second), card: c.card}
	w := c.worker()
	w.Sessions = sessions
	plan := planned(t, c.shelf, c.card)
	for i, b := range plan.Blocks {
		if err := w.Handle(t.Context(), c.job(i, b)); err != nil {
			t.Fatal(err)
		}
	}
	conclude := study.Job{ID: "conclude", Study: "2.25.1", Rev: 3, Task: study.TaskConclude, Model: c.card.Ref()}
	var before []byte
	for range 2 { // a second time gives the same
		if err := w.Handle(t.Context(), conclude); err != nil {
			t.Fatal(err)
		}
		now := c.objects[c.parts[0].Key]
		if before != nil && !slices.Equal(before, now) {
			t.Errorf("the part is\n%s\nbefore\n%s", now, before)
		}
		before = now
	}
	r := c.results[0]
	if !reflect.DeepEqual(r, c.results[1]) {
		t.Errorf("again it is\n%+v\nbefore\n%+v", c.results[1], r)
	}
	if r.Slide != "2.25.1.9" || r.AI != study.Flagged || len(r.Slides) != 2 || r.Slides[1].AI != study.NotFlagged || r.Slides[0].Container != "C2.25.1.9" {
		t.Fatalf("%+v", r)
	}
	if r.Ran.MIL != c.card.MIL.SHA256 || r.Model.SHA256 != c.card.SHA256 {
		t.Errorf("%+v, %+v", r.Ran, r.Model)
	}
	var parts []study.Part
	for _, row := range c.parts {
		p := c.part(t, row.Key)
		if p.Features == nil || p.Features.Dim != 3 || p.Features.Count != len(p.Scores) || len(c.objects[p.Features.Key]) != 16+12*p.Features.Count {
			t.Fatalf("features %+v of %d scores", p.Features, len(p.Scores))
		}
		parts = append(parts, p)
	}
	column, ok := c.card.Heat()
	if !ok || column.Name != modelcard.Attention || !column.Late {
		t.Fatalf("heat is %+v", column)
	}
	for _, g := range r.Slides {
		var bag [][]float32
		var tiles []study.Tile
		for _, b := range inOne(plan).Blocks {
			if b.Series == g.Series {
				tiles = b.Tiles
			}
		}
		in := slices.IndexFunc(c.instances, func(in study.Instance) bool { return in.Series == g.Series })
		for _, tile := range tiles {
			bag = append(bag, c.meanColor(c.instances[in], tile))
		}
		want, attention := judged(bag, look, judge, bias)
		if math.Abs(*g.Probability-want) > 1e-4 || math.Abs(g.Measurements[0].Value-want) > 1e-4 {
			t.Errorf("slide %s: %v, want %g", g.Series, *g.Probability, want)
		}
		top := slices.Max(attention)
		heat, err := slide.NewHeat(parts, column.Index)
		if err != nil {
			t.Fatal(err)
		}
		h := heat[slices.IndexFunc(heat, func(h slide.Heat) bool { return h.Series == g.Series })]
		for i, tile := range tiles {
			v := h.At((tile.X-h.X0)/128, (tile.Y-h.Y0)/128)
			if math.Abs(float64(v)-attention[i]/top) > 1e-3 {
				t.Errorf("slide %s: attention %v of the patch at %d, %d, want %v", g.Series, v, tile.X, tile.Y, attention[i]/top)
			}
		}
	}
	if g, err := inference.ScoreFiles(t.Context(), scorer(c.shelf), inference.Files{Study: "2.25.1", Instances: c.instances, Card: c.card, Plan: plan,
		Session: sessions.first, Second: sessions.second, Runners: 2}); err != nil || !reflect.DeepEqual(g.Slides, r.Slides) {
		t.Errorf("from files: %v\n%+v\nby jobs:\n%+v", err, g.Slides, r.Slides)
	}
}

// TestDamagedFeaturesJudgeNothing: features that were altered in the store are an
// error and no result.
func TestDamagedFeaturesJudgeNothing(t *testing.T) {
	first, second, _, _, _ := milNetworks(t)
	c := &clerk{shelf: newShelf(), card: milCard(first, second)}
	stained(c.shelf, "2.25.1.8", nil)
	w := c.worker()
	w.Sessions = pairOf{first: session(t, first), second: session(t, second), card: c.card}
	for i, b := range planned(t, c.shelf, c.card).Blocks {
		if err := w.Handle(t.Context(), c.job(i, b)); err != nil {
			t.Fatal(err)
		}
	}
	key := c.part(t, c.parts[0].Key).Features.Key
	whole := c.objects[key]
	conclude := study.Job{ID: "conclude", Study: "2.25.1", Rev: 3, Task: study.TaskConclude, Model: c.card.Ref()}
	for name, b := range map[string][]byte{"cut short": whole[:len(whole)-4], "altered": append(slices.Clone(whole[:len(whole)-1]), 1), "gone": nil, "empty": {}} {
		if c.objects[key] = b; b == nil {
			delete(c.objects, key)
		}
		if err := w.Handle(t.Context(), conclude); err == nil || len(c.results) > 0 {
			t.Errorf("%s: %v, %+v", name, err, c.results)
		}
	}
}

// part reads a part back.
func (c *clerk) part(t *testing.T, key string) study.Part {
	t.Helper()
	var p study.Part
	if err := json.Unmarshal(c.objects[key], &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// meanColor is the mean of the three channels over a patch, white outside.
func (s *shelf) meanColor(in study.Instance, t study.Tile) []float32 {
	l, side := in.Image.Slide, in.Image.Columns
	var sum [3]float64
	for y := t.Y; y < t.Y+t.H; y++ {
		for x := t.X; x < t.X+t.W; x++ {
			for k := range sum {
				v := byte(255)
				if x < l.TotalColumns && y < l.TotalRows {
					frame := y/side*(l.TotalColumns/side) + x/side
					v = s.objects[in.Key][frame*side*side*3+(y%side*side+x%side)*3+k]
				}
				sum[k] += float64(v) / 255 / float64(t.W*t.H)
			}
		}
	}
	return []float32{float32(sum[0]), float32(sum[1]), float32(sum[2])}
}
