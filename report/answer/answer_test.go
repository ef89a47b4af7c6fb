package answer_test

import (
	"strings"
	"testing"
	"time"

	"varde/internal/words"
	"varde/report/answer"
	"varde/study"
)

var (
	at     = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	model  = study.ModelRef{ID: "ct", Version: "1"}
	result = study.Result{Study: "1.2", Rev: 2, Model: model, Findings: []study.Finding{{Number: 1, Tracking: "2.25.1"}, {Number: 2, Tracking: "2.25.2"}, {Number: 3, Tracking: "2.25.3"}}}
)

func step(by, kind, verdict string, more ...func(*study.ReadingStep)) study.ReadingStep {
	s := study.ReadingStep{Study: "1.2", Rev: 2, By: by, Step: kind, Verdict: verdict, At: at}
	if kind == study.StepFinding {
		s.Model = model
	}
	for _, m := range more {
		m(&s)
	}
	return s
}

func on(tracking study.UID) func(*study.ReadingStep) {
	return func(s *study.ReadingStep) { s.Tracking = tracking }
}

func saying(text string, wrong ...string) func(*study.ReadingStep) {
	return func(s *study.ReadingStep) { s.Text, s.Wrong = text, wrong }
}

// steps are what two readers did; the second one's answer is the last.
var steps = []study.ReadingStep{
	step("B. Moe", study.StepFinding, "disagree", on("2.25.1")), step("B. Moe", study.StepFinal, "disagree"),
	step("A. Dahl", study.StepFinding, "disagree", on("2.25.2")), step("A. Dahl", study.StepFinding, "agree", on("2.25.2")),
	step("A. Dahl", study.StepFinding, "changes", on("2.25.1"), saying("larger", "place")), step("A. Dahl", study.StepFinding, "disagree", on("2.25.3")),
	step("A. Dahl", study.StepFinding, "disagree", on("2.25.1"), func(s *study.ReadingStep) { s.Rev = 1 }),
	step("A. Dahl", study.StepMissed, "", saying("behind the heart")),
	step("A. Dahl", study.StepMissed, "", func(s *study.ReadingStep) { s.Model.ID = "another" }),
	step("A. Dahl", study.StepFinal, "changes", saying("See the CT of May.")),
}

// TestTheLastAnswerCounts, with that reader's verdicts on this state and this model.
func TestTheLastAnswerCounts(t *testing.T) {
	a, ok := answer.Of(steps, result)
	if !ok || a.By != "A. Dahl" || a.Says != "changes" || len(a.Missed) != 1 || len(a.Verdicts) != 3 || a.Verdicts["2.25.2"].Verdict != "agree" || a.Verdicts["2.25.1"].Verdict != "changes" {
		t.Errorf("%v: %+v", ok, a)
	}
	if left := a.Left(result).Findings; len(left) != 2 || left[1].Number != 2 || len(result.Findings) != 3 {
		t.Errorf("left are %+v", left)
	}
	if _, ok := answer.Of(steps[2:8], result); ok {
		t.Error("an answer that nobody has given")
	}
}

// TestOnlyWhatIsSettledIsInForce: the first of two readers has settled nothing, and an
// answer may have come without steps.
func TestOnlyWhatIsSettledIsInForce(t *testing.T) {
	read := func(by, verdict string, rev int) study.Reading {
		return study.Reading{Study: "1.2", Rev: rev, By: by, Verdict: verdict, At: at.Add(time.Hour)}
	}
	for name, tt := range map[string]struct {
		readings []study.Reading
		steps    []study.ReadingStep
		by, says string
		judged   int
	}{
		"nobody":           {nil, nil, "", "", 0},
		"not settled":      {nil, steps, "", "", 0},
		"settled":          {[]study.Reading{read("A. Dahl", "changes: See the CT of May.", 2)}, steps, "A. Dahl", "changes", 3},
		"by somebody else": {[]study.Reading{read("C. Lie", "agree", 2)}, steps, "C. Lie", "agree", 0},
		"without steps":    {[]study.Reading{read("dr", "disagree: nothing there", 2)}, nil, "dr", "disagree", 0},
		"of another state": {[]study.Reading{read("dr", "agree", 1)}, nil, "", "", 0},
	} {
		a, ok := answer.InForce(tt.readings, tt.steps, result)
		if ok != (tt.by != "") || a.By != tt.by || a.Says != tt.says || len(a.Verdicts) != tt.judged {
			t.Errorf("%s: %v, %+v", name, ok, a)
		}
	}
}

func TestPlainAnswerHoldsNoWordOfTheReader(t *testing.T) {
	a, _ := answer.Of(steps, result)
	whole, plain := strings.Join(a.Lines("en", result, words.Told{Model: "Model: ct"}, "today"), "\n"), strings.Join(a.Plain().Lines("en", result, words.Told{Model: "Model: ct"}, "today"), "\n")
	for _, line := range []string{"Read by A. Dahl, today. The reader agrees with the AI, with changes.", "Finding #1: agreed with changes. Wrong place or size", "Finding #2: agreed.",
		"Finding #3 of the AI was rejected", "not found by the AI: #1", "Model: ct"} {
		if !strings.Contains(whole, line) || !strings.Contains(plain, line) {
			t.Errorf("%q is not said:\n%s\n\n%s", line, whole, plain)
		}
	}
	for _, said := range []string{"larger", "behind the heart", "See the CT of May."} {
		if !strings.Contains(whole, said) || strings.Contains(plain, said) {
			t.Errorf("%q:\n%s\n\n%s", said, whole, plain)
		}
	}
}
