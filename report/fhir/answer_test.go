package fhir_test

import (
	"slices"
	"strings"
	"testing"

	"varde/internal/words"
	"varde/report/fhir"
)

// A side is what one of the two says of a result: the AI, or its reader.
type side struct {
	report       *fhir.DiagnosticReport
	observations []*fhir.Observation
	verified     *fhir.Provenance
}

// statuses gives those of the report and of all observations, in their order.
func (s side) statuses() string {
	if s.report == nil {
		return ""
	}
	all := s.report.Status + ":"
	for _, o := range s.observations {
		all += " " + o.Status
	}
	return all
}

// sides tells apart what is the AI's and what is the reader's: the AI's observations
// are of the identifiers that they have when nobody has read them.
func sides(w fhir.Work) (ai, reader side) {
	unread := w
	unread.Answer, unread.Final, unread.Earlier, unread.Withdrawn = nil, false, nil, false
	ids := map[string]bool{}
	for _, r := range unread.Resources() {
		ids[fhir.TypeOf(r)+fhir.IDOf(r)] = true
	}
	for _, r := range w.Resources() {
		s := &reader
		if ids[fhir.TypeOf(r)+fhir.IDOf(r)] {
			s = &ai
		}
		switch r := r.(type) {
		case *fhir.Observation:
			s.observations = append(s.observations, r)
		case *fhir.DiagnosticReport:
			s.report = r
		case *fhir.Provenance:
			if r.Agent[0].Type.Coding[0].Code == "verifier" {
				s.verified = r
			}
		}
	}
	return ai, reader
}

// TestAReaderLeavesWhatStands: what a reader agreed to is final and the reader's, of
// what was changed the numbers and the place are gone, of what was rejected nothing is
// left, and what was missed is there, of no device. What the AI said stays preliminary
// beside it, but what was rejected is in error there too.
func TestAReaderLeavesWhatStands(t *testing.T) {
	const open = "preliminary: preliminary preliminary preliminary"
	for name, want := range map[string]struct{ ai, reader string }{
		"flagged":            {open, ""},
		"read":               {open, "final: final final final"},
		"changed":            {"preliminary: preliminary preliminary entered-in-error", "final: final final final"},
		"disagreed":          {"entered-in-error: entered-in-error entered-in-error entered-in-error", "final:"},
		"disagreed in part":  {"preliminary: entered-in-error preliminary entered-in-error", "final: final"},
		"no verdict":         {open, "final:"},
		"corrected and read": {open, "final: final final final"},
		"read again":         {"preliminary: preliminary entered-in-error", "amended: final entered-in-error entered-in-error"},
		"read and withdrawn": {"entered-in-error: entered-in-error entered-in-error entered-in-error", "final: final final final"},
		"failed and read":    {"preliminary: cancelled", ""},
	} {
		w := work(words.English, name)
		ai, reader := sides(w)
		if name == "read again" {
			want.reader = strings.Replace(want.reader, ": final", ": amended", 1)
		}
		if ai.statuses() != want.ai || reader.statuses() != want.reader {
			t.Errorf("%s: the AI's %q and the reader's %q, want %+v", name, ai.statuses(), reader.statuses(), want)
		}
		if ai.verified != nil || (reader.verified != nil) != (want.reader != "") {
			t.Errorf("%s: verified by %v and %v", name, ai.verified, reader.verified)
		}
		for _, o := range slices.Concat(ai.observations, reader.observations) {
			read := o.Status == "final" || o.Status == "amended"
			if by := len(o.Performer) == 1 && o.Performer[0].Display == "A. Dahl"; by != read {
				t.Errorf("%s: an observation is %s, by %+v", name, o.Status, o.Performer)
			}
			if o.Status == "entered-in-error" && (o.Value != nil || o.Component != nil || o.Interpretation != nil || o.Note == nil) {
				t.Errorf("%s: something is left of what is in error: %+v", name, o)
			}
			if said := slices.Contains(verifiedBy(reader.verified), "Observation/"+o.ID); said != read {
				t.Errorf("%s: an observation is %s, and verified: %v", name, o.Status, said)
			}
			for _, m := range o.HasMember {
				if !slices.ContainsFunc(slices.Concat(ai.observations, reader.observations), func(o *fhir.Observation) bool { return m.Reference == "Observation/"+o.ID }) {
					t.Errorf("%s: a member that is nowhere: %+v", name, m)
				}
			}
		}
		if p := reader.verified; p != nil && (p.Agent[0].Who.Display != "A. Dahl" || p.Agent[0].OnBehalfOf.Display != "Oslo University Hospital" ||
			p.Recorded != "2026-03-14T10:26:53.12Z" || len(reader.report.ResultsInterpreter) != 1 || p.Entity[0].What.Identifier.Value != ai.report.Identifier[0].Value) {
			t.Errorf("%s: %+v of %+v", name, p, reader.report)
		}
	}
}

