package reading

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var claimPromises = []storetest.Promise{
	{Name: "of two who take a study up at once, exactly one has it", Test: claimAtOnce},
	{Name: "a claim is kept, asked for, given, freed, and over when it was idle", Test: claimLife},
	{Name: "a study that is read or passed over is in nobody's hands", Test: claimEnds},
	{Name: "a reader locks one impression of each state of a study, and what is shown comes after it", Test: answersLock},
	{Name: "an answer that breaks a rule keeps none of its steps", Test: answersWhole},
	{Name: "verdicts on findings are told by model, and who passes studies over is counted", Test: judgments},
	{Name: "what readers did comes back with the ledger", Test: answersRebuilt},
}

func take(b *storetest.Bench, by string, why ...string) (study.Claim, error) {
	return b.MoveClaim(context.Background(), study.ClaimMove{Study: "1.2", Kind: study.ClaimTake, By: by, Reason: strings.Join(why, ""), Idle: storetest.ClaimIdle})
}

func claimAtOnce(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	const readers = 8
	var wait sync.WaitGroup
	got, errs := make([]study.Claim, readers), make([]error, readers)
	for n := range readers {
		wait.Go(func() { got[n], errs[n] = take(b, fmt.Sprint("dr", n)) })
	}
	wait.Wait()
	winner, held := "", 0
	for n, err := range errs {
		var busy *study.HeldError
		switch {
		case err == nil:
			winner = got[n].By
		case errors.As(err, &busy) && errors.Is(err, study.ErrRefused):
			held++
		default:
			b.T.Error(err)
		}
	}
	storetest.Same(b, "told that it is held", held, readers-1)
	all, err := b.Claims(context.Background(), storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "claims", []string{fmt.Sprint(len(all)), all[0].By}, []string{"1", winner})
	for n, err := range errs {
		if err != nil {
			storetest.Same(b, "who has it", got[n].By, winner)
		}
	}
}

func claimLife(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	do := func(kind, by, to, why string) (study.Claim, error) {
		return b.MoveClaim(ctx, study.ClaimMove{Study: "1.2", Kind: kind, By: by, To: to, Reason: why, Idle: storetest.ClaimIdle})
	}
	first, err := take(b, "anna")
	b.OK(err)
	b.Clock.Pass(15 * time.Minute)
	_, err = do(study.ClaimKeep, "anna", "", "")
	b.OK(err)
	b.Clock.Pass(15 * time.Minute)
	c, err := take(b, "bo")
	b.Is(err, study.ErrRefused)
	storetest.Same(b, "since", c.Since, first.Since)
	c, err = do(study.ClaimAsk, "bo", "", "")
	b.OK(err)
	storetest.Same(b, "asked", []string{c.By, c.Asked}, []string{"anna", "bo"})
	_, err = do(study.ClaimGive, "bo", "", "")
	b.Is(err, study.ErrRefused)
	c, err = do(study.ClaimGive, "anna", "", "")
	b.OK(err)
	storetest.Same(b, "given", c.By, "bo")
	_, err = do(study.ClaimRelease, "anna", "", "")
	b.Is(err, study.ErrRefused)
	_, err = do(study.ClaimRelease, "ops", "", "went home")
	b.OK(err)
	_, err = take(b, "anna")
	b.OK(err)
	_, err = take(b, "carl", "stroke, on my way to theatre")
	b.OK(err)
	b.Clock.Pass(storetest.ClaimIdle + time.Second)
	all, err := b.Claims(ctx, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "claims of idle readers", len(all), 0)
	_, err = do(study.ClaimKeep, "carl", "", "")
	b.Is(err, study.ErrRefused)
	_, err = take(b, "dina")
	b.OK(err)
	_, err = b.MoveClaim(ctx, study.ClaimMove{Study: "1.99", Kind: study.ClaimTake, By: "anna"})
	b.Is(err, study.ErrNotFound)
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	var got []string
	for _, r := range rows {
		got = append(got, r.Actor+" "+r.Action)
	}
	storetest.Same(b, "audit", strings.Join(got, ", "), "dina claim take, carl claim take, anna claim take, ops claim release, anna claim give, bo claim ask, anna claim take")
	if d := rows[1].Detail; !strings.Contains(d, "in the hands of anna") || !strings.Contains(d, "stroke") {
		b.T.Error(d)
	}
}

func claimEnds(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	_, err := take(b, "anna")
	b.OK(err)
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepSkipped, Text: "not my field"}))
	_, err = take(b, "bo")
	b.OK(err)
	b.OK(b.MarkRead(ctx, "1.2", "carl", "none"))
	all, err := b.Claims(ctx, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "claims", len(all), 0)
}

