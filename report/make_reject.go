package report

import (
	"context"
	"time"

	"varde/internal/dicom"
	"varde/report/marks"
	"varde/study"
)

// KindReject is the note by which archives hide what was written of a result that
// does not hold any more.
const KindReject = "reject"

// makeReject makes the note that rejects objects of a result that is withdrawn, or
// of one that was replaced: all that were written before. Where there is none,
// nothing is to be rejected.
func makeReject(_ context.Context, _ *Writer, k work) ([]made, error) {
	var objects []study.Report
	for _, r := range k.before {
		if r.IsObject() && basic(r.Kind) != KindReject {
			objects = append(objects, r)
		}
	}
	if k.purpose == study.PurposeResult || len(objects) == 0 {
		return nil, nil
	}
	note := marks.Rejection{Identity: k.identity(), Model: k.result.Model, Name: k.result.Name, Why: marks.ForSafety, Objects: objects,
		Received: k.instances, Lang: k.lang}
	switch {
	case k.readdressed: // they are under facts that are another's, or were wrong
		note.Why = marks.ForWorklist
	case k.purpose == study.PurposeCorrected: // nothing is wrong with the images that they are of
		note.Why = marks.ForQuality
	}
	for _, o := range objects { // it is younger than all that it rejects
		if next := o.At.Add(time.Second); next.After(note.Identity.At) {
			note.Identity.At = next.In(note.Identity.At.Location())
		}
	}
	note.UID, note.Series = k.name(KindReject, k.number, "")
	b, err := note.Note()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindReject, k.number, "", dicom.KeyObjectSelection, b)}, nil
}
