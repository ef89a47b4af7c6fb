package report_test

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/hl7"
	"varde/report"
	"varde/study"
)

// everything is what an installation writes of one study, by kind.
func everything(t *testing.T, i study.Installation) (*gallery, map[string]study.Report) {
	t.Helper()
	g := newGallery(t)
	w := g.writer()
	w.Installation = i
	w.Wants = []report.Want{{Destination: "ALL", Kinds: []string{"sr", "gsps", "kos", "sc", "pdf", "oru", "fhir-r4", "fhir-r5"}}}
	if err := w.Handle(t.Context(), job(g.sample)); err != nil {
		t.Fatal(err)
	}
	return g, g.kept()
}

// TestNoOtherInstallationGivesTheSameNames: two sites with the same model on the same
// study in one language; and the same site a second time.
func TestNoOtherInstallationGivesTheSameNames(t *testing.T) {
	north, theirs := everything(t, study.Installation{ID: "NORTH"})
	south, ours := everything(t, study.Installation{ID: "SOUTH"})
	again, same := everything(t, study.Installation{ID: "SOUTH"})
	if !slices.Equal(slices.Sorted(maps.Keys(theirs)), slices.Sorted(maps.Keys(ours))) || len(ours) < 8 {
		t.Fatalf("written: %v and %v", slices.Sorted(maps.Keys(theirs)), slices.Sorted(maps.Keys(ours)))
	}
	named := map[study.UID]bool{}
	for _, r := range theirs {
		named[r.UID], named[r.Series] = true, true
	}
	own := regexp.MustCompile(`urn:oid:[0-9.]+","value":"(?:DiagnosticReport|Observation|Task)/|Provenance/[-0-9a-z]+`)
	for kind, r := range ours {
		if named[r.UID] || named[r.Series] {
			t.Errorf("%s has a name that another site gave", kind)
		}
		if same[kind].UID != r.UID || same[kind].Series != r.Series || !bytes.Equal(again.objects[same[kind].Key], south.objects[r.Key]) {
			t.Errorf("%s is another one when it is written again", kind)
		}
		switch mine, other := south.objects[r.Key], north.objects[theirs[kind].Key]; r.Media {
		case study.MediaHL7:
			if fillerOf(t, mine) == fillerOf(t, other) {
				t.Errorf("%s: the filler's number is that of another site", kind)
			}
		case study.MediaFHIR:
			names := own.FindAll(mine, -1)
			if len(names) < 4 {
				t.Errorf("%s: %d resources of our own", kind, len(names))
			}
			for _, name := range names {
				if bytes.Contains(other, name) {
					t.Errorf("%s: %s is that of another site too", kind, name)
				}
			}
		default:
			if uid := header(t, mine).Text(dicom.SOPInstanceUID); uid != string(r.UID) {
				t.Errorf("%s is recorded as %s and is %s", kind, r.UID, uid)
			}
		}
	}
}

// fillerOf gives the number by which a record files a message, OBR-3.1.
func fillerOf(t *testing.T, b []byte) string {
	t.Helper()
	m, err := hl7.Parse(b, hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Groups()[0].OBR.Text(3, 1)
}

// TestStudyFromBeforeKeepsItsNames: an installation that got its identity when it had told
// results already writes those again under the same names, and names what it replaces as
// that was recorded.
func TestStudyFromBeforeKeepsItsNames(t *testing.T) {
	m := &memory{sample: chestCT(2, 1), objects: map[string][]byte{}}
	m.sample.study.ReceivedAt = time.Date(2026, 3, 14, 8, 0, 0, 0, time.UTC)
	w := &report.Writer{Ledger: m, Objects: m, Lang: "en", Location: time.UTC}
	handle := func() study.Report {
		t.Helper()
		if err := w.Handle(t.Context(), job(m.sample)); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(m.reports, func(r study.Report) bool { return r.Kind == report.KindSR && r.Rev == m.sample.result.Rev })
		if i < 0 {
			t.Fatal("no report")
		}
		return m.reports[i]
	}
	was := handle()
	w.Installation = study.Installation{ID: "LATE", Since: m.sample.study.ReceivedAt.Add(time.Hour)}
	if now := handle(); now.UID != was.UID || now.SHA256 != was.SHA256 {
		t.Errorf("it was %s and is %s", was.UID, now.UID)
	}
	w.Installation.Since = time.Time{} // as of a store that was there at once
	m.old, m.sample.study.Rev, m.sample.result.Rev = &was, 2, 2
	now := handle()
	if now.UID == was.UID {
		t.Fatal("a later revision has the name of the earlier one")
	}
	replaced := header(t, m.objects[now.Key]).Items(dicom.PredecessorDocumentsSequence)
	if len(replaced) != 1 || replaced[0].Items(dicom.ReferencedSeriesSequence)[0].Items(dicom.ReferencedSOPSequence)[0].Text(dicom.ReferencedSOPInstanceUID) != string(was.UID) {
		t.Error("what it replaces is not named as it was recorded")
	}
}
