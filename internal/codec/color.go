package codec

import (
	"fmt"

	"varde/study"
)

// The weights of the color differences in red, green and blue (ITU-R BT.601,
// full range) in 16-bit fixed point, and a half for rounding: the arithmetic of
// libjpeg, through which nearly every network was trained.
const (
	crToRed   = 91881
	cbToBlue  = 116130
	cbToGreen = -22554
	crToGreen = -46802
	half      = 1 << 15
)

// RGB gives a color frame as 8-bit red, green and blue, interleaved; wider
// samples keep their upper 8 stored bits. A frame that is RGB with 8 bits gives
// its own Data. Gray, palette and unknown color wrap [study.ErrUnsupported].
func (f Frame) RGB() ([]byte, error) {
	if f.Samples != 3 || f.Color != RGB && f.Color != YBR || f.Float || f.Signed {
		return nil, fmt.Errorf("frame of %d %s samples as RGB: %w", f.Samples, f.Color, study.ErrUnsupported)
	}
	d := f.Data
	if f.Bits > 8 || f.Stored != 8 {
		d = f.toEight()
	}
	if f.Color == RGB {
		return d, nil
	}
	out := make([]byte, len(d))
	fromYBR(out, d)
	return out, nil
}

// toEight scales samples of any width to 8 bits.
func (f Frame) toEight() []byte {
	width := f.Bits / 8
	out := make([]byte, len(f.Data)/width)
	for i := range out {
		var v uint32
		for k := width - 1; k >= 0; k-- {
			v = v<<8 | uint32(f.Data[i*width+k])
		}
		if f.Stored >= 8 {
			out[i] = byte(v >> (f.Stored - 8))
		} else {
			out[i] = byte(v * 255 / (1<<f.Stored - 1))
		}
	}
	return out
}

// fromYBR converts interleaved pixels; dst and src may be the same.
func fromYBR(dst, src []byte) {
	for i := 0; i+2 < len(src); i += 3 {
		s, d := src[i:i+3:i+3], dst[i:i+3:i+3]
		y, cb, cr := int32(s[0]), int32(s[1])-128, int32(s[2])-128
		d[0] = clamp(y + (crToRed*cr+half)>>16)
		d[1] = clamp(y + (cbToGreen*cb+crToGreen*cr+half)>>16)
		d[2] = clamp(y + (cbToBlue*cb+half)>>16)
	}
}

func clamp(v int32) byte {
	if uint32(v) > 255 {
		return byte(^(v >> 31))
	}
	return byte(v)
}
