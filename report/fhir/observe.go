package fhir

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"varde/internal/words"
	"varde/study"
)

// Concepts of PS3.16 that say what a number or a code is.
var (
	codeSummary    = study.Code{Value: "111017", Scheme: "DCM", Meaning: "CAD Processing and Findings Summary"}
	codeDetections = study.Code{Value: "111064", Scheme: "DCM", Meaning: "Summary of Detections"}
	codeFinding    = study.Code{Value: "121071", Scheme: "DCM", Meaning: "Finding"}
	codeScore      = study.Code{Value: "SCORE", Scheme: "99VARDE", Meaning: "Model score, not calibrated"}
	codeImpression = study.Code{Value: "111013", Scheme: "DCM", Meaning: "Certainty of impression"}
	codeRegion     = study.Code{Value: "111030", Scheme: "DCM", Meaning: "Image Region"}
	codeLaterality = study.Code{Value: "272741003", Scheme: "SCT", Meaning: "Laterality"}
	codeAlgorithm  = study.Code{Value: "111001", Scheme: "DCM", Meaning: "Algorithm Name"}
	unknownFinding = study.Code{Value: "404684003", Scheme: "SCT", Meaning: "Clinical finding"}
	percent        = study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
)

// observations gives that of the study first, and then one for each finding, label
// and slide, which are its members.
func (w Work) observations() []*Observation {
	whole := w.whole()
	all := []*Observation{whole}
	if w.answered() {
		for _, f := range w.Result.Findings {
			all = append(all, w.finding(f))
		}
		for _, l := range w.Result.Labels {
			all = append(all, w.label(l))
		}
	}
	if len(w.Result.Slides) > 1 {
		for _, s := range w.Result.Slides {
			all = append(all, w.slide(s))
		}
	}
	for _, o := range all[1:] {
		whole.HasMember = append(whole.HasMember, w.to("Observation", o.ID))
	}
	if w.Withdrawn {
		for _, o := range all {
			w.void(o, w.Told.Lang.T("fhir.withdrawn"))
		}
	}
	return append(all, w.gone(all)...)
}

// void leaves nothing that a reader of resources who looks at no status could take
// for a result.
func (w Work) void(o *Observation, note string) {
	o.Status = "entered-in-error"
	o.Value, o.Absent, o.Interpretation, o.Component, o.BodySite, o.HasMember, o.Performer = nil, nil, nil, nil, nil, nil, nil
	o.Note = []Annotation{{Text: note}}
}

// gone gives what the result before told and this one does not: a server that has
// it would otherwise keep it as if it held.
func (w Work) gone(now []*Observation) []*Observation {
	if w.Old == nil {
		return nil
	}
	before := w
	before.Result, before.Old, before.Answer = *w.Old, nil, nil
	var all []*Observation
	for _, o := range before.observations() {
		if !slices.ContainsFunc(now, func(n *Observation) bool { return n.ID == o.ID }) {
			w.void(o, w.Told.Lang.T("fhir.withdrawn"))
			all = append(all, o)
		}
	}
	return all
}

// observation makes one with what all have.
func (w Work) observation(item string, what *Concept) *Observation {
	o := &Observation{
		Base:       Base{ResourceType: "Observation", ID: w.id(item), Language: w.language()},
		Identifier: []Identifier{w.own("Observation", w.id(item))},
		BasedOn:    w.order(),
		PartOf:     []Reference{w.imaging()},
		Status:     "preliminary",
		Category:   []Concept{*code(systemKind, "imaging", "Imaging")},
		Code:       what,
		Subject:    w.Subject(),
		Effective:  w.started(),
		Issued:     instant(w.in(w.Result.At)),
		Method:     &Concept{Coding: []Coding{coding(codeAlgorithm)}, Text: fmt.Sprintf("%s %s sha256:%s", w.modelName(), w.Result.Model.Version, w.Result.Model.SHA256)},
	}
	device := w.to("Device", ModelTag(w.Result.Model))
	o.Device = &device
	if w.signing {
		o.DerivedFrom = []Reference{w.theirs("Observation", item)}
	}
	return o
}

