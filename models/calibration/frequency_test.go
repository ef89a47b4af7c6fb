package calibration_test

import (
	"math"
	"testing"
	"time"

	"varde/models/calibration"
)

// dated fits cases and says when and where they are from.
func dated(t *testing.T, method string, cases []calibration.Case) calibration.File {
	t.Helper()
	f, err := calibration.Fit(method, cases)
	if err != nil {
		t.Fatal(err)
	}
	f.From, f.To, f.Place = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC), "Northern hospital"
	return f
}

// TestFrequencyHoldsTheTruth asks for what was told nine times in ten at least:
// an interval of 95 %.
func TestFrequencyHoldsTheTruth(t *testing.T) {
	for _, method := range []string{calibration.Isotonic, calibration.Platt} {
		truth := bent
		if method == calibration.Platt {
			truth = func(x float64) float64 { return logistic(6*x - 4) }
		}
		held, asked := 0, 0
		for seed := range uint64(10) {
			f := dated(t, method, drawn(1200, seed, truth))
			last := 0.0
			for x := 0.025; x < 1; x += 0.05 {
				got := f.Frequency(x)
				p, _ := f.Probability(x)
				if got == nil || got.Like.Share != p || got.Like.Low > p || got.Like.High < p || got.Like.N != 120 || got.Cases != 1200 || p < last {
					t.Fatalf("%s, %v: %+v", method, x, got)
				}
				last = p
				asked++
				if got.Like.Low <= truth(x) && truth(x) <= got.Like.High {
					held++
				}
			}
		}
		if held < asked*9/10 {
			t.Errorf("%s: %d of %d intervals hold the truth", method, held, asked)
		}
	}
}

func TestNothingIsSaidWithoutPeriodAndPlace(t *testing.T) {
	whole := dated(t, calibration.Platt, drawn(500, 1, bent))
	if whole.Frequency(0.5) == nil || whole.Frequency(math.NaN()) != nil {
		t.Error("a score has no frequency, or what is none has one")
	}
	for name, alter := range map[string]func(*calibration.File){
		"no first day": func(f *calibration.File) { f.From = time.Time{} },
		"no last day":  func(f *calibration.File) { f.To = time.Time{} },
		"turned":       func(f *calibration.File) { f.From, f.To = f.To, f.From },
		"no place":     func(f *calibration.File) { f.Place = " " },
		"no tenths":    func(f *calibration.File) { f.Bins = nil },
	} {
		f := whole
		alter(&f)
		if got := f.Frequency(0.5); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestScoresThatManyCasesHaveCountTogether has whole numbers as scores, as models
// have that are judged by their findings.
func TestScoresThatManyCasesHaveCountTogether(t *testing.T) {
	cases := drawn(3000, 1, bent)
	zeros := 0
	for i := range cases {
		cases[i].Score = math.Floor(cases[i].Score * 4)
		if cases[i].Score == 0 {
			zeros++
		}
	}
	f := dated(t, calibration.Isotonic, cases)
	n := f.Frequency(0).Like.N
	if n < zeros || n > zeros+2*300 {
		t.Errorf("%d cases like a score that %d have", n, zeros)
	}
	if lone := f.Frequency(-5); lone == nil || lone.Like.N != 300 {
		t.Errorf("beyond the end: %+v", lone)
	}
}

// TestBadFitIsNotBelieved bends the curve away from what was seen.
func TestBadFitIsNotBelieved(t *testing.T) {
	f := dated(t, calibration.Platt, drawn(2000, 1, bent))
	f.Curve.B -= 3
	got := f.Frequency(0.1)
	if got.Like.Low > 0.03 || got.Like.High < got.Like.Share {
		t.Errorf("the curve alone is believed: %+v", got)
	}
}

func TestErrorsAreCountedAtTheThresholds(t *testing.T) {
	var cases []calibration.Case
	add := func(n int, score float64, positive bool) {
		for range n {
			cases = append(cases, calibration.Case{Score: score, Positive: positive, Weight: 1})
		}
	}
	add(60, 0.9, true)
	add(40, 0.8, false)
	add(500, 0.5, true)
	add(2, 0.1, true)
	add(98, 0.1, false)
	e := calibration.Judge(cases, 0.8, 0.4)
	if e.Wrong == nil || e.Wrong.N != 100 || math.Abs(e.Wrong.Share-0.4) > 1e-12 || e.Missed == nil || e.Missed.N != 100 || math.Abs(e.Missed.Share-0.02) > 1e-12 {
		t.Errorf("%+v, %+v", e.Wrong, e.Missed)
	}
	// Wilson's interval of 2 in 100.
	if math.Abs(e.Missed.Low-0.00550) > 5e-5 || math.Abs(e.Missed.High-0.07001) > 5e-5 {
		t.Errorf("interval %v to %v", e.Missed.Low, e.Missed.High)
	}
	if e := calibration.Judge(cases, 0.8, 0); e.Missed.N != 600 {
		t.Errorf("without a band between: %+v", e.Missed)
	}
	if e := calibration.Judge(cases, 2, 0.4); e.Wrong != nil {
		t.Errorf("nothing is flagged, and %+v of it is wrong", e.Wrong)
	}
}
