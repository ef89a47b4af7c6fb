package report

import (
	"context"

	"varde/internal/dicom"
	"varde/report/marks"
	"varde/study"
)

// KindReject is the note by which archives hide what was written of a result that
// does not hold any more.
const KindReject = "reject"

// makeReject makes the note that rejects every object of a result that is withdrawn.
// Where there is none, nothing is to be rejected.
func makeReject(_ context.Context, _ *Writer, k work) ([]made, error) {
	var objects []study.Report
	for _, r := range k.before {
		if r.IsObject() && basic(r.Kind) != KindReject {
			objects = append(objects, r)
		}
	}
	if k.purpose != study.PurposeWithdrawn || len(objects) == 0 {
		return nil, nil
	}
	note := marks.Rejection{Identity: k.identity(), Model: k.result.Model, Name: k.result.Name, Why: marks.ForSafety, Objects: objects,
		Received: k.instances, Lang: k.lang}
	note.UID, note.Series = k.name(KindReject, 0, "")
	b, err := note.Note()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindReject, 0, "", dicom.KeyObjectSelection, b)}, nil
}
