package pixel

import "math"

// A Window says which values are seen: Width values around Center go from black
// to white, what lies beyond is black or white. Units are those after the
// modality LUT.
type Window struct {
	Center, Width float64
	// Exact picks the function LINEAR_EXACT, PS3.3 §C.11.2.1.3.2, over LINEAR,
	// §C.11.2.1.2.1, which differ by half a value and by one in the width.
	Exact bool
	// Sigmoid picks the function SIGMOID, §C.11.2.1.3.1, which has no ends.
	Sigmoid bool
	// Inverted turns black and white, for MONOCHROME1.
	Inverted bool
}

// MinMax is the window in which the lowest value of v is black and the highest
// white.
func MinMax(v []float32) Window {
	low, high := Range(v)
	return Window{
		Center: (float64(low) + float64(high)) / 2,
		Width:  float64(high) - float64(low),
		Exact:  true,
	}
}

// Level gives the brightness of one value, 0 to 1.
func (w Window) Level(v float64) float64 {
	c, width := w.Center, w.Width
	if !w.Exact {
		c, width = c-0.5, width-1
	}
	var y float64
	switch {
	case w.Sigmoid && !math.IsNaN(v):
		y = 1 / (1 + math.Exp(-4*(v-w.Center)/w.Width))
	case math.IsNaN(v) || v <= c-width/2:
		y = 0
	case width <= 0 || v > c+width/2:
		y = 1
	default:
		y = (v-c)/width + 0.5
	}
	if w.Inverted {
		return 1 - y
	}
	return y
}

// Apply gives each value as 8 bits, rounded to the nearest.
func (w Window) Apply(v []float32) []byte {
	out := make([]byte, len(v))
	for i, x := range v {
		out[i] = byte(w.Level(float64(x))*255 + 0.5)
	}
	return out
}
