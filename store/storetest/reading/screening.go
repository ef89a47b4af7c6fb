package reading

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

var screeningPromises = []storetest.Promise{
	{Name: "a first answer alone leaves a screening on the list, out of its reader's sight", Test: screeningFirst},
	{Name: "readers of one mind end a screening, and nobody reads it twice", Test: screeningEnds},
	{Name: "readers who disagree leave it to a third", Test: screeningThird},
	{Name: "a meeting decides where the program says so", Test: screeningMeeting},
	{Name: "how many read is kept as it was at the first answer", Test: screeningKept},
	{Name: "what the AI alone found asks for a second look, also when it came late", Test: screeningLook},
	{Name: "a late image asks for the whole screening anew", Test: screeningAnew},
	{Name: "programs are told of models at work and of stopped ones", Test: screeningTold},
	{Name: "studies outside of screenings are read by one answer", Test: screeningOutside},
	{Name: "screenings come back with the ledger", Test: screeningRebuilt},
}

// screenBench is a bench whose studies under 1.7 are of a screening: one reads what
// is less likely than one in ten.
func screenBench(b *storetest.Bench, meeting bool) *storetest.Bench {
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
	return &storetest.Bench{Ledger: b.Make(b.T, store.LedgerOptions{Now: b.Clock.Now, Place: storetest.Place, Screener: plan}), T: b.T, Clock: b.Clock, Make: b.Make}
}

func answered(by, recall string) study.ReadingStep {
	return study.ReadingStep{Study: "1.7", By: by, Step: study.StepFinal, Verdict: "none", Recall: recall, Text: "left breast"}
}

// screened tells how the screening of 1.7 stands: state, look and turns.
func screened(b *storetest.Bench) string {
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

func listed(b *storetest.Bench, f study.WorklistFilter) string {
	b.T.Helper()
	cases, _, err := b.Worklist(context.Background(), f)
	b.OK(err)
	var all []string
	for _, c := range cases {
		all = append(all, string(c.Study.UID))
	}
	return strings.Join(all, " ")
}

func screeningFirst(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7", storetest.Asked("mg", 1))
	storetest.Same(b, "before", screened(b), "first")
	b.Is(b.Answer(ctx, answered("anna", "")), study.ErrIncomplete)
	b.Is(b.MarkRead(ctx, "1.7", "anna", "none"), study.ErrRefused)
	_, err := b.MoveClaim(ctx, study.ClaimMove{Study: "1.7", Kind: study.ClaimTake, By: "anna", Idle: storetest.ClaimIdle})
	b.OK(err)
	shown := study.Shown{Lang: "nb", Results: []study.ShownResult{{Model: "mg@1", AI: study.NotFlagged, Result: study.Hash{7}}}}
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.7", By: "anna", Step: study.StepShown, Shown: &shown}))
	b.OK(b.Answer(ctx, answered("anna", study.AnswerNoRecall)))
	storetest.Same(b, "after", screened(b), "second  first anna")
	claims, err := b.Claims(ctx, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "claims", len(claims), 0)
	readings, err := b.Readings(ctx, "1.7")
	b.OK(err)
	storetest.Same(b, "readings", len(readings), 0)
	storetest.Same(b, "anna's list", listed(b, study.WorklistFilter{Reader: "anna"}), "")
	storetest.Same(b, "anna's second list", listed(b, study.WorklistFilter{Reader: "anna", List: study.ListSecond}), "")
	storetest.Same(b, "bo's list", listed(b, study.WorklistFilter{Reader: "bo"}), "1.7")
	storetest.Same(b, "bo's second list", listed(b, study.WorklistFilter{Reader: "bo", List: study.ListSecond}), "1.7")
	storetest.Same(b, "consensus", listed(b, study.WorklistFilter{List: study.ListConsensus}), "")
	s, err := b.Study(ctx, "1.7")
	b.OK(err)
	all, err := b.Screenings(ctx, []study.Study{s, {UID: "1.9"}})
	b.OK(err)
	r := all[0].Reads[0]
	storetest.Same(b, "what anna said", fmt.Sprint(r.Recall, r.Text, r.Saw[0].Model, r.Saw[0].Result == study.Hash{7}, all[1].Zero()), "falseleft breastmg@1true true")
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	i := slices.IndexFunc(rows, func(r study.AuditRow) bool { return r.Action == "screening first" })
	if i < 0 || strings.Contains(rows[i].Detail, "left breast") || !strings.Contains(rows[i].Detail, "readers 2 by no_ai") || !strings.Contains(rows[i].Detail, "had seen mg@1") {
		b.T.Error(rows)
	}
}

func screeningEnds(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	b.Is(b.Answer(ctx, answered("Anna", study.AnswerRecall)), study.ErrRefused)
	b.Is(b.Answer(ctx, answered("anna", study.AnswerRecall)), study.ErrRefused)
	b.OK(b.Answer(ctx, answered("bo", study.AnswerRecall)))
	storetest.Same(b, "state", screened(b), "recalled  first anna, second bo")
	b.Is(b.Answer(ctx, answered("carl", study.AnswerNoRecall)), study.ErrRefused)
	storetest.Same(b, "list", listed(b, study.WorklistFilter{}), "")
	readings, err := b.Readings(ctx, "1.7")
	b.OK(err)
	storetest.Same(b, "readings", []string{fmt.Sprint(len(readings)), readings[0].By}, []string{"1", "bo"})
	s, err := b.Study(ctx, "1.7")
	b.OK(err)
	storetest.Same(b, "status", s.Status, study.Read)
}

func screeningThird(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	b.OK(b.Answer(ctx, answered("bo", study.AnswerNoRecall)))
	storetest.Same(b, "state", screened(b), "consensus  first anna, second bo")
	storetest.Same(b, "list", listed(b, study.WorklistFilter{List: study.ListConsensus, Reader: "anna"}), "1.7")
	storetest.Same(b, "anna's", listed(b, study.WorklistFilter{Reader: "anna"}), "")
	_, err := b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnMeeting, By: "anna", With: []string{"bo"}})
	b.Is(err, study.ErrRefused)
	b.OK(b.Answer(ctx, answered("carl", study.AnswerNoRecall)))
	storetest.Same(b, "state", screened(b), "not_recalled  first anna, second bo, third carl")
	storetest.Same(b, "list", listed(b, study.WorklistFilter{}), "")
}

