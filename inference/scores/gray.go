package scores

import (
	"fmt"
	"math"

	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

const (
	// airHU stands where a scanner has no value (PixelPaddingValue): outside its
	// round field there is nothing, which is what air is in a CT.
	airHU = -1000
	// sameSpacing is the difference of two spacings that counts as none.
	sameSpacing = 1e-3
)

// gray gives a frame as the values that the card asks for, at the size that it
// asks for.
func gray(card modelcard.Card, img *study.Image, f codec.Frame) ([]float32, error) {
	in := card.Input
	s, err := samples(f)
	if err != nil {
		return nil, err
	}
	padding := math.Inf(1) // no sample is that
	if img.Padding != nil {
		padding = float64(*img.Padding)
	}
	var v []float32
	var pad float32
	switch in.Values {
	case modelcard.ValuesHU:
		v, err = pixel.Modality(s, img.Slope, img.Intercept)
		padding, pad = padding*slope(img)+img.Intercept, airHU
	case modelcard.ValuesUnit:
		inverted := img.Photometric == "MONOCHROME1"
		v, err = pixel.Unit(s, f.Stored, inverted)
		padding = unit(padding, f, inverted)
	case modelcard.ValuesWindow:
		v, err = windowed(card.Display, img, s)
		padding = math.Inf(1)
		if img.Padding != nil && len(v) > 0 {
			blank(v, s, *img.Padding)
		}
	default:
		err = fmt.Errorf("gray frames give no %s: %w", in.Values, study.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	if img.Padding != nil {
		for i, x := range v {
			if x == float32(padding) {
				v[i] = pad // 0, dark, in a projection
			}
		}
	}
	width, height := size(in, img, f.Columns, f.Rows)
	if width == f.Columns && height == f.Rows {
		return v, nil
	}
	return pixel.Resize(v, f.Columns, f.Rows, width, height)
}

func slope(img *study.Image) float64 {
	if img.Slope == 0 {
		return 1
	}
	return img.Slope
}

// unit is what [pixel.Unit] makes of one value.
func unit(v float64, f codec.Frame, inverted bool) float64 {
	low, span := 0.0, math.Exp2(float64(f.Stored))-1
	if f.Signed {
		low = -math.Exp2(float64(f.Stored - 1))
	}
	u := float32((v - low) / span)
	if inverted {
		u = 1 - u
	}
	return float64(u)
}

// size is how large a frame of w×h pixels goes into the network: as the card
// says, or by its spacing, or as it is.
func size(in modelcard.Input, img *study.Image, w, h int) (width, height int) {
	if in.Width > 0 && in.Height > 0 {
		return in.Width, in.Height
	}
	return scaled(w, img.SpacingMM[1], in.SpacingMM[2]), scaled(h, img.SpacingMM[0], in.SpacingMM[1])
}

// scaled is how many pixels of wanted mm stand for n of have mm.
func scaled(n int, have, wanted float64) int {
	if wanted <= 0 || have <= 0 || math.Abs(wanted/have-1) <= sameSpacing {
		return n
	}
	return max(1, int(math.Round(float64(n)*have/wanted)))
}

// windowed gives gray after the modality LUT and a window, 0–1, dark to bright:
// the linear function of PS3.3 §C.11.2.1.2.1.
func windowed(d modelcard.Display, img *study.Image, s pixel.Samples) ([]float32, error) {
	v, err := pixel.Modality(s, img.Slope, img.Intercept)
	if err != nil {
		return nil, err
	}
	center, width := d.Center, d.Width
	if d.Source == modelcard.WindowDataset && img.WindowWidth >= 1 {
		center, width = img.WindowCenter, img.WindowWidth
	}
	span := max(width-1, 1e-6)
	for i, x := range v {
		u := min(max((float64(x)-(center-0.5))/span+0.5, 0), 1)
		if img.Photometric == "MONOCHROME1" {
			u = 1 - u
		}
		v[i] = float32(u)
	}
	return v, nil
}

// blank makes pixels for which the scanner has no value dark.
func blank(v []float32, s pixel.Samples, padding int) {
	stored, err := s.Values()
	if err != nil { // cannot be: they were read before
		return
	}
	for i, x := range stored {
		if x == float32(padding) {
			v[i] = 0
		}
	}
}
