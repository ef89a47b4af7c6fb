package pixel

import (
	"fmt"

	"varde/study"
)

// A Normalize says how values go into a network: a value v of channel c becomes
// (v·Scale + Offset − Mean[c]) / Std[c]. Scale 0 stands for 1, no Mean and Std
// for 0 and 1; a single one is for all channels.
type Normalize struct {
	Scale, Offset float64
	Mean, Std     []float64
}

// Check refuses what cannot be applied to that many channels.
func (n Normalize) Check(channels int) error {
	for _, l := range []int{len(n.Mean), len(n.Std)} {
		if l != 0 && l != 1 && l != channels {
			return fmt.Errorf("normalization of %d means and %d deviations for %d channels: %w", len(n.Mean), len(n.Std), channels, study.ErrInvalid)
		}
	}
	for _, s := range n.Std {
		if s == 0 {
			return fmt.Errorf("normalization by a deviation of 0: %w", study.ErrInvalid)
		}
	}
	return nil
}

// line gives factor and summand of a channel.
func (n Normalize) line(c int) (factor, summand float64) {
	pick := func(v []float64, absent float64) float64 {
		switch {
		case len(v) == 0:
			return absent
		case len(v) == 1:
			return v[0]
		}
		return v[c]
	}
	scale := n.Scale
	if scale == 0 {
		scale = 1
	}
	std := pick(n.Std, 1)
	return scale / std, (n.Offset - pick(n.Mean, 0)) / std
}

// Plane normalizes src as channel c into dst, which may be the same.
func (n Normalize) Plane(dst, src []float32, c int) {
	f, s := n.line(c)
	if f == 1 && s == 0 {
		copy(dst, src)
		return
	}
	for i, v := range src {
		dst[i] = float32(float64(v)*f + s)
	}
}

// A Lookup normalizes 8-bit colors by table.
type Lookup [3][256]float32

// Lookup makes the tables.
func (n Normalize) Lookup() (*Lookup, error) {
	if err := n.Check(3); err != nil {
		return nil, err
	}
	var l Lookup
	for c := range l {
		f, s := n.line(c)
		for v := range l[c] {
			l[c][v] = float32(float64(v)*f + s)
		}
	}
	return &l, nil
}

// NCHW writes one picture's interleaved RGB into dst as three planes. dst has
// the length of rgb.
func (l *Lookup) NCHW(dst []float32, rgb []byte) {
	n := len(rgb) / 3
	r, g, b := dst[:n], dst[n:2*n], dst[2*n:3*n]
	for i := range r {
		p := rgb[3*i : 3*i+3 : 3*i+3]
		r[i], g[i], b[i] = l[0][p[0]], l[1][p[1]], l[2][p[2]]
	}
}

// NHWC writes one picture's interleaved RGB into dst as interleaved numbers.
func (l *Lookup) NHWC(dst []float32, rgb []byte) {
	for i := 0; i+2 < len(rgb); i += 3 {
		dst[i], dst[i+1], dst[i+2] = l[0][rgb[i]], l[1][rgb[i+1]], l[2][rgb[i+2]]
	}
}
