package plan_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"varde/ingest/plan"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

const (
	slideImage = "1.2.840.10008.5.1.4.1.1.77.1.6"
	jpeg       = "1.2.840.10008.1.2.4.50"
)

func slideCard() modelcard.Card {
	return modelcard.Card{ID: "density", Version: "1", SHA256: study.Hash{5}, Hash: study.Hash{6},
		Use:   modelcard.Use{Modality: []study.Modality{study.SM}},
		Input: modelcard.Input{Kind: study.Patches, Values: "rgb", Width: 128, Height: 128, MicronsPerPixel: 0.5, MinTissue: 0.5}}
}

// glass gives the levels of one slide of 8192×4096 pixels at 0.5, 2 and 8 µm.
func glass(series study.UID, change ...func(level int, in *study.Instance)) []study.Instance {
	var out []study.Instance
	for n, w, h, mpp := 0, 8192, 4096, 0.5; n < 3; n, w, h, mpp = n+1, w/4, h/4, mpp*4 {
		in := study.Instance{UID: series + study.UID(fmt.Sprintf(".%d", n+1)), Series: series, Study: "1.2", Class: slideImage,
			TransferSyntax: jpeg, Modality: study.SM, Number: n + 1, SHA256: study.Hash{7, byte(n), series[len(series)-1]},
			Image: &study.Image{Rows: 256, Columns: 256, Frames: (w / 256) * (h / 256), Samples: 3, BitsAllocated: 8, BitsStored: 8,
				HighBit: 7, Photometric: "YBR_FULL_422", Slope: 1,
				Slide: &study.SlideLevel{TotalColumns: w, TotalRows: h, MicronsPerPixel: [2]float64{mpp, mpp}, TiledFull: true,
					FocalPlanes: 1, OpticalPaths: 1, Kind: "VOLUME"}}}
		for _, f := range change {
			f(n, &in)
		}
		out = append(out, in)
	}
	return out
}

// paint makes the mask of that slide at 8 µm, 512×256 pixels, with tissue in a
// rectangle of it.
func paint(t *testing.T, x0, y0, x1, y1 int) plan.Tissue {
	t.Helper()
	rgb := make([]byte, 3*512*256)
	for i := range rgb {
		rgb[i] = 245
	}
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			copy(rgb[3*(y*512+x):], []byte{200, 120, 170})
		}
	}
	m, err := pixel.Tissue(rgb, 512, 256, [2]float64{8, 8})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Tissue{Mask: m}
}

func slideFacts(in []study.Instance, tissue map[study.UID]plan.Tissue) plan.Facts {
	f := facts(slideCard(), in)
	f.Tissue = tissue
	return f
}

func TestPatchesCoverTheTissue(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mpp   float64
		side  int // of a patch in pixels of the level it is read from
		level study.UID
	}{
		{"a level of that resolution", 0.5, 128, "1.4.1.1"},
		{"between two levels", 1, 256, "1.4.1.1"},
		{"a coarser level", 2, 128, "1.4.1.2"},
		{"within two percent", 1.99, 128, "1.4.1.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := slideFacts(glass("1.4.1"), map[study.UID]plan.Tissue{"1.4.1": paint(t, 128, 64, 384, 192)})
			f.Models[0].Card.Input.MicronsPerPixel = tt.mpp
			p := plan.Plan(f).Models[0]
			if p.State != study.Running || p.Unseen != 0 {
				t.Fatalf("%s, %s, %d unseen", p.State, p.Reason, p.Unseen)
			}
			area, seen := 0.0, map[string]bool{}
			for _, b := range p.Blocks {
				if len(b.Tiles) > 256 || b.Kind != study.Patches || b.Series != "1.4.1" {
					t.Errorf("block of %d tiles", len(b.Tiles))
				}
				for _, tile := range b.Tiles {
					key := fmt.Sprint(tile.X, tile.Y)
					if tile.W != tt.side || tile.H != tt.side || tile.Instance != tt.level || seen[key] {
						t.Fatalf("tile %+v", tile)
					}
					seen[key] = true
					side := float64(tt.side) * map[study.UID]float64{"1.4.1.1": 0.5, "1.4.1.2": 2}[tt.level]
					area += side * side
				}
			}
			// A quarter of 4096×2048 µm; the patches at its rim are half in it.
			if want := 4096.0 * 2048 / 4; area < 0.8*want || area > 1.4*want {
				t.Errorf("patches cover %.0f µm², want about %.0f", area, want)
			}
		})
	}
}

