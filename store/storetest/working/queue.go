package working

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var queuePromises = []storetest.Promise{
	{Name: "what is paused is given to nobody until it is resumed", Test: pausing},
	{Name: "a pause takes back what nobody has begun", Test: pausingTakesBack},
	{Name: "a pause needs a name, a reason and something that there is", Test: unsoundPauses},
	{Name: "the work that waits is told in seconds by what was learned", Test: backlogs},
	{Name: "a failed part is tried again where nothing was drawn without it", Test: retryPart},
	{Name: "a failed part is asked anew where a result was drawn without it", Test: retryDrawn},
	{Name: "a failed report is tried again", Test: retryReport},
	{Name: "a canceled study is read like one of which AI says nothing", Test: canceling},
	{Name: "a study that is asked anew is the next revision of the same", Test: askingAnew},
	{Name: "a delivery that was given up is tried again by somebody", Test: retryingDelivery},
	{Name: "jobs are listed by what they are", Test: listingJobs},
}

// lanes tells of which lanes the jobs are.
func lanes(jobs []study.Job) (all []string) {
	for _, j := range jobs {
		all = append(all, j.Lane.String())
	}
	return all
}

func pausing(b *storetest.Bench) {
	ctx := context.Background()
	b.Priority("1.1", study.PriorityStat, storetest.Asked("ct", 2))
	b.Priority("1.2", study.PriorityRoutine, storetest.Asked("ct", 2))
	routine := study.Pause{Pool: study.PoolCPU, Lane: study.Routine, By: "A. Dahl", Reason: "scanner test"}
	b.OK(b.Pause(ctx, routine))
	b.OK(b.Pause(ctx, study.Pause{Pool: study.PoolCPU, Lane: study.Routine, By: "someone else", Reason: "again"})) // the first stands
	storetest.Same(b, "claimed", lanes(b.Claim(study.PoolCPU, 10)), []string{"stat", "stat"})
	storetest.Same(b, "claimed", len(b.Claim(study.PoolCPU, 10)), 0)
	b.Clock.Pass(time.Minute)

	b.OK(b.Pause(ctx, study.Pause{Lane: study.EveryLane, By: "A. Dahl", Reason: "update"}))
	b.Priority("1.3", study.PriorityStat, storetest.Asked("ct", 1))
	storetest.Same(b, "claimed", len(b.Claim(study.PoolCPU, 10)), 0)
	q, err := b.Queue(ctx)
	b.OK(err)
	var told []string
	for _, p := range q.Pauses {
		told = append(told, fmt.Sprintf("%s/%d %s: %s", p.Pool, p.Lane, p.By, p.Reason))
	}
	storetest.Same(b, "pauses", told, []string{"/-1 A. Dahl: update", "cpu/3 A. Dahl: scanner test"})
	storetest.Same(b, "since", b.Clock.Now().Sub(q.Pauses[1].At), time.Minute)

	b.OK(b.Resume(ctx, study.Pause{Lane: study.EveryLane, By: "A. Dahl", Reason: "updated"}))
	storetest.Same(b, "claimed", lanes(b.Claim(study.PoolCPU, 10)), []string{"stat", "stat", "stat"})
	b.OK(b.Resume(ctx, routine))
	storetest.Same(b, "claimed", lanes(b.Claim(study.PoolCPU, 10)), []string{"routine", "routine"})
	b.Is(b.Resume(ctx, routine), study.ErrNotFound)
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	var seen []string
	for _, r := range rows {
		if strings.HasPrefix(r.Action, "queue") {
			seen = append(seen, r.Actor+" "+r.Action+" "+r.Entity)
		}
	}
	storetest.Same(b, "audit", seen, []string{"A. Dahl queue resumed pool cpu, lane routine", "A. Dahl queue resumed every pool, every lane",
		"A. Dahl queue paused every pool, every lane", "A. Dahl queue paused pool cpu, lane routine"})
}

func pausingTakesBack(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 3))
	jobs := b.Claim(study.PoolCPU, 2)
	b.OK(b.Started(ctx, jobs[0].ID, jobs[0].Attempt, "w"))
	b.OK(b.Pause(ctx, study.Pause{Lane: study.Routine, By: "A. Dahl", Reason: "r"}))
	b.Is(b.Started(ctx, jobs[1].ID, jobs[1].Attempt, "w"), study.ErrRefused) // it lay before a worker
	b.OK(b.FinishPart(ctx, jobs[0], "k", 1, 1, 1))                           // what ran may end
	storetest.Same(b, "claimed", len(b.Claim(study.PoolCPU, 10)), 0)
	b.OK(b.Resume(ctx, study.Pause{Lane: study.Routine, By: "A. Dahl", Reason: "r"}))
	storetest.Same(b, "claimed", len(b.Claim(study.PoolCPU, 10)), 2)
}

