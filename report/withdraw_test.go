package report_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/report"
	"varde/study"
)

// told makes a report that was told to destinations.
func told(rev int, kind, lang, uid string, to ...string) study.Report {
	r := study.Report{Study: chestCT(1, 1).study.UID, Rev: rev, Kind: kind, Lang: lang, UID: study.UID(uid), Series: study.UID(uid + ".1"),
		Media: study.MediaOf(kind), At: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	if r.IsObject() {
		r.Class = report.ClassOf(kind)
	}
	for _, d := range to {
		r.Deliveries = append(r.Deliveries, study.Delivery{Destination: d, Status: "delivered"})
	}
	return r
}

// named gives the objects that a rejection note names, and its title.
func named(t *testing.T, b []byte) string {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	var uids []string
	for _, of := range h.Data.Items(dicom.CurrentRequestedProcedureEvidenceSequence) {
		for _, s := range of.Items(dicom.ReferencedSeriesSequence) {
			for _, o := range s.Items(dicom.ReferencedSOPSequence) {
				uids = append(uids, o.Text(dicom.ReferencedSOPInstanceUID))
			}
		}
	}
	slices.Sort(uids)
	title := h.Data.Items(dicom.ConceptNameCodeSequence)[0].Text(dicom.CodeValue)
	return title + " " + strings.Join(uids, " ")
}

// TestEachDestinationIsToldOfWhatItHas: archives with the same objects share a note
// that names exactly those, also of earlier revisions; who has a message gets one of
// that kind in that language; who has nothing gets nothing, whatever it wants.
func TestEachDestinationIsToldOfWhatItHas(t *testing.T) {
	m := &memory{sample: chestCT(2, 1), objects: map[string][]byte{}}
	all := []study.Report{
		told(1, "sr", "nb", "2.25.1", "PACS", "VNA"), told(1, "gsps", "nb", "2.25.2", "PACS", "VNA"), told(1, "oru", "da", "2.25.3", "RIS"),
		told(2, "sr", "nb", "2.25.4", "PACS", "VNA", "FILES"), told(2, "oru", "da", "2.25.5", "RIS"), told(2, "oru", "nb", "2.25.6", "FILES"),
		told(2, "fhir-r5", "en", "2.25.7", "EPR"),
		// A physician's own word is taken back by nobody else.
		told(2, "oru-final", "da", "2.25.8", "RIS", "WARD"), told(2, "fhir-r5-final", "en", "2.25.9", "EPR"), told(2, "verified", "nb", "2.25.10", "PACS"),
	}
	for i := range all[7:] {
		all[7+i].Purpose = study.PurposeVerified
	}
	w := &report.Writer{Ledger: m, Objects: m, Lang: "nb", Location: time.UTC,
		Wants: []report.Want{{Destination: "NEW", Kinds: []string{"sr", "oru", "reject"}}, {Destination: "VNA", Lang: "nb"}},
		Told:  func(context.Context, study.UID, int, study.ModelRef) ([]study.Report, error) { return all, nil }}
	j := job(m.sample)
	j.Task = study.TaskWithdraw
	for range 2 { // again it makes the same
		m.reports = nil
		if err := w.Handle(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range m.reports {
			line := fmt.Sprintf("%s:%s to %s", r.Kind, r.Lang, strings.Join(r.To, " "))
			if r.IsObject() {
				line += ": " + named(t, m.objects[r.Key])
			}
			got = append(got, line)
		}
		want := []string{"reject:nb to FILES: 113037 2.25.4", "reject-2:nb to PACS VNA: 113037 2.25.1 2.25.2 2.25.4",
			"fhir-r5:en to EPR", "oru:da to RIS", "oru:nb to FILES"}
		if !slices.Equal(got, want) {
			t.Errorf("written\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestReplacedObjectsAreRejectedWhereTheSiteWantsThat and only there.
func TestReplacedObjectsAreRejectedWhereTheSiteWantsThat(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		s := chestCT(1, 1)
		s.study.Rev, s.result.Rev = 3, 3
		old := told(2, "sr", "en", "2.25.4", "PACS")
		m := &memory{sample: s, objects: map[string][]byte{}, old: &old}
		w := &report.Writer{Ledger: m, Objects: m, Lang: "en", Location: time.UTC, Wants: wants("PACS", "NEW"), RejectSuperseded: wanted,
			Told: func(context.Context, study.UID, int, study.ModelRef) ([]study.Report, error) {
				return []study.Report{told(1, "sr", "en", "2.25.3", "PACS"), old, told(2, "oru", "en", "2.25.5", "RIS")}, nil
			}}
		if err := w.Handle(t.Context(), job(s)); err != nil {
			t.Fatal(err)
		}
		var notes []string
		for _, r := range m.reports {
			if r.Kind == report.KindReject {
				notes = append(notes, fmt.Sprint(r.Purpose, " ", r.To, " ", named(t, m.objects[r.Key])))
			}
		}
		if got := strings.Join(notes, "; "); wanted && got != "corrected [PACS] 113001 2.25.4" || !wanted && got != "" {
			t.Errorf("wanted %t: %q", wanted, got)
		}
		if m.reports[0].Kind != report.KindSR {
			t.Error("the corrected report does not go first")
		}
	}
}
