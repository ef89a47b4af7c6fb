package findings

import (
	"math"
	"slices"

	"varde/inference/outputs"
	"varde/models/modelcard"
	"varde/study"
)

// labels makes of the tiles' numbers what is said of the study. Of one that was
// seen in part nothing is said to be not there.
func (f Facts) labels(partial bool) []study.Label {
	rows := f.rows()
	at := len(outputs.ScalarOutputs(f.Card))
	var all []study.Label
	for _, l := range f.Card.Label {
		width := max(1, len(l.Grade))
		var mine [][]float64
		for _, r := range rows {
			if at+width > len(r.values) {
				continue
			}
			v := make([]float64, width)
			for i := range v {
				v[i] = float64(r.values[at+i])
			}
			mine = append(mine, v)
		}
		at += width
		if len(mine) > 0 {
			one := f.said(l, mine)
			if partial && one.AI == study.NotFlagged {
				one.AI = study.Uncertain
			}
			all = append(all, one)
		}
	}
	return all
}

// said makes one label of those of several tiles.
func (f Facts) said(l modelcard.Label, tiles [][]float64) study.Label {
	value := func(v []float64) float64 {
		if len(l.Grade) == 0 {
			return v[0]
		}
		e, whole := 0.0, sum(v)
		for i, g := range l.Grade {
			e += g.Value * v[i]
		}
		if whole <= 0 {
			return e
		}
		return e / whole
	}
	v := tiles[0]
	if l.Aggregate == "mean" {
		v = make([]float64, len(tiles[0]))
		for i := range v {
			for _, t := range tiles {
				v[i] += t[i] / float64(len(tiles))
			}
		}
	} else {
		for _, t := range tiles[1:] {
			if value(t) > value(v) {
				v = t
			}
		}
	}
	out := study.Label{Name: l.Name, What: l.What, Value: value(v), AI: study.NotFlagged}
	switch {
	case l.Flagged != 0 && out.Value >= l.Flagged:
		out.AI = study.Flagged
	case l.Uncertain != 0 && out.Value >= l.Uncertain:
		out.AI = study.Uncertain
	}
	if len(l.Grade) > 0 {
		out.Grade, out.Shares = grade(l, v)
	} else if o := f.output(l.Output); o.Probability {
		out.Probability = share(v[0])
	}
	return out
}

// output finds an output of the card by name.
func (f Facts) output(name string) modelcard.Output {
	i := slices.IndexFunc(f.Card.Output, func(o modelcard.Output) bool { return o.Name == name })
	if i < 0 {
		return modelcard.Output{}
	}
	return f.Card.Output[i]
}

// grade gives the class of a graded label, and the probabilities of all: the
// lowest class with which half of the probability is reached.
func grade(l modelcard.Label, v []float64) (*study.Code, []float64) {
	whole := sum(v)
	if whole <= 0 || math.IsInf(whole, 0) {
		return nil, nil
	}
	shares := make([]float64, len(v))
	var at *study.Code
	below := 0.0
	for i, p := range v {
		shares[i] = p / whole
		below += shares[i]
		if at == nil && below >= 0.5-1e-9 {
			code := l.Grade[i].Code
			at = &code
		}
	}
	return at, shares
}

// chance is the probability of the study that its labels give: of the one by
// which the card flags, or of the highest where it takes the worst.
func chance(card modelcard.Card, labels []study.Label) *float64 {
	var p *float64
	for _, l := range labels {
		if l.Probability != nil && (card.Flag.By == l.Name || card.Flag.By == modelcard.FlagLabels && (p == nil || *l.Probability > *p)) {
			p = l.Probability
		}
	}
	return p
}
