package fhir_test

import (
	"cmp"
	"fmt"
	"time"

	"varde/internal/words"
	"varde/report/answer"
	"varde/report/fhir"
	"varde/study"
)

var at = time.Date(2026, 3, 14, 9, 26, 53, 120_000_000, time.UTC)

func ptr[T any](v T) *T { return &v }

func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

var (
	mm       = study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}
	longAxis = sct("103339001", "Long axis")
	density  = study.Code{Value: "NUCCOUNT", Scheme: "99VARDE", Meaning: "Number of nuclei"}
)

// base is a CT of three slices that a model flagged.
func base() fhir.Work {
	uid := study.DerivedUID("fhir sample")
	w := fhir.Work{
		Study: study.Study{UID: uid, Rev: 1, Modality: study.CT, Accession: "A-1001", Date: "20260314", Time: "081500.5", Description: "THORAX MRS EVERYWOMAN",
			ReceivedAt: at.Add(-time.Minute), SettledAt: at.Add(-30 * time.Second), Instances: 3,
			Patient: study.NewPatient(study.Person{ID: "P-77", Issuer: "1.2.752.97.3.1.3", Name: "Everywoman^Eve", Birth: "19500101", Sex: "F"})},
		Result: study.Result{Study: uid, Rev: 1, Name: "CT nodule candidates", AI: study.Flagged, At: at, Probability: ptr(0.91),
			Model:   study.ModelRef{ID: "nodule-ct", Version: "2.1.0", SHA256: study.Hash{1, 2, 3}},
			Planned: 3, Seen: 3, Measurements: []study.Measurement{{Name: longAxis, Value: 8.4, Unit: mm}}},
		Location: time.UTC, DICOMweb: "https://varde.example/dicom-web",
	}
	for n := range 3 {
		w.Instances = append(w.Instances, study.Instance{UID: study.DerivedUID(string(uid), fmt.Sprint(n)), Series: study.DerivedUID(string(uid), "series"),
			Study: uid, Class: "1.2.840.10008.5.1.4.1.1.2", Modality: study.CT, Number: n + 1, SeriesNumber: 4, SeriesText: "EVERYWOMAN AX", SHA256: study.Hash{byte(n)}, Image: &study.Image{Frames: 1}})
	}
	for n := range 2 {
		w.Result.Findings = append(w.Result.Findings, study.Finding{Number: n + 1, Tracking: study.DerivedUID("tracking", fmt.Sprint(n)),
			What: sct("27925004", "Nodule"), Site: sct("39607008", "Lung"), Laterality: sct("7771000", "Left"), Probability: ptr(0.875 - float64(n)/1e7),
			Measurements: []study.Measurement{{Name: longAxis, Value: 8.4, Unit: mm}, {Name: longAxis, Value: 0.0000123456789, Unit: mm}},
			Regions:      []study.Region{{Instance: w.Instances[n].UID, Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{1, 2, 3, 4}}}})
	}
	return w
}

// told puts words to a sample.
func told(l words.Lang, w fhir.Work) fhir.Work {
	w.Told = words.Tell(l, w.Study, w.Result, words.TellOptions{Instances: w.Instances, Replaces: w.Replaces})
	return w
}

func plain(w *fhir.Work, a study.AIState) {
	w.Result.AI, w.Result.Findings, w.Result.Probability, w.Result.Measurements = a, nil, nil, nil
}

// answered is a reader's answer.
func answered(says string) *answer.Answer {
	return &answer.Answer{By: "A. Dahl", At: at.Add(time.Hour), Says: says, Text: "Mrs Everywoman is well", Organization: "Oslo University Hospital"}
}