func screeningMeeting(b *storetest.Bench) {
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
	storetest.Same(b, "state", got.State, study.ScreeningRecalled)
	storetest.Same(b, "kept", screened(b), "recalled  first anna, second bo, meeting anna")
	storetest.Same(b, "list", listed(b, study.WorklistFilter{}), "")
	_, err = b.DecideScreening(ctx, "1.8", study.ScreeningRead{Turn: study.TurnLook, By: "anna"})
	b.Is(err, study.ErrNotFound)
}

// says has one of the models that were asked come to its result, and leaves the
// others at work.
func says(b *storetest.Bench, model string, p float64, ai study.AIState) {
	b.T.Helper()
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 1000) {
		if j.Task == study.TaskConclude && j.Model.ID == model {
			b.OK(b.Ledger.Conclude(context.Background(), j, storetest.ResultOf(j, ai, p)))
			continue
		}
		b.OK(b.Release(context.Background(), j.ID, j.Attempt))
	}
}

func screeningKept(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7", storetest.Asked("mg", 1), storetest.Asked("late", 1))
	says(b, "mg", 0.02, study.NotFlagged)
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	storetest.Same(b, "who reads alone and recalls is followed by a second", screened(b), "second  first anna")
	says(b, "late", 0.5, study.Uncertain)
	s, err := b.Study(ctx, "1.7")
	b.OK(err)
	all, err := b.Screenings(ctx, []study.Study{s})
	b.OK(err)
	storetest.Same(b, "plan", fmt.Sprint(all[0].Plan.Readers, all[0].Plan.Why, *all[0].Plan.Score), "1band0.02")
}