func unsoundPauses(b *storetest.Bench) {
	for _, p := range []study.Pause{
		{Lane: study.Routine, Reason: "r"}, {Lane: study.Routine, By: "b"}, {Lane: 7, By: "b", Reason: "r"}, {Lane: -2, By: "b", Reason: "r"},
		{Pool: "No Pool", By: "b", Reason: "r"}, {Pool: strings.Repeat("x", 40), By: "b", Reason: "r"},
	} {
		b.Is(b.Pause(context.Background(), p), study.ErrInvalid)
	}
}

func backlogs(b *storetest.Bench) {
	ctx := context.Background()
	find := func() study.Backlog {
		q, err := b.Queue(ctx)
		b.OK(err)
		i := slices.IndexFunc(q.Backlogs, func(w study.Backlog) bool { return w.Pool == study.PoolCPU })
		if i < 0 {
			return study.Backlog{}
		}
		return q.Backlogs[i]
	}
	b.Settle("1.1", storetest.Asked("ct", 10)) // 10 ms each, says the card
	w := find()
	storetest.Same(b, "by the card", fmt.Sprint(w.Jobs, w.Tiles, w.Work, w.Learned, w.Lane, w.Model == storetest.Model("ct")), "10 10 100ms false routine true")
	for _, j := range b.Claim(study.PoolCPU, 4) {
		b.OK(b.FinishPart(ctx, j, "k"+j.ID, 1, 1, 2)) // two seconds each, says the clock
	}
	w = find()
	storetest.Same(b, "learned", fmt.Sprint(w.Jobs, w.Tiles, w.Work.Round(time.Millisecond), w.Learned), "6 6 12s true")
	b.Claim(study.PoolCPU, 3)
	storetest.Same(b, "with what is under way", find().Jobs, 6)
	b.Clock.Pass(24 * time.Hour)
	w = find()
	storetest.Same(b, "overdue", fmt.Sprint(w.Overdue, b.Clock.Now().Sub(w.Oldest)), "3 24h0m0s")
	q, err := b.Queue(ctx)
	b.OK(err)
	storetest.Same(b, "pace", fmt.Sprintf("%s %.3f", q.Paces[0].Model, q.Paces[0].TilesPerSecond), "ct@1 0.500")
}

// failAll has the jobs of a pool fail for good.
func failAll(b *storetest.Bench, pool string) {
	b.T.Helper()
	for _, j := range b.Claim(pool, 100) {
		b.OK(b.Fail(context.Background(), j.ID, j.Attempt, study.ErrInvalid, true))
	}
}

// failed gives the one job that has failed.
func failed(b *storetest.Bench) study.JobRow {
	b.T.Helper()
	rows, err := b.Jobs(context.Background(), study.JobFilter{State: study.JobFailed})
	b.OK(err)
	if len(rows) != 1 {
		b.T.Fatalf("%d failed jobs, want 1", len(rows))
	}
	return rows[0]
}

func retryPart(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 2))
	j := b.Claim(study.PoolCPU, 2)
	b.OK(b.Fail(ctx, j[0].ID, j[0].Attempt, errors.New("out of luck"), true))
	r := failed(b)
	storetest.Same(b, "why", r.Error, "out of luck")
	_, err := b.Retry(ctx, r.ID, "A. Dahl", "")
	b.Is(err, study.ErrInvalid)
	_, err = b.Retry(ctx, j[1].ID, "A. Dahl", "r")
	b.Is(err, study.ErrInvalid) // it has not failed
	anew, err := b.Retry(ctx, r.ID, "A. Dahl", "luck is back")
	b.OK(err)
	storetest.Same(b, "asked anew", anew, false)
	b.OK(b.FinishPart(ctx, j[1], "k", 1, 1, 1))
	storetest.Same(b, "conclusions", len(b.Claim(study.PoolReport, 9)), 0) // it waits for the part
	again := b.ClaimOne(study.PoolCPU)
	storetest.Same(b, "tries", again.Fails, 0)
	b.OK(b.FinishPart(ctx, again, "k2", 1, 1, 1))
	storetest.Same(b, "conclusions", len(b.Claim(study.PoolReport, 9)), 1)
}

func retryDrawn(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 1))
	failAll(b, study.PoolCPU)
	b.Conclude(study.Failed, 0)
	b.Report()
	b.Status("1.1", study.Reported)
	anew, err := b.Retry(ctx, failed(b).ID, "A. Dahl", "repaired")
	b.OK(err)
	storetest.Same(b, "asked anew", anew, true)
	b.Status("1.1", study.Receiving)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", storetest.Asked("ct", 1))))
	_, err = b.Retry(ctx, failed(b).ID, "A. Dahl", "again")
	b.Is(err, study.ErrInvalid) // a newer revision has taken its place
	b.Score()
	b.Conclude(study.NotFlagged, 0.1)
	b.Report()
	storetest.Same(b, "revision", b.Status("1.1", study.Reported).Rev, 2)
}

