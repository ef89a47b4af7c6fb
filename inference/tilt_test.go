package inference_test

import (
	"math"
	"reflect"
	"testing"

	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/models/modelcard"
	"varde/study"
)

// asked asks ingest what a model is to see of a shelf.
func asked(s *shelf, card modelcard.Card) study.ModelPlan {
	return plan.Plan(plan.Facts{Study: study.Study{UID: "2.25.1"}, Instances: s.instances, Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}).Models[0]
}

func ballAt(center [3]float64, radius float64) func([3]float64) int {
	return func(p [3]float64) int {
		if distance(p, center) <= radius {
			return 60
		}
		return -900
	}
}

// TestATiltedGantryIsResampledAsTheCardSays: slices that lie beside each other, as
// those of a gantry tilted by 18°, are refused, or moved over each other; then a
// ball has its own place, size and volume in the patient.
func TestATiltedGantryIsResampledAsTheCardSays(t *testing.T) {
	o, s := tilted(), newShelf()
	o.columns, o.rows, o.slices, o.shear = 80, 150, 36, 1.5*math.Tan(18*math.Pi/180)
	at := o.place(40, 75+17*o.shear/o.mm[1], 17)
	o.shelve(s, ballAt(at, 9))
	card := drawnCard()
	if p := asked(s, card); p.State != study.OutOfScope || p.Reason.Code != study.ReasonGeometry {
		t.Fatalf("%s because of %s, want it refused", p.State, p.Reason)
	}
	card.Pose = modelcard.Pose{Geometry: modelcard.GeometryResample, MaxTilt: 10}
	if p := asked(s, card); p.State != study.OutOfScope {
		t.Errorf("tilted by 18°, 10° are allowed: %s", p.State)
	}
	card.Pose.MaxTilt = 0
	p := asked(s, card)
	if len(p.Blocks) == 0 {
		t.Fatalf("%s because of %s", p.State, p.Reason)
	}
	run := session(t, drawer(t, 1, free()...))
	want := throughORT(t, s, card, run, p.Blocks)
	if len(want.Findings) != 1 || want.Partial() {
		t.Fatalf("%d findings, %d of %d slices because of %s", len(want.Findings), want.Seen, want.Planned, want.Reason)
	}
	f := want.Findings[0]
	if d := distance(*f.CenterMM, at); d > 0.3 {
		t.Errorf("center %v, %.2f mm from %v", *f.CenterMM, d, at)
	}
	for code, tt := range map[string][2]float64{"118565006": {3.054, 0.16}, "103339001": {18, 0.9}, "L0JK": {18, 1.3}} {
		if got := sizeOf(t, f, code); math.Abs(got-tt[0]) > tt[1] {
			t.Errorf("%s is %g, want %g", code, got, tt[0])
		}
	}
	r := f.Regions[0]
	for i := 0; i+1 < len(r.Points); i += 2 { // on the slice as it came
		var z int
		for n, in := range s.instances {
			if in.UID == r.Instance {
				z = n
			}
		}
		c := o.corner(z)
		for k := range c {
			c[k] += (r.Points[i]-0.5)*o.mm[0]*o.orient[k] + (r.Points[i+1]-0.5)*o.mm[1]*o.orient[3+k]
		}
		if d := distance(c, at); math.Abs(d-9) > 1.5 {
			t.Errorf("a point of the outline is %.1f mm from the center", d)
		}
	}
	var cut []study.Block
	for _, n := range []int{1, 4} {
		straight := o.blocks(nil, 1, 0)[0]
		for i := range n {
			b := study.Block{Kind: study.Volume, Series: "2.25.1.2", OriginMM: straight.OriginMM, StepMM: o.mm[2], CornerMM: p.Blocks[0].CornerMM,
				First: i * o.slices / n, Last: (i+1)*o.slices/n - 1}
			for z, in := range s.instances {
				if z >= b.First-2 && z <= b.Last+2 {
					b.Tiles = append(b.Tiles, study.Tile{Instance: in.UID, W: o.columns, H: o.rows, Context: z < b.First || z > b.Last})
				}
			}
			cut = append(cut, b)
		}
		if got := throughORT(t, s, card, run, cut); !reflect.DeepEqual(got.Findings, want.Findings) {
			t.Errorf("%d blocks give\n%+v\nthe plan's gave\n%+v", n, got.Findings, want.Findings)
		}
		cut = nil
	}
}

// TestWhatATiltMovesOutOfTheFrameIsMissed: a body that fills the frame can't be
// moved without a loss, and the slices say so.
func TestWhatATiltMovesOutOfTheFrameIsMissed(t *testing.T) {
	o, s := tilted(), newShelf()
	o.shear = 1.5 * math.Tan(18*math.Pi/180)
	o.shelve(s, func([3]float64) int { return 40 })
	card := drawnCard()
	card.Pose.Geometry = modelcard.GeometryResample
	r := throughORT(t, s, card, session(t, drawer(t, 1, free()...)), asked(s, card).Blocks)
	if !r.Partial() || r.Reason.Code != study.ReasonCropped {
		t.Errorf("%d of %d slices because of %s", r.Seen, r.Planned, r.Reason)
	}
}

// TestUnevenStepsAreResampledAsTheCardSays: slices 1.5 mm apart, and 2.5 mm here
// and there, are refused, or laid on even planes.
func TestUnevenStepsAreResampledAsTheCardSays(t *testing.T) {
	o, s := tilted(), newShelf()
	o.slices = 44
	at := o.place(28, 32, 20)
	o.shelve(s, ballAt(at, 9))
	kept := s.instances[:0]
	for z, in := range s.instances {
		if z%9 != 4 {
			kept = append(kept, in)
		}
	}
	s.instances = kept
	card := drawnCard()
	if p := asked(s, card); len(p.Blocks) != 0 || p.Reason.Code != study.ReasonGeometry {
		t.Fatalf("%s because of %s, want it refused", p.State, p.Reason)
	}
	card.Pose.Geometry = modelcard.GeometryResample
	p := asked(s, card)
	if len(p.Blocks) == 0 {
		t.Fatalf("%s because of %s", p.State, p.Reason)
	}
	r := throughORT(t, s, card, session(t, drawer(t, 1, free()...)), p.Blocks)
	if len(r.Findings) != 1 {
		t.Fatalf("%d findings of %d slices because of %s", len(r.Findings), r.Seen, r.Reason)
	}
	if d := distance(*r.Findings[0].CenterMM, at); d > 0.5 {
		t.Errorf("center %.2f mm off", d)
	}
	if v := sizeOf(t, r.Findings[0], "118565006"); math.Abs(v-3.054) > 0.2 {
		t.Errorf("%g mL, want 3.05", v)
	}
	card.Pose.MaxGapMM = 2
	if p := asked(s, card); len(p.Blocks) != 0 {
		t.Error("a gap of 3 mm, and 2 are allowed")
	}
}
