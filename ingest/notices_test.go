package ingest_test

import (
	"log/slog"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

func (h *house) notices() *ingest.Notices {
	return &ingest.Notices{Expectations: h.ledger, Log: slog.New(slog.DiscardHandler)}
}

// step makes the data set of an N-CREATE or N-SET of a performed procedure step.
func step(status string, of study.UID, objects ...study.UID) *dicom.Item {
	d := dicom.NewItem()
	if status != "" {
		d.Set(dicom.PerformedProcedureStepStatus, status)
	}
	if of != "" {
		d.Seq(dicom.ScheduledStepAttributesSequence, dicom.NewItem().Set(dicom.StudyInstanceUID, of))
	}
	if objects != nil {
		d.Seq(dicom.PerformedSeriesSequence, dicom.NewItem().Seq(dicom.ReferencedImageSequence, references(objects)...))
	}
	return d
}

func references(objects []study.UID) (out []*dicom.Item) {
	for _, o := range objects {
		out = append(out, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, dicom.CTImage).Set(dicom.ReferencedSOPInstanceUID, o))
	}
	return out
}

func TestStepsAndNoticesSayWhatIsMissing(t *testing.T) {
	h := newHouse(t)
	d, err := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 3, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	var all []study.UID
	for _, o := range d.Objects {
		all = append(all, o.Instance)
	}
	n := h.notices()
	addr := h.serveDICOM(t, map[study.UID]dimse.Service{ingest.StepClass: n, ingest.NoticeClass: n})
	a := dial(t, addr, dimse.Plain(ingest.StepClass), dimse.Plain(ingest.NoticeClass))
	say := func(op dimse.Operation, class, instance study.UID, data *dicom.Item, want dimse.Status) {
		t.Helper()
		if got, _, err := a.Request(t.Context(), dimse.Request{Operation: op, Class: class, Instance: instance, Data: data}); got != want || err != nil {
			t.Errorf("%v %v: %v, %v, want %v", op, instance, got, err, want)
		}
	}
	expect := func(objects, missing int, over bool) {
		t.Helper()
		told, gone, err := h.ledger.Expected(t.Context(), d.Study)
		if err != nil || len(told) != 1 || len(told[0].Objects) != objects || gone != missing || told[0].Over != over {
			t.Errorf("%+v, %d missing, %v", told, gone, err)
		}
	}
	say(dimse.NCreate, ingest.StepClass, "1.2.1", step("COMPLETED", d.Study), dimse.InvalidAttribute)
	say(dimse.NCreate, ingest.StepClass, "1.2.1", step("IN PROGRESS", ""), dimse.MissingAttribute)
	say(dimse.NCreate, ingest.StepClass, "1.2.1", step("IN PROGRESS", d.Study), dimse.Success)
	say(dimse.NCreate, ingest.StepClass, "1.2.1", step("IN PROGRESS", d.Study), dimse.DuplicateSOPInstance)
	expect(0, 0, false)
	say(dimse.NSet, ingest.StepClass, "1.2.7", step("COMPLETED", ""), dimse.NoSuchSOPInstance)
	say(dimse.NSet, ingest.StepClass, "1.2.1", step("NONSENSE", ""), dimse.InvalidAttribute)
	say(dimse.NSet, ingest.StepClass, "1.2.1", step("", "", all[0]), dimse.Success)
	expect(1, 1, false)
	h.keepAll(t, d.Objects[:2])
	say(dimse.NSet, ingest.StepClass, "1.2.1", step("COMPLETED", "", all...), dimse.Success)
	expect(3, 1, true)
	say(dimse.NSet, ingest.StepClass, "1.2.1", step("", "", all[0]), dimse.ProcessingFailure) // it is over
	h.keepAll(t, d.Objects[2:])
	expect(3, 0, true)

	notice := dicom.NewItem().Set(dicom.StudyInstanceUID, "1.2.3.4").Seq(dicom.ReferencedSeriesSequence,
		dicom.NewItem().Set(dicom.SeriesInstanceUID, "1.2.3.5").Seq(dicom.ReferencedSOPSequence, references([]study.UID{"1.2.3.6"})...))
	say(dimse.NCreate, ingest.NoticeClass, "", notice, dimse.Success)
	say(dimse.NCreate, ingest.NoticeClass, "1.2.9", dicom.NewItem().Set(dicom.StudyInstanceUID, "1.2.3.4"), dimse.MissingAttribute)
	say(dimse.NSet, ingest.NoticeClass, "1.2.9", notice, dimse.UnrecognizedOperation)
	if told, missing, err := h.ledger.Expected(t.Context(), "1.2.3.4"); err != nil || len(told) != 1 || missing != 1 || !told[0].Over {
		t.Errorf("%+v, %d missing, %v", told, missing, err)
	}
}

func TestWhatPeersTellDecidesHowLongAStudyIsWaitedFor(t *testing.T) {
	const limit = 40 * time.Second
	for what, tt := range map[string]struct {
		signs ingest.Signs
		want  time.Duration
	}{
		"nothing was told":            {ingest.Signs{}, limit},
		"all that was told is here":   {ingest.Signs{Told: 3}, 500 * time.Millisecond},
		"something is missing":        {ingest.Signs{Told: 3, Missing: 1, Ended: true, Complete: true}, limit},
		"the modality is still at it": {ingest.Signs{Told: 3, Unfinished: true, Ended: true}, limit},
		"a level of the slide is not": {ingest.Signs{Told: 3, Lacking: true}, limit},
		"it made nothing and is done": {ingest.Signs{Ended: true}, 500 * time.Millisecond},
	} {
		tt.signs.Cap = limit
		if got := ingest.Wait(tt.signs); got != tt.want {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
}