func retryReport(b *storetest.Bench) {
	b.Settle("1.1", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	failAll(b, study.PoolReport)
	b.Status("1.1", study.Scored)
	anew, err := b.Retry(context.Background(), failed(b).ID, "A. Dahl", "disk was full")
	b.OK(err)
	storetest.Same(b, "asked anew", anew, false)
	b.Report()
	b.Status("1.1", study.Reported)
}

func canceling(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 3), storetest.Asked("mg", 1))
	jobs := b.Claim(study.PoolCPU, 4)
	b.OK(b.Started(ctx, jobs[0].ID, jobs[0].Attempt, "w"))
	b.Is(b.Cancel(ctx, "1.1", "A. Dahl", ""), study.ErrInvalid)
	b.OK(b.Cancel(ctx, "1.1", "A. Dahl", "wrong patient on the table"))
	b.Is(b.FinishPart(ctx, jobs[0], "k", 1, 1, 1), study.ErrRefused) // what ran is not kept
	for _, m := range []string{"ct", "mg"} {
		r, err := b.Result(ctx, "1.1", 1, storetest.Model(m))
		b.OK(err)
		storetest.Same(b, m, fmt.Sprint(r.AI, " ", r.Reason.Code, " ", r.Seen), "failed canceled 0")
	}
	b.Report()
	b.Status("1.1", study.Reported)
	b.Is(b.Cancel(ctx, "1.1", "A. Dahl", "again"), study.ErrInvalid)
	b.Is(b.Cancel(ctx, "9.9", "A. Dahl", "none"), study.ErrNotFound)
}

func askingAnew(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 1))
	b.Is(b.RetryStudy(ctx, "1.1", "", "r"), study.ErrInvalid)
	b.OK(b.RetryStudy(ctx, "1.1", "A. Dahl", "model repaired"))
	b.Is(b.RetryStudy(ctx, "1.1", "A. Dahl", "again"), study.ErrInvalid)
	storetest.Same(b, "claimed", len(b.Claim(study.PoolCPU, 9)), 0)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", storetest.Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report("PACS")
	storetest.Same(b, "revision", b.Status("1.1", study.Reported).Rev, 2)
}

func retryingDelivery(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report("PACS", "RIS")
	due, err := b.DueDeliveries(ctx, 9)
	b.OK(err)
	b.OK(b.DeliveryFailed(ctx, due[0].ID, "refused", time.Time{}))
	dead, err := b.Deliveries(ctx, "failed", 9)
	b.OK(err)
	storetest.Same(b, "given up", fmt.Sprint(len(dead), " ", dead[0].Destination, " ", dead[0].Error), "1 "+due[0].Destination+" refused")
	b.Is(b.RetryDelivery(ctx, due[0].ID, "A. Dahl", ""), study.ErrInvalid)
	b.OK(b.RetryDelivery(ctx, due[0].ID, "A. Dahl", "it is up again"))
	b.Is(b.RetryDelivery(ctx, due[0].ID, "A. Dahl", "again"), study.ErrInvalid)
	all, err := b.Deliveries(ctx, "", 9)
	b.OK(err)
	storetest.Same(b, "all", len(all), 2)
	if due, err = b.DueDeliveries(ctx, 9); err != nil || len(due) != 2 || due[0].Tries+due[1].Tries != 0 {
		b.T.Fatalf("%v %+v", err, due)
	}
}

func listingJobs(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.1", storetest.Asked("ct", 4))
	b.Clock.Pass(time.Second)
	b.Settle("1.2", storetest.Asked("ct", 1))
	jobs := b.Claim(study.PoolCPU, 2)
	b.OK(b.Started(ctx, jobs[0].ID, jobs[0].Attempt, "w"))
	count := func(f study.JobFilter) int {
		rows, err := b.Jobs(ctx, f)
		b.OK(err)
		for _, r := range rows {
			if f.State != "" && r.State != f.State {
				b.T.Fatalf("asked for %s, got %s", f.State, r.State)
			}
		}
		return len(rows)
	}
	storetest.Same(b, "counts", []int{count(study.JobFilter{}), count(study.JobFilter{State: study.JobReady}), count(study.JobFilter{State: study.JobEnqueued}),
		count(study.JobFilter{State: study.JobRunning}), count(study.JobFilter{State: study.JobFailed}), count(study.JobFilter{Study: "1.2"}),
		count(study.JobFilter{Limit: 1})}, []int{5, 3, 1, 1, 0, 1, 1})
	under, err := b.UnderWay(ctx, 9)
	b.OK(err)
	storetest.Same(b, "under way", fmt.Sprint(len(under), " ", under[0].Study, " ", under[0].Waiting, under[0].Running, under[1].Waiting), "2 1.1 3 1 1")
	_, err = b.Jobs(ctx, study.JobFilter{State: "asleep"})
	b.Is(err, study.ErrInvalid)
}
