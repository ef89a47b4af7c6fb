// Package gate looks at images before a network does, and says which are none
// that a network should judge: empty ones, cropped ones, negatives, blurred or
// noisy ones, and volumes that cover too little.
//
//	See     what is measured of one frame
//	Passed  whether a frame passes
//	Volume  whether a volume passes, by all of its frames
//
// A network answers whatever it is shown. What fails here is out of the model's
// scope, and is said to be, with the reason.
package gate

import (
	"fmt"
	"math"
	"slices"

	"varde/models/modelcard"
	"varde/study"
)

const (
	// bodyHU is where air and lung end and fat begins.
	bodyHU = -300
	// mostSeen bounds the pixels of one frame that are looked at: rows are left
	// out of larger ones.
	mostSeen = 1 << 20
	// bins of the histogram over the values of a frame.
	bins = 4096
	// outer is the share of pixels at either end of the values that says nothing
	// of contrast.
	outer = 0.001
	// raised is how far above the backdrop, as a share of the contrast, a pixel of
	// a projection is body.
	raised = 0.1
)

// A Frame holds the values of an image, row by row, as the gate judges them.
type Frame struct {
	Values        []float32
	Width, Height int
	HU            bool    // Hounsfield units; else shares of the stored range, dark to bright
	End           float32 // the highest value that can be stored
	Padding       func(v float32) bool
}

// See measures one frame. Pixels that the scanner has no value for do not count.
func See(f Frame) study.Look {
	step := max(1, f.Width*f.Height/mostSeen)
	var l study.Look
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	n := 0
	f.each(step, func(v float32, _, _ int) {
		low, high = min(low, v), max(high, v)
		n++
	})
	if n == 0 {
		return l
	}
	scale := float64(high-low) / (bins - 1)
	var counts, border [bins]int
	at := func(v float32) int {
		if scale == 0 {
			return 0
		}
		return int(float64(v-low) / scale)
	}
	f.each(step, func(v float32, x, y int) {
		counts[at(v)]++
		if len(f.sides(x, y, step)) > 0 {
			border[at(v)]++
		}
	})
	value := func(bin int) float64 { return float64(low) + (float64(bin)+0.5)*scale }
	if scale == 0 {
		value = func(int) float64 { return float64(low) }
	}
	l.Low, l.High = value(quantile(counts[:], outer, n)), value(quantile(counts[:], 1-outer, n))
	l.Backdrop = value(commonest(border[:]))
	l.Body, l.Border, l.Clipped = f.body(step, l, n)
	l.Noise, l.Sharp = f.texture(step, l)
	for _, v := range []*float64{&l.Low, &l.High, &l.Backdrop, &l.Body, &l.Border, &l.Clipped, &l.Noise, &l.Sharp} {
		*v = math.Round(*v*1e4) / 1e4
	}
	return l
}

// each calls see for the pixels of every step-th row that have a value.
func (f Frame) each(step int, see func(v float32, x, y int)) {
	for y := 0; y < f.Height; y += step {
		for x, v := range f.Values[y*f.Width:][:f.Width] {
			if !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) && (f.Padding == nil || !f.Padding(v)) {
				see(v, x, y)
			}
		}
	}
}

// sides lists the sides of the frame that a pixel lies on.
func (f Frame) sides(x, y, step int) []int {
	if x > 0 && x < f.Width-1 && y > 0 && y+step < f.Height {
		return nil
	}
	var on []int
	for side, is := range [4]bool{x == 0, x == f.Width-1, y == 0, y+step >= f.Height} {
		if is {
			on = append(on, side)
		}
	}
	return on
}

func quantile(counts []int, share float64, n int) int {
	left := int(share * float64(n))
	for i, c := range counts {
		if left -= c; left < 0 {
			return i
		}
	}
	return len(counts) - 1
}

// commonest gives the fullest stretch of a hundredth of the range.
func commonest(counts []int) int {
	const wide = bins / 100
	sum, best, at := 0, -1, 0
	for i, c := range counts {
		if sum += c; i >= wide {
			sum -= counts[i-wide]
		}
		if sum > best {
			best, at = sum, max(0, i-wide/2)
		}
	}
	return at
}

// body gives the share of the frame, and of that side of it which has the most,
// that is body, and how much of the body lies at the end of what can be stored.
func (f Frame) body(step int, l study.Look, n int) (body, border, clipped float64) {
	least := bodyHU + 0.0
	if !f.HU {
		least = l.Backdrop + raised*(l.High-l.Low)
	}
	in, full := 0, 0
	var on, all [4]int
	f.each(step, func(v float32, x, y int) {
		for _, side := range f.sides(x, y, step) {
			all[side]++
			if float64(v) >= least {
				on[side]++
			}
		}
		if float64(v) < least {
			return
		}
		in++
		if v >= f.End {
			full++
		}
	})
	for side := range on {
		border = max(border, float64(on[side])/float64(max(1, all[side])))
	}
	return float64(in) / float64(n), border, float64(full) / float64(max(1, in))
}