func TestASlideThatCanNotBeScoredIsNeverNegative(t *testing.T) {
	quarter := paint(t, 128, 64, 384, 192)
	for _, tt := range []struct {
		name      string
		mpp       float64
		instances []study.Instance
		tissue    plan.Tissue
		state     study.AIState
		code      string
	}{
		{"no tissue", 0.5, glass("1.4.1"), paint(t, 0, 0, 0, 0), study.Failed, study.ReasonTissue},
		{"tissue everywhere", 0.5, glass("1.4.1"), paint(t, 0, 0, 512, 256), study.Failed, study.ReasonTissue},
		{"no mask", 0.5, glass("1.4.1"), plan.Tissue{}, study.Failed, study.ReasonTissue},
		{"a mask that could not be made", 0.5, glass("1.4.1"), plan.Tissue{Reason: study.Reason{Code: study.ReasonDamaged}}, study.Failed, study.ReasonDamaged},
		{"finer than the slide", 0.25, glass("1.4.1"), quarter, study.OutOfScope, study.ReasonSpacing},
		{"no spacing", 0.5, glass("1.4.1", func(_ int, in *study.Instance) { in.Image.Slide.MicronsPerPixel = [2]float64{} }), quarter, study.Failed, study.ReasonSpacing},
		{"no positions", 0.5, glass("1.4.1", func(_ int, in *study.Instance) { in.Image.Slide.TiledFull = false }), quarter, study.Failed, study.ReasonPositions},
		{"gray", 0.5, glass("1.4.1", func(_ int, in *study.Instance) { in.Image.Samples, in.Image.Photometric = 1, "MONOCHROME2" }), quarter, study.OutOfScope, study.ReasonPixels},
		{"damaged", 0.5, glass("1.4.1", func(n int, in *study.Instance) { in.Image.Trouble = "cut short" }), quarter, study.Failed, study.ReasonDamaged},
		{"only a label", 0.5, glass("1.4.1", func(_ int, in *study.Instance) { in.Image.Slide.Kind = "LABEL" }), quarter, study.OutOfScope, study.ReasonTooFew},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := slideFacts(tt.instances, map[study.UID]plan.Tissue{"1.4.1": tt.tissue})
			f.Models[0].Card.Input.MicronsPerPixel = tt.mpp
			p := plan.Plan(f).Models[0]
			if len(p.Blocks) != 0 || p.State != tt.state || p.Reason.Code != tt.code {
				t.Errorf("%d blocks, %s because of %s, want none, %s because of %s", len(p.Blocks), p.State, p.Reason, tt.state, tt.code)
			}
		})
	}
}

func TestOneOfTwoSlidesUnscoredMakesThePlanPartial(t *testing.T) {
	in := slices.Concat(glass("1.4.1"), glass("1.4.2"))
	p := plan.Plan(slideFacts(in, map[study.UID]plan.Tissue{"1.4.1": paint(t, 128, 64, 384, 192), "1.4.2": paint(t, 0, 0, 0, 0)})).Models[0]
	if p.State != study.Running || p.Unseen != 1 || p.Reason.Code != study.ReasonTissue || p.Planned == 1 {
		t.Errorf("%s, %d of %d unseen because of %s", p.State, p.Unseen, p.Planned, p.Reason)
	}
}

