package quality_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"varde/oversight/quality"
	"varde/study"
)

func TestExactIntervals(t *testing.T) {
	// Clopper and Pearson's limits, as printed in tables of the binomial.
	for _, tt := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 0, 0, 1}, {0, 10, 0, 0.3085}, {10, 10, 0.6915, 1}, {1, 10, 0.0025, 0.4450}, {5, 10, 0.1871, 0.8129},
		{2, 100, 0.0024, 0.0704}, {30, 100, 0.2124, 0.3998}, {500, 5000, 0.0918, 0.1087}, {0, 1, 0, 0.975},
	} {
		low, high := quality.Exact(tt.k, tt.n)
		if math.Abs(low-tt.low) > 0.00006 || math.Abs(high-tt.high) > 0.00006 {
			t.Errorf("%d of %d: %.4f–%.4f, want %.4f–%.4f", tt.k, tt.n, low, high, tt.low, tt.high)
		}
	}
}

func TestControlLimitsHoldNearlyAllWeeks(t *testing.T) {
	choose := func(n, k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return math.Exp(a - b - c)
	}
	for _, tt := range []struct {
		p float64
		n int
	}{{0.2, 50}, {0.05, 200}, {0.5, 7}, {0, 20}, {1, 20}, {0.01, 5}} {
		low, high := quality.Limits(tt.p, tt.n)
		inside := 0.0
		for k := range tt.n + 1 {
			if v := float64(k) / float64(tt.n); v >= low-1e-9 && v <= high+1e-9 {
				inside += choose(tt.n, k) * math.Pow(tt.p, float64(k)) * math.Pow(1-tt.p, float64(tt.n-k))
			}
		}
		if inside < 0.9973-1e-6 {
			t.Errorf("share %.2f in %d: limits %.3f–%.3f hold only %.5f", tt.p, tt.n, low, high, inside)
		}
	}
	if low, high := quality.Limits(0.3, 0); low != 0 || high != 1 {
		t.Error("limits of nothing", low, high)
	}
}

var (
	lungs  = study.ModelRef{ID: "lungs", Version: "1"}
	silent = study.ModelRef{ID: "silent", Version: "2"}
	monday = time.Date(2026, 10, 5, 8, 0, 0, 0, time.UTC)
)

// saw is an exam on which lungs said something and a reader something else.
func saw(ai study.AIState, steps ...study.WatchedStep) study.Watched {
	return study.Watched{Study: "1.2", Age: 50, Sex: "F", Sender: "CT1", ReceivedAt: monday, ReadAt: monday.Add(time.Hour),
		Answers: []study.WatchedAnswer{{Model: lungs, AI: ai}}, Steps: steps}
}

func final(verdict string, wrong ...string) study.WatchedStep {
	return study.WatchedStep{Step: study.StepFinal, Reader: 1, Verdict: verdict, Wrong: wrong}
}

func own(verdict string) study.WatchedStep {
	return study.WatchedStep{Step: study.StepOwn, Reader: 1, Verdict: verdict}
}

func finding(m study.ModelRef, verdict string, wrong ...string) study.WatchedStep {
	return study.WatchedStep{Step: study.StepFinding, Reader: 1, Model: m, Verdict: verdict, Wrong: wrong}
}

// TestWhatReadersSayWasThere is the table by which right and wrong are counted.
func TestWhatReadersSayWasThere(t *testing.T) {
	beside := func(w study.Watched) study.Watched {
		w.Answers = append(w.Answers, study.WatchedAnswer{Model: study.ModelRef{ID: "other", Version: "1"}, AI: study.Flagged})
		return w
	}
	none := quality.Rate{}
	for _, tt := range []struct {
		name          string
		exam          study.Watched
		wrong, missed quality.Rate
	}{
		{"flagged, agreed", saw(study.Flagged, final("agree")), quality.Rate{N: 1}, none},
		{"flagged, agreed with changes", saw(study.Flagged, final("changes", "place")), quality.Rate{N: 1}, none},
		{"flagged, disagreed", saw(study.Flagged, final("disagree")), quality.Rate{K: 1, N: 1}, none},
		{"flagged, in the wrong place", saw(study.Flagged, final("disagree", "place")), quality.Rate{N: 1}, none},
		{"flagged, no verdict", saw(study.Flagged, final("none")), none, none},
		{"flagged, unread", saw(study.Flagged), none, none},
		{"flagged, one of two findings is there", saw(study.Flagged, finding(lungs, "disagree", "not_there"), finding(lungs, "agree"), final("disagree")), quality.Rate{N: 1}, none},
		{"flagged, none of its findings is there", saw(study.Flagged, finding(lungs, "disagree", "not_there"), final("agree")), quality.Rate{K: 1, N: 1}, none},
		{"not flagged, agreed", saw(study.NotFlagged, final("agree")), none, quality.Rate{N: 1}},
		{"not flagged, disagreed", saw(study.NotFlagged, final("disagree", "missed")), none, quality.Rate{K: 1, N: 1}},
		{"not flagged, a place marked", saw(study.NotFlagged, study.WatchedStep{Step: study.StepMissed}, final("agree")), none, quality.Rate{K: 1, N: 1}},
		{"not flagged, a wrong text", saw(study.NotFlagged, final("changes", "text")), none, none},
		{"failed, whatever the reader says", saw(study.Failed, final("disagree", "missed")), none, none},
		{"two models spoke: the answer is about both", beside(saw(study.Flagged, final("disagree"))), none, none},
		{"two models spoke: a finding is one's own", beside(saw(study.Flagged, finding(lungs, "disagree"), final("agree"))), quality.Rate{K: 1, N: 1}, none},
	} {
		f := quality.FirstFigures(lungs, false, []study.Watched{tt.exam}, time.UTC)
		if f.Wrong != tt.wrong || f.Missed != tt.missed {
			t.Errorf("%s: wrong %v, missed %v", tt.name, f.Wrong, f.Missed)
		}
		if len(f.Only) != f.Wrong.K || len(f.Passed) != f.Missed.K {
			t.Errorf("%s: lists of %d and %d", tt.name, len(f.Only), len(f.Passed))
		}
	}
	shadow := saw(study.Flagged, own("none"), final("agree"))
	shadow.Answers = append(shadow.Answers, study.WatchedAnswer{Model: silent, AI: study.Flagged, Shadow: true})
	f := quality.FirstFigures(silent, true, []study.Watched{shadow}, time.UTC)
	if !f.Shadow || f.Wrong != (quality.Rate{K: 1, N: 1}) || len(f.Verdicts) != 0 || len(f.Changes) != 0 {
		t.Errorf("a model that nobody sees is judged by the own impression alone: %+v", f)
	}
}

