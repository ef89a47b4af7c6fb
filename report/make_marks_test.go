package report_test

import (
	"testing"
	"time"

	"varde/report"
	"varde/study"
)

func TestMarksAreWrittenWhereTheyAreWanted(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		marks      []string
		want       []string
	}{
		{"none by default", "CT flagged", nil, []string{"sr"}},
		{"rings", "CT flagged", []string{report.KindRings}, []string{"gsps", "sr"}},
		{"rings and key images", "MG flagged", []string{report.KindRings, report.KindKeys}, []string{"gsps", "kos", "sr"}},
		{"nothing found has no marks", "CT nothing found", []string{report.KindRings, report.KindKeys}, []string{"sr"}},
		{"AI that failed has no marks", "MG failed", []string{report.KindRings, report.KindKeys}, []string{"sr"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := kinds[tt.kind]
			m := &memory{sample: s, objects: map[string][]byte{}}
			w := &report.Writer{Ledger: m, Objects: m, Location: time.UTC, Marks: tt.marks}
			job := study.Job{Study: s.study.UID, Rev: 1, Task: study.TaskReport, Model: s.result.Model}
			for range 2 { // a second time changes nothing
				if err := w.Handle(t.Context(), job); err != nil {
					t.Fatal(err)
				}
			}
			kinds := map[string]study.Report{}
			for _, r := range m.reports {
				if old, ok := kinds[r.Kind]; ok && (old.UID != r.UID || old.SHA256 != r.SHA256) {
					t.Errorf("%s was written as another object", r.Kind)
				}
				kinds[r.Kind] = r
			}
			for _, k := range tt.want {
				if kinds[k].UID == "" || len(m.objects[kinds[k].Key]) == 0 {
					t.Errorf("no %s", k)
				}
			}
			if len(kinds) != len(tt.want) {
				t.Errorf("%d kinds, want %v", len(kinds), tt.want)
			}
		})
	}
}
