package modelcard

import (
	"cmp"
	"slices"

	"varde/study"
)

// Attention is the name of the column that holds the attention of MIL.
const Attention = "attention"

// A Column is one number of a tile's score.
type Column struct {
	Name  string // of the output, or [Attention]
	Index int    // in [study.Score]
	// Late is a number that is there only once the study is concluded.
	Late bool
	// Probability says that it lies between 0 and 1. Low and High are the ends of
	// the scale that the card asks for, both 0 when it does not.
	Probability bool
	Low, High   float64
}

// Columns lists the numbers that a tile's score has, in their order: the scalar
// outputs; for patches then each map and each output of boxes or points, as one
// number of the patch; and last the attention of MIL.
func (c Card) Columns() []Column {
	var all []Column
	add := func(name string, p, late bool) {
		all = append(all, Column{Name: name, Index: len(all), Late: late, Probability: p})
	}
	for _, o := range c.Output {
		if o.Role == RoleScalar {
			add(o.Name, o.Probability, false)
		}
	}
	if c.Input.Kind != study.Patches {
		return all
	}
	for _, role := range []string{RoleMap, RoleBoxes, RolePoints} {
		for _, o := range c.Output {
			if o.Role == role {
				add(o.Name, o.Probability, false)
			}
		}
	}
	if c.MIL != nil && c.MIL.Attention != "" {
		add(Attention, false, true)
	}
	return all
}

// Heat gives the number of a patch that a heatmap shows; false when the
// model has none, or is for other images.
func (c Card) Heat() (Column, bool) {
	if c.Input.Kind != study.Patches {
		return Column{}, false
	}
	all := c.Columns()
	var find Find
	if c.Find != nil {
		find = *c.Find
	}
	for _, name := range []string{c.HeatBy.Output, find.Scalar, find.Map, find.Objects, c.Flag.By, Attention} {
		i := slices.IndexFunc(all, func(col Column) bool { return name != "" && col.Name == name })
		if i >= 0 {
			all[i].Low, all[i].High = c.HeatBy.Low, c.HeatBy.High
			return all[i], true
		}
	}
	if len(all) == 0 {
		return Column{}, false
	}
	all[0].Low, all[0].High = c.HeatBy.Low, c.HeatBy.High
	return all[0], true
}

// Second is the card of the second network as a model of its own, which a pool
// of sessions can be asked for. It is meant for nothing else.
func (c Card) Second() Card {
	if c.MIL == nil {
		return Card{}
	}
	return Card{ID: c.ID, Version: c.Version, Name: c.Name, Network: c.MIL.Network, SHA256: c.MIL.SHA256, Hash: c.Hash}
}

// milMost is how many patches of a slide a second network is asked to judge
// when the card does not say.
const milMost = 100_000

// MostPatches is how many patches of a slide the second network can judge.
func (m MIL) MostPatches() int { return cmp.Or(m.Most, milMost) }

// Stitched reports whether the maps of patches are put together into one: they
// are searched, or their pixels counted.
func (c Card) Stitched() bool {
	return c.Input.Kind == study.Patches && slices.ContainsFunc(c.Output, func(o Output) bool {
		return o.Role == RoleMap && (o.Aggregate != "" || c.Find != nil && c.Find.Map == o.Name)
	})
}
