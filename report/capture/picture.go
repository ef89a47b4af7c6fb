package capture

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/study"
)

// The sides of a picture: a small frame is enlarged, so that letters beside it
// are no larger than what it shows, and a large one is shrunk to what a screen
// has.
const (
	leastSide = 1024
	mostSide  = 2048
)

// A Picture is a view in colors.
type Picture struct {
	Columns, Rows int
	RGB           []byte // interleaved, 8 bits
	// Scale is how many pixels of the picture stand for one of what the view's
	// regions are drawn on, across and down.
	Scale [2]float64
}

// NewPicture makes the picture of a decoded frame: a gray one by its modality LUT
// and its first window, or from darkest to brightest where it has none; a color
// one as it is. Pixels that are not square are made so. An error of kind
// [study.ErrUnsupported] says that what the samples mean is not known.
func NewPicture(in study.Instance, f codec.Frame) (Picture, error) {
	if in.Image == nil || f.Rows < 1 || f.Columns < 1 {
		return Picture{}, fmt.Errorf("picture of %s: it has no pixels: %w", in.UID, study.ErrInvalid)
	}
	rgb, err := colors(in, f)
	if err != nil {
		return Picture{}, fmt.Errorf("picture of %s: %w", in.UID, err)
	}
	w, h := float64(f.Columns), float64(f.Rows)
	if mm := in.Image.SpacingMM; mm[0] > 0 && mm[1] > 0 && mm[0] < 20*mm[1] && mm[1] < 20*mm[0] {
		h *= mm[0] / mm[1]
	}
	by := 1.0
	switch side := max(w, h); {
	case side > mostSide:
		by = mostSide / side
	case side < leastSide:
		by = leastSide / side
	}
	p := Picture{Columns: max(1, int(math.Round(w*by))), Rows: max(1, int(math.Round(h*by)))}
	if p.RGB, err = pixel.ResizeRGB(rgb, f.Columns, f.Rows, p.Columns, p.Rows); err != nil {
		return Picture{}, fmt.Errorf("picture of %s: %w", in.UID, err)
	}
	p.Scale = [2]float64{float64(p.Columns) / float64(f.Columns), float64(p.Rows) / float64(f.Rows)}
	return p, nil
}

// colors gives the frame as it is seen, 8 bits, interleaved.
func colors(in study.Instance, f codec.Frame) ([]byte, error) {
	if f.Samples > 1 {
		return f.RGB()
	}
	if f.Color != codec.Gray {
		return nil, fmt.Errorf("%v samples: %w", f.Color, study.ErrUnsupported)
	}
	samples := pixel.Samples{Rows: f.Rows, Columns: f.Columns, Bits: f.Bits, Signed: f.Signed, Float: f.Float, Data: f.Data}
	stored, err := samples.Values()
	if err != nil {
		return nil, err
	}
	values, err := pixel.Modality(samples, in.Image.Slope, in.Image.Intercept)
	if err != nil {
		return nil, err
	}
	if p := in.Image.Padding; p != nil {
		for i := range values {
			if stored[i] == float32(*p) {
				values[i] = float32(math.NaN())
			}
		}
	}
	window := pixel.Window{Center: in.Image.WindowCenter, Width: in.Image.WindowWidth, Inverted: in.Image.Photometric == "MONOCHROME1"}
	if window.Width < 1 {
		window.Center, window.Width, window.Exact = spread(values)
	}
	rgb := make([]byte, 0, 3*len(values))
	for i, b := range window.Apply(values) {
		if values[i] != values[i] {
			b = 0 // padding is no part of the image, and dark in every polarity
		}
		rgb = append(rgb, b, b, b)
	}
	return rgb, nil
}

// spread is a window for an image that brings none: all but the lowest and the
// highest half percent.
func spread(v []float32) (center, width float64, exact bool) {
	step := max(1, len(v)/(1<<20)) // a million of a large image tell as much
	var some []float32
	for i := 0; i < len(v); i += step {
		if v[i] == v[i] {
			some = append(some, v[i])
		}
	}
	if len(some) == 0 {
		return 0, 1, true
	}
	slices.SortFunc(some, cmp.Compare[float32])
	low, high := float64(some[len(some)/200]), float64(some[len(some)-1-len(some)/200])
	return (low + high) / 2, max(high-low, 1e-6*math.Abs(high), math.SmallestNonzeroFloat32), true
}

// overviewSide is how many pixels the longer side of a slide has on a capture.
const overviewSide = 1600

// Overview makes the picture of a view that is a slide as a whole: its tissue on
// its levels, never its label. instances are the study's.
func Overview(ctx context.Context, r *slide.Reader, instances []study.Instance, v View) (Picture, error) {
	var of []study.Instance
	for _, in := range instances {
		if in.Series == v.Instance.Series && in.Image != nil && in.Image.Slide != nil {
			of = append(of, in)
		}
	}
	levels, err := slide.Levels(of)
	if err != nil {
		return Picture{}, fmt.Errorf("overview of slide %s: %w", v.Instance.Series, err)
	}
	at := slices.IndexFunc(levels, func(l slide.Level) bool {
		return slices.ContainsFunc(l.Instances, func(in study.Instance) bool { return in.UID == v.Instance.UID })
	})
	if at < 0 {
		return Picture{}, fmt.Errorf("overview of slide %s: no level has %s: %w", v.Instance.Series, v.Instance.UID, study.ErrInvalid)
	}
	finest := levels[0]
	mpp := max(float64(finest.Columns)*finest.MPP[0], float64(finest.Rows)*finest.MPP[1]) / overviewSide
	rgb, w, h, _, err := r.Overview(ctx, levels, mpp)
	if err != nil {
		return Picture{}, fmt.Errorf("overview of slide %s: %w", v.Instance.Series, err)
	}
	p := Picture{RGB: rgb, Columns: w, Rows: h}
	// The level next to what was asked for may be much larger, or smaller.
	if by := overviewSide / float64(max(w, h)); by < 0.9 || by > 1.1 {
		p.Columns, p.Rows = max(1, int(float64(w)*by+0.5)), max(1, int(float64(h)*by+0.5))
		if p.RGB, err = pixel.ResizeRGB(rgb, w, h, p.Columns, p.Rows); err != nil {
			return Picture{}, fmt.Errorf("overview of slide %s: %w", v.Instance.Series, err)
		}
	}
	l := levels[at]
	p.Scale = [2]float64{float64(p.Columns) / float64(l.Columns), float64(p.Rows) / float64(l.Rows)}
	return p, nil
}
