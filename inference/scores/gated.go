package scores

import (
	"fmt"
	"math"
	"slices"

	"varde/inference/gate"
	"varde/inference/place"
	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// look measures a frame for the input gate, as the scanner gave it. It is nil
// when the card asks for nothing.
func look(card modelcard.Card, i int, img *study.Image, f codec.Frame) (*study.Look, error) {
	if !asks(card.Bounds()) || f.Samples != 1 {
		return nil, nil
	}
	s, err := samples(f)
	if err != nil {
		return nil, err
	}
	v, hu, err := judged(card, img, f, s)
	if err != nil {
		return nil, err
	}
	seen := gate.Frame{Values: v, Width: f.Columns, Height: f.Rows, HU: hu, End: 1}
	if hu {
		top := math.Exp2(float64(f.Stored)) - 1
		if f.Signed {
			top = math.Exp2(float64(f.Stored-1)) - 1
		}
		seen.End = float32(top*slope(img) + img.Intercept)
	}
	if img.Padding != nil {
		padding := float32(float64(*img.Padding)*slope(img) + img.Intercept)
		if !hu {
			padding = float32(unit(float64(*img.Padding), f, img.Photometric == "MONOCHROME1"))
		}
		seen.Padding = func(v float32) bool { return v == padding }
	}
	l := gate.See(seen)
	l.Tile = i
	return &l, nil
}

// judged gives the values that the gate judges: Hounsfield units of a CT, else
// shares of the stored range, dark to bright.
func judged(card modelcard.Card, img *study.Image, f codec.Frame, s pixel.Samples) (v []float32, hu bool, err error) {
	if card.GatedInHU() && img.HasRescale {
		v, err = pixel.Modality(s, img.Slope, img.Intercept)
		return v, true, err
	}
	if f.Float {
		return nil, false, fmt.Errorf("floats as shares of a stored range: %w", study.ErrInvalid)
	}
	v, err = pixel.Unit(s, f.Stored, img.Photometric == "MONOCHROME1")
	return v, false, err
}

// asks reports whether a gate has any bound on what a frame looks like.
func asks(g modelcard.Gate) bool {
	return slices.ContainsFunc([]*float64{g.MinContrast, g.MinBody, g.MaxBody, g.MaxBorder, g.MaxClipped, g.MaxNoise, g.MinSharp, g.MaxBackdrop},
		func(v *float64) bool { return v != nil })
}

// small says why an image's field is too small for the card.
func small(card modelcard.Card, img *study.Image, t study.Tile) study.Reason {
	if g := card.Bounds(); g.MinFieldMM != nil {
		return gate.Volume(modelcard.Gate{MinFieldMM: g.MinFieldMM}, nil, 0, place.FieldMM(img, t))
	}
	return study.Reason{}
}
