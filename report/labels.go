package report

import (
	"varde/internal/dicom/tree"
	"varde/report/identity"
	"varde/study"
)

// What is said of a label, SNOMED CT. A label that is not flagged was looked for
// and not seen; nothing is said to be absent.
var (
	valuePresent  = identity.SCT("52101004", "Present")
	valuePossible = identity.SCT("60022001", "Possible diagnosis")
	valueNotSeen  = identity.SCT("47492008", "Not seen")
)

// labels makes a measurement group for each of the study's labels, TID 1501: the
// thing and what is said of it, or the grade that it has, and the model's score for
// it. No calibration is of a label's own probability.
func (b *builder) labels() []tree.Item {
	if !answered(b.result) {
		return nil
	}
	r := b.result
	var groups []tree.Item
	for _, l := range r.Labels {
		items := []tree.Item{
			tree.Text(tree.HasObsContext, conceptTrackingID, r.Model.ID+" "+l.Name),
			tree.UIDRef(tree.HasObsContext, conceptTrackingUID, study.DerivedUID(string(r.Study), r.Model.ID, "label", l.Name)),
		}
		items = append(items, b.algorithm(tree.HasConceptMod)...)
		value, probability := said(l)
		items = append(items, tree.Code(tree.Contains, l.What, value))
		items = append(items, numbers(conceptCertainty, probability, false, nil)...)
		groups = append(groups, tree.Container(tree.Contains, conceptGroup, "1501", items...))
	}
	return groups
}

// said gives the value of a label, and how likely the thing, or the grade, is.
func said(l study.Label) (study.Code, *float64) {
	if l.Grade != nil {
		// The card's grades are in the order of the shares, and the grade is the
		// one with which half of the probability is reached.
		below := 0.0
		for _, p := range l.Shares {
			if below += p; below >= 0.5-1e-9 {
				return *l.Grade, &p
			}
		}
		return *l.Grade, nil
	}
	switch l.AI {
	case study.Flagged:
		return valuePresent, l.Probability
	case study.Uncertain:
		return valuePossible, l.Probability
	}
	return valueNotSeen, l.Probability
}
