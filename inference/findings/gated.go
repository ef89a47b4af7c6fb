package findings

import (
	"cmp"
	"fmt"
	"math"

	"varde/inference/gate"
	"varde/inference/place"
	"varde/study"
)

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
				s := place.NewSite(i, t, in)
				v.low, v.high = min(v.low, s.At), max(v.high, s.At)
				v.field = min(v.field, place.FieldMM(in.Image, t))
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