// whole is the observation of the study: what became of the AI, how much it saw,
// and the study's own numbers. An AI that failed or did not run leaves no value, but
// the reason why there is none.
func (w Work) whole() *Observation {
	o := w.observation("", w.named(codeSummary))
	r := w.Result
	summary, status := w.outcome()
	o.Component = append(o.Component, Component{Code: w.named(codeDetections), Value: concept(status)})
	if w.answered() {
		o.Value = &Concept{Coding: []Coding{coding(summary), w.state(r.AI).Coding[0]}, Text: w.Told.Summary}
		if !w.changed() {
			o.Interpretation = interpretation(r.AI)
			o.Component = append(o.Component, w.numbers(codeImpression, r.Probability, r.Calibrated, r.Measurements)...)
		}
	} else {
		w.missing(o, r.AI, r.Reason)
	}
	if r.Planned > 0 && (w.answered() || r.Seen > 0) {
		seen, planned := r.Seen, r.Planned
		o.Component = append(o.Component,
			Component{Code: w.item("parts-seen", w.Told.Lang.T("fhir.seen")), Integer: &seen},
			Component{Code: w.item("parts-planned", w.Told.Lang.T("fhir.planned")), Integer: &planned})
	}
	if w.changed() {
		w.standWhole(o)
		return o
	}
	for _, text := range slices.Concat([]string{w.Told.NotLooked, w.Told.Reason, w.Told.Frequency}, w.Told.Errors, []string{w.Told.Probability, w.standing(), w.Told.Disclaimer}) {
		if text != "" {
			o.Note = append(o.Note, Annotation{Text: text})
		}
	}
	w.stand(o, w.verdict(), w.standing())
	return o
}

// standWhole is stand for the observation of a study of which the reader left another
// result than the AI gave: what ran and how much it saw stays as it was.
func (w Work) standWhole(o *Observation) {
	ran := o.Component
	o.Value = nil
	if w.answered() {
		summary, _ := w.outcome()
		o.Value = concept(summary)
	}
	for _, text := range append(w.judged(), w.Told.Disclaimer) {
		if text != "" && !slices.Contains(o.Note, Annotation{Text: text}) {
			o.Note = append(o.Note, Annotation{Text: text})
		}
	}
	notes := o.Note
	w.stand(o, w.verdict(), w.standing())
	if o.Status != "entered-in-error" {
		o.Component, o.Note = ran, notes
	}
}

// missing says why there is no value. Such an observation is never verified, for
// there is nothing that a physician could agree with.
func (w Work) missing(o *Observation, a study.AIState, why study.Reason) {
	reason := code(systemAbsent, "error", "Error")
	if a == study.OutOfScope || why.Code == study.ReasonStopped || why.Code == study.ReasonUnasked || why.Code == study.ReasonCanceled {
		reason = code(systemAbsent, "not-performed", "Not Performed")
	}
	reason.Text = w.Told.Lang.T("ai." + string(a) + ".says")
	if !why.Zero() {
		reason.Coding = append(reason.Coding, Coding{System: systemReason, Code: strings.ReplaceAll(why.Code, "_", "-")})
	}
	o.Absent = reason
	if o.Status != "entered-in-error" {
		o.Status = "cancelled"
	}
}

// interpretation is an answer in the code of laboratories: detected, not detected,
// indeterminate. It says nothing of what was not looked for.
func interpretation(a study.AIState) []Concept {
	switch a {
	case study.Flagged:
		return []Concept{*code(systemInterp, "DET", "Detected")}
	case study.Uncertain:
		return []Concept{*code(systemInterp, "IND", "Indeterminate")}
	case study.NotFlagged:
		return []Concept{*code(systemInterp, "ND", "Not detected")}
	}
	return nil
}

// finding is one finding: what, where, how large, how sure.
func (w Work) finding(f study.Finding) *Observation {
	what := f.What
	if what.Zero() {
		what = unknownFinding
	}
	o := w.observation(tag("finding", string(f.Tracking), strconv.Itoa(f.Number)), w.named(codeFinding))
	o.Identifier = append(o.Identifier, Identifier{System: systemUID, Value: oid(f.Tracking),
		Type: code("http://hl7.org/fhir/uv/dicom-sr/CodeSystem/dicom-identifier-type", "observation-uid", "Observation UID")})
	o.Value = w.named(what)
	if !f.Site.Zero() {
		o.BodySite = w.named(f.Site)
	}
	if !f.Laterality.Zero() {
		o.Component = append(o.Component, Component{Code: w.named(codeLaterality), Value: w.named(f.Laterality)})
	}
	o.Component = append(o.Component, w.numbers(codeScore, f.Probability, false, f.Measurements)...)
	for _, g := range f.Regions {
		c := w.named(codeRegion)
		c.Text = w.Told.Lang.T("fhir.image")
		o.Component = append(o.Component, Component{Code: c, String: place(g)})
	}
	for _, t := range w.Told.Findings {
		if t.Number == f.Number {
			o.Note = append(o.Note, Annotation{Text: t.Text})
			break
		}
	}
	o.Note = append(o.Note, w.caution(f.Probability)...)
	w.standFinding(o, f)
	return o
}

