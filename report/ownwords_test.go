package report_test

import (
	"bytes"
	"testing"
	"time"

	"varde/report"
	"varde/study"
)

// TestModelsOwnWordsFollowTheDestination writes a finding that only its model has a
// code for: each destination reads of it in its own language, in whatever form, and the
// code keeps the meaning that it was given. A result that was recorded before cards
// spoke other languages says what was recorded.
func TestModelsOwnWordsFollowTheDestination(t *testing.T) {
	odd := study.Code{Value: "ODD", Scheme: "99X", Meaning: "Spot without a name"}
	words := map[string]string{"da": "plet uden navn", "nb": "flekk uten navn", "en": "spot without a name"}
	for _, recorded := range []bool{true, false} {
		s := chestCT(1, 1)
		s.result.Findings[0].What = odd
		if recorded {
			for _, lang := range []string{"nb", "da"} {
				c := odd
				c.Meaning = words[lang]
				s.result.Terms = append(s.result.Terms, study.Term{Lang: lang, Code: c})
			}
		}
		m := &memory{sample: s, objects: map[string][]byte{}}
		w := &report.Writer{Ledger: m, Objects: m, Location: time.UTC, Lang: "en"}
		kinds := []string{report.KindSR, report.KindMessage, report.KindFHIRR4, report.KindFHIRR5, report.KindRings}
		for _, lang := range langs {
			w.Wants = append(w.Wants, report.Want{Destination: lang, Kinds: kinds, Lang: lang})
		}
		if err := w.Handle(t.Context(), job(s)); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, r := range m.reports {
			want := words[r.Lang]
			if !recorded {
				want = words["en"]
			}
			body := m.objects[r.Key]
			if r.Held != "" || len(body) == 0 {
				t.Errorf("%s in %s: held %q, %d bytes", r.Kind, r.Lang, r.Held, len(body))
			}
			if r.Kind != report.KindRings && !bytes.Contains(body, []byte(odd.Meaning)) {
				t.Errorf("%s in %s: the code has lost its meaning", r.Kind, r.Lang)
			}
			if !bytes.Contains(bytes.ToLower(body), []byte(want)) {
				t.Errorf("%s in %s (with words: %v) does not say %q", r.Kind, r.Lang, recorded, want)
			}
			for lang, other := range words {
				if lang != "en" && lang != r.Lang && bytes.Contains(bytes.ToLower(body), []byte(other)) {
					t.Errorf("%s in %s says %q", r.Kind, r.Lang, other)
				}
			}
			seen++
		}
		if seen < len(kinds)*len(langs)-len(langs) {
			t.Errorf("%d objects of %d kinds in %d languages", seen, len(kinds), len(langs))
		}
	}
}
