package findings_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"varde/inference/findings"
	"varde/models/calibration"
	"varde/models/modelcard"
	"varde/study"
)

// calibrationOf fits a card's number to cases of which as many are positive as the
// square of their score says.
func calibrationOf(t *testing.T, card modelcard.Card) (*calibration.File, study.Calibration) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var cases []calibration.Case
	for range 4000 {
		x := r.Float64()
		cases = append(cases, calibration.Case{Score: x, Positive: r.Float64() < x*x, Weight: 1})
	}
	f, err := calibration.Fit(calibration.Isotonic, cases)
	if err != nil {
		t.Fatal(err)
	}
	f.From, f.To, f.Place = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC), "Northern hospital"
	f.Errors = calibration.Judge(cases, card.Flag.Flagged, card.Flag.Uncertain)
	f.Model, f.SHA256, f.Card, f.Output = card.Ref().String(), card.SHA256, card.Hash, card.Flag.By
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = calibration.Parse(b); err != nil {
		t.Fatal(err)
	}
	return &f, study.Calibration{Model: card.Ref(), SHA256: f.Hash, File: b, By: "anna", Reason: "test"}
}

func probabilityCard() modelcard.Card {
	card := mgCard()
	card.Find, card.Output = nil, card.Output[:1]
	card.Output[0].Probability = true
	card.Output[0].Unit = study.Code{Value: "%", Scheme: "UCUM", Meaning: "percent"}
	card.Flag.By = card.Output[0].Name
	return card
}

// TestCalibrationChangesTheProbabilityAndNothingElse concludes the same parts with
// and without one.
func TestCalibrationChangesTheProbabilityAndNothingElse(t *testing.T) {
	card := probabilityCard()
	cal, _ := calibrationOf(t, card)
	last := -1.0
	for _, score := range []float32{0, 0.2, 0.5, 0.8, 1} {
		f := findings.Facts{Card: card, Parts: []study.Part{scored(0, score)}}
		plain := findings.Conclude(f)
		f.Calibration = cal
		r := findings.Conclude(f)
		if plain.Calibrated || plain.Raw != nil || plain.Ran.Calibration != (study.Hash{}) {
			t.Errorf("calibrated by nothing: %+v", plain)
		}
		want, _ := cal.Probability(float64(score))
		if !r.Calibrated || r.Probability == nil || *r.Probability != want || r.Raw == nil || *r.Raw != float64(score) || r.Ran.Calibration != cal.Hash {
			t.Errorf("%v: %+v", score, r)
		}
		if r.AI != plain.AI || r.Measurements[0].Value != 100*want || *r.Probability < last {
			t.Errorf("%v: %s, was %s; %v after %v", score, r.AI, plain.AI, *r.Probability, last)
		}
		last = *r.Probability
		if said := r.Frequency; plain.Frequency != nil || said == nil || said.Like.Share != want || said.Cases != 4000 || said.Place != "Northern hospital" || said.Missed == nil {
			t.Errorf("%v: told as %+v, without a calibration as %+v", score, said, plain.Frequency)
		}
		if !plain.Measurements[0].Chance || !r.Measurements[0].Chance {
			t.Errorf("%v: a probability passes for a measurement: %+v", score, plain.Measurements)
		}
	}
	part := scored(0, 0.9)
	partial := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{part}, Plan: study.ModelPlan{Planned: 5}, Calibration: cal})
	if partial.Calibrated || partial.Raw != nil || partial.Frequency != nil {
		t.Errorf("a partial result is calibrated: %+v", partial)
	}
	stopped := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{part}, Stopped: true, Calibration: cal})
	if stopped.Calibrated || stopped.Probability != nil || stopped.Frequency != nil {
		t.Errorf("a model that was stopped speaks: %+v", stopped)
	}
}

// TestResultSaysWhatTheCardSaysOfTheMark keeps a device of the FDA's alone from
// passing for one that is CE-marked.
func TestResultSaysWhatTheCardSaysOfTheMark(t *testing.T) {
	for _, tt := range []struct {
		device *modelcard.Device
		want   string
	}{
		{nil, ""},
		{&modelcard.Device{Regulation: "FDA", Class: "II", Certificate: "K241727"}, ""},
		{&modelcard.Device{Regulation: "MDR", Class: "IIa", NotifiedBody: "2797"}, "MDR IIa, 2797"},
		{&modelcard.Device{Regulation: "IVDR", Class: "A"}, "IVDR A"},
	} {
		card := mgCard()
		card.Device = tt.device
		if r := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{scored(0, 0.9)}}); r.CE != tt.want {
			t.Errorf("%+v: %q, want %q", tt.device, r.CE, tt.want)
		}
	}
}

// TestResultKeepsTheWordsOfItsCard: whoever tells of it needs no card.
func TestResultKeepsTheWordsOfItsCard(t *testing.T) {
	card := mgCard()
	card.Text = map[string]modelcard.Text{"da": {Codes: []study.Code{{Value: "ODD", Scheme: "99X", Meaning: "sær plet"}}}}
	r := findings.Conclude(findings.Facts{Card: card, Parts: []study.Part{scored(0, 0.9)}})
	if len(r.Terms) != 1 || r.Terms[0].Lang != "da" || r.Terms[0].Code != card.Text["da"].Codes[0] {
		t.Errorf("%+v", r.Terms)
	}
	if r := findings.Conclude(findings.Facts{Card: mgCard(), Parts: []study.Part{scored(0, 0.9)}}); r.Terms != nil {
		t.Errorf("words of a card that has none: %+v", r.Terms)
	}
}

// TestCalibrationOfAnotherModelIsNotUsed holds the file against network, card and
// number.
func TestCalibrationOfAnotherModelIsNotUsed(t *testing.T) {
	card := probabilityCard()
	_, kept := calibrationOf(t, card)
	if _, err := findings.Calibrated(card, kept); err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func(*modelcard.Card, *study.Calibration){
		"another network": func(c *modelcard.Card, _ *study.Calibration) { c.SHA256[0]++ },
		"another card":    func(c *modelcard.Card, _ *study.Calibration) { c.Hash[0]++ },
		"another version": func(c *modelcard.Card, _ *study.Calibration) { c.Version = "9" },
		"another number":  func(c *modelcard.Card, _ *study.Calibration) { c.Flag.By = modelcard.FlagFindings },
		"another file":    func(_ *modelcard.Card, k *study.Calibration) { k.SHA256[0]++ },
		"no file":         func(_ *modelcard.Card, k *study.Calibration) { k.File = nil },
	} {
		c, k := card, kept
		alter(&c, &k)
		if _, err := findings.Calibrated(c, k); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