// outcomes are all that can become of a result.
var outcomes = []struct {
	name   string
	change func(*fhir.Work)
	report string // status of the AI's DiagnosticReport; empty without one
	task   string
	absent string // the code of the reason why there is no value; empty where there is one
}{
	{"flagged", func(*fhir.Work) {}, "preliminary", "completed", ""},
	{"uncertain", func(w *fhir.Work) { w.Result.AI, w.Result.Findings = study.Uncertain, nil }, "preliminary", "completed", ""},
	{"nothing", func(w *fhir.Work) { plain(w, study.NotFlagged) }, "preliminary", "completed", ""},
	{"partial", func(w *fhir.Work) {
		w.Result.AI, w.Result.Seen, w.Result.Reason = study.Uncertain, 2, study.Reason{Code: study.ReasonDamaged}
	}, "preliminary", "completed", ""},
	{"failed", func(w *fhir.Work) {
		plain(w, study.Failed)
		w.Result.Seen, w.Result.Reason = 0, study.Reason{Code: study.ReasonInternal}
	}, "preliminary", "failed", "error"},
	{"stopped", func(w *fhir.Work) {
		plain(w, study.Failed)
		w.Result.Seen, w.Result.Reason = 0, study.Reason{Code: study.ReasonStopped}
	}, "preliminary", "failed", "not-performed"},
	{"outside", func(w *fhir.Work) {
		plain(w, study.OutOfScope)
		w.Result.Planned, w.Result.Seen, w.Result.Reason = 0, 0, study.Reason{Code: study.ReasonAge}
	}, "preliminary", "rejected", "not-performed"},
	{"running", func(w *fhir.Work) { plain(w, study.Running) }, "", "in-progress", ""},
	{"read", func(w *fhir.Work) {
		w.Answer = answered("agree")
	}, "preliminary", "completed", ""},
	{"disagreed", func(w *fhir.Work) {
		w.Answer = answered("disagree")
	}, "entered-in-error", "completed", ""},
	{"changed", func(w *fhir.Work) {
		w.Answer = answered("changes")
		w.Answer.Verdicts = map[study.UID]study.ReadingStep{
			w.Result.Findings[0].Tracking: {Verdict: "changes", Wrong: []string{"place"}, Text: "larger, Mrs Everywoman"},
			w.Result.Findings[1].Tracking: {Verdict: "disagree", Wrong: []string{"not_there"}, Text: "a vessel of Mrs Everywoman"}}
		w.Answer.Missed = []study.ReadingStep{{Text: "behind the heart of Mrs Everywoman", Mark: &study.Region{Instance: w.Instances[2].UID, Frame: 1, Frames: 1, Shape: study.Point, Points: []float64{10, 20}}}}
	}, "preliminary", "completed", ""},
	{"disagreed in part", func(w *fhir.Work) {
		w.Answer = answered("disagree")
		w.Answer.Verdicts = map[study.UID]study.ReadingStep{w.Result.Findings[0].Tracking: {Verdict: "agree"}}
	}, "preliminary", "completed", ""},
	{"no verdict", func(w *fhir.Work) { w.Answer = answered("none") }, "preliminary", "completed", ""},
	{"failed and read", func(w *fhir.Work) {
		plain(w, study.Failed)
		w.Result.Seen, w.Result.Reason, w.Answer = 0, study.Reason{Code: study.ReasonInternal}, answered("disagree")
	}, "preliminary", "failed", "error"},
	{"read and withdrawn", func(w *fhir.Work) { w.Answer, w.Withdrawn = answered("agree"), true }, "entered-in-error", "entered-in-error", ""},
	{"corrected", func(w *fhir.Work) { w.Replaces = true }, "preliminary", "completed", ""},
	{"corrected and read", func(w *fhir.Work) {
		w.Replaces, w.Answer = true, answered("agree")
	}, "preliminary", "completed", ""},
	{"read again", func(w *fhir.Work) {
		w.Earlier, w.Answer = &fhir.Signed{Result: w.Result, Answer: *answered("agree")}, answered("agree")
		w.Answer.Verdicts = map[study.UID]study.ReadingStep{w.Result.Findings[0].Tracking: {Verdict: "disagree"}}
		w.Result.Findings = w.Result.Findings[:1]
	}, "preliminary", "completed", ""},
	{"final", func(w *fhir.Work) {
		w.Final, w.Answer = true, answered("agree")
		w.Answer.Verdicts = map[study.UID]study.ReadingStep{w.Result.Findings[0].Tracking: {Verdict: "disagree"}}
	}, "", "", ""},
	{"withdrawn", func(w *fhir.Work) { w.Withdrawn = true }, "entered-in-error", "entered-in-error", ""},
	{"labels", func(w *fhir.Work) {
		grade := study.Code{Value: "6111", Scheme: "99VARDE", Meaning: "Grade 2"}
		w.Result.Labels = []study.Label{
			{Name: "pneumothorax", What: sct("36118008", "Pneumothorax"), AI: study.Flagged, Probability: ptr(0.91)},
			{Name: "edema", What: sct("19242006", "Pulmonary edema"), AI: study.NotFlagged, Probability: ptr(0.02)},
			{Name: "grade", What: study.Code{Value: "X", Scheme: "IBSI", Meaning: "Histologic grade"}, AI: study.NotFlagged, Grade: &grade}}
	}, "preliminary", "completed", ""},
	{"slides", func(w *fhir.Work) {
		w.Study.Modality = study.SM
		w.Result.Slides = []study.SlideResult{
			{Series: "2.25.1", Container: "S-1", AI: study.Flagged, Planned: 4, Seen: 4, Measurements: []study.Measurement{{Name: density, Value: 7, Unit: study.Code{Value: "1", Scheme: "UCUM"}}}},
			{Series: "2.25.2", Container: "S-2 <&>", AI: study.NotFlagged, Planned: 4, Seen: 4},
			{Series: "2.25.3", AI: study.Failed, Planned: 4, Reason: study.Reason{Code: study.ReasonPositions}}}
	}, "preliminary", "completed", ""},
	{"bare", func(w *fhir.Work) {
		w.Study.Accession, w.Study.Date, w.Study.Patient = "", "", study.NewPatient(study.Person{})
		w.DICOMweb = ""
	}, "preliminary", "completed", ""},
	{"objects", func(w *fhir.Work) {
		w.Objects = []study.Report{{Kind: "sr", UID: "2.25.9", At: at}, {Kind: "seg", UID: "2.25.8", At: at}, {Kind: "oru", Media: study.MediaHL7, UID: "2.25.7"},
			{Kind: "gsps", UID: "2.25.6", Held: "broken"}}
	}, "preliminary", "completed", ""},
}

func work(l words.Lang, name string) fhir.Work {
	w := base()
	for _, o := range outcomes {
		if o.name == cmp.Or(name, "flagged") {
			o.change(&w)
		}
	}
	return told(l, w)
}
