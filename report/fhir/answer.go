package fhir

import (
	"fmt"
	"slices"

	"varde/report/answer"
	"varde/study"
)

// changed reports whether the reader left another result than the AI gave.
func (w Work) changed() bool {
	if w.Answer == nil {
		return false
	}
	rejected := len(w.Answer.Left(w.Result).Findings) < len(w.Result.Findings)
	return rejected || w.verdict() == "changes" || w.verdict() == "disagree" || len(w.Answer.Missed) > 0
}

// left is the result as far as it stands.
func (w Work) left() study.Result {
	if w.Answer == nil {
		return w.Result
	}
	return w.Answer.Left(w.Result)
}

// leaves reports whether a reader who does not agree leaves anything: a finding that
// was agreed to, or a place that was marked.
func (w Work) leaves() bool {
	return len(w.missed()) > 0 || slices.ContainsFunc(w.Result.Findings, func(f study.Finding) bool {
		v := w.Answer.Verdicts[f.Tracking].Verdict
		return v == "agree" || v == "changes"
	})
}

// reader points to the reader by name, for there is no other number of one.
func (w Work) reader() Reference {
	return Reference{Type: "Practitioner", Display: printable(w.Answer.By)}
}

// judged says what the reader made of the result, in place of what the AI said. It
// holds no word that the reader wrote: a patient may be named in it.
func (w Work) judged() []string {
	lines := append([]string{w.standing()}, w.Answer.Plain().Judged(w.Told.Lang, w.Result)...)
	for _, text := range []string{w.Told.NotLooked, w.Told.Reason, w.Told.Model, w.Told.Disclaimer} {
		if text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// stand gives an observation the standing that a verdict gives it. Of what was changed
// remains that it is there: nobody stands behind the numbers and the place that the AI
// gave. Of what was rejected remains nothing.
func (w Work) stand(o *Observation, verdict, note string) {
	if verdict == "" || o.Status == "cancelled" { // where there is no answer there is nothing to stand behind
		return
	}
	if verdict == "disagree" {
		w.void(o, note)
		return
	}
	if verdict == "changes" {
		o.Component, o.Interpretation, o.Note = nil, nil, []Annotation{{Text: note}}
	}
	o.Status, o.Performer = w.settled(), []Reference{w.reader()}
}

// standing of a finding is by the verdict on it, and without one by that on the result.
func (w Work) standFinding(o *Observation, f study.Finding) {
	if w.Answer == nil {
		return
	}
	s, judged := w.Answer.Verdicts[f.Tracking]
	if !judged {
		w.stand(o, w.verdict(), w.standing())
		return
	}
	s.Text = ""
	note := w.Told.Lang.T("verified.changed", f.Number)
	if s.Verdict == "disagree" {
		note = w.Told.Lang.T("fhir.rejected")
	}
	if why := answer.Wrongs(w.Told.Lang, s); why != "" {
		note += " " + why
	}
	w.stand(o, s.Verdict, note)
}

// missed makes an observation of each place that the reader marked and the AI did not
// find: the reader's own, of no device.
func (w Work) missed() []*Observation {
	if w.Answer == nil {
		return nil
	}
	var all []*Observation
	for n, m := range w.Answer.Missed {
		if m.Mark == nil || m.Mark.Instance == "" {
			continue
		}
		o := w.observation(tag("missed", string(m.Mark.Instance), fmt.Sprint(m.Mark.Frame, m.Mark.Points)), w.named(codeFinding))
		o.Device, o.Method, o.DerivedFrom = nil, nil, nil
		o.Status, o.Performer, o.Issued = "final", []Reference{w.reader()}, instant(w.in(w.Answer.At))
		o.Value = w.named(unknownFinding)
		c := w.named(codeRegion)
		c.Text = w.Told.Lang.T("fhir.image")
		o.Component = []Component{{Code: c, String: place(*m.Mark)}}
		o.Note = []Annotation{{Text: w.Told.Lang.T("verified.missed", n+1)}}
		all = append(all, o)
	}
	return all
}

// verification says who has read the result, when, and for whom.
func (w Work) verification() *Provenance {
	at, reader, said := instant(w.in(w.Answer.At)), w.reader(), w.theirs("DiagnosticReport", "")
	p := &Provenance{
		Base:     Base{ResourceType: "Provenance", ID: w.id(w.origin())},
		Target:   []Reference{w.to("DiagnosticReport", w.id(""))},
		Occurred: at,
		Recorded: at,
		Activity: &Concept{Text: w.Told.Lang.T("fhir.reading")},
		Agent:    []Agent{{Type: code(systemPart, "verifier", "Verifier"), Who: &reader}},
		Entity:   []Entity{{Role: "source", What: &said}},
	}
	if w.Answer.Organization != "" {
		p.Agent[0].OnBehalfOf = &Reference{Type: "Organization", Display: printable(w.Answer.Organization)}
	}
	for _, o := range w.vouched() {
		if o.Status == "final" || o.Status == "amended" {
			p.Target = append(p.Target, w.to("Observation", o.ID))
		}
	}
	return p
}
