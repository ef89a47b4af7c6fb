package main

import (
	"bytes"
	"strings"
	"testing"

	"varde/worldlist/screening"
)

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
