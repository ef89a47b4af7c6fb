package rest_test

import (
	"net/http"
	"strings"
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

// TestAReadersReportOutlivesTheNextState of the study and the stop of its model: what the
// AI says is the new one's, or in error, and what the reader said is final.
func TestAReadersReportOutlivesTheNextState(t *testing.T) {
	s := newSite(t)
	s.scored("1.2", study.Flagged)
	s.OK(s.Ledger.Answer(t.Context(), study.ReadingStep{Study: "1.2", By: "A. Dahl", Step: study.StepFinal, Verdict: "agree"}))
	reports := func() (ai, reader map[string]any) {
		t.Helper()
		_, _, page := s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport?identifier=A1.2")
		for _, r := range found(page) {
			if r["resultsInterpreter"] != nil {
				reader = r
				continue
			}
			ai = r
		}
		if len(found(page)) != 2 || ai == nil || reader == nil {
			t.Fatalf("%d reports: %v", len(found(page)), page)
		}
		if code, _, one := s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport/"+reader["id"].(string)); code != http.StatusOK || one["id"] != reader["id"] {
			t.Errorf("read by its ID: %d", code)
		}
		return ai, reader
	}
	_, first := reports()
	s.Receive("1.2", 3, 3)
	s.OK(s.Ledger.Settle(t.Context(), s.Plan("1.2", storetest.Asked("ct", 2))))
	s.Score()
	for _, j := range s.Claim(study.PoolReport, 1000) {
		s.OK(s.Ledger.Conclude(t.Context(), j, storetest.ResultOf(j, study.NotFlagged, 0.1)))
	}
	s.Report()
	ai, reader := reports()
	if ai["status"] != "preliminary" || reader["status"] != "final" || reader["id"] != first["id"] || reader["conclusion"] != first["conclusion"] {
		t.Errorf("the AI's is %v, the reader's %v: %v", ai["status"], reader["status"], reader["conclusion"])
	}
	s.stop["ct"] = true
	ai, reader = reports()
	if ai["status"] != "entered-in-error" || reader["status"] != "final" || !strings.Contains(reader["conclusion"].(string), "was taken back later") {
		t.Errorf("stopped: the AI's is %v, the reader's %v: %v", ai["status"], reader["status"], reader["conclusion"])
	}
	s.stop["ct"] = false
	s.OK(s.Ledger.Answer(t.Context(), study.ReadingStep{Study: "1.2", By: "A. Dahl", Step: study.StepFinal, Verdict: "agree"}))
	if _, reader = reports(); reader["status"] != "amended" || reader["id"] != first["id"] {
		t.Errorf("read again: %v", reader["status"])
	}
}
