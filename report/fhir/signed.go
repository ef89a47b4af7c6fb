package fhir

import (
	"slices"

	"varde/study"
)

// signs reports whether there is something that a reader answers for.
func (w Work) signs() bool {
	return w.Answer != nil && w.Result.AI != study.Running && (w.answered() || w.verdict() != "" || len(w.missed()) > 0)
}

// machine gives the resources of what the AI said. They stay preliminary whatever its
// reader says, but what the reader rejected is entered-in-error: nobody shall find a
// place that a physician has looked at and struck out. Of a final it gives only that.
func (w Work) machine() []Resource {
	if w.Withdrawn || !w.signs() { // withdrawn is all of it, whatever was made of it
		w.Answer = nil
	}
	ai := w
	ai.Answer, ai.read = nil, w.Answer != nil
	report, struck := ai.report(), map[string]*Observation{}
	if w.Answer != nil {
		if w.status() == "entered-in-error" {
			report = w.report()
		}
		for _, o := range w.observations() {
			if o.Status == "entered-in-error" {
				struck[o.ID] = o
			}
		}
	}
	var all []Resource
	if !w.Final || !w.Alone && report.Status == "entered-in-error" {
		all = append(all, report)
	}
	for _, o := range ai.observations() {
		no, rejected := struck[o.ID]
		if rejected {
			o = no
		}
		if !w.Final || !w.Alone && rejected {
			all = append(all, o)
		}
	}
	if w.Final {
		return w.shortened(all)
	}
	return append(all, ai.provenance())
}

// shortened has the AI's report that was struck out name no observation that does not
// go with it.
func (w Work) shortened(all []Resource) []Resource {
	for _, r := range all {
		if report, ok := r.(*DiagnosticReport); ok {
			report.Result = nil
		}
	}
	return all
}

// signed gives what the reader answers for, as resources of its own. They name the AI's
// that they were made from, and stay when those are replaced or taken back.
func (w Work) signed() []Resource {
	w.signing, w.recalled, w.Withdrawn, w.Old = true, w.Withdrawn, false, nil
	all := []Resource{w.report()}
	now := w.vouched()
	for _, o := range append(now, w.unsaid(now)...) {
		all = append(all, o)
	}
	return append(all, w.verification())
}

// vouched gives the observations that the reader stands behind, and what became of an AI
// that gave no answer.
func (w Work) vouched() []*Observation {
	w.signing, w.Old = true, nil
	all := slices.DeleteFunc(append(w.observations(), w.missed()...), func(o *Observation) bool {
		return o.Status == "entered-in-error" || o.Status == "preliminary"
	})
	for _, o := range all {
		o.HasMember = slices.DeleteFunc(o.HasMember, func(to Reference) bool {
			return !slices.ContainsFunc(all, func(m *Observation) bool { return to.Reference == "Observation/"+m.ID })
		})
	}
	return all
}

// results points to the observations of the reader's report that are members of no other.
func (w Work) results() []Reference {
	all := w.vouched()
	var to []Reference
	for _, o := range all {
		one := w.to("Observation", o.ID)
		if !slices.ContainsFunc(all, func(m *Observation) bool { return slices.Contains(m.HasMember, one) }) {
			to = append(to, one)
		}
	}
	return to
}

// unsaid gives what the reader of an earlier state of the study stood behind, and this
// one says nothing of.
func (w Work) unsaid(now []*Observation) []*Observation {
	if w.Earlier == nil {
		return nil
	}
	before := w
	before.Result, before.Answer, before.Earlier = w.Earlier.Result, &w.Earlier.Answer, nil
	var all []*Observation
	for _, o := range before.vouched() {
		if !slices.ContainsFunc(now, func(n *Observation) bool { return n.ID == o.ID }) {
			w.void(o, w.Told.Lang.T("signed.replaced"))
			all = append(all, o)
		}
	}
	return all
}