// place names the image that a region lies on, and its frame where there are
// several. The region itself stands in the DICOM objects of the result.
func place(g study.Region) string {
	if g.Frames > 1 && !g.Total {
		return fmt.Sprintf("%s frame %d", oid(g.Instance), g.Frame)
	}
	return oid(g.Instance)
}

// caution says how a number is to be taken. It stands wherever there is one.
func (w Work) caution(p *float64) []Annotation {
	if p == nil || w.Told.Probability == "" {
		return nil
	}
	return []Annotation{{Text: w.Told.Probability}}
}

// label is a thing that was looked for, or a grade that was given.
func (w Work) label(l study.Label) *Observation {
	o := w.observation(tag("label", l.Name), w.named(l.What))
	o.Interpretation = interpretation(l.AI)
	if l.Grade != nil {
		o.Value = w.named(*l.Grade)
		o.Interpretation = nil
		w.stand(o, w.verdict(), w.standing())
		return o
	}
	value := study.Code{Value: "47492008", Scheme: "SCT", Meaning: "Not seen"}
	switch l.AI {
	case study.Flagged:
		value = study.Code{Value: "52101004", Scheme: "SCT", Meaning: "Present"}
	case study.Uncertain:
		value = study.Code{Value: "60022001", Scheme: "SCT", Meaning: "Possible diagnosis"}
	}
	o.Value = concept(value)
	o.Value.Text = w.voice().Label(l)
	o.Component = w.numbers(codeScore, l.Probability, false, nil)
	o.Note = w.caution(l.Probability)
	w.stand(o, w.verdict(), w.standing())
	return o
}

// slide is what became of one slide of a case.
func (w Work) slide(s study.SlideResult) *Observation {
	name := w.item("slide", w.Told.Lang.T("fhir.slide"))
	name.Text += " " + words.SlideName(s)
	o := w.observation(tag("slide", string(s.Series)), name)
	series := Component{Code: w.item("series", "DICOM Series"), String: oid(s.Series)}
	switch s.AI {
	case study.Flagged, study.Uncertain, study.NotFlagged:
		state := w.state(s.AI)
		o.Value, o.Interpretation = &state, interpretation(s.AI)
		o.Component = w.numbers(codeImpression, s.Probability, w.Result.Calibrated, s.Measurements)
		o.Note = w.caution(s.Probability)
	default:
		w.missing(o, s.AI, s.Reason)
	}
	o.Component = append(o.Component, series)
	seen, planned := s.Seen, s.Planned
	if planned > 0 {
		o.Component = append(o.Component,
			Component{Code: w.item("parts-seen", w.Told.Lang.T("fhir.seen")), Integer: &seen},
			Component{Code: w.item("parts-planned", w.Told.Lang.T("fhir.planned")), Integer: &planned})
	}
	w.stand(o, w.verdict(), w.standing())
	return o
}

// numbers makes the components of a probability and of measurements. A probability
// that the site's own cases have calibrated is a percentage; any other is the
// model's own score, from 0 to 1, as in the structured report, and a measurement
// that is one is left out. So is a probability of which nobody can say how it is to
// be taken, and what is no number.
func (w Work) numbers(name study.Code, p *float64, calibrated bool, ms []study.Measurement) []Component {
	var all []Component
	if p != nil && w.Told.Probability != "" {
		one := study.Measurement{Name: codeScore, Value: min(1, max(0, *p)), Unit: study.Code{Value: "1", Scheme: "UCUM"}}
		if calibrated {
			one = study.Measurement{Name: name, Value: 100 * one.Value, Unit: percent}
		}
		ms = append([]study.Measurement{one}, ms...)
	}
	for _, m := range ms {
		if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) || m.Name.Zero() || m.Chance && !calibrated {
			continue
		}
		unit := m.Unit.Value
		all = append(all, Component{Code: w.named(m.Name), Quantity: &Quantity{
			Value: number(m.Value), Unit: w.voice().Unit(m.Unit), System: systemUCUM, Code: unit}})
	}
	return all
}

// number writes six significant digits, without an exponent.
func number(v float64) json.Number {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 5, 64), 64)
	if err != nil {
		short = v
	}
	return json.Number(strconv.FormatFloat(short, 'f', -1, 64))
}

// named writes a code with its name in the reader's language.
func (w Work) named(c study.Code) *Concept {
	return &Concept{Coding: []Coding{coding(c)}, Text: w.voice().Title(c)}
}

// voice is the reader's language with the words of the model's card.
func (w Work) voice() words.Voice { return w.Told.Lang.With(w.Result.Terms) }

// item is a concept of ours, for which no standard has a word.
func (w Work) item(value, text string) *Concept {
	return &Concept{Coding: []Coding{{System: systemItem, Code: value}}, Text: text}
}
