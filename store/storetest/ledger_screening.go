package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store"
	"varde/study"
)

var screeningPromises = []promise{
	{"a first answer alone leaves a screening on the list, out of its reader's sight", screeningFirst},
	{"readers of one mind end a screening, and nobody reads it twice", screeningEnds},
	{"readers who disagree leave it to a third", screeningThird},
	{"a meeting decides where the program says so", screeningMeeting},
	{"how many read is kept as it was at the first answer", screeningKept},
	{"what the AI alone found asks for a second look, also when it came late", screeningLook},
	{"a late image asks for the whole screening anew", screeningAnew},
	{"programs are told of models at work and of stopped ones", screeningTold},
	{"studies outside of screenings are read by one answer", screeningOutside},
	{"screenings come back with the ledger", screeningRebuilt},
}

// screenBench is a bench whose studies under 1.7 are of a screening: one reads what
// is less likely than one in ten.
func screenBench(b *Bench, meeting bool) *Bench {
	b.T.Helper()
	plan := func(f study.ScreeningFacts) study.ScreeningPlan {
		p := study.ScreeningPlan{Program: "mammo", Readers: 2, Why: "no_ai", Meeting: meeting}
		if !strings.HasPrefix(string(f.Study.UID), "1.7") {
			return study.ScreeningPlan{}
		}
		for _, r := range f.Results {
			if r.AI == study.Running {
				continue // a program of ours would have two read
			}
			p.Why, p.Score, p.Model = "band", r.Probability, r.Model.String()
			if r.Probability != nil && *r.Probability < 0.1 {
				p.Readers = 1
			}
			p.Positive = p.Positive || r.AI == study.Flagged
		}
		return p
	}
	return &Bench{Ledger: b.make(b.T, store.LedgerOptions{Now: b.Clock.Now, Place: Place, Screener: plan}), T: b.T, Clock: b.Clock, make: b.make}
}

func answered(by, recall string) study.ReadingStep {
	return study.ReadingStep{Study: "1.7", By: by, Step: study.StepFinal, Verdict: "none", Recall: recall, Text: "left breast"}
}

// screened tells how the screening of 1.7 stands: state, look and turns.
func (b *Bench) screened() string {
	b.T.Helper()
	s, err := b.Study(context.Background(), "1.7")
	b.OK(err)
	all, err := b.Screenings(context.Background(), []study.Study{s})
	b.OK(err)
	var turns []string
	for _, r := range all[0].Reads {
		turns = append(turns, r.Turn+" "+r.By)
	}
	return strings.TrimSpace(all[0].State + " " + all[0].Look + " " + strings.Join(turns, ", "))
}

func (b *Bench) listed(f study.WorklistFilter) string {
	b.T.Helper()
	cases, _, err := b.Worklist(context.Background(), f)
	b.OK(err)
	var all []string
	for _, c := range cases {
		all = append(all, string(c.Study.UID))
	}
	return strings.Join(all, " ")
}

func screeningFirst(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7", Asked("mg", 1))
	Same(b, "before", b.screened(), "first")
	b.Is(b.Answer(ctx, answered("anna", "")), study.ErrIncomplete)
	b.Is(b.MarkRead(ctx, "1.7", "anna", "none"), study.ErrRefused)
	_, err := b.MoveClaim(ctx, study.ClaimMove{Study: "1.7", Kind: study.ClaimTake, By: "anna", Idle: claimIdle})
	b.OK(err)
	shown := study.Shown{Lang: "nb", Results: []study.ShownResult{{Model: "mg@1", AI: study.NotFlagged, Result: study.Hash{7}}}}
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.7", By: "anna", Step: study.StepShown, Shown: &shown}))
	b.OK(b.Answer(ctx, answered("anna", study.AnswerNoRecall)))
	Same(b, "after", b.screened(), "second  first anna")
	claims, err := b.Claims(ctx, claimIdle)
	b.OK(err)
	Same(b, "claims", len(claims), 0)
	readings, err := b.Readings(ctx, "1.7")
	b.OK(err)
	Same(b, "readings", len(readings), 0)
	Same(b, "anna's list", b.listed(study.WorklistFilter{Reader: "anna"}), "")
	Same(b, "anna's second list", b.listed(study.WorklistFilter{Reader: "anna", List: study.ListSecond}), "")
	Same(b, "bo's list", b.listed(study.WorklistFilter{Reader: "bo"}), "1.7")
	Same(b, "bo's second list", b.listed(study.WorklistFilter{Reader: "bo", List: study.ListSecond}), "1.7")
	Same(b, "consensus", b.listed(study.WorklistFilter{List: study.ListConsensus}), "")
	s, err := b.Study(ctx, "1.7")
	b.OK(err)
	all, err := b.Screenings(ctx, []study.Study{s, {UID: "1.9"}})
	b.OK(err)
	r := all[0].Reads[0]
	Same(b, "what anna said", fmt.Sprint(r.Recall, r.Text, r.Saw[0].Model, r.Saw[0].Result == study.Hash{7}, all[1].Zero()), "falseleft breastmg@1true true")
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	i := slices.IndexFunc(rows, func(r study.AuditRow) bool { return r.Action == "screening first" })
	if i < 0 || strings.Contains(rows[i].Detail, "left breast") || !strings.Contains(rows[i].Detail, "readers 2 by no_ai") || !strings.Contains(rows[i].Detail, "had seen mg@1") {
		b.T.Error(rows)
	}
}

