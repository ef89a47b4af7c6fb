package fhir

import (
	"html"
	"slices"
	"strings"

	"varde/study"
)

// report makes the DiagnosticReport of the result.
func (w Work) report() *DiagnosticReport {
	r := &DiagnosticReport{
		Base:       Base{ResourceType: "DiagnosticReport", ID: w.id(""), Language: w.language()},
		Identifier: []Identifier{w.own("DiagnosticReport", w.id(""))},
		BasedOn:    w.order(),
		Status:     w.status(),
		Category:   []Concept{w.category()},
		Code:       w.procedure(),
		Subject:    w.Subject(),
		Effective:  w.started(),
		Issued:     instant(w.in(w.Result.At)),
		Result:     []Reference{w.to("Observation", w.id(""))},
		Study:      []Reference{w.imaging()},
	}
	if w.Withdrawn {
		r.Conclusion = w.Told.Lang.T("fhir.withdrawn") + "\n" + w.Told.Model
		r.Text = narrative(r.Language, r.Conclusion)
		return r
	}
	lines, headline := append([]string{w.standing()}, w.Told.Lines()...), w.Told.Headline
	if w.verdict() != "" || w.signing {
		r.ResultsInterpreter = []Reference{w.reader()}
	}
	if r.Result = append(r.Result, w.beside()...); w.signing {
		r.Issued, r.Result = instant(w.in(w.Answer.At)), w.results()
	}
	if w.changed() || w.signing && w.verdict() == "" { // then the reader's words stand, and not those of the AI
		lines, headline = w.judged(), w.title()
	} else {
		r.ConclusionCode = w.conclusion()
	}
	if w.recalled {
		lines = append(lines, w.Told.Lang.T("signed.recalled"))
	}
	r.Conclusion = strings.Join(lines, "\n")
	r.Text = narrative(r.Language, lines...)
	r.PresentedForm = []Attachment{{
		ContentType: "text/plain; charset=utf-8", Language: w.language(),
		Data: []byte(headline + "\n\n" + r.Conclusion + "\n"), Title: w.title(), Creation: instant(w.in(w.Result.At)),
	}}
	for _, o := range w.Objects {
		if o.IsObject() && w.tellsOf(o.Purpose) && o.Held == "" {
			id := UIDIdentifier(o.UID)
			r.Media = append(r.Media, Media{Comment: strings.ToUpper(o.Kind), Link: &Reference{Identifier: &id}})
		}
	}
	return r
}

// tellsOf reports whether a report lists objects that were written for a purpose.
func (w Work) tellsOf(p study.Purpose) bool {
	if w.signing {
		return p == study.PurposeVerified
	}
	return p == study.PurposeResult || p == study.PurposePatient
}

// beside points to the observations that are no members of that of the study: what the
// reader found, and what stands of a result that does not as a whole.
func (w Work) beside() []Reference {
	all := w.missed()
	if w.verdict() == "disagree" {
		all = append(slices.DeleteFunc(w.observations(), func(o *Observation) bool { return o.Status == "entered-in-error" }), all...)
	}
	var to []Reference
	for _, o := range all {
		to = append(to, w.to("Observation", o.ID))
	}
	return to
}

// standing says whether a physician stands behind the result.
func (w Work) standing() string {
	switch v := w.verdict(); {
	case v == "agree":
		return w.Told.Lang.T("fhir.agree")
	case v == "changes":
		return w.Told.Lang.T("fhir.changes")
	case v == "disagree":
		return w.Told.Lang.T("fhir.disagree")
	case w.signing:
		return w.Told.Lang.T("verified.says_none")
	case w.read:
		return w.Told.Lang.T("fhir.unread") + " " + w.Told.Lang.T("signed.beside")
	}
	return w.Told.Lang.T("fhir.unread")
}

func (w Work) title() string {
	if w.verdict() != "" || w.signing {
		return w.Told.Lang.T("fhir.title.read")
	}
	return w.Told.Lang.T("fhir.title")
}

// category says which service the report is of, HL7 table 0074.
func (w Work) category() Concept {
	const system = "http://terminology.hl7.org/CodeSystem/v2-0074"
	if w.Study.Modality == study.SM {
		return *code(system, "SP", "Surgical Pathology")
	}
	return *code(system, "RAD", "Radiology")
}

func (w Work) procedure() *Concept {
	c := code(systemLOINC, "18748-4", "Diagnostic imaging study")
	if w.Study.Modality == study.SM {
		c = code(systemLOINC, "11526-1", "Pathology study")
	}
	c.Text = w.title()
	return c
}

// The summary of what ran and what it found, PS3.16 CID 6047, and the status of the
// detection, CID 6042: the same codes as in our structured report.
func (w Work) outcome() (summary, status study.Code) {
	dcm := func(value, meaning string) study.Code {
		return study.Code{Value: value, Scheme: "DCM", Meaning: meaning}
	}
	r := w.Result
	found := len(w.left().Findings) > 0 || len(r.Findings) == 0 && r.Found()
	none := dcm("111245", "No algorithms succeeded; without findings")
	partly := dcm("111223", "Partially Succeeded")
	switch {
	case r.AI == study.OutOfScope:
		return none, dcm("111225", "Not Attempted")
	case !w.answered():
		return none, dcm("111224", "Failed")
	case r.Partial() && found:
		return dcm("111244", "Not all algorithms succeeded; with findings"), partly
	case r.Partial():
		return dcm("111243", "Not all algorithms succeeded; without findings"), partly
	case found:
		return dcm("111242", "All algorithms succeeded; with findings"), dcm("111222", "Succeeded")
	}
	return dcm("111241", "All algorithms succeeded; without findings"), dcm("111222", "Succeeded")
}

// conclusion gives the codes of the conclusion: what ran and what it found, what
// became of it, and the word for the result.
func (w Work) conclusion() []Concept {
	summary, status := w.outcome()
	return []Concept{*concept(summary), *concept(status), w.state(w.Result.AI)}
}

// state is the AI's state in our own codes.
func (w Work) state(a study.AIState) Concept {
	return Concept{Coding: []Coding{{System: systemState, Code: strings.ReplaceAll(string(a), "_", "-")}}, Text: w.Told.Lang.T("ai." + string(a))}
}

// narrative writes lines as XHTML.
func narrative(lang string, lines ...string) *Narrative {
	var b strings.Builder
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml" lang="` + lang + `" xml:lang="` + lang + `">`)
	for _, l := range lines {
		b.WriteString("<p>" + html.EscapeString(printable(l)) + "</p>")
	}
	b.WriteString("</div>")
	return &Narrative{Status: "generated", Div: b.String()}
}

// printable leaves out what XML may not hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF || r == 0xFFFD {
			return -1
		}
		return r
	}, s)
}
