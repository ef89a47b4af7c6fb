package working

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"varde/store/course"
	"varde/store/storetest"
	"varde/study"
)

var jobPromises = []storetest.Promise{
	{Name: "jobs are claimed by lane, due time and part", Test: claimOrder},
	{Name: "four dispatchers claim no job twice", Test: noDoubleClaim},
	{Name: "a study leaves half of the belt to others of its lane", Test: fairness},
	{Name: "of many slides at once each moves on", Test: manySlides},
	{Name: "a claim for stat takes stat only", Test: claimStat},
	{Name: "a stale attempt changes nothing", Test: staleAttempts},
	{Name: "a job rests after its own failure and fails the third time", Test: failing},
	{Name: "a hopeless job fails at once", Test: hopeless},
	{Name: "a job that kills its workers runs alone and then fails", Test: killers},
	{Name: "only one worker may begin an attempt", Test: oneWorker},
	{Name: "the jobs of a worker that is not seen are gone", Test: goneWorkers},
	{Name: "a new epoch gives back what no living worker has", Test: epochs},
	{Name: "a released job has lost nothing", Test: releasing},
}

func claimOrder(b *storetest.Bench) {
	b.Settle("1.9", storetest.Asked("ct", 2))
	b.Clock.Pass(time.Second)
	for uid, priority := range map[study.UID]study.Priority{"1.3": study.PriorityPathway, "1.1": study.PriorityStat} {
		a := storetest.Arrival(uid, 1, "")
		a.Study.Priority = priority
		_, err := b.Ledger.Receive(context.Background(), a)
		b.OK(err)
		b.OK(b.Ledger.Settle(context.Background(), b.Plan(uid, storetest.Asked("ct", 2))))
	}
	b.Clock.Pass(time.Second)
	b.Settle("1.2", storetest.Asked("ct", 2))
	var got []string
	for _, j := range b.Claim(study.PoolCPU, 100) {
		got = append(got, fmt.Sprintf("%s/%d", j.Study, j.Part))
	}
	storetest.Same(b, "order", got, []string{"1.1/0", "1.1/1", "1.3/0", "1.3/1", "1.9/0", "1.9/1", "1.2/0", "1.2/1"})
}

func noDoubleClaim(b *storetest.Bench) {
	const jobs = 400
	b.Settle("1.2", storetest.Asked("ct", jobs))
	var mu sync.Mutex
	times := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				got, err := b.Ledger.Claim(context.Background(), study.PoolCPU, 7, study.Backfill)
				if err != nil {
					b.T.Error(err)
				}
				if len(got) == 0 {
					return
				}
				mu.Lock()
				for _, j := range got {
					times[j.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	storetest.Same(b, "jobs", len(times), jobs)
	for id, n := range times {
		storetest.Same(b, id, n, 1)
	}
}

func fairness(b *storetest.Bench) {
	b.Settle("1.1", storetest.Asked("slide", 100))
	b.Clock.Pass(time.Second)
	b.Settle("1.2", storetest.Asked("ct", 2))
	count := map[study.UID]int{}
	for _, j := range b.Claim(study.PoolCPU, 8) {
		count[j.Study]++
	}
	storetest.Same(b, "of 8", count, map[study.UID]int{"1.1": 6, "1.2": 2})
	b.Settle("1.0", storetest.Asked("ct", 20))
	for _, j := range b.Claim(study.PoolCPU, 8) {
		count[j.Study]++
	}
	storetest.Same(b, "of 16", count, map[study.UID]int{"1.0": 6, "1.1": 8, "1.2": 2})
}

// manySlides scores five slides of 200 blocks, one job after the other, with ten
// under way: the first comes first, and none of the others stands still.
func manySlides(b *storetest.Bench) {
	ctx := context.Background()
	slides := []study.UID{"1.1", "1.2", "1.3", "1.4", "1.5"}
	for _, uid := range slides {
		b.Settle(uid, storetest.Asked("slide", 200))
		b.Clock.Pass(time.Second)
	}
	under := b.Claim(study.PoolCPU, 10)
	done := map[study.UID]int{}
	for range 100 {
		b.OK(b.FinishPart(ctx, under[0], "k", 1, 1, 1))
		done[under[0].Study]++
		under = append(under[1:], b.Claim(study.PoolCPU, 1)...)
	}
	storetest.Same(b, "under way", len(under), 10)
	for _, uid := range slides {
		if n := done[uid]; n < 10 || n > 60 {
			b.T.Errorf("of 100 blocks %d are of %s: %v", n, uid, done)
		}
	}
}

func claimStat(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 3))
	jobs, err := b.Ledger.Claim(ctx, study.PoolCPU, 5, study.Stat)
	b.OK(err)
	storetest.Same(b, "stat jobs", len(jobs), 0)
	a := storetest.Arrival("1.3", 1, "")
	a.Study.Priority = study.PriorityStat
	_, err = b.Ledger.Receive(ctx, a)
	b.OK(err)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.3", storetest.Asked("ct", 1))))
	jobs, err = b.Ledger.Claim(ctx, study.PoolCPU, 5, study.Stat)
	b.OK(err)
	storetest.Same(b, "stat jobs", len(jobs), 1)
	b.Claim(study.PoolCPU, 2)
	all, stat, err := b.InFlight(ctx, study.PoolCPU)
	b.OK(err)
	storetest.Same(b, "in flight", []int{all, stat}, []int{3, 1})
}