func screeningEnds(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	b.Is(b.Answer(ctx, answered("Anna", study.AnswerRecall)), study.ErrRefused)
	b.Is(b.Answer(ctx, answered("anna", study.AnswerRecall)), study.ErrRefused)
	b.OK(b.Answer(ctx, answered("bo", study.AnswerRecall)))
	Same(b, "state", b.screened(), "recalled  first anna, second bo")
	b.Is(b.Answer(ctx, answered("carl", study.AnswerNoRecall)), study.ErrRefused)
	Same(b, "list", b.listed(study.WorklistFilter{}), "")
	readings, err := b.Readings(ctx, "1.7")
	b.OK(err)
	Same(b, "readings", []string{fmt.Sprint(len(readings)), readings[0].By}, []string{"1", "bo"})
	s, err := b.Study(ctx, "1.7")
	b.OK(err)
	Same(b, "status", s.Status, study.Read)
}

func screeningThird(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	b.OK(b.Answer(ctx, answered("bo", study.AnswerNoRecall)))
	Same(b, "state", b.screened(), "consensus  first anna, second bo")
	Same(b, "list", b.listed(study.WorklistFilter{List: study.ListConsensus, Reader: "anna"}), "1.7")
	Same(b, "anna's", b.listed(study.WorklistFilter{Reader: "anna"}), "")
	_, err := b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnMeeting, By: "anna", With: []string{"bo"}})
	b.Is(err, study.ErrRefused)
	b.OK(b.Answer(ctx, answered("carl", study.AnswerNoRecall)))
	Same(b, "state", b.screened(), "not_recalled  first anna, second bo, third carl")
	Same(b, "list", b.listed(study.WorklistFilter{}), "")
}

func screeningMeeting(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, true)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	b.OK(b.Answer(ctx, answered("bo", study.AnswerNoRecall)))
	b.Is(b.Answer(ctx, answered("carl", study.AnswerNoRecall)), study.ErrRefused)
	_, err := b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnMeeting, By: "anna"})
	b.Is(err, study.ErrInvalid)
	_, err = b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnFirst, By: "carl"})
	b.Is(err, study.ErrInvalid)
	got, err := b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnMeeting, By: "anna", With: []string{" bo "}, Recall: true})
	b.OK(err)
	Same(b, "state", got.State, study.ScreeningRecalled)
	Same(b, "kept", b.screened(), "recalled  first anna, second bo, meeting anna")
	Same(b, "list", b.listed(study.WorklistFilter{}), "")
	_, err = b.DecideScreening(ctx, "1.8", study.ScreeningRead{Turn: study.TurnLook, By: "anna"})
	b.Is(err, study.ErrNotFound)
}

// says has one of the models that were asked come to its result, and leaves the
// others at work.
func (b *Bench) says(model string, p float64, ai study.AIState) {
	b.T.Helper()
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 1000) {
		if j.Task == study.TaskConclude && j.Model.ID == model {
			b.OK(b.Ledger.Conclude(context.Background(), j, ResultOf(j, ai, p)))
			continue
		}
		b.OK(b.Release(context.Background(), j.ID, j.Attempt))
	}
}

func screeningKept(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7", Asked("mg", 1), Asked("late", 1))
	b.says("mg", 0.02, study.NotFlagged)
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	Same(b, "who reads alone and recalls is followed by a second", b.screened(), "second  first anna")
	b.says("late", 0.5, study.Uncertain)
	s, err := b.Study(ctx, "1.7")
	b.OK(err)
	all, err := b.Screenings(ctx, []study.Study{s})
	b.OK(err)
	Same(b, "plan", fmt.Sprint(all[0].Plan.Readers, all[0].Plan.Why, *all[0].Plan.Score), "1band0.02")
}