func TestFiguresOfAModelInShadowAreNotThoseOfItInUse(t *testing.T) {
	before := saw(study.Flagged, own("none"), final("agree"))
	before.Answers[0].Shadow = true
	exams := []study.Watched{before, saw(study.Flagged, own("none"), final("agree"))}
	for _, shadow := range []bool{true, false} {
		f := quality.FirstFigures(lungs, shadow, exams, time.UTC)
		if f.Exams != 1 || f.Wrong.N != 1 || (f.Wrong.K == 1) != shadow {
			t.Errorf("shadow %t: %+v", shadow, f)
		}
	}
}

func TestChangedAfterTheAIWasShown(t *testing.T) {
	exams := []study.Watched{
		saw(study.Flagged, own("none"), final("agree")),
		saw(study.Flagged, own("none"), final("disagree")),
		saw(study.Flagged, own("suspicious"), final("agree")),
		saw(study.NotFlagged, own("suspicious"), final("agree")),
		saw(study.NotFlagged, own("suspicious"), final("disagree", "missed")),
		saw(study.NotFlagged, own("none"), final("agree")),
		saw(study.Uncertain, own("none"), final("agree")),
		saw(study.Flagged, final("agree")), // no own impression
	}
	f := quality.FirstFigures(lungs, false, exams, time.UTC)
	if over, stood := f.Turned(); over != 2 || stood != 2 {
		t.Errorf("over %d, stood %d: %+v", over, stood, f.Changes)
	}
	if f.Verdicts["agree"] != 6 || f.Verdicts["disagree"] != 2 || f.Faults["missed"] != 1 {
		t.Error(f.Verdicts, f.Faults)
	}
}

func TestWeeksGroupsAndWaits(t *testing.T) {
	var exams []study.Watched
	for n := range 40 {
		w := saw(study.NotFlagged)
		w.Study, w.ReceivedAt = study.UID(fmt.Sprint("1.", n)), monday.AddDate(0, 0, 7*(n%2)+n%7)
		w.ReadAt = w.ReceivedAt.Add(time.Duration(n+1) * time.Minute)
		if n%4 == 0 {
			w.Answers[0].AI, w.Sender, w.Age, w.Sex = study.Flagged, "CT2", -1, ""
		}
		if n == 39 {
			w.ReadAt, w.Waiting, w.Answers = time.Time{}, true, nil
		}
		exams = append(exams, w)
	}
	f := quality.FirstFigures(lungs, false, exams, time.UTC)
	if f.Exams != 39 || f.Flag != (quality.Rate{K: 10, N: 39}) || len(f.Weeks) != 2 || !f.Weeks[0].From.Equal(monday.Truncate(24*time.Hour)) {
		t.Errorf("%+v", f)
	}
	names := ""
	for _, g := range f.Groups {
		names += fmt.Sprintf("%s=%s:%d ", g.Kind, g.Name, g.Flag.N)
	}
	if names != "site=CT1:29 site=CT2:10 sex=:10 sex=F:29 age=:10 age=50–59:29 " {
		t.Error(names)
	}
	if f.Read.N != 10 || f.Read.Median != 17*time.Minute || f.Read.P95 != 37*time.Minute {
		t.Errorf("%+v", f.Read)
	}
	waits := quality.Waits(exams, monday.AddDate(0, 1, 0))
	if w := waits[0]; w.Kind != "all" || w.N != 39 || w.Median != 20*time.Minute || w.Most != 39*time.Minute || w.Still != 1 {
		t.Errorf("%+v", w)
	}
	for _, w := range waits {
		if w.Kind == "ai" && w.Name == string(study.OutOfScope) && (w.N != 0 || w.Still != 1) {
			t.Errorf("an exam without AI is its own group: %+v", w)
		}
		if w.Kind == "ai" && w.Name == string(study.NotFlagged) && w.N != 29 {
			t.Errorf("nothing is counted as nothing found: %+v", w)
		}
	}
}

func TestAgeBands(t *testing.T) {
	for years, want := range map[int]string{-1: "", 0: "0–17", 17: "0–17", 18: "18–39", 39: "18–39", 40: "40–49", 79: "70–79", 80: "80+", 104: "80+"} {
		if got := quality.AgeBand(years); got != want {
			t.Errorf("%d: %s", years, got)
		}
	}
}