// texture measures noise (Immerkær 1996), and how steep the steepest edges are:
// that difference of two neighbors which one in a thousand exceeds.
func (f Frame) texture(step int, l study.Look) (noise, sharp float64) {
	if f.Width < 3 || f.Height < 3 {
		return 0, 0
	}
	sum, n := 0.0, 0
	var steep [bins]int
	contrast := l.High - l.Low
	for y := 1; y+1 < f.Height; y += step {
		up, here, down := f.Values[(y-1)*f.Width:][:f.Width], f.Values[y*f.Width:][:f.Width], f.Values[(y+1)*f.Width:][:f.Width]
		for x := 1; x+1 < f.Width; x++ {
			if f.Padding != nil && (f.Padding(here[x]) || f.Padding(here[x+1]) || f.Padding(here[x-1]) || f.Padding(up[x]) || f.Padding(down[x])) {
				continue
			}
			d := float64(up[x-1]-2*up[x]+up[x+1]) - 2*float64(here[x-1]-2*here[x]+here[x+1]) + float64(down[x-1]-2*down[x]+down[x+1])
			sum += math.Abs(d)
			n++
			g := math.Hypot(float64(here[x+1]-here[x-1]), float64(down[x]-up[x])) / 2
			if contrast > 0 {
				steep[min(bins-1, int(g/contrast*bins))]++
			}
		}
	}
	if n == 0 {
		return 0, 0
	}
	if contrast > 0 {
		sharp = float64(quantile(steep[:], 1-outer, n)) / bins
	}
	return sum * math.Sqrt(math.Pi/2) / 6 / float64(n), sharp
}

// Reasons lists the codes that the gate gives.
func Reasons() []string {
	return []string{study.ReasonEmpty, study.ReasonCropped, study.ReasonPolarity, study.ReasonBlur, study.ReasonSaturated, study.ReasonNoise, study.ReasonCoverage}
}

// Passed judges one frame by the bounds of a card. It is zero when it passes. Two
// numbers stand in the detail: what was measured, and the bound.
func Passed(g modelcard.Gate, l study.Look) study.Reason {
	for _, b := range []struct {
		code  string
		have  float64
		bound *float64
		most  bool
	}{
		{study.ReasonEmpty, l.High - l.Low, g.MinContrast, false},
		{study.ReasonPolarity, l.Backdrop, g.MaxBackdrop, true},
		{study.ReasonEmpty, l.Body, g.MinBody, false},
		{study.ReasonCropped, l.Body, g.MaxBody, true},
		{study.ReasonCropped, l.Border, g.MaxBorder, true},
		{study.ReasonSaturated, l.Clipped, g.MaxClipped, true},
		{study.ReasonNoise, l.Noise, g.MaxNoise, true},
		{study.ReasonBlur, l.Sharp, g.MinSharp, false},
	} {
		switch {
		case b.bound == nil:
		case b.most && b.have > *b.bound:
			return study.Reason{Code: b.code, Detail: fmt.Sprintf("%.3g > %.3g", b.have, *b.bound)}
		case !b.most && b.have < *b.bound:
			return study.Reason{Code: b.code, Detail: fmt.Sprintf("%.3g < %.3g", b.have, *b.bound)}
		}
	}
	return study.Reason{}
}

// Volume judges a volume by its frames: more than the card's share of them must
// not fail for one reason, and contrast is that of the whole. extent and field
// are what it covers along its axis and the smaller side of a frame, mm; 0 where
// that is not known.
func Volume(g modelcard.Gate, looks []study.Look, extent, field float64) study.Reason {
	for _, b := range []struct {
		have  float64
		bound *float64
	}{{extent, g.MinExtentMM}, {field, g.MinFieldMM}} {
		if b.bound != nil && b.have < *b.bound {
			return study.Reason{Code: study.ReasonCoverage, Detail: fmt.Sprintf("%.0f mm < %.0f mm", b.have, *b.bound)}
		}
	}
	if len(looks) == 0 {
		return study.Reason{}
	}
	low, high := looks[0].Low, looks[0].High
	for _, l := range looks {
		low, high = min(low, l.Low), max(high, l.High)
	}
	if c := g.MinContrast; c != nil && high-low < *c {
		return study.Reason{Code: study.ReasonEmpty, Detail: fmt.Sprintf("%.3g < %.3g", high-low, *c)}
	}
	g.MinContrast = nil
	failed := map[string]int{}
	first := map[string]study.Reason{}
	for _, l := range looks {
		if r := Passed(g, l); !r.Zero() {
			if failed[r.Code]++; failed[r.Code] == 1 {
				first[r.Code] = r
			}
		}
	}
	for _, code := range Reasons() {
		if float64(failed[code]) > g.Share*float64(len(looks)) {
			return first[code]
		}
	}
	return study.Reason{}
}

// Gated reports whether a reason is one of the gate's.
func Gated(r study.Reason) bool { return slices.Contains(Reasons(), r.Code) }
