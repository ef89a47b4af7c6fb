package pixel_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"varde/internal/pixel"
	"varde/study"
)

func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

func TestStoredSamplesBecomeHounsfieldUnits(t *testing.T) {
	var b []byte
	for _, v := range []int16{-1024, 0, 1, 3071} {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	s := pixel.Samples{Rows: 2, Columns: 2, Bits: 16, Signed: true, Data: b}
	for _, tt := range []struct {
		slope, intercept float64
		want             []float32
	}{
		{1, 0, []float32{-1024, 0, 1, 3071}},
		{0, 0, []float32{-1024, 0, 1, 3071}}, // no slope in the header
		{2, -1000, []float32{-3048, -1000, -998, 5142}},
		{0, -24, []float32{-1048, -24, -23, 3047}},
		{0.5, 0.25, []float32{-511.75, 0.25, 0.75, 1535.75}},
	} {
		got, err := pixel.Modality(s, tt.slope, tt.intercept)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("slope %g, intercept %g: %v, %v, want %v", tt.slope, tt.intercept, got, err, tt.want)
		}
	}
}

func TestSamplesOfEveryWidth(t *testing.T) {
	f := binary.LittleEndian.AppendUint32(nil, math.Float32bits(-2.5))
	for _, tt := range []struct {
		name string
		s    pixel.Samples
		want float32
	}{
		{"8 bits", pixel.Samples{Bits: 8, Data: []byte{0xfe}}, 254},
		{"8 bits signed", pixel.Samples{Bits: 8, Signed: true, Data: []byte{0xfe}}, -2},
		{"16 bits", pixel.Samples{Bits: 16, Data: []byte{0xfe, 0xff}}, 65534},
		{"32 bits", pixel.Samples{Bits: 32, Data: []byte{0, 0, 1, 0}}, 65536},
		{"32 bits signed", pixel.Samples{Bits: 32, Signed: true, Data: []byte{0xff, 0xff, 0xff, 0xff}}, -1},
		{"float", pixel.Samples{Bits: 32, Float: true, Data: f}, -2.5},
	} {
		tt.s.Rows, tt.s.Columns = 1, 1
		if v, err := tt.s.Values(); err != nil || v[0] != tt.want {
			t.Errorf("%s: %v, %v", tt.name, v, err)
		}
	}
	for name, s := range map[string]pixel.Samples{
		"too few bytes":  {Rows: 2, Columns: 2, Bits: 16, Data: make([]byte, 7)},
		"no rows":        {Columns: 2, Bits: 8},
		"12 bits":        {Rows: 2, Columns: 2, Bits: 12, Data: make([]byte, 6)},
		"float of 16":    {Rows: 1, Columns: 1, Bits: 16, Float: true, Data: make([]byte, 2)},
		"negative sides": {Rows: -2, Columns: -2, Bits: 8, Data: make([]byte, 4)},
	} {
		if _, err := s.Values(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnitGoesFromDarkToBright(t *testing.T) {
	unsigned := pixel.Samples{Rows: 1, Columns: 3, Bits: 16, Data: []byte{0, 0, 0xff, 7, 0xff, 0x0f}}
	signed := pixel.Samples{Rows: 1, Columns: 3, Bits: 16, Signed: true, Data: []byte{0, 0xf8, 0xff, 0xff, 0xff, 7}}
	for _, tt := range []struct {
		name     string
		s        pixel.Samples
		inverted bool
		want     [3]float64
	}{
		{"MONOCHROME2", unsigned, false, [3]float64{0, 0.49988, 1}},
		{"MONOCHROME1", unsigned, true, [3]float64{1, 0.50012, 0}},
		{"signed", signed, false, [3]float64{0, 0.49988, 1}},
	} {
		v, err := pixel.Unit(tt.s, 12, tt.inverted)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for i := range tt.want {
			if !near(float64(v[i]), tt.want[i], 1e-4) {
				t.Errorf("%s: %v, want %v", tt.name, v, tt.want)
			}
		}
	}
	if _, err := pixel.Unit(unsigned, 17, false); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("17 of 16 bits: %v", err)
	}
}

// TestWindow holds both functions against the pseudocode of PS3.3 §C.11.2.1.2.1
// and §C.11.2.1.3.2, with the standard's own examples.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    pixel.Window
		v    float64
		want float64
	}{
		{"c 2048, w 4096: 0", pixel.Window{Center: 2048, Width: 4096}, 0, 0},
		{"c 2048, w 4096: 4095", pixel.Window{Center: 2048, Width: 4096}, 4095, 1},
		{"c 2048, w 4096: 2047.5", pixel.Window{Center: 2048, Width: 4096}, 2047.5, 0.5},
		{"c 2048, w 1: at the threshold", pixel.Window{Center: 2048, Width: 1}, 2047, 0},
		{"c 2048, w 1: above it", pixel.Window{Center: 2048, Width: 1}, 2048, 1},
		{"c 0, w 100: −50", pixel.Window{Center: 0, Width: 100}, -50, 0},
		{"c 0, w 100: 49", pixel.Window{Center: 0, Width: 100}, 49, 1},
		{"c 0, w 100: 0", pixel.Window{Center: 0, Width: 100}, 0, 0.5 + 0.5/99},
		{"exact, c 2048, w 4096: 0", pixel.Window{Center: 2048, Width: 4096, Exact: true}, 0, 0},
		{"exact, c 2048, w 4096: 4096", pixel.Window{Center: 2048, Width: 4096, Exact: true}, 4096, 1},
		{"exact, c 2048, w 4096: 2048", pixel.Window{Center: 2048, Width: 4096, Exact: true}, 2048, 0.5},
		{"exact, c 0, w 100: 25", pixel.Window{Width: 100, Exact: true}, 25, 0.75},
		{"inverted", pixel.Window{Width: 100, Exact: true, Inverted: true}, 25, 0.25},
		{"no width", pixel.Window{Center: 5, Exact: true}, 5, 0},
		{"no width, above", pixel.Window{Center: 5, Exact: true}, 5.1, 1},
		{"not a number", pixel.Window{Center: 5, Width: 9}, math.NaN(), 0},
	} {
		if got := tt.w.Level(tt.v); !near(got, tt.want, 1e-9) {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestMinMaxWindow(t *testing.T) {
	v := []float32{-10, float32(math.NaN()), 30, 10}
	if got := pixel.MinMax(v).Apply(v); !slices.Equal(got, []byte{0, 0, 255, 128}) {
		t.Errorf("%v", got)
	}
	if got := pixel.MinMax([]float32{7, 7}).Apply([]float32{7, 7}); !slices.Equal(got, []byte{0, 0}) {
		t.Errorf("flat: %v", got)
	}
}

func TestNormalize(t *testing.T) {
	n := pixel.Normalize{Scale: 1.0 / 255, Mean: []float64{0.5, 0.25, 0}, Std: []float64{0.5, 0.25, 2}}
	l, err := n.Lookup()
	if err != nil {
		t.Fatal(err)
	}
	rgb := []byte{0, 255, 51, 255, 0, 102}
	nchw, nhwc := make([]float32, 6), make([]float32, 6)
	l.NCHW(nchw, rgb)
	l.NHWC(nhwc, rgb)
	want := []float32{-1, 3, 0.1, 1, -1, 0.2}
	for i := range want {
		if !near(float64(nhwc[i]), float64(want[i]), 1e-6) || nhwc[i] != nchw[i%3*2+i/3] {
			t.Errorf("NHWC %v, NCHW %v, want %v", nhwc, nchw, want)
			break
		}
	}
	plane := []float32{-1000, 0, 400}
	pixel.Normalize{Scale: 1.0 / 1400, Offset: 1000.0 / 1400}.Plane(plane, plane, 0)
	if plane[0] != 0 || !near(float64(plane[2]), 1, 1e-6) {
		t.Errorf("%v", plane)
	}
	for name, n := range map[string]pixel.Normalize{
		"deviation 0":   {Std: []float64{1, 0, 1}},
		"two means":     {Mean: []float64{1, 2}},
		"four channels": {Std: []float64{1, 1, 1, 1}},
	} {
		if _, err := n.Lookup(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
