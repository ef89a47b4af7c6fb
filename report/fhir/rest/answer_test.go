package rest_test

import (
	"net/http"
	"testing"

	"varde/store/storetest"
	"varde/study"
)

// TestWhatAReaderMarkedIsRead: a reader who did not agree leaves what was marked, and it
// can be read here with who has read it and when.
func TestWhatAReaderMarkedIsRead(t *testing.T) {
	s := newSite(t)
	s.r4.Organization = "Oslo University Hospital"
	s.scored("1.2", study.NotFlagged)
	mark := &study.Region{Instance: "1.2.1.1", Frame: 1, Frames: 1, Shape: study.Point, Points: []float64{10, 20}}
	s.OK(s.Ledger.Answer(t.Context(),
		study.ReadingStep{Study: "1.2", By: "A. Dahl", Step: study.StepMissed, Model: storetest.Model("ct"), Mark: mark, Text: "Mrs Everywoman"},
		study.ReadingStep{Study: "1.2", By: "A. Dahl", Step: study.StepFinal, Verdict: "disagree"}))
	_, _, page := s.ask(http.MethodGet, "/fhir/r4/Observation?identifier=A1.2")
	statuses := map[any]int{}
	for _, o := range found(page) {
		statuses[o["status"]]++
	}
	if len(statuses) != 2 || statuses["final"] != 1 || statuses["entered-in-error"] == 0 {
		t.Errorf("observations are %v", statuses)
	}
	_, _, page = s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport?identifier=A1.2")
	if all := found(page); len(all) != 2 || all[0]["status"] != "preliminary" || all[1]["status"] != "final" || all[1]["resultsInterpreter"] == nil {
		t.Fatalf("%v", all)
	}
	_, _, page = s.ask(http.MethodGet, "/fhir/r4/Provenance?_id="+found(page)[0]["id"].(string))
	if len(found(page)) != 1 {
		t.Errorf("%d who made it", len(found(page)))
	}
	_, _, page = s.ask(http.MethodGet, "/fhir/r4/Provenance?_lastUpdated=gt2020")
	verified := 0
	for _, p := range found(page) {
		agent := p["agent"].([]any)[0].(map[string]any)
		who, whom := agent["who"].(map[string]any), agent["onBehalfOf"].(map[string]any)
		if who["display"] != "A. Dahl" || whom["display"] != "Oslo University Hospital" {
			continue
		}
		verified++
		if code, _, one := s.ask(http.MethodGet, "/fhir/r4/Provenance/"+p["id"].(string)); code != http.StatusOK || one["id"] != p["id"] {
			t.Errorf("read by its ID: %d", code)
		}
	}
	if verified != 1 {
		t.Errorf("%d who verified it", verified)
	}
}
