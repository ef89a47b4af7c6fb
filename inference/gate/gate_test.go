package gate_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"varde/inference/gate"
	"varde/models/modelcard"
	"varde/study"
)

const side = 200

// chest draws a slice of a body of soft tissue with lungs and bone, its center off
// to the right by that many pixels, smoothed over a number of pixels, with noise.
func chest(off float64, smooth int, noise float64) gate.Frame {
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, side*side)
	for i := range v {
		x, y := float64(i%side)-side/2-off, float64(i/side)-side/2
		in := func(cx, cy, rx, ry float64) bool { return math.Hypot((x-cx)/rx, (y-cy)/ry) <= 1 }
		v[i] = -1000
		switch {
		case in(0, 40, 8, 8):
			v[i] = 700
		case in(-32, 0, 20, 32), in(32, 0, 20, 32):
			v[i] = -850
		case in(0, 0, 80, 60):
			v[i] = 40
		}
	}
	for range smooth {
		v = blurred(v)
	}
	for i := range v {
		v[i] += float32(noise * rng.NormFloat64())
	}
	return gate.Frame{Values: v, Width: side, Height: side, HU: true, End: 3071}
}

func blurred(v []float32) []float32 {
	out := make([]float32, len(v))
	for i := range v {
		x, y, sum, n := i%side, i/side, float32(0), float32(0)
		for d := -2; d <= 2; d++ {
			for e := -2; e <= 2; e++ {
				if x+d >= 0 && x+d < side && y+e >= 0 && y+e < side {
					sum += v[(y+e)*side+x+d]
					n++
				}
			}
		}
		out[i] = sum / n
	}
	return out
}

// breast draws a mammogram: a half disk on black, or the negative of it.
func breast(negative bool) gate.Frame {
	v := make([]float32, side*side)
	for i := range v {
		d := math.Hypot(float64(i%side), float64(i/side)-side/2) / 85
		if d < 1 {
			v[i] = float32(0.3 + 0.5*math.Sqrt(1-d*d))
		}
		if negative {
			v[i] = 1 - v[i]
		}
	}
	return gate.Frame{Values: v, Width: side, Height: side, End: 1}
}

func flat(value float32, hu bool) gate.Frame {
	v := make([]float32, side*side)
	for i := range v {
		v[i] = value
	}
	return gate.Frame{Values: v, Width: side, Height: side, HU: hu, End: 3071}
}

func bound(v float64) *float64 { return &v }

// strict is what a chest model may ask for.
func strict() modelcard.Gate {
	c := modelcard.Card{Use: modelcard.Use{Modality: []study.Modality{study.CT}}, Input: modelcard.Input{Kind: study.Volume, Values: modelcard.ValuesHU},
		Gate: &modelcard.Gate{MaxBorder: bound(0.1), MaxNoise: bound(60), MinSharp: bound(0.15)}}
	return c.Bounds()
}

func TestGoodAndBadSlices(t *testing.T) {
	hot := chest(0, 0, 10)
	for i, v := range hot.Values {
		if v > 0 {
			hot.Values[i] = hot.End
		}
	}
	for _, tt := range []struct {
		name string
		f    gate.Frame
		want string
	}{
		{"a chest", chest(0, 0, 10), ""},
		{"a quiet chest", chest(0, 0, 0), ""},
		{"nothing", flat(-1000, true), study.ReasonEmpty},
		{"one gray", flat(40, true), study.ReasonEmpty},
		{"a body over the edge", chest(60, 0, 10), study.ReasonCropped},
		{"noise", chest(0, 0, 150), study.ReasonNoise},
		{"motion", chest(0, 6, 0), study.ReasonBlur},
		{"an overflow", hot, study.ReasonSaturated},
	} {
		l := gate.See(tt.f)
		if r := gate.Passed(strict(), l); r.Code != tt.want {
			t.Errorf("%s: %s, want %q (%+v)", tt.name, r, tt.want, l)
		}
	}
}

func TestNoiseIsWhatWasPutIn(t *testing.T) {
	for _, want := range []float64{5, 20, 80} {
		f := flat(0, true)
		rng := rand.New(rand.NewPCG(7, 8))
		for i := range f.Values {
			f.Values[i] += float32(want * rng.NormFloat64())
		}
		if l := gate.See(f); math.Abs(l.Noise/want-1) > 0.05 {
			t.Errorf("noise %g, want %g", l.Noise, want)
		}
	}
}

func TestANegativeIsTurnedAway(t *testing.T) {
	c := modelcard.Card{Use: modelcard.Use{Modality: []study.Modality{study.MG}}, Input: modelcard.Input{Kind: study.Images, Values: modelcard.ValuesUnit}}
	for negative, want := range map[bool]string{false: "", true: study.ReasonPolarity} {
		if r := gate.Passed(c.Bounds(), gate.See(breast(negative))); r.Code != want {
			t.Errorf("negative %v: %s", negative, r)
		}
	}
}

func TestPaddingDoesNotCount(t *testing.T) {
	f := chest(0, 0, 10)
	for i := range f.Values {
		if i%side < 20 {
			f.Values[i] = 3071
		}
	}
	f.Padding = func(v float32) bool { return v == 3071 }
	if l := gate.See(f); l.High > 900 || l.Border > 0 {
		t.Errorf("%+v", l)
	}
	f.Padding = func(float32) bool { return true }
	if l := gate.See(f); l != (study.Look{}) {
		t.Errorf("a frame of padding alone: %+v", l)
	}
}

func TestAVolumeMayHaveAFewBadFrames(t *testing.T) {
	good, bad := gate.See(chest(0, 0, 10)), gate.See(chest(60, 0, 10))
	for n, want := range map[int]string{0: "", 2: "", 5: study.ReasonCropped} {
		var all []study.Look
		for i := range 10 {
			all = append(all, good)
			if i < n {
				all[i] = bad
			}
		}
		if r := gate.Volume(strict(), all, 300, 300); r.Code != want {
			t.Errorf("%d of 10 cropped: %s", n, r)
		}
	}
	g := strict()
	g.MinExtentMM, g.MinFieldMM = bound(200), bound(250)
	for _, tt := range [][2]float64{{150, 300}, {300, 200}} {
		if r := gate.Volume(g, []study.Look{good}, tt[0], tt[1]); r.Code != study.ReasonCoverage {
			t.Errorf("%v mm: %s", tt, r)
		}
	}
	if r := gate.Volume(g, []study.Look{good}, 300, 300); !r.Zero() {
		t.Errorf("a whole chest: %s", r)
	}
}

func TestABoundCanBeTakenAway(t *testing.T) {
	c := modelcard.Card{Input: modelcard.Input{Kind: study.Images, Values: modelcard.ValuesUnit}, Gate: &modelcard.Gate{Off: []string{"min_contrast"}}}
	if r := gate.Passed(c.Bounds(), gate.See(flat(0.5, false))); !r.Zero() {
		t.Errorf("%s", r)
	}
	c.Gate = nil
	if r := gate.Passed(c.Bounds(), gate.See(flat(0.5, false))); r.Code != study.ReasonEmpty {
		t.Errorf("by default: %s", r)
	}
	c.Use.Modality = []study.Modality{"CR"} // a flat field has noise
	noise := flat(0.5, false)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise.Values {
		noise.Values[i] += float32(0.001 * rng.NormFloat64())
	}
	if r := gate.Passed(c.Bounds(), gate.See(noise)); r.Code != study.ReasonEmpty {
		t.Errorf("a flat field: %s", r)
	}
}