func screeningLook(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7", storetest.Asked("mg", 1), storetest.Asked("late", 1))
	says(b, "mg", 0.02, study.NotFlagged)
	b.OK(b.Answer(ctx, answered("anna", study.AnswerNoRecall)))
	storetest.Same(b, "one reads", screened(b), "not_recalled  first anna")
	_, err := b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnLook, By: "anna"})
	b.Is(err, study.ErrRefused)
	says(b, "late", 0.95, study.Flagged)
	storetest.Same(b, "a late result", screened(b), "not_recalled open first anna")
	storetest.Same(b, "discordance", listed(b, study.WorklistFilter{List: study.ListDiscordance, Reader: "anna"}), "1.7")
	_, err = b.DecideScreening(ctx, "1.7", study.ScreeningRead{Turn: study.TurnLook, By: "bo", Recall: true, Text: "agreed"})
	b.OK(err)
	storetest.Same(b, "after the look", screened(b), "recalled done first anna, look bo")
	storetest.Same(b, "discordance", listed(b, study.WorklistFilter{List: study.ListDiscordance}), "")
}

func screeningAnew(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerNoRecall)))
	b.OK(b.Answer(ctx, answered("bo", study.AnswerNoRecall)))
	b.Receive("1.7", 9, 9)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.7")))
	storetest.Same(b, "state", screened(b), "first")
	storetest.Same(b, "anna's list", listed(b, study.WorklistFilter{Reader: "anna"}), "1.7")
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	storetest.Same(b, "state", screened(b), "second  first anna")
}

func screeningOutside(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	b.Settle("1.2")
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "none", Recall: study.AnswerRecall}), study.ErrInvalid)
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepOwn, Verdict: "none", Recall: study.AnswerRecall}), study.ErrInvalid)
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "none"}))
	storetest.Same(b, "list", listed(b, study.WorklistFilter{}), "")
	b.Settle("1.3")
	b.OK(b.MarkRead(ctx, "1.3", "anna", "none"))
	storetest.Same(b, "list", listed(b, study.WorklistFilter{}), "")
	n := 0
	b.OK(b.ScreeningHistory(ctx, b.Clock.Now().Add(-time.Hour), b.Clock.Now().Add(time.Hour), func(f study.ScreeningFacts, s study.Screening) error {
		n++
		return nil
	}))
	storetest.Same(b, "history", n, 2)
}

func screeningRebuilt(b *storetest.Bench) {
	ctx := context.Background()
	b = screenBench(b, false)
	s := storetest.NewShelf(b)
	s.Take("1.7", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.7", storetest.Asked("mg", 1))))
	b.OK(b.Answer(ctx, answered("anna", study.AnswerRecall)))
	s.Write()
	anew, _ := s.Rebuild()
	found, err := anew.Bench.Study(ctx, "1.7")
	b.OK(err)
	all, err := anew.Bench.Screenings(ctx, []study.Study{found})
	b.OK(err)
	storetest.Same(b, "screening", fmt.Sprint(all[0].State, all[0].Reads[0].By, all[0].Reads[0].Recall), "secondannatrue")
	b.Is(anew.Bench.MarkRead(ctx, "1.7", "bo", "none"), study.ErrRefused)
}

func screeningTold(b *storetest.Bench) {
	ctx := context.Background()
	var said []string
	look := func(f study.ScreeningFacts) study.ScreeningPlan {
		said = nil
		for _, r := range f.Results {
			said = append(said, fmt.Sprint(r.Model.ID, " ", r.AI, " ", r.Reason.Code))
		}
		return study.ScreeningPlan{Program: "all"}
	}
	b = &storetest.Bench{Ledger: b.Make(b.T, store.LedgerOptions{Now: b.Clock.Now, Place: storetest.Place, Screener: look}), T: b.T, Clock: b.Clock, Make: b.Make}
	b.Settle("1.7", storetest.Asked("mg", 1), storetest.Asked("late", 1))
	screened(b)
	storetest.Same(b, "before", strings.Join(said, ", "), "late running , mg running ")
	says(b, "mg", 0.02, study.NotFlagged)
	screened(b)
	storetest.Same(b, "while one is at work", strings.Join(said, ", "), "mg not_flagged , late running ")
	live := study.ModelChange{Model: storetest.Model("mg"), State: study.ModelLive, Installed: true, By: "setup", Reason: "installed"}
	b.OK(b.SetModel(ctx, live))
	b.OK(b.SetModel(ctx, study.ModelChange{Model: storetest.Model("mg"), State: study.ModelSuspended, By: "ops", Reason: "wrong"}))
	screened(b)
	storetest.Same(b, "once it is stopped", said[0], "mg failed "+study.ReasonStopped)
}
