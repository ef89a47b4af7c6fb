package viewer

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"varde/internal/codec"
	"varde/study"
)

// values turns the stored samples of a gray frame into values by the modality
// LUT, PS3.3 §C.11.1, and those into int16.
func values(in study.Instance, f codec.Frame, k look) ([]byte, geometry, error) {
	if k.slope != nil {
		img := *in.Image
		img.Slope, img.Intercept, img.HasRescale = k.slope[0], k.slope[1], true
		in.Image = &img
	}
	if n := f.Rows * f.Columns * f.Bits / 8; f.Samples != 1 || n < 1 || len(f.Data) < n {
		return nil, geometry{}, fmt.Errorf("%d × %d samples of %d bits in %d bytes: %w", f.Rows, f.Columns, f.Bits, len(f.Data), study.ErrInvalid)
	}
	switch {
	case f.Bits == 8 || f.Bits == 16 && !f.Float:
		out, g := byTable(in, f, lutOf(*in.Image, k.modality))
		k.describe(&g)
		return out, g, nil
	case f.Bits == 32:
		out, g := oneByOne(in, f, lutOf(*in.Image, k.modality))
		k.describe(&g)
		return out, g, nil
	}
	return nil, geometry{}, fmt.Errorf("samples of %d bits: %w", f.Bits, study.ErrUnsupported)
}

// A lut is the rescale of one image, or the table that stands in its place. What
// bears the padding value has no value at all.
type lut struct {
	slope, intercept float64
	padding          *int
	table            *table
}

func lutOf(img study.Image, t *table) lut {
	if img.Slope == 0 || t != nil {
		return lut{1, 0, img.Padding, t}
	}
	return lut{img.Slope, img.Intercept, img.Padding, nil}
}

// value is NaN where there is none.
func (l lut) value(stored float64) float64 {
	if l.padding != nil && stored == float64(*l.padding) || math.IsInf(stored, 0) {
		return math.NaN()
	}
	if l.table != nil {
		return l.table.at(stored)
	}
	return stored*l.slope + l.intercept
}

// whole reports whether whole samples give whole values.
func (l lut) whole() bool {
	return l.slope == math.Trunc(l.slope) && l.intercept == math.Trunc(l.intercept)
}

// A tally is how often a value occurs.
type tally struct {
	value float64
	count int
}

// byTable handles samples of up to 16 bits. Every possible sample is turned into
// its value once, so that a mammogram of many millions costs what a look into a
// table costs.
func byTable(in study.Instance, f codec.Frame, l lut) ([]byte, geometry) {
	wide := f.Bits == 16
	n := f.Rows * f.Columns
	code := func(i int) int { return int(f.Data[i]) }
	if wide {
		code = func(i int) int { return int(binary.LittleEndian.Uint16(f.Data[2*i:])) }
	}
	counts := make([]int, 1<<f.Bits)
	for i := range n {
		counts[code(i)]++
	}
	byCode := make([]float64, len(counts))
	var seen []tally
	for c, count := range counts {
		stored := c
		if f.Signed && wide {
			stored = int(int16(c))
		} else if f.Signed {
			stored = int(int8(c))
		}
		byCode[c] = l.value(float64(stored))
		if count > 0 && !math.IsNaN(byCode[c]) {
			seen = append(seen, tally{byCode[c], count})
		}
	}
	g := describe(in, f, seen, l.whole())
	table := make([]uint16, len(counts))
	for c, v := range byCode {
		table[c] = g.sample(v)
	}
	out := make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(out[2*i:], table[code(i)])
	}
	return out, g
}

// oneByOne handles samples of 32 bits, whole or floating.
func oneByOne(in study.Instance, f codec.Frame, l lut) ([]byte, geometry) {
	n := f.Rows * f.Columns
	v := make([]float64, n)
	var seen []tally
	for i := range v {
		raw := binary.LittleEndian.Uint32(f.Data[4*i:])
		switch {
		case f.Float:
			v[i] = l.value(float64(math.Float32frombits(raw)))
		case f.Signed:
			v[i] = l.value(float64(int32(raw)))
		default:
			v[i] = l.value(float64(raw))
		}
		if !math.IsNaN(v[i]) {
			seen = append(seen, tally{v[i], 1})
		}
	}
	g := describe(in, f, seen, l.whole() && !f.Float)
	out := make([]byte, 2*n)
	for i, x := range v {
		binary.LittleEndian.PutUint16(out[2*i:], g.sample(x))
	}
	return out, g
}

// describe makes the geometry of a frame in which the values of seen occur.
func describe(in study.Instance, f codec.Frame, seen []tally, whole bool) geometry {
	img := *in.Image
	slices.SortFunc(seen, func(a, b tally) int { return cmp.Compare(a.value, b.value) })
	low, high := 0.0, 1.0
	if len(seen) > 0 {
		low, high = seen[0].value, seen[len(seen)-1].value
	}
	g := geometry{
		Rows: f.Rows, Columns: f.Columns, Low: low, High: high, Scale: 1,
		Invert: img.Photometric == "MONOCHROME1", SpacingMM: img.SpacingMM, Kind: img.SpacingKind,
		Modality: string(in.Modality),
	}
	if in.Modality == study.CT && img.HasRescale {
		g.Unit = "HU"
	}
	if !whole || low < math.MinInt16 || high > math.MaxInt16 {
		g.Offset = (low + high) / 2
		g.Scale = max((high-low)/(math.MaxUint16-1), math.SmallestNonzeroFloat32)
	}
	g.Center, g.Width = spread(seen, low, high)
	return g
}

// describe enters into a geometry how its image wants to be shown.
func (k look) describe(g *geometry) {
	g.Windows, g.Millis = k.Windows, k.Millis
	if len(k.Windows) > 0 {
		g.Center, g.Width = k.Windows[0].Center, k.Windows[0].Width
	}
	for _, t := range k.Tables {
		g.Tables = append(g.Tables, t.Text)
	}
	if k.detector {
		g.Kind = "imager"
	}
}

// sample is the int16 that stands for a value; what has none is dark.
func (g geometry) sample(v float64) uint16 {
	if math.IsNaN(v) {
		v = g.Low
		if g.Invert {
			v = g.High
		}
	}
	s := math.Round((v - g.Offset) / g.Scale)
	return uint16(int16(max(math.MinInt16, min(math.MaxInt16, s))))
}

// spread is a window for an image that brings none: all but the lowest and the
// highest half percent. seen is sorted.
func spread(seen []tally, low, high float64) (center, width float64) {
	total := 0
	for _, t := range seen {
		total += t.count
	}
	a, b, passed := low, high, 0
	for _, t := range seen {
		if passed <= total/200 {
			a = t.value
		}
		if passed < total-total/200 {
			b = t.value
		}
		passed += t.count
	}
	return (a + b) / 2, max(1, b-a)
}