func staleAttempts(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	old := b.ClaimOne(study.PoolCPU)
	b.OK(b.Release(ctx, old.ID, old.Attempt))
	now := b.ClaimOne(study.PoolCPU)
	storetest.Same(b, "attempt", now.Attempt, 2)
	for what, err := range map[string]error{
		"finish":  b.FinishPart(ctx, old, "k", 1, 1, 1),
		"start":   b.Started(ctx, old.ID, old.Attempt, "w"),
		"release": b.Release(ctx, old.ID, old.Attempt),
		"fail":    b.Fail(ctx, old.ID, old.Attempt, errors.New("x"), true),
		"lose":    b.Lose(ctx, old.ID, old.Attempt),
	} {
		if !errors.Is(err, course.ErrFenced) {
			b.T.Errorf("%s: %v", what, err)
		}
	}
	b.OK(b.FinishPart(ctx, now, "k", 1, 1, 1))
	b.Is(b.FinishPart(ctx, now, "k", 1, 1, 1), course.ErrFenced)
	_, _, err := b.Job(ctx, "score-none")
	b.Is(err, study.ErrNotFound)
}

func failing(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	for n, rest := range []time.Duration{time.Second, 4 * time.Second} {
		j := b.ClaimOne(study.PoolCPU)
		b.OK(b.Fail(ctx, j.ID, j.Attempt, errors.New("no luck"), false))
		storetest.Same(b, "claimable at once", len(b.Claim(study.PoolCPU, 1)), 0)
		b.Clock.Pass(rest)
		_, state, err := b.Job(ctx, j.ID)
		b.OK(err)
		storetest.Same(b, fmt.Sprint("after failure ", n), state, study.JobReady)
	}
	j := b.ClaimOne(study.PoolCPU)
	b.OK(b.Fail(ctx, j.ID, j.Attempt, errors.New("no luck"), false))
	_, state, err := b.Job(ctx, j.ID)
	b.OK(err)
	storetest.Same(b, "state", state, study.JobFailed)
	parts, err := b.Parts(ctx, "1.2", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "parts", parts, []study.PartRow{{Job: j.ID, State: study.JobFailed, Planned: 1, Reason: study.Reason{Code: study.ReasonInternal}}})
	storetest.Same(b, "fan-in", b.ClaimOne(study.PoolReport).Task, study.TaskConclude)
	// A model that runs a network to conclude is concluded where networks run.
	m := storetest.Asked("mil", 1)
	m.Concludes = study.PoolCPU
	b.Settle("1.3", m)
	j = b.ClaimOne(study.PoolCPU)
	b.OK(b.FinishPart(ctx, j, "k", 1, 1, 1))
	storetest.Same(b, "who concludes", b.ClaimOne(study.PoolCPU).Task, study.TaskConclude)
}

