package pixel

import (
	"fmt"
	"math"

	"varde/study"
)

// A tap is one output sample's share of the input: weights of the samples from
// first on. They sum up to 1.
type tap struct {
	first   int
	weights []float32
}

// taps spreads the stretch from a to b of n samples over m output samples.
// Shrinking takes the mean of what an output sample covers, fractions included;
// enlarging goes linearly from center to center. Beyond the ends the end sample
// goes on.
func taps(n int, a, b float64, m int) []tap {
	step := (b - a) / float64(m)
	out := make([]tap, m)
	for i := range out {
		if step >= 1 {
			out[i] = cover(n, a+float64(i)*step, a+float64(i+1)*step)
		} else {
			out[i] = blend(n, a+(float64(i)+0.5)*step-0.5)
		}
	}
	return out
}

// cover is the mean of the samples between from and to.
func cover(n int, from, to float64) tap {
	first := min(max(int(math.Floor(from)), 0), n-1)
	last := min(max(int(math.Ceil(to))-1, first), n-1)
	w := make([]float32, last-first+1)
	sum := 0.0
	for k := range w {
		at := float64(first + k)
		sum += max(min(at+1, to)-max(at, from), 0)
	}
	if sum <= 0 { // wholly outside
		w[0] = 1
		return tap{first, w[:1]}
	}
	for k := range w {
		at := float64(first + k)
		w[k] = float32(max(min(at+1, to)-max(at, from), 0) / sum)
	}
	return tap{first, w}
}

// blend is the value at position x, sample k lying at k.
func blend(n int, x float64) tap {
	x = min(max(x, 0), float64(n-1))
	first := min(int(x), max(n-2, 0))
	f := float32(x - float64(first))
	if f == 0 || n == 1 {
		return tap{first, []float32{1}}
	}
	return tap{first, []float32{1 - f, f}}
}

// A Box is a stretch of a picture in pixels, whose upper left corner is (0, 0);
// the first pixel goes from 0 to 1. It may end amid a pixel.
type Box struct{ X0, Y0, X1, Y1 float64 }

// Whole is the box of a whole picture.
func Whole(w, h int) Box { return Box{0, 0, float64(w), float64(h)} }

// maxSide bounds the sides of a resampled picture, so that a wrong scale is an
// error and not the end of the memory.
const maxSide = 1 << 16

func checkResize(have, want, w, h int, b Box, dw, dh int) error {
	if have != want || w <= 0 || h <= 0 || dw <= 0 || dh <= 0 || dw > maxSide || dh > maxSide ||
		!(b.X1 > b.X0) || !(b.Y1 > b.Y0) || math.IsInf(b.X1-b.X0, 0) || math.IsInf(b.Y1-b.Y0, 0) {
		return fmt.Errorf("resample %d×%d of %d samples to %d×%d: %w", w, h, have, dw, dh, study.ErrInvalid)
	}
	return nil
}

// Resize gives a plane of w×h values in dw×dh: the area's mean where it shrinks,
// bilinear where it grows, along each axis by itself.
func Resize(v []float32, w, h, dw, dh int) ([]float32, error) {
	return ResizeBox(v, w, h, Whole(w, h), dw, dh)
}

// ResizeBox is Resize of a part of the plane.
func ResizeBox(v []float32, w, h int, b Box, dw, dh int) ([]float32, error) {
	if err := checkResize(len(v), w*h, w, h, b, dw, dh); err != nil {
		return nil, err
	}
	xs, ys := taps(w, b.X0, b.X1, dw), taps(h, b.Y0, b.Y1, dh)
	out := make([]float32, dw*dh)
	line := make([]float32, w)
	for y, t := range ys {
		clear(line)
		for k, f := range t.weights {
			for x, s := range v[(t.first+k)*w:][:w] {
				line[x] += f * s
			}
		}
		for x, t := range xs {
			sum := float32(0)
			for k, f := range t.weights {
				sum += f * line[t.first+k]
			}
			out[y*dw+x] = sum
		}
	}
	return out, nil
}

// ResizeRGB is [Resize] for interleaved 8-bit RGB, rounded to the nearest.
func ResizeRGB(rgb []byte, w, h, dw, dh int) ([]byte, error) {
	return ResizeBoxRGB(rgb, w, h, Whole(w, h), dw, dh)
}

// ResizeBoxRGB is ResizeRGB of a part of the picture.
func ResizeBoxRGB(rgb []byte, w, h int, b Box, dw, dh int) ([]byte, error) {
	if err := checkResize(len(rgb), w*h*3, w, h, b, dw, dh); err != nil {
		return nil, err
	}
	if w == dw && h == dh && b == Whole(w, h) {
		return append([]byte(nil), rgb...), nil
	}
	xs, ys := taps(w, b.X0, b.X1, dw), taps(h, b.Y0, b.Y1, dh)
	out := make([]byte, dw*dh*3)
	line := make([]float32, w*3)
	for y, t := range ys {
		clear(line)
		for k, f := range t.weights {
			for x, s := range rgb[(t.first+k)*w*3:][:w*3] {
				line[x] += f * float32(s)
			}
		}
		for x, t := range xs {
			var r, g, b float32
			for k, f := range t.weights {
				p := line[(t.first+k)*3:][:3:3]
				r, g, b = r+f*p[0], g+f*p[1], b+f*p[2]
			}
			o := out[(y*dw+x)*3:][:3:3]
			o[0], o[1], o[2] = round8(r), round8(g), round8(b)
		}
	}
	return out, nil
}

func round8(v float32) byte { return byte(min(max(v+0.5, 0), 255)) }

// Between writes to dst the plane at position z by linear interpolation between
// the two slices next to it; beyond the first and the last slice it is that one.
// Positions zs ascend. Slices and dst have one length.
func Between(zs []float64, slices [][]float32, z float64, dst []float32) error {
	if len(zs) == 0 || len(zs) != len(slices) {
		return fmt.Errorf("%d slices at %d positions: %w", len(slices), len(zs), study.ErrInvalid)
	}
	n := len(zs)
	k := 0 // the last slice at or below z
	for k+1 < n && zs[k+1] <= z {
		k++
	}
	a, b, f := slices[k], slices[k], float32(0)
	if z > zs[k] && k+1 < n {
		b, f = slices[k+1], float32((z-zs[k])/(zs[k+1]-zs[k]))
	}
	if len(a) != len(dst) || len(b) != len(dst) {
		return fmt.Errorf("slices of %d and %d values for a plane of %d: %w", len(a), len(b), len(dst), study.ErrInvalid)
	}
	if f == 0 {
		copy(dst, a)
		return nil
	}
	for i := range dst {
		dst[i] = a[i] + f*(b[i]-a[i])
	}
	return nil
}

// Volume resamples slices to count planes that begin at position from and lie
// step apart, one behind the other in the result.
func Volume(zs []float64, slices [][]float32, from, step float64, count int) ([]float32, error) {
	if len(slices) == 0 || count <= 0 || !(step > 0) {
		return nil, fmt.Errorf("%d planes at steps of %g from %d slices: %w", count, step, len(slices), study.ErrInvalid)
	}
	for i := 1; i < len(zs); i++ {
		if !(zs[i] > zs[i-1]) {
			return nil, fmt.Errorf("slices %d and %d do not ascend: %w", i, i+1, study.ErrInvalid)
		}
	}
	size := len(slices[0])
	out := make([]float32, count*size)
	for i := range count {
		if err := Between(zs, slices, from+float64(i)*step, out[i*size:(i+1)*size]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
