package report_test

import (
	"testing"
	"time"

	"varde/report"
	"varde/study"
)

// TestEveryReportPassesItsCheckInEveryLanguage writes every kind that is checked, of
// every sample, in each language for a destination of its own: none is held.
func TestEveryReportPassesItsCheckInEveryLanguage(t *testing.T) {
	checked := []string{report.KindSR, "mammo", "chest"}
	for name, s := range kinds {
		m := &memory{sample: s, objects: map[string][]byte{}}
		w := &report.Writer{Ledger: m, Objects: m, Location: time.UTC, Lang: "en"}
		for _, lang := range langs {
			w.Wants = append(w.Wants, report.Want{Destination: lang, Kinds: checked, Lang: lang})
		}
		if err := w.Handle(t.Context(), job(s)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen := map[string]int{}
		for _, r := range m.reports {
			if r.Held != "" {
				t.Errorf("%s: %s in %s is held: %s", name, r.Kind, r.Lang, r.Held)
			}
			if r.Kind == report.KindSR {
				seen[r.Lang]++
			}
			if r.Media != study.MediaDICOM || r.Modality != "SR" {
				t.Errorf("%s: %s is %s, %s", name, r.Kind, r.Media, r.Modality)
			}
		}
		for _, lang := range langs {
			if seen[lang] != 1 {
				t.Errorf("%s: %d reports in %s", name, seen[lang], lang)
			}
		}
	}
}
