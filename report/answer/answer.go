// Package answer is what a reader made of a result: the final answer, the verdicts on
// single findings, and what no model found.
//
//	Of            gathers it from what readers did with a study
//	Answer.Left   the result as the reader left it
//	Answer.Lines  the same in words
//
// The reports, messages and resources that are written after a reading all say what
// stands here, so that none of them says more than another.
package answer

import (
	"slices"
	"strings"
	"time"

	"varde/internal/words"
	"varde/study"
)

// An Answer is what a reader made of a result.
type Answer struct {
	By   string // who
	At   time.Time
	Says string // one of [study.Verdicts], or none
	Text string // the reader's own words
	// Verdicts are those on single findings, by tracking UID: the last counts.
	Verdicts map[study.UID]study.ReadingStep
	// Missed is what the reader marked that the AI did not find.
	Missed []study.ReadingStep
	// Organization answers for the reader. Without one the standard has no place for a
	// verification, and the report stays unverified.
	Organization string
}

// Of gathers what the reader whose final answer is the last of a revision made of a
// model's result; ok is false where nobody has answered. What was missed is told with
// every result to which the reader did not give it.
func Of(steps []study.ReadingStep, r study.Result) (a Answer, ok bool) {
	for _, s := range steps {
		if s.Rev == r.Rev && s.Step == study.StepFinal {
			a.By, a.At, a.Says, a.Text, ok = s.By, s.At, s.Verdict, s.Text, true
		}
	}
	a.Verdicts = map[study.UID]study.ReadingStep{}
	for _, s := range steps {
		switch {
		case s.Rev != r.Rev || s.By != a.By:
		case s.Step == study.StepFinding && s.Model == r.Model:
			a.Verdicts[s.Tracking] = s
		case s.Step == study.StepMissed && (s.Model == r.Model || s.Model.ID == ""):
			a.Missed = append(a.Missed, s)
		}
	}
	return a, ok
}

// InForce is Of as far as it is settled: a study counts as read with the last of its
// readings, which may have come without any step, and a first of two readers whose
// answer settles nothing has made nothing of it yet.
func InForce(readings []study.Reading, steps []study.ReadingStep, r study.Result) (a Answer, ok bool) {
	for _, one := range readings {
		if one.Rev == r.Rev {
			says, text, _ := strings.Cut(one.Verdict, ": ")
			a, ok = Answer{By: one.By, At: one.At, Says: says, Text: text}, true
		}
	}
	if whole, settled := Of(steps, r); ok && settled && whole.By == a.By {
		return whole, true
	}
	return a, ok
}

// Left gives the result as the reader left it: without the findings that the reader
// rejected.
func (a Answer) Left(r study.Result) study.Result {
	r.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f study.Finding) bool { return a.Verdicts[f.Tracking].Verdict == "disagree" })
	return r
}

// Plain is the answer without the reader's own words, in which a patient may be named.
func (a Answer) Plain() Answer {
	a.Text = ""
	verdicts := map[study.UID]study.ReadingStep{}
	for tracking, s := range a.Verdicts {
		s.Text = ""
		verdicts[tracking] = s
	}
	a.Verdicts, a.Missed = verdicts, slices.Clone(a.Missed)
	for i := range a.Missed {
		a.Missed[i].Text = ""
	}
	return a
}

// Lines says in sentences what the reader made of the result, of which told is told;
// at is when, as people write it.
func (a Answer) Lines(l words.Lang, r study.Result, told words.Told, at string) []string {
	lines := []string{l.T("verified.by", a.By, at) + " " + l.T("verified.says_"+a.says())}
	lines = append(lines, a.Judged(l, r)...)
	for _, text := range []string{told.NotLooked, told.Reason, told.Model, told.Disclaimer} {
		if text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

func (a Answer) says() string {
	if a.Says == "" {
		return "none"
	}
	return a.Says
}

// Judged says in sentences what the reader made of single findings, what was missed,
// and what the reader said besides.
func (a Answer) Judged(l words.Lang, r study.Result) []string {
	var lines []string
	for _, f := range r.Findings {
		s, ok := a.Verdicts[f.Tracking]
		switch why := Wrongs(l, s); {
		case !ok:
		case s.Verdict == "disagree":
			lines = append(lines, strings.TrimSuffix(l.T("verified.rejected", f.Number)+" "+why, " "))
		case s.Verdict == "changes":
			lines = append(lines, strings.TrimSuffix(l.T("verified.changed", f.Number)+" "+why, " "))
		default:
			lines = append(lines, l.T("verified.agreed", f.Number))
		}
	}
	for n, m := range a.Missed {
		lines = append(lines, strings.TrimSuffix(l.T("verified.missed", n+1)+" "+Wrongs(l, m), " "))
	}
	if a.Text != "" {
		lines = append(lines, l.T("verified.said", a.Text))
	}
	return lines
}

// Wrongs says what is wrong by a step, and what the reader said of it.
func Wrongs(l words.Lang, s study.ReadingStep) string {
	var all []string
	for _, w := range s.Wrong {
		all = append(all, l.T("wrong."+w))
	}
	if s.Text != "" {
		all = append(all, s.Text)
	}
	return strings.Join(all, "; ")
}