// TestTheReadersReportSpeaksForTheReader and not for the AI where they differ; a recall
// is said in it, and takes nothing of it.
func TestTheReadersReportSpeaksForTheReader(t *testing.T) {
	ai, reader := sides(work(words.English, "changed"))
	first, missed := reader.observations[1], reader.observations[2]
	if len(first.Component) > 0 || first.Value == nil || !strings.Contains(first.Note[0].Text, "with changes. Wrong place or size") ||
		first.DerivedFrom[0].Identifier.Value != ai.observations[1].Identifier[0].Value {
		t.Errorf("changed: %+v", first)
	}
	if missed.Device != nil || missed.Method != nil || missed.DerivedFrom != nil || len(reader.report.Result) != 2 || reader.report.ConclusionCode != nil {
		t.Errorf("missed: %+v, among %v", missed, reader.report.Result)
	}
	for _, line := range []string{"agrees with the AI in part", "Finding #1: agreed with changes.", "Finding #2 of the AI was rejected", "not found by the AI: #1"} {
		if !strings.Contains(reader.report.Conclusion, line) {
			t.Errorf("it does not say %q: %s", line, reader.report.Conclusion)
		}
	}
	if whole := reader.observations[0]; len(whole.Interpretation) > 0 || strings.Contains(reader.report.Conclusion, "points at 2") {
		t.Errorf("the AI speaks on: %s", reader.report.Conclusion)
	}
	if text := ai.report.Conclusion; !strings.Contains(text, "no physician has confirmed") || !strings.Contains(text, "in a report of its own") {
		t.Errorf("the AI's does not say whose it is: %s", text)
	}
	_, reader = sides(work(words.English, "read and withdrawn"))
	if !strings.Contains(reader.report.Conclusion, "was taken back later") || !strings.Contains(reader.report.Conclusion, "agrees with the AI") {
		t.Errorf("after a recall: %s", reader.report.Conclusion)
	}
	if _, reader = sides(work(words.English, "no verdict")); !strings.Contains(reader.report.Conclusion, "no verdict") || strings.Contains(reader.report.Conclusion, "points at") {
		t.Errorf("without a verdict: %s", reader.report.Conclusion)
	}
}

// TestAFinalHoldsTheReadersAlone and what of the AI's is struck out, unless the AI has
// an answer to a later state of the study.
func TestAFinalHoldsTheReadersAlone(t *testing.T) {
	w := work(words.English, "final")
	ai, reader := sides(w)
	if len(ai.observations) != 1 || ai.observations[0].Status != "entered-in-error" || ai.report != nil || reader.statuses() != "final: final final" {
		t.Errorf("the AI's %+v, the reader's %q", ai, reader.statuses())
	}
	w.Alone = true
	if ai, reader = sides(w); len(ai.observations) > 0 || reader.statuses() != "final: final final" {
		t.Errorf("alone: the AI's %+v, the reader's %q", ai, reader.statuses())
	}
}

// verifiedBy gives what a Provenance is of.
func verifiedBy(p *fhir.Provenance) []string {
	var all []string
	if p != nil {
		for _, to := range p.Target {
			all = append(all, to.Reference)
		}
	}
	return all
}