func answersLock(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Settle("1.3", storetest.Asked("ct", 1))
	own := study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepOwn, Verdict: "suspicious", Text: "left upper lobe", Rev: 2}
	b.Is(b.Answer(ctx, own), study.ErrRefused) // of images that are not all, or not yet
	own.Rev = 1
	b.OK(b.Answer(ctx, own))
	own.Verdict = "none"
	b.Is(b.Answer(ctx, own), study.ErrRefused)
	locked, err := b.Locked(ctx, "anna", []study.UID{"1.2", "1.3"})
	b.OK(err)
	storetest.Same(b, "locked", locked, []study.UID{"1.2"})
	other, err := b.Locked(ctx, "bo", []study.UID{"1.2"})
	b.OK(err)
	storetest.Same(b, "locked by another", len(other), 0)
	asked, err := b.ModelsAsked(ctx, []study.UID{"1.2", "1.3", "1.404"})
	b.OK(err)
	storetest.Same(b, "asked", asked, map[study.UID][]study.ModelRef{"1.2": {storetest.Model("ct")}, "1.3": {storetest.Model("ct")}})
	shown := study.Shown{Lang: "nb", Build: "1", Results: []study.ShownResult{{Model: "ct@1", AI: study.Flagged, Lines: []string{"Markert"}}}}
	b.OK(b.Answer(ctx,
		study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepShown, Shown: &shown},
		study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinding, Model: storetest.Model("ct"), Tracking: "2.25.5", Verdict: "changes", Wrong: []string{"place"}},
		study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepMissed, Mark: &study.Region{Instance: "1.2.1.1", Frame: 1, Shape: study.Point, Points: []float64{3, 4}}},
		study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "changes", Text: "smaller"}))
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "agree"}), study.ErrRefused)
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinding, Model: storetest.Model("ct"), Tracking: "2.25.5", Verdict: "agree"}), study.ErrRefused)
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepAddendum, Text: "seen with Bo"}))
	steps, err := b.Steps(ctx, "1.2")
	b.OK(err)
	var got []string
	for _, s := range steps {
		got = append(got, fmt.Sprint(s.Step, " ", s.Rev))
	}
	storetest.Same(b, "steps", strings.Join(got, ", "), "own 1, shown 1, finding 1, missed 1, final 1, addendum 1")
	storetest.Same(b, "what was shown", *steps[1].Shown, shown)
	storetest.Same(b, "mark", steps[3].Mark.Points, []float64{3, 4})
	readings, err := b.Readings(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "reading", readings[0].Verdict, "changes: smaller")
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	for _, r := range rows {
		if strings.Contains(r.Detail, "left upper lobe") {
			b.T.Errorf("a reader's words in the audit: %s", r.Detail)
		}
	}
}

func answersWhole(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "agree"},
		study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinding, Model: storetest.Model("ct"), Tracking: "2.25.5", Verdict: "agree"}), study.ErrRefused)
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: "sung"}), study.ErrInvalid)
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.9", By: "anna", Step: study.StepOwn, Verdict: "none"}), study.ErrNotFound)
	steps, err := b.Steps(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "steps", len(steps), 0)
	locked, err := b.Locked(ctx, "anna", []study.UID{"1.2"})
	b.OK(err)
	storetest.Same(b, "locked", len(locked), 0)
}

func judgments(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	began := b.Clock.Now()
	for n, by := range []string{"anna", "bo", "bo"} {
		b.Clock.Pass(time.Minute)
		b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: by, Step: study.StepFinding, Model: storetest.Model("ct"), Tracking: study.UID(fmt.Sprint("2.25.", n+1)), Verdict: "disagree", Wrong: []string{"not_there"}},
			study.ReadingStep{Study: "1.2", By: by, Step: study.StepSkipped, Text: "lunch"}))
	}
	all, err := b.Judgments(ctx, storetest.Model("ct"), began, 0, 10)
	b.OK(err)
	storetest.Same(b, "all", len(all), 3)
	storetest.Same(b, "first", []string{all[0].By, all[0].Verdict, all[0].Wrong[0]}, []string{"anna", "disagree", "not_there"})
	rest, err := b.Judgments(ctx, storetest.Model("ct"), began, all[1].N, 10)
	b.OK(err)
	storetest.Same(b, "behind the second", len(rest), 1)
	skips, err := b.Skips(ctx, began.Add(90*time.Second))
	b.OK(err)
	storetest.Same(b, "skips", skips, map[string]int{"bo": 2})
}

func answersRebuilt(b *storetest.Bench) {
	s := storetest.NewShelf(b)
	s.Take("1.2", 1, 2)
	b.OK(b.Ledger.Settle(context.Background(), b.Plan("1.2", storetest.Asked("ct", 1))))
	b.OK(b.Answer(context.Background(), study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepOwn, Verdict: "none"}))
	s.Write()
	anew, _ := s.Rebuild()
	locked, err := anew.Bench.Locked(context.Background(), "anna", []study.UID{"1.2"})
	b.OK(err)
	storetest.Same(b, "locked", locked, []study.UID{"1.2"})
	b.Is(anew.Bench.Answer(context.Background(), study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepOwn, Verdict: "none"}), study.ErrRefused)
}