// TestOverlappingPatchesCoverEveryPlace: neighbors lie a step apart, and nothing
// between the first and the last is left out.
func TestOverlappingPatchesCoverEveryPlace(t *testing.T) {
	for _, tt := range []struct {
		overlap, mpp float64
		step, side   float64
	}{{0, 0.5, 128, 128}, {0.25, 0.5, 96, 128}, {64, 0.5, 64, 128}, {0.5, 0.75, 96, 192}, {16, 0.65, 145.6, 166.4}} {
		f := slideFacts(glass("1.4.1"), map[study.UID]plan.Tissue{"1.4.1": paint(t, 64, 32, 448, 224)})
		f.Models[0].Card.Input.Overlap, f.Models[0].Card.Input.MicronsPerPixel = tt.overlap, tt.mpp
		f.Models[0].Card.Input.MinTissue = 0
		p := plan.Plan(f).Models[0]
		seen := map[[2]int]bool{}
		covered := make([]bool, 8192/8*4096/8)
		for _, b := range p.Blocks {
			for _, tile := range b.Tiles {
				if tile.W != int(math.Round(tt.side)) {
					t.Fatalf("overlap %g: a patch of %d pixels", tt.overlap, tile.W)
				}
				at := [2]int{int(math.Round(float64(tile.X) / tt.step)), int(math.Round(float64(tile.Y) / tt.step))}
				if seen[at] || math.Abs(float64(at[0])*tt.step-float64(tile.X)) > 0.5 || math.Abs(float64(at[1])*tt.step-float64(tile.Y)) > 0.5 {
					t.Fatalf("overlap %g: a patch at %d, %d, twice or off the grid", tt.overlap, tile.X, tile.Y)
				}
				seen[at] = true
				for y := tile.Y / 8; y < min((tile.Y+tile.H)/8, 512); y++ {
					for x := tile.X / 8; x < min((tile.X+tile.W)/8, 1024); x++ {
						covered[y*1024+x] = true
					}
				}
			}
		}
		for y := 66; y < 446; y++ { // the tissue, in pixels of 4 µm
			for x := 130; x < 894; x++ {
				if !covered[y*1024+x] {
					t.Fatalf("overlap %g: tissue at %d, %d is in no patch", tt.overlap, 8*x, 8*y)
				}
			}
		}
	}
}

// TestFirstBlockIsSmall: the map begins to grow before a whole block is done.
func TestFirstBlockIsSmall(t *testing.T) {
	f := slideFacts(glass("1.4.1"), map[study.UID]plan.Tissue{"1.4.1": paint(t, 0, 0, 480, 256)})
	p := plan.Plan(f).Models[0]
	if len(p.Blocks) < 8 {
		t.Fatalf("%d blocks", len(p.Blocks))
	}
	for i, b := range p.Blocks {
		if most := map[bool]int{true: 64, false: 256}[i < 4]; len(b.Tiles) > most {
			t.Errorf("block %d has %d patches, more than %d", i, len(b.Tiles), most)
		}
	}
}

func TestStainIsPartOfThePlan(t *testing.T) {
	measured := &study.Stain{Method: study.StainMacenko, Vectors: [2][3]float64{{0.65, 0.70, 0.29}, {0.07, 0.99, 0.11}}, Strong: [2]float64{2, 1}}
	of := func(asked string, s *study.Stain) study.Plan {
		tissue := paint(t, 128, 64, 384, 192)
		f := slideFacts(glass("1.4.1"), nil)
		f.Models[0].Card.Input.Stain = asked
		tissue.Stains = map[study.Hash]*study.Stain{f.Models[0].Card.Hash: s}
		f.Tissue = map[study.UID]plan.Tissue{"1.4.1": tissue}
		return plan.Plan(f)
	}
	with := of(study.StainMacenko, measured)
	for _, b := range with.Models[0].Blocks {
		if b.Stain != measured {
			t.Fatalf("a block of stain %+v", b.Stain)
		}
	}
	other := *measured
	other.Strong[0] = 2.1
	if len(with.Models[0].Blocks) == 0 || with.Hash() == of(study.StainMacenko, &other).Hash() {
		t.Error("another measure makes the same plan")
	}
	for name, p := range map[string]study.Plan{"not measured": of(study.StainMacenko, nil), "measured otherwise": of(study.StainReinhard, measured)} {
		if m := p.Models[0]; len(m.Blocks) != 0 || m.State != study.Failed || m.Reason.Code != study.ReasonStain {
			t.Errorf("%s: %d blocks, %s because of %s", name, len(m.Blocks), m.State, m.Reason)
		}
	}
	for _, b := range of("", measured).Models[0].Blocks {
		if b.Stain != nil {
			t.Fatal("a block of a model that asks for no stain has one")
		}
	}
}
