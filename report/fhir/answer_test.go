package fhir_test

import (
	"slices"
	"strings"
	"testing"

	"varde/internal/words"
	"varde/report/fhir"
)

// TestAReaderLeavesWhatStands: what a reader agreed to is final and the reader's, of
// what was changed the numbers and the place are gone, of what was rejected nothing is
// left, and what was missed is there, of no device.
func TestAReaderLeavesWhatStands(t *testing.T) {
	for name, want := range map[string]struct{ whole, first, second, missed string }{
		"read":               {"final", "final", "final", ""},
		"changed":            {"final", "final", "entered-in-error", "final"},
		"disagreed":          {"entered-in-error", "entered-in-error", "entered-in-error", ""},
		"disagreed in part":  {"entered-in-error", "final", "entered-in-error", ""},
		"no verdict":         {"preliminary", "preliminary", "preliminary", ""},
		"corrected and read": {"amended", "amended", "amended", ""},
		"flagged":            {"preliminary", "preliminary", "preliminary", ""},
		"read and withdrawn": {"entered-in-error", "entered-in-error", "entered-in-error", ""},
	} {
		var all []*fhir.Observation
		var report *fhir.DiagnosticReport
		var verified *fhir.Provenance
		for _, r := range work(words.English, name).Resources() {
			switch r := r.(type) {
			case *fhir.Observation:
				all = append(all, r)
			case *fhir.DiagnosticReport:
				report = r
			case *fhir.Provenance:
				if r.Agent[0].Type.Coding[0].Code == "verifier" {
					verified = r
				}
			}
		}
		missed := ""
		if len(all) == 4 {
			missed = all[3].Status
		}
		if all[0].Status != want.whole || all[1].Status != want.first || all[2].Status != want.second || missed != want.missed {
			t.Errorf("%s: %s, %s, %s, %q, want %+v", name, all[0].Status, all[1].Status, all[2].Status, missed, want)
		}
		for n, o := range all {
			read := o.Status == "final" || o.Status == "amended"
			if by := len(o.Performer) == 1 && o.Performer[0].Display == "A. Dahl"; by != read {
				t.Errorf("%s: observation %d is %s, by %+v", name, n, o.Status, o.Performer)
			}
			if o.Status == "entered-in-error" && (o.Value != nil || o.Component != nil || o.Interpretation != nil || o.Note == nil) {
				t.Errorf("%s: of observation %d something is left: %+v", name, n, o)
			}
			if said := slices.ContainsFunc(verifiedBy(verified), func(id string) bool { return id == "Observation/"+o.ID }); said != read {
				t.Errorf("%s: observation %d is %s, and verified: %v", name, n, o.Status, said)
			}
		}
		if (verified != nil) != (len(report.ResultsInterpreter) == 1) {
			t.Errorf("%s: interpreted by %+v", name, report.ResultsInterpreter)
		}
		if verified != nil && (verified.Agent[0].Who.Display != "A. Dahl" || verified.Agent[0].OnBehalfOf.Display != "Oslo University Hospital" || verified.Recorded != "2026-03-14T10:26:53.12Z") {
			t.Errorf("%s: %+v", name, verified)
		}
		if name != "changed" {
			continue
		}
		if len(all[1].Component) > 0 || all[1].Value == nil || !strings.Contains(all[1].Note[0].Text, "with changes. Wrong place or size") {
			t.Errorf("changed: %+v", all[1])
		}
		if all[3].Device != nil || all[3].Method != nil || len(report.Result) != 2 || report.ConclusionCode != nil {
			t.Errorf("missed: %+v, among %v", all[3], report.Result)
		}
		for _, line := range []string{"agrees with the AI in part", "Finding #1: agreed with changes.", "Finding #2 of the AI was rejected", "not found by the AI: #1"} {
			if !strings.Contains(report.Conclusion, line) {
				t.Errorf("it does not say %q: %s", line, report.Conclusion)
			}
		}
		if len(all[0].Interpretation) > 0 || strings.Contains(report.Conclusion, "points at 2") {
			t.Errorf("the AI speaks on: %s", report.Conclusion)
		}
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
