package main

import (
	"bytes"
	"strings"
	"testing"

	"varde/worldlist/rehearsal"
	"varde/worldlist/screening"
	"varde/worldlist/simulation"
)

// TestShortHistoryIsSaidAboveItsFigures prints what few reading times are worth.
func TestShortHistoryIsSaidAboveItsFigures(t *testing.T) {
	for known, want := range map[int]bool{3: true, 20: false} {
		var out bytes.Buffer
		c := rehearsal.Comparison{Source: "history", Exams: 64, Known: known, Rules: []simulation.Outcome{{Rule: rehearsal.Ours}}}
		if err := (&desk{out: &out}).printTrial(c); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "TOO LITTLE HISTORY") != want {
			t.Errorf("%d known:\n%s", known, out.String())
		}
	}
}

// TestReplayOfScreeningIsToldInWords prints one program, and why exams of it would have
// been read twice.
func TestReplayOfScreeningIsToldInWords(t *testing.T) {
	var out bytes.Buffer
	(&desk{out: &out}).printScreening([]screening.Replay{{Program: "mammo", Exams: 1, Reads: 2, Twice: 1, Why: map[string]int{"no_score": 1}}}, 1)
	for _, want := range []string{"mammo: 1 exams in 1 days\n", "  by no_score", "2, and 1 with two readers each (+100.0 %)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
}
