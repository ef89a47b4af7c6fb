package messages_test

import (
	"fmt"
	"time"

	"varde/internal/words"
	"varde/report/messages"
	"varde/study"
)

// at is when all samples were concluded.
var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

func ucum(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "UCUM", Meaning: meaning}
}

// chest is a message about a CT with so many nodules, in a language.
func chest(l words.Lang, findings int) messages.Input {
	uid := study.DerivedUID("sample", "chest")
	in := messages.Input{
		UID: study.DerivedUID("sample", "message", string(l)), Lang: l, Location: time.FixedZone("CET", 3600),
		Study: study.Study{
			UID: uid, Rev: 1, Modality: study.CT, Accession: "A-1001", ID: "7", Date: "20260314", Time: "081500.5",
			Referring: "Lege^Åse", Description: "CT thorax",
			Patient: study.NewPatient(study.Person{ID: "010190-12345", Name: "Ødegård^Bjørn^Åge^Dr^Jr", Birth: "19900101", Sex: "M"}),
		},
		Result: study.Result{
			Study: uid, Rev: 1, Name: "CT nodule candidates", AI: study.NotFlagged, Parameters: "threshold=0.35", At: at, Planned: 10, Seen: 10,
			Model: study.ModelRef{ID: "nodule-ct", Version: "1.2.0", SHA256: study.Hash{1, 2, 3}},
		},
		Orders: []study.Order{
			{Placer: "PL-OLD", Canceled: true, Patient: study.NewPatient(study.Person{ID: "010190-12345"})},
			{Placer: "PL-9", Filler: "FI-9", Patient: study.NewPatient(study.Person{ID: "010190-12345"}), Identifiers: []study.Identifier{
				{ID: "010190-12345", Authority: "FNR", AuthorityUID: "2.16.578.1.12.4.1.4.1"}, {ID: "H77", Authority: "SYKEHUS"}}},
		},
		Report: &study.Report{UID: study.DerivedUID("sample", "sr"), Series: study.DerivedUID("sample", "sr series")},
	}
	for n := range findings {
		in.Result.AI = study.Flagged
		in.Result.Findings = append(in.Result.Findings, study.Finding{
			Number: n + 1, Tracking: study.DerivedUID("chest", fmt.Sprint(n)), What: sct("27925004", "Nodule"), Site: sct("39607008", "Lung"), Laterality: sct("7771000", "Left"),
			Measurements: []study.Measurement{{Name: sct("103339001", "Long axis"), Value: 8.4, Unit: ucum("mm", "millimeter")}, {Name: sct("118565006", "Volume"), Value: 310.123456789, Unit: ucum("mm3", "cubic millimeter")}},
			Probability:  ptr(0.875),
		})
	}
	return in
}

// told fills in words, as a report has them; the report's own are another
// package's.
func told(in messages.Input) messages.Input {
	in.Lines = map[words.Lang][]string{
		words.English: {"What AI says | of this study.", "How much it saw.", "Model, version & hash.", "Decision support only – not for primary diagnosis."},
		words.Bokmal:  {"Hva KI sier | om denne undersøkelsen.", "Hvor mye den så.", "Modell, versjon & hash.", "Kun beslutningsstøtte – ikke for primærdiagnostikk."},
		words.Danish:  {"Hvad AI siger | om denne undersøgelse.", "Hvor meget den så.", "Model, version & hash.", "Kun beslutningsstøtte – ikke til primærdiagnostik."},
	}[in.Lang]
	return in
}

// calibrated lets the probabilities be seen.
func calibrated(in messages.Input) messages.Input {
	in.Result.Calibrated, in.Result.Probability = true, ptr(0.91)
	return in
}

// labeled adds what is said in words.
func labeled(in messages.Input) messages.Input {
	grade := study.Code{Value: "6111", Scheme: "99VARDE", Meaning: "Grade 2"}
	in.Result.Labels = []study.Label{
		{Name: "pneumothorax", What: sct("36118008", "Pneumothorax"), AI: study.Flagged, Value: 0.91, Probability: ptr(0.91)},
		{Name: "effusion", What: sct("60046008", "Pleural effusion"), AI: study.Uncertain, Value: 0.4, Probability: ptr(0.4)},
		{Name: "edema", What: sct("19242006", "Pulmonary edema"), AI: study.NotFlagged, Value: 0.02, Probability: ptr(0.02)},
		{Name: "grade", What: sct("371469007", "Histologic grade"), AI: study.NotFlagged, Value: 1.9, Grade: &grade, Shares: []float64{0.2, 0.7, 0.1}},
	}
	in.Result.Measurements = []study.Measurement{{Name: sct("118565006", "Volume"), Value: 12, Unit: ucum("mL", "milliliter")},
		{Name: sct("1", "A chance"), Value: 0.5, Unit: ucum("1", "no units"), Chance: true}}
	return in
}

func partial(in messages.Input) messages.Input {
	in.Result.Seen, in.Result.Reason = 7, study.Reason{Code: study.ReasonDamaged, Detail: "3 frames"}
	if in.Result.AI == study.NotFlagged {
		in.Result.AI = study.Uncertain
	}
	return in
}

func failed(in messages.Input) messages.Input {
	in.Result.AI, in.Result.Seen, in.Result.Reason = study.Failed, 0, study.Reason{Code: study.ReasonInternal}
	return in
}

func outside(in messages.Input) messages.Input {
	in.Result.AI, in.Result.Seen, in.Result.Planned, in.Result.Reason = study.OutOfScope, 0, 0, study.Reason{Code: study.ReasonSpacing, Detail: "2.5 mm"}
	return in
}

// slides makes it a case of three slides, of which one could not be scored.
func slides(in messages.Input) messages.Input {
	in.Study.Modality, in.Study.Description = study.SM, ""
	in.Result.Findings, in.Result.Name = nil, "H&E nuclear density"
	for n, s := range []study.AIState{study.Flagged, study.NotFlagged, study.Failed} {
		r := study.SlideResult{Series: study.DerivedUID("slide", fmt.Sprint(n)), AI: s, Container: fmt.Sprintf("S-%d|x", n+1), Planned: 256, Seen: 256,
			Measurements: []study.Measurement{{Name: study.Code{Value: "NUCLEI", Scheme: "99VARDE", Meaning: "Nuclear density"}, Value: 5120, Unit: ucum("/mm2", "per square millimeter")}}}
		if s == study.Failed {
			r.Container, r.Seen, r.Measurements, r.Reason = "", 0, nil, study.Reason{Code: study.ReasonPositions}
		}
		in.Result.Slides = append(in.Result.Slides, r)
	}
	in.Result.AI, in.Result.Planned, in.Result.Seen, in.Result.Slide = study.Flagged, 768, 512, in.Result.Slides[0].Series
	return in
}
