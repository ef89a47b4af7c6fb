package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// The classes by which peers tell what a study holds.
const (
	// StepClass is the performed procedure step of a modality, PS3.4 Annex F.7.
	StepClass study.UID = "1.2.840.10008.3.1.2.3.3"
	// NoticeClass is the instance availability notification, PS3.4 Annex R.
	NoticeClass study.UID = "1.2.840.10008.5.1.4.33"
)

// stepBegun is the status that a step is created with, PS3.3 §C.4.14.
const stepBegun = "IN PROGRESS"

// Expectations is where what peers tell is kept.
type Expectations interface {
	// BeginStep keeps a step that has begun. A known one wraps fs.ErrExist.
	BeginStep(ctx context.Context, id study.UID, expected []study.Expectation) error
	// ChangeStep keeps a step's new status, empty for the same, and which objects
	// it has made, nil when it does not say.
	ChangeStep(ctx context.Context, id study.UID, status string, objects []study.UID) error
	// Expect keeps what a notice says.
	Expect(ctx context.Context, expected []study.Expectation) error
}

// Notices hears what a modality has made of a study, and what an archive has. It
// changes nothing but how long the study is waited for; see [Wait].
type Notices struct {
	Expectations Expectations
	Log          *slog.Logger
}

var _ dimse.Service = (*Notices)(nil)

// Serve takes the N-CREATE and N-SET of a step, and the N-CREATE of a notice.
func (n *Notices) Serve(ctx context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	answer := dimse.Answer{Instance: x.Instance}
	if answer.Instance == "" && x.Operation == dimse.NCreate { // then the provider names it, PS3.7 §10.1.5.1.4
		answer.Instance = study.DerivedUID("notice", rand.Text())
	}
	switch {
	case x.Operation == dimse.NCreate && x.Class == StepClass:
		answer.Status = n.begin(ctx, answer.Instance, x)
	case x.Operation == dimse.NSet && x.Class == StepClass:
		answer.Status = n.change(ctx, answer.Instance, x)
	case x.Operation == dimse.NCreate && x.Class == NoticeClass:
		answer.Status = n.notice(ctx, answer.Instance, x)
	default:
		answer.Status = dimse.UnrecognizedOperation
	}
	return answer, nil
}

// begin takes a step that has begun, and for which studies.
func (n *Notices) begin(ctx context.Context, id study.UID, x *dimse.Exchange) dimse.Status {
	switch x.Data.Text(dicom.PerformedProcedureStepStatus) {
	case stepBegun:
	case "":
		return dimse.MissingAttribute
	default:
		return dimse.InvalidAttribute
	}
	objects, _, status := stepObjects(x.Data)
	if status != dimse.Success {
		return status
	}
	studies := map[study.UID]bool{}
	for item := range x.Data.Each(dicom.ScheduledStepAttributesSequence) {
		uid, err := study.ParseUID(item.Text(dicom.StudyInstanceUID))
		if err != nil {
			return dimse.InvalidAttribute
		}
		if studies[uid] = true; len(studies) > mostStudies {
			return dimse.ResourceLimitation
		}
	}
	if len(studies) == 0 {
		return dimse.MissingAttribute
	}
	var expected []study.Expectation
	for uid := range studies {
		expected = append(expected, study.Expectation{ID: id, Study: uid, Source: "mpps", Shared: len(studies) > 1, Objects: objects})
	}
	return n.done(ctx, x, id, n.Expectations.BeginStep(ctx, id, expected))
}

// mostStudies is how many studies one step may be for.
const mostStudies = 64

// change takes what a modality adds to a step.
func (n *Notices) change(ctx context.Context, id study.UID, x *dimse.Exchange) dimse.Status {
	if id == "" {
		return dimse.NoSuchSOPInstance
	}
	objects, told, status := stepObjects(x.Data)
	if status != dimse.Success {
		return status
	}
	if !told {
		objects = nil
	}
	return n.done(ctx, x, id, n.Expectations.ChangeStep(ctx, id, x.Data.Text(dicom.PerformedProcedureStepStatus), objects))
}

// stepObjects reads which objects a step has made. told is false when it does not
// say.
func stepObjects(d *dicom.Dataset) (objects []study.UID, told bool, status dimse.Status) {
	objects = []study.UID{}
	for series := range d.Each(dicom.PerformedSeriesSequence) {
		for _, t := range []dicom.Tag{dicom.ReferencedImageSequence, dicom.ReferencedNonImageCompositeSOPInstanceSequence} {
			refs, status := readReferences(series, t)
			if status != dimse.Success {
				return nil, false, status
			}
			for _, r := range refs {
				objects = append(objects, r.Instance)
			}
			if len(objects) > mostReferences {
				return nil, false, dimse.ResourceLimitation
			}
		}
	}
	return objects, d.Has(dicom.PerformedSeriesSequence), dimse.Success
}

// notice takes what an archive has of a study.
func (n *Notices) notice(ctx context.Context, id study.UID, x *dimse.Exchange) dimse.Status {
	if !x.Data.Has(dicom.StudyInstanceUID) || !x.Data.Has(dicom.ReferencedSeriesSequence) {
		return dimse.MissingAttribute
	}
	e := study.Expectation{ID: id, Source: "ian", Over: true, Objects: []study.UID{}}
	var err error
	if e.Study, err = study.ParseUID(x.Data.Text(dicom.StudyInstanceUID)); err != nil {
		return dimse.InvalidAttribute
	}
	for series := range x.Data.Each(dicom.ReferencedSeriesSequence) {
		refs, status := readReferences(series, dicom.ReferencedSOPSequence)
		if status != dimse.Success {
			return status
		}
		for _, r := range refs {
			e.Objects = append(e.Objects, r.Instance)
		}
		if len(e.Objects) > mostReferences {
			return dimse.ResourceLimitation
		}
	}
	return n.done(ctx, x, id, n.Expectations.Expect(ctx, []study.Expectation{e}))
}

// done turns what became of it into the answer.
func (n *Notices) done(ctx context.Context, x *dimse.Exchange, id study.UID, err error) dimse.Status {
	switch {
	case err == nil:
		n.Log.InfoContext(ctx, "notice kept", "operation", x.Operation.String(), "class", x.Class, "instance", id, "ae", x.Calling)
		return dimse.Success
	case errors.Is(err, fs.ErrExist):
		return dimse.DuplicateSOPInstance
	case errors.Is(err, study.ErrNotFound):
		return dimse.NoSuchSOPInstance
	case errors.Is(err, study.ErrInvalid):
		return dimse.InvalidAttribute
	}
	n.Log.WarnContext(ctx, "notice not kept", "instance", id, "ae", x.Calling, "err", err)
	return dimse.ProcessingFailure
}