func hopeless(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 2))
	jobs := b.Claim(study.PoolCPU, 2)
	b.OK(b.FinishPart(ctx, jobs[1], "results/1", 1, 1, 0.5))
	b.OK(b.Fail(ctx, jobs[0].ID, jobs[0].Attempt, fmt.Errorf("stopped: %w", study.ErrWithheld), true))
	parts, err := b.Parts(ctx, "1.2", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "parts", parts, []study.PartRow{
		{Job: jobs[0].ID, Part: 0, State: study.JobFailed, Planned: 1, Reason: study.Reason{Code: study.ReasonStopped}},
		{Job: jobs[1].ID, Part: 1, State: study.JobDone, Key: "results/1", Planned: 1, Seen: 1, Seconds: 0.5},
	})
	// A conclusion that can't be drawn is a failed result, with its report.
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Fail(ctx, j.ID, j.Attempt, fmt.Errorf("no: %w", study.ErrInvalid), true))
	r, err := b.Result(ctx, "1.2", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "result", []any{r.AI, r.Reason.Code, r.Planned, r.Seen}, []any{study.Failed, study.ReasonDamaged, 2, 1})
	b.Status("1.2", study.Scored)
	// A report that can't be written keeps nobody from reading.
	j = b.ClaimOne(study.PoolReport)
	b.OK(b.Fail(ctx, j.ID, j.Attempt, errors.New("no"), true))
	b.Status("1.2", study.Scored)
	b.OK(b.Sweep(ctx))
	b.OK(b.MarkRead(ctx, "1.2", "dr", ""))
	b.Status("1.2", study.Read)
}

func killers(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 3))
	jobs := b.Claim(study.PoolCPU, 3)
	for _, j := range jobs[1:] {
		b.OK(b.Release(ctx, j.ID, j.Attempt))
	}
	for range 2 {
		b.OK(b.Lose(ctx, jobs[0].ID, jobs[0].Attempt))
		jobs[0] = b.Claim(study.PoolCPU, 1)[0]
	}
	// Beside two others it is lost for the third time: now it is suspected.
	others := b.Claim(study.PoolCPU, 2)
	b.OK(b.Lose(ctx, jobs[0].ID, jobs[0].Attempt))
	storetest.Same(b, "while others run", len(b.Claim(study.PoolCPU, 5)), 0)
	b.OK(b.FinishPart(ctx, others[0], "k", 1, 1, 1))
	b.OK(b.Release(ctx, others[1].ID, others[1].Attempt))
	alone := b.ClaimOne(study.PoolCPU)
	storetest.Same(b, "suspect", alone.ID, jobs[0].ID)
	storetest.Same(b, "beside the suspect", len(b.Claim(study.PoolCPU, 5)), 0)
	b.OK(b.Lose(ctx, alone.ID, alone.Attempt))
	alone = b.ClaimOne(study.PoolCPU)
	b.OK(b.Lose(ctx, alone.ID, alone.Attempt))
	_, state, err := b.Job(ctx, alone.ID)
	b.OK(err)
	storetest.Same(b, "after five deaths", state, study.JobFailed)
	b.Score()
	storetest.Same(b, "fan-in", b.ClaimOne(study.PoolReport).Task, study.TaskConclude)
}

func oneWorker(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	j := b.ClaimOne(study.PoolCPU)
	b.OK(b.Started(ctx, j.ID, j.Attempt, "w1"))
	b.OK(b.Started(ctx, j.ID, j.Attempt, "w1"))
	b.Is(b.Started(ctx, j.ID, j.Attempt, "w2"), course.ErrFenced)
}

