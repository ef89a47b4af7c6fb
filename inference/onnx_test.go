package inference_test

import (
	"bytes"
	"math"
	"os"
	"reflect"
	"testing"
	"time"

	"varde/inference"
	"varde/inference/scores"
	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/onnx"
	"varde/internal/onnx/graph"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// session loads a network into the real runtime. A machine without the library
// skips, loudly; the build server must have it.
func session(t testing.TB, network []byte) *onnx.Session {
	t.Helper()
	r, err := onnx.Open(onnx.Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skipf("NOT TESTED, no ONNX Runtime: %v", err)
	}
	s, err := r.Session(network, onnx.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// smallNet draws a small convolution over patches of 16 × 16.
func smallNet(t testing.TB) []byte {
	t.Helper()
	g := graph.New("conv")
	x := g.Input("x", graph.Float, graph.Free("batch"), graph.Fixed(3), graph.Fixed(16), graph.Fixed(16))
	weights := make([]float32, 8*3*3*3)
	for i := range weights {
		weights[i] = float32(math.Sin(float64(i)))
	}
	y := g.Node("Relu", nil, g.Node("Conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, x, g.Floats(weights, 8, 3, 3, 3)))
	g.Named("mean", "ReduceMean", graph.Attrs{"axes": []int64{1, 2, 3}, "keepdims": int64(0)}, y)
	g.Output("mean", graph.Float, graph.Free("batch"))
	network, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return network
}

// TestBatchesAndRunnersChangeNoBit: a small convolution over patches gives the
// same bits in batches of any size, alone or beside others.
func TestBatchesAndRunnersChangeNoBit(t *testing.T) {
	network := smallNet(t)
	run := session(t, network)
	s := newShelf()
	tiles := s.slide(5, 4, func(x, y int) uint8 { return uint8(x*x + 3*y) })
	card := smCard()
	card.Input.Type, card.Input.Layout = "float32", "NCHW"
	card.Input.Mean, card.Input.Std = []float64{120, 60, 130}, []float64{50, 25, 60}
	var want study.Result
	for _, batch := range []int{1, 2, 3, 4, 7, 64} {
		for _, runners := range []int{1, 4} {
			card.Input.Batch = batch
			var blocks []study.Block
			for i := 0; i < len(tiles); i += 20 {
				blocks = append(blocks, study.Block{Kind: study.Patches, Tiles: tiles[i : i+20]})
			}
			got, err := inference.ScoreFiles(t.Context(), scorer(s), inference.Files{Study: "2.25.1", Instances: s.instances, Card: card,
				Plan: study.ModelPlan{Blocks: blocks}, Session: run, Runners: runners, At: time.UnixMilli(0)})
			if err != nil {
				t.Fatal(err)
			}
			got.Seconds = 0
			if want.Study == "" {
				want = got
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("batches of %d on %d runners give\n%+v\nbefore\n%+v", batch, runners, got, want)
			}
		}
	}
}

// shelve reads a drawn study as ingest does.
func shelve(t testing.TB, d studytest.Drawn) *shelf {
	t.Helper()
	s := newShelf()
	for _, o := range d.Objects {
		h, err := dicom.Scan(bytes.NewReader(o.File), dicom.ScanOptions{Size: int64(len(o.File))})
		if err != nil {
			t.Fatal(err)
		}
		_, in, err := h.Describe()
		if err != nil {
			t.Fatal(err)
		}
		in.Key = "dicom/" + string(in.UID)
		s.objects[in.Key], s.frames[in.UID] = o.File, h.Frames
		s.instances = append(s.instances, in)
	}
	return s
}

// reference gives the card and the network of a reference model.
func reference(t testing.TB, id string) (modelcard.Card, []byte) {
	t.Helper()
	for _, d := range models.Reference() {
		card, err := modelcard.Parse(d.CardTOML)
		if err != nil {
			t.Fatal(err)
		}
		if card.ID == id {
			return card, d.Network
		}
	}
	t.Fatalf("no reference model %s", id)
	return modelcard.Card{}, nil
}

// planFor asks ingest what a model is to see.
func planFor(t testing.TB, s *shelf, d studytest.Drawn, card modelcard.Card) study.ModelPlan {
	t.Helper()
	f := plan.Facts{Study: study.Study{UID: d.Study}, Instances: s.instances, Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}
	var err error
	if f.Tissue, err = plan.Survey(t.Context(), &slide.Reader{Objects: s, Frames: s.Frames}, f); err != nil {
		t.Fatal(err)
	}
	p := plan.Plan(f)
	if len(p.Models) != 1 || len(p.Models[0].Blocks) == 0 {
		t.Fatalf("%s: no plan, %v %+v", d.Name, p.Note, p.Models)
	}
	return p.Models[0]
}

// TestReferenceModelsFindWhatWasPlanted: drawn studies with something in them are
// flagged, where it was put, and those without are not.
func TestReferenceModelsFindWhatWasPlanted(t *testing.T) {
	for _, tt := range []struct {
		model string
		draw  func(positive bool) (studytest.Drawn, error)
	}{
		{"varde-ct-nodule", func(p bool) (studytest.Drawn, error) { return studytest.ChestCT(studytest.CT{Nodules: p}) }},
		{"varde-mg-calc", func(p bool) (studytest.Drawn, error) { return studytest.Mammogram(studytest.MG{Calcifications: p}) }},
		{"varde-he-density", func(p bool) (studytest.Drawn, error) { return studytest.Slide(studytest.SM{Cellular: p}) }},
	} {
		card, network := reference(t, tt.model)
		run := session(t, network)
		for _, positive := range []bool{true, false} {
			d, err := tt.draw(positive)
			if err != nil {
				t.Fatal(err)
			}
			s := shelve(t, d)
			r, err := inference.ScoreFiles(t.Context(), scorer(s), inference.Files{Study: d.Study, Instances: s.instances, Card: card,
				Plan: planFor(t, s, d, card), Session: run, Runners: 2})
			if err != nil {
				t.Fatal(err)
			}
			if r.Partial() || (r.AI == study.Flagged) != positive {
				t.Errorf("%s: %s, %d of %d tiles, %d findings", d.Name, r.AI, r.Seen, r.Planned, len(r.Findings))
			}
			for _, m := range d.Marks {
				if !found(r, m) {
					t.Errorf("%s: nothing was found at %+v; there is %+v", d.Name, m, r.Findings)
				}
			}
			t.Logf("%s: %s, %d findings for %d marks, %d tiles, %.1f s", d.Name, r.AI, len(r.Findings), len(d.Marks), r.Seen, r.Seconds)
		}
	}
}

// found reports whether a finding lies at a mark: within its size in the patient,
// or around its pixel.
func found(r study.Result, m studytest.Mark) bool {
	for _, f := range r.Findings {
		reg := f.Regions[0]
		switch {
		case reg.Total:
			if math.Hypot(reg.Points[0]-m.X, reg.Points[1]-m.Y) < 4096 {
				return true
			}
		case f.CenterMM != nil && m.PatientMM != [3]float64{}:
			d := 0.0
			for i, v := range f.CenterMM {
				d += (v - m.PatientMM[i]) * (v - m.PatientMM[i])
			}
			if math.Sqrt(d) < m.DiameterMM {
				return true
			}
		case reg.Instance == m.Instance:
			if math.Hypot(reg.Points[0]-m.X, reg.Points[1]-m.Y) < 150 {
				return true
			}
		}
	}
	return false
}

// TestMeasureComparesWithTheBareNetwork: the numbers hold together; how good they
// are is the bench's to say.
func TestMeasureComparesWithTheBareNetwork(t *testing.T) {
	card, network := reference(t, "varde-he-density")
	run := session(t, network)
	d, err := studytest.Slide(studytest.SM{Cellular: true})
	if err != nil {
		t.Fatal(err)
	}
	s := shelve(t, d)
	b := planFor(t, s, d, card).Blocks[0]
	b.Tiles = b.Tiles[:min(16, len(b.Tiles))]
	m, err := inference.Measure(t.Context(), scorer(s), scores.Question{Card: card, Session: run, Instances: s.instances, Block: b}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if m.Tiles != len(b.Tiles) || m.Whole <= 0 || m.Bare <= 0 || m.Ratio <= 0 || m.Ratio > 1.5 {
		t.Errorf("%+v", m)
	}
	t.Logf("%+v", m)
}

// TestReferenceModelFindsTheSameInBlocks cuts a drawn chest through its nodules.
func TestReferenceModelFindsTheSameInBlocks(t *testing.T) {
	card, network := reference(t, "varde-ct-nodule")
	run := session(t, network)
	d, err := studytest.ChestCT(studytest.CT{Nodules: true})
	if err != nil {
		t.Fatal(err)
	}
	s := shelve(t, d)
	whole := planFor(t, s, d, card)
	if len(whole.Blocks) != 1 {
		t.Fatalf("%d blocks", len(whole.Blocks))
	}
	var want study.Result
	for _, cuts := range [][]int{nil, {18, 32, 44}} {
		p := whole
		p.Blocks = nil
		first := 0
		for _, next := range append(cuts, len(whole.Blocks[0].Tiles)) {
			b := whole.Blocks[0]
			b.First, b.Last, b.Tiles = first, next-1, nil
			for z, tile := range whole.Blocks[0].Tiles { // drawn at the card's own step
				tile.Context = z < first || z >= next
				if z >= first-card.Input.HaloPlanes-1 && z < next+card.Input.HaloPlanes+1 {
					b.Tiles = append(b.Tiles, tile)
				}
			}
			p.Blocks = append(p.Blocks, b)
			first = next
		}
		got, err := inference.ScoreFiles(t.Context(), scorer(s), inference.Files{Study: d.Study, Instances: s.instances, Card: card,
			Plan: p, Session: run, Runners: 2})
		if err != nil {
			t.Fatal(err)
		}
		got.Seconds, got.Ran.Objects = 0, study.Hash{} // it names the objects block by block
		if want.Study == "" {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d blocks give\n%+v\none gives\n%+v", len(p.Blocks), got, want)
		}
	}
	if len(want.Findings) != len(d.Marks) {
		t.Errorf("%d findings for %d nodules", len(want.Findings), len(d.Marks))
	}
}