func screeningLook(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7", Asked("mg", 1), Asked("late", 1))
	b.says("mg", 0.02, study.NotFlagged)
	b.OK(b.Answer(ctx, answered("anna", study.AnswerNoRecall)))
	Same(b, "one reads", b.screened(), "not_recalled  first anna")
	_, err := b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnLook, By: "anna"})
	b.Is(err, study.ErrRefused)
	b.says("late", 0.95, study.Flagged)
	Same(b, "a late result", b.screened(), "not_recalled open first anna")
	Same(b, "discordance", b.listed(study.WorklistFilter{List: study.ListDiscordance, Reader: "anna"}), "1.7")
	_, err = b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnLook, By: "bo", Recall: true, Text: "agreed"})
	b.OK(err)
	Same(b, "after the look", b.screened(), "recalled done first anna, look bo")
	Same(b, "discordance", b.listed(study.WorklistFilter{List: study.ListDiscordance}), "")
}

func screeningAnew(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerNoRecall)))
	b.OK(b.Answer(ctx, answered("bo", study.AnswerNoRecall)))
	b.Receive("1.7", 9, 9)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.7")))
	Same(b, "state", b.screened(), "first")
	Same(b, "anna's list", b.listed(study.WorklistFilter{Reader: "anna"}), "1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	Same(b, "state", b.screened(), "second  first anna")
}

func screeningOutside(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.2")
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "none", Recall: study.AnswerRecall}), study.ErrInvalid)
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepOwn, Verdict: "none", Recall: study.AnswerRecall}), study.ErrInvalid)
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "none"}))
	Same(b, "list", b.listed(study.WorklistFilter{}), "")
	b.Settle("1.3")
	b.OK(b.MarkRead(ctx, "1.3", "anna", "none"))
	Same(b, "list", b.listed(study.WorklistFilter{}), "")
	n := 0
	b.OK(b.ScreeningHistory(ctx, b.Clock.Now().Add(-time.Hour), b.Clock.Now().Add(time.Hour), func(f study.ScreeningFacts, s study.Screening) error {
		n++
		return nil
	}))
	Same(b, "history", n, 2)
}

func screeningRebuilt(b *Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	s := newShelf(b)
	s.take("1.7", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.7", Asked("mg", 1))))
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	s.write()
	anew, _ := s.rebuild()
	found, err := anew.Bench.Study(ctx, "1.7")
	b.OK(err)
	all, err := anew.Bench.Screenings(ctx, []study.Study{found})
	b.OK(err)
	Same(b, "screening", fmt.Sprint(all[0].State, all[0].Reads[0].By, all[0].Reads[0].Recall), "secondannatrue")
	b.Is(anew.Bench.MarkRead(ctx, "1.7", "bo", "none"), study.ErrRefused)
}

func screeningTold(b *Bench) {
	ctx := context.Background()
	var said []string
	look := func(f study.ScreeningFacts) study.ScreeningPlan {
		said = nil
		for _, r := range f.Results {
			said = append(said, fmt.Sprint(r.Model.ID, " ", r.AI, " ", r.Reason.Code))
		}
		return study.ScreeningPlan{Program: "all"}
	}
	b = &Bench{Ledger: b.make(b.T, store.LedgerOptions{Now: b.Clock.Now, Place: Place, Screener: look}), T: b.T, Clock: b.Clock, make: b.make}
	b.Settle("1.7", Asked("mg", 1), Asked("late", 1))
	b.screened()
	Same(b, "before", strings.Join(said, ", "), "late running , mg running ")
	b.says("mg", 0.02, study.NotFlagged)
	b.screened()
	Same(b, "while one is at work", strings.Join(said, ", "), "mg not_flagged , late running ")
	live := study.ModelChange{Model: Model("mg"), State: study.ModelLive, Installed: true, By: "setup", Reason: "installed"}
	b.OK(b.SetModel(ctx, live))
	b.OK(b.SetModel(ctx, study.ModelChange{Model: Model("mg"), State: study.ModelSuspended, By: "ops", Reason: "wrong"}))
	b.screened()
	Same(b, "once it is stopped", said[0], "mg failed "+study.ReasonStopped)
}