func goneWorkers(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 2))
	jobs := b.Claim(study.PoolCPU, 2)
	b.OK(b.Beat(ctx, study.Worker{Name: "w1", Pool: study.PoolCPU, Slots: 4}))
	b.OK(b.Beat(ctx, study.Worker{Name: "w2", Pool: study.PoolCPU, Slots: 2}))
	b.OK(b.Started(ctx, jobs[0].ID, 1, "w1"))
	b.OK(b.Started(ctx, jobs[1].ID, 1, "w2"))
	slots, err := b.Slots(ctx, study.PoolCPU)
	b.OK(err)
	storetest.Same(b, "slots", slots, 6)
	b.Clock.Pass(5 * time.Second)
	told := study.WorkerFacts{Host: "node", Leaving: true, InHand: 1, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Devices: []study.Device{{Name: "cpu", Provider: "CPU", Runners: 2}},
		Models:  []study.WorkerModel{{Model: "ct@1", Hash: study.Hash{1}, Tiles: 7, PerSecond: 1.5}}}
	b.OK(b.Beat(ctx, study.Worker{Name: "w2", Pool: study.PoolCPU, Slots: 2, Told: told}))
	b.Clock.Pass(2 * time.Second)
	gone, err := b.Gone(ctx, 6*time.Second)
	b.OK(err)
	storetest.Same(b, "gone", len(gone), 1)
	storetest.Same(b, "whose", gone[0].ID, jobs[0].ID)
	workers, err := b.Workers(ctx)
	b.OK(err)
	storetest.Same(b, "what it tells of itself", workers[0].Told, told)
	b.OK(b.Leave(ctx, "w2", study.PoolCPU))
	gone, err = b.Gone(ctx, 6*time.Second)
	b.OK(err)
	storetest.Same(b, "gone", len(gone), 2)
	workers, err = b.Workers(ctx)
	b.OK(err)
	storetest.Same(b, "alive", len(workers), 0)
}

func epochs(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 4))
	jobs := b.Claim(study.PoolCPU, 3)
	b.OK(b.Beat(ctx, study.Worker{Name: "alive", Pool: study.PoolCPU, Slots: 1}))
	b.OK(b.Started(ctx, jobs[0].ID, 1, "alive"))
	b.OK(b.Started(ctx, jobs[1].ID, 1, "dead"))
	old, err := b.Epoch(ctx)
	b.OK(err)
	storetest.Same(b, "first epoch", old, "")
	b.OK(b.SetEpoch(ctx, "e1"))
	now, err := b.Epoch(ctx)
	b.OK(err)
	storetest.Same(b, "epoch", now, "e1")
	for n, want := range []struct {
		state string
		lost  int
	}{{study.JobEnqueued, 0}, {study.JobReady, 1}, {study.JobReady, 0}} {
		j, state, err := b.Job(ctx, jobs[n].ID)
		b.OK(err)
		storetest.Same(b, fmt.Sprint("job ", n), []any{state, j.Lost}, []any{want.state, want.lost})
	}
	b.OK(b.FinishPart(ctx, jobs[0], "k", 1, 1, 1))
}

func releasing(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	for range 10 {
		j := b.ClaimOne(study.PoolCPU)
		b.OK(b.Release(ctx, j.ID, j.Attempt))
	}
	j := b.ClaimOne(study.PoolCPU)
	storetest.Same(b, "counts", []int{j.Attempt, j.Fails, j.Lost}, []int{11, 0, 0})
	late, err := b.Enqueued(ctx, time.Second)
	b.OK(err)
	storetest.Same(b, "enqueued long ago", len(late), 0)
	b.Clock.Pass(2 * time.Second)
	late, err = b.Enqueued(ctx, time.Second)
	b.OK(err)
	storetest.Same(b, "enqueued long ago", len(late), 1)
	b.OK(b.Started(ctx, j.ID, j.Attempt, "w"))
	late, err = b.Enqueued(ctx, time.Second)
	b.OK(err)
	storetest.Same(b, "begun is not waiting", len(late), 0)
}
