package reading

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var workPromises = []storetest.Promise{
	{Name: "a study that waits has one work item, and the next one when that came to an end", Test: workFollows},
	{Name: "each reading of a study that is read twice is an item that is completed", Test: workSeconds},
	{Name: "of performers and readers who take one item up at once, exactly one has it", Test: workAtOnce},
	{Name: "an item moves only as its state and its transaction allow", Test: workStates},
	{Name: "whoever completes an item has read the study, and late images keep them from it", Test: workCompletes},
	{Name: "what became of items is told in its order, and old things go", Test: workEvents},
	{Name: "subscriptions are their owner's, and stay", Test: workSubscriptions},
}

// item gives the last item of a study.
func item(b *storetest.Bench, uid study.UID) study.Workitem {
	b.T.Helper()
	all, err := b.Workitems(context.Background(), storetest.ClaimIdle, uid)
	b.OK(err)
	return all[0]
}

func work(b *storetest.Bench, w study.Workitem, by string, transaction study.UID, state string) (study.Workitem, error) {
	return b.MoveWorkitem(context.Background(), study.WorkMove{UID: w.UID, By: by, Transaction: transaction, State: state, Idle: storetest.ClaimIdle})
}

func workFollows(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	first := item(b, "1.2")
	storetest.Same(b, "first", []any{first.UID, first.State, first.Ready}, []any{study.WorkitemUID("1.2", 1, 0), study.WorkScheduled, false})
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2")))
	storetest.Same(b, "settled", []any{item(b, "1.2").UID, item(b, "1.2").Ready}, []any{first.UID, true})
	_, err := take(b, "anna")
	b.OK(err)
	held := item(b, "1.2")
	storetest.Same(b, "taken up on a page", []any{held.UID, held.State, held.By, held.Transaction}, []any{first.UID, study.WorkInProgress, "anna", ""})
	_, err = b.MoveClaim(ctx, study.ClaimMove{Study: "1.2", Kind: study.ClaimRelease, By: "anna", Idle: storetest.ClaimIdle})
	b.OK(err)
	second := item(b, "1.2")
	storetest.Same(b, "second", []any{second.UID, second.State}, []any{study.WorkitemUID("1.2", 1, 1), study.WorkScheduled})
	ended, err := b.Workitem(ctx, first.UID, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "first", []string{ended.State, ended.Reason, ended.By}, []string{study.WorkCanceled, study.WorkPutBack, "anna"})
	b.Receive("1.2", 3, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2")))
	third := item(b, "1.2")
	storetest.Same(b, "after a late image", []any{third.UID, third.State}, []any{study.WorkitemUID("1.2", 2, 0), study.WorkScheduled})
	ended, err = b.Workitem(ctx, second.UID, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "second", []string{ended.State, ended.Reason}, []string{study.WorkCanceled, study.WorkReplaced})
	b.OK(b.MarkRead(ctx, "1.2", "bo", "agree"))
	storetest.Same(b, "read", item(b, "1.2").State, study.WorkCompleted)
	_, err = b.Workitem(ctx, "1.9", storetest.ClaimIdle)
	b.Is(err, study.ErrNotFound)
	all, err := b.EndedWorkitems(ctx, study.WorkCanceled, 0, 10)
	b.OK(err)
	storetest.Same(b, "canceled", len(all), 2)
}

// workSeconds has a screening read twice: each reading is an item that is completed.
func workSeconds(b *storetest.Bench) {
	var f study.Workitem
	now := b.Clock.Now()
	held := study.WorkFacts{Study: "1.2", Rev: 1, Waiting: true, Ready: true, Now: now, Idle: storetest.ClaimIdle, Claim: study.Claim{Study: "1.2", By: "anna", Since: now, Seen: now}}
	steps := f.Follow(held)
	storetest.Same(b, "taken up", []any{len(steps), steps[1].State}, []any{2, study.WorkInProgress})
	done := held
	done.Claim, done.Answered, done.AnsweredAt = study.Claim{}, "anna", now.Add(time.Minute)
	steps = steps[1].Follow(done)
	storetest.Same(b, "first reading", []any{len(steps), steps[0].State, steps[1].State, steps[1].UID}, []any{2, study.WorkCompleted, study.WorkScheduled, study.WorkitemUID("1.2", 1, 1)})
	again := held
	again.Claim.Since, again.Answered, again.AnsweredAt = now.Add(time.Hour), "anna", now.Add(time.Minute)
	steps = steps[1].Follow(again)
	back := again
	back.Claim = study.Claim{}
	storetest.Same(b, "put back", steps[0].Follow(back)[0].State, study.WorkCanceled)
}

func workAtOnce(b *storetest.Bench) {
	b.Settle("1.2")
	w := item(b, "1.2")
	const hands = 8
	var wait sync.WaitGroup
	errs := make([]error, hands)
	for n := range hands {
		wait.Go(func() {
			if n%2 == 0 {
				_, errs[n] = work(b, w, fmt.Sprint("dr", n), study.UID(fmt.Sprint("1.9.", n)), study.WorkInProgress)
			} else {
				_, errs[n] = take(b, fmt.Sprint("dr", n))
			}
		})
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		var late *study.WorkError
		var held *study.HeldError
		switch {
		case err == nil:
			won++
		case !errors.As(err, &late) && !errors.As(err, &held):
			b.T.Error(err)
		}
	}
	storetest.Same(b, "hands that have it", won, 1)
	all, err := b.Claims(context.Background(), storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "who has it", []any{len(all), all[0].By}, []any{1, item(b, "1.2").By})
}

func workStates(b *storetest.Bench) {
	const ours, other study.UID = "1.9.1", "1.9.2"
	fault := func(err error) string {
		var e *study.WorkError
		switch {
		case err == nil:
			return ""
		case errors.As(err, &e):
			return e.What
		}
		return err.Error()
	}
	for n, from := range []string{study.WorkScheduled, study.WorkInProgress, study.WorkCompleted, study.WorkCanceled} {
		for k, tt := range []struct {
			to          string
			by          string
			transaction study.UID
			want        [4]string // by the state that it is in
		}{
			{study.WorkInProgress, "anna", ours, [4]string{"", study.WorkHeld, study.WorkConflict, study.WorkConflict}},
			{study.WorkInProgress, "bo", other, [4]string{"", study.WorkHeld, study.WorkConflict, study.WorkConflict}},
			{study.WorkInProgress, "anna", "", [4]string{study.WorkNoTransaction, study.WorkNoTransaction, study.WorkConflict, study.WorkConflict}},
			{study.WorkCompleted, "anna", ours, [4]string{study.WorkConflict, "", study.WorkAlready, study.WorkConflict}},
			{study.WorkCompleted, "anna", other, [4]string{study.WorkConflict, study.WorkWrongTransaction, study.WorkAlready, study.WorkConflict}},
			{study.WorkCompleted, "anna", "", [4]string{study.WorkNoTransaction, study.WorkNoTransaction, study.WorkAlready, study.WorkConflict}},
			{study.WorkCompleted, "bo", ours, [4]string{study.WorkConflict, study.WorkWrongTransaction, study.WorkAlready, study.WorkConflict}},
			{study.WorkCanceled, "anna", ours, [4]string{study.WorkConflict, "", study.WorkConflict, study.WorkAlready}},
			{study.WorkCanceled, "anna", other, [4]string{study.WorkConflict, study.WorkWrongTransaction, study.WorkConflict, study.WorkAlready}},
			{study.WorkCanceled, "anna", "", [4]string{study.WorkNoTransaction, study.WorkNoTransaction, study.WorkConflict, study.WorkAlready}},
			{"", "anna", ours, [4]string{study.WorkConflict, "", study.WorkConflict, study.WorkConflict}},
			{"", "anna", other, [4]string{study.WorkConflict, study.WorkWrongTransaction, study.WorkConflict, study.WorkConflict}},
			{study.WorkScheduled, "anna", ours, [4]string{study.WorkConflict, study.WorkConflict, study.WorkConflict, study.WorkConflict}},
		} {
			uid := study.UID(fmt.Sprintf("1.%d.%d", n+3, k))
			b.Settle(uid)
			w := item(b, uid)
			if from != study.WorkScheduled {
				_, err := work(b, w, "anna", ours, study.WorkInProgress)
				b.OK(err)
			}
			if from == study.WorkCompleted || from == study.WorkCanceled {
				_, err := work(b, w, "anna", ours, from)
				b.OK(err)
			}
			_, err := work(b, w, tt.by, tt.transaction, tt.to)
			storetest.Same(b, fmt.Sprintf("from %s to %q by %s with %q", from, tt.to, tt.by, tt.transaction), fault(err), tt.want[n])
		}
	}
}

func workCompletes(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	w := item(b, "1.2")
	_, err := work(b, w, "anna", "1.9.1", study.WorkInProgress)
	b.OK(err)
	_, err = b.MoveWorkitem(ctx, study.WorkMove{UID: w.UID, By: "anna", Transaction: "1.9.1", Body: []byte(`{"a":1}`), Idle: storetest.ClaimIdle})
	b.OK(err)
	b.Receive("1.2", 3, 3)
	_, err = work(b, w, "anna", "1.9.1", study.WorkCompleted)
	b.Is(err, study.ErrRefused)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2")))
	storetest.Same(b, "in hand all the same", item(b, "1.2").State, study.WorkInProgress)
	_, err = work(b, w, "anna", "1.9.1", study.WorkCompleted)
	b.Is(err, study.ErrRefused)
	_, err = work(b, w, "anna", "1.9.1", study.WorkCanceled)
	b.OK(err)
	next := item(b, "1.2")
	storetest.Same(b, "next", []any{next.UID, next.State}, []any{study.WorkitemUID("1.2", 2, 0), study.WorkScheduled})
	_, err = work(b, next, "anna", "1.9.3", study.WorkInProgress)
	b.OK(err)
	b.Clock.Pass(15 * time.Minute)
	b.OK(b.KeepWork(ctx, "anna", storetest.ClaimIdle))
	b.Clock.Pass(15 * time.Minute)
	storetest.Same(b, "kept", item(b, "1.2").State, study.WorkInProgress)
	_, err = work(b, next, "anna", "1.9.3", study.WorkCompleted)
	b.OK(err)
	rows, _, err := b.Worklist(ctx, study.WorklistFilter{})
	b.OK(err)
	storetest.Same(b, "rows that wait", len(rows), 0)
	steps, err := b.Steps(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "steps", []any{len(steps), steps[0].Step, steps[0].Verdict, steps[0].By}, []any{1, study.StepFinal, "none", "anna"})
	kept, err := b.Workitem(ctx, w.UID, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "what was told", string(kept.Body), `{"a":1}`)
}

func workEvents(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	b.OK(b.FollowWorkitems(ctx, storetest.ClaimIdle))
	w := item(b, "1.2")
	_, err := work(b, w, "anna", "1.9.1", study.WorkInProgress)
	b.OK(err)
	_, err = b.MoveWorkitem(ctx, study.WorkMove{UID: w.UID, By: "anna", Transaction: "1.9.1", Body: []byte(`{}`), Idle: storetest.ClaimIdle})
	b.OK(err)
	b.Is(b.RequestCancel(ctx, item(b, "1.2"), "bo", "moved"), study.ErrIncomplete) // she would never hear of it
	b.OK(b.PutSubscription(ctx, study.WorkSubscription{AE: "DESK", Owner: "anna", Target: study.WorkAll}))
	b.OK(b.RequestCancel(ctx, item(b, "1.2"), "bo", "moved"))
	b.Clock.Pass(2 * storetest.ClaimIdle) // she gives no sign
	b.OK(b.FollowWorkitems(ctx, storetest.ClaimIdle))
	all, err := b.WorkEvents(ctx, 0, 100)
	b.OK(err)
	var said []string
	for _, e := range all {
		said = append(said, fmt.Sprint(e.Kind, " ", e.State, " ", e.By))
	}
	storetest.Same(b, "told", said, []string{"1 SCHEDULED ", "1 IN PROGRESS anna", "5 IN PROGRESS anna", "3 IN PROGRESS anna", "2 IN PROGRESS bo", "1 CANCELED anna", "1 SCHEDULED "})
	last, err := b.LastWorkEvent(ctx)
	b.OK(err)
	storetest.Same(b, "last", last, all[len(all)-1].N)
	n, err := b.Prune(ctx, b.Clock.Now().Add(time.Hour))
	b.OK(err)
	storetest.Same(b, "pruned", n, int64(len(all)+1))
	storetest.Same(b, "the next one", item(b, "1.2").UID, study.WorkitemUID("1.2", 1, 1))
}

func workSubscriptions(b *storetest.Bench) {
	ctx := context.Background()
	put := func(ae, owner string, target study.UID) error {
		return b.PutSubscription(ctx, study.WorkSubscription{AE: ae, Owner: owner, Target: target})
	}
	b.OK(put("DESK", "anna", study.WorkAll))
	b.OK(put("DESK", "anna", "1.2.3"))
	b.OK(put("DESK", "anna", "1.2.3"))
	b.Is(put("DESK", "bo", "1.2.4"), study.ErrRefused)
	b.Is(b.DropSubscriptions(ctx, "DESK", "bo", ""), study.ErrRefused)
	all, err := b.Subscriptions(ctx, "DESK")
	b.OK(err)
	storetest.Same(b, "subscribed to", []study.UID{all[0].Target, all[1].Target}, []study.UID{"1.2.3", study.WorkAll})
	b.OK(b.DropSubscriptions(ctx, "DESK", "anna", "1.2.3"))
	b.Is(b.DropSubscriptions(ctx, "DESK", "anna", "1.2.3"), study.ErrNotFound)
	b.OK(b.DropSubscriptions(ctx, "DESK", "anna", ""))
	b.OK(put("DESK", "bo", "1.2.4"))
}
