// Package pixel is arithmetic on samples: what lies between a decoded frame and
// the numbers that a network sees, and between a network's map and the places
// that a finding names. It knows neither files nor codecs nor models.
//
//	Modality, Unit        stored samples to physical or relative values
//	Window                values to 8 bits for the eye
//	Resize, ResizeRGB     planes and pictures to another size
//	Between, Volume       slices to evenly spaced planes
//	Normalize             values into an input tensor
//	Tissue                where on a slide there is tissue
//	FitStain, Stainer     a slide's colors to those of a reference
//	Components            where in a map there is something
//	Thumbnail, PNG, JPEG  pictures for pages and captures
//
// All of it decides by its arguments alone, so that a score can be made again.
package pixel

import (
	"encoding/binary"
	"fmt"
	"math"

	"varde/study"
)

// Samples are one plane of gray samples as a decoder gives them: little-endian,
// 8, 16 or 32 bits each, or floats of 32 bits.
type Samples struct {
	Rows, Columns int
	Bits          int
	Signed, Float bool
	Data          []byte
}

// Values gives the samples as numbers. 32-bit integers beyond 2²⁴ lose their
// lowest bits.
func (s Samples) Values() ([]float32, error) {
	n := s.Rows * s.Columns
	if s.Rows <= 0 || s.Columns <= 0 || len(s.Data) != n*s.Bits/8 || s.Float && s.Bits != 32 {
		return nil, fmt.Errorf("%d×%d samples of %d bits in %d bytes: %w", s.Columns, s.Rows, s.Bits, len(s.Data), study.ErrInvalid)
	}
	v, d := make([]float32, n), s.Data
	switch {
	case s.Float:
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(d[4*i:]))
		}
	case s.Bits == 8 && s.Signed:
		for i := range v {
			v[i] = float32(int8(d[i]))
		}
	case s.Bits == 8:
		for i := range v {
			v[i] = float32(d[i])
		}
	case s.Bits == 16 && s.Signed:
		for i := range v {
			v[i] = float32(int16(binary.LittleEndian.Uint16(d[2*i:])))
		}
	case s.Bits == 16:
		for i := range v {
			v[i] = float32(binary.LittleEndian.Uint16(d[2*i:]))
		}
	case s.Bits == 32 && s.Signed:
		for i := range v {
			v[i] = float32(int32(binary.LittleEndian.Uint32(d[4*i:])))
		}
	case s.Bits == 32:
		for i := range v {
			v[i] = float32(binary.LittleEndian.Uint32(d[4*i:]))
		}
	default:
		return nil, fmt.Errorf("samples of %d bits: %w", s.Bits, study.ErrInvalid)
	}
	return v, nil
}

// Modality applies the modality LUT, PS3.3 §C.11.1: slope·value + intercept,
// which makes Hounsfield units of a CT. Slope 0 stands for 1, for it is what an
// absent slope reads as.
func Modality(s Samples, slope, intercept float64) ([]float32, error) {
	v, err := s.Values()
	if err != nil {
		return nil, err
	}
	if slope == 0 {
		slope = 1
	}
	if slope == 1 && intercept == 0 {
		return v, nil
	}
	for i := range v {
		v[i] = float32(float64(v[i])*slope + intercept)
	}
	return v, nil
}

// Unit gives samples over their full stored range as 0–1, dark to bright as they
// are displayed: inverted says that the image is MONOCHROME1, in which the
// lowest value is the brightest. stored is the number of bits that hold a value.
func Unit(s Samples, stored int, inverted bool) ([]float32, error) {
	if s.Float || stored < 1 || stored > s.Bits {
		return nil, fmt.Errorf("%d stored bits of %d as a share of their range: %w", stored, s.Bits, study.ErrInvalid)
	}
	v, err := s.Values()
	if err != nil {
		return nil, err
	}
	low, span := 0.0, math.Exp2(float64(stored))-1
	if s.Signed {
		low = -math.Exp2(float64(stored - 1))
	}
	for i := range v {
		u := float32((float64(v[i]) - low) / span)
		if inverted {
			u = 1 - u
		}
		v[i] = u
	}
	return v, nil
}

// Range gives the lowest and the highest value. NaNs do not count; without any
// number both are 0.
func Range(v []float32) (low, high float32) {
	found := false
	for _, x := range v {
		switch {
		case x != x:
		case !found:
			low, high, found = x, x, true
		default:
			low, high = min(low, x), max(high, x)
		}
	}
	return low, high
}
