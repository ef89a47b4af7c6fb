package inference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/inference/gate"
	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/models"
	"varde/study"
)

// look measures a frame for the input gate, as the scanner gave it. It is nil
// when the card asks for nothing.
func look(card models.Card, i int, img *study.Image, f codec.Frame) (*study.Look, error) {
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
func judged(card models.Card, img *study.Image, f codec.Frame, s pixel.Samples) (v []float32, hu bool, err error) {
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
func asks(g models.Gate) bool {
	return slices.ContainsFunc([]*float64{g.MinContrast, g.MinBody, g.MaxBody, g.MaxBorder, g.MaxClipped, g.MaxNoise, g.MinSharp, g.MaxBackdrop},
		func(v *float64) bool { return v != nil })
}

// small says why an image's field is too small for the card.
func small(card models.Card, img *study.Image, t study.Tile) study.Reason {
	if g := card.Bounds(); g.MinFieldMM != nil {
		return gate.Volume(models.Gate{MinFieldMM: g.MinFieldMM}, nil, 0, fieldOf(img, t))
	}
	return study.Reason{}
}

// fieldOf is the smaller side of a frame, mm.
func fieldOf(img *study.Image, t study.Tile) float64 {
	return min(float64(t.W)*img.SpacingMM[1], float64(t.H)*img.SpacingMM[0])
}

// gated says why a study is none that the model should judge: for every volume of
// it is out, or every image was. It is zero when the gate lets any of it pass.
func (f Facts) gated() study.Reason {
	if f.Card.Input.Kind != study.Volume {
		return f.turnedAway()
	}
	bounds := f.Card.Bounds()
	instances := map[study.UID]*study.Instance{}
	for i := range f.Instances {
		instances[f.Instances[i].UID] = &f.Instances[i]
	}
	type volume struct {
		looks     []study.Look
		low, high float64
		step      float64
		field     float64
	}
	at := map[string]*volume{}
	var order []string
	for _, p := range f.Parts {
		key := fmt.Sprintf("%s/%g", p.Block.Series, p.Block.OriginMM)
		v := at[key]
		if v == nil {
			v = &volume{low: math.Inf(1), high: math.Inf(-1), field: math.Inf(1)}
			at[key] = v
			order = append(order, key)
		}
		v.looks = append(v.looks, p.Looks...)
		for i, t := range p.Block.Tiles {
			if in := instances[t.Instance]; in != nil && in.Image != nil && !t.Context {
				s := newSite(i, t, in)
				v.low, v.high = min(v.low, s.at), max(v.high, s.at)
				v.field = min(v.field, fieldOf(in.Image, t))
				v.step = max(v.step, cmp.Or(in.Image.ThicknessMM, p.Block.StepMM))
			}
		}
	}
	var worst study.Reason
	for _, key := range order {
		v := at[key]
		r := gate.Volume(bounds, v.looks, v.high-v.low+v.step, v.field)
		if r.Zero() && len(order) == 1 {
			return r
		}
		worst = cmp.Or(worst, r)
	}
	// Of several volumes one that fails takes the others with it: their numbers
	// are of the study, and nobody could tell which volume spoke.
	return worst
}

// turnedAway is the reason why no image of the study passed the gate.
func (f Facts) turnedAway() study.Reason {
	var first study.Reason
	for _, p := range f.Parts {
		if len(p.Missed) < p.Block.Planned() {
			return study.Reason{}
		}
		for _, m := range p.Missed {
			if !gate.Gated(m.Reason) {
				return study.Reason{}
			}
			first = cmp.Or(first, m.Reason)
		}
	}
	if len(f.Lost) > 0 || f.Plan.Unseen > 0 {
		return study.Reason{}
	}
	return first
}
