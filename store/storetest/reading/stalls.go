package reading

import (
	"context"
	"crypto/sha256"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

var stallPromises = []storetest.Promise{
	{Name: "a study that waits for a model which is paused or has no worker is told, and no other", Test: stalled},
	{Name: "a study that is coming in is told to wait only where nothing is handed out at all", Test: stalledComing},
	{Name: "who reads here is who can sign in for it, and who did lately", Test: readersKnown},
}

// stallOf is what is told of a study.
func stallOf(b *storetest.Bench, uid study.UID) study.Stall {
	b.T.Helper()
	s, err := b.Study(context.Background(), uid)
	b.OK(err)
	all, err := b.Stalls(context.Background(), []study.Study{s})
	b.OK(err)
	return all[uid]
}

func stalled(b *storetest.Bench) {
	ctx := context.Background()
	b = b.Another(store.LedgerOptions{})
	b.Settle("1.2", storetest.Asked("ct", 2))
	b.Settle("1.3")
	storetest.Same(b, "at the start", stallOf(b, "1.2"), "")
	b.Clock.Pass(time.Minute)
	storetest.Same(b, "without a worker", stallOf(b, "1.2"), study.StallNoWorker)
	storetest.Same(b, "of one that no model is for", stallOf(b, "1.3"), "")
	beat := func(pool string) { b.OK(b.Beat(ctx, study.Worker{Name: "w", Pool: pool, Slots: 1})) }
	beat(study.PoolGPU)
	storetest.Same(b, "with a worker of another pool", stallOf(b, "1.2"), study.StallNoWorker)
	beat(study.PoolCPU)
	storetest.Same(b, "with its worker", stallOf(b, "1.2"), "")
	for _, p := range []study.Pause{{Lane: study.EveryLane}, {Pool: study.PoolCPU, Lane: study.EveryLane}, {Lane: study.Routine}} {
		p.By, p.Reason = "anna", "test"
		b.OK(b.Pause(ctx, p))
		storetest.Same(b, "paused", stallOf(b, "1.2"), study.StallPaused)
		b.OK(b.Resume(ctx, p))
		storetest.Same(b, "resumed", stallOf(b, "1.2"), "")
	}
	other := study.Pause{Pool: study.PoolGPU, Lane: study.EveryLane, By: "anna", Reason: "test"}
	b.OK(b.Pause(ctx, other))
	storetest.Same(b, "another pool is paused", stallOf(b, "1.2"), "")
	shadow := storetest.Asked("new", 1)
	shadow.Shadow, shadow.Pool = true, study.PoolGPU
	b.Settle("1.4", storetest.Asked("ct", 1), shadow)
	storetest.Same(b, "what a shadow model is asked", stallOf(b, "1.4"), "")
	job := b.Claim(study.PoolCPU, 1)[0]
	b.OK(b.Started(ctx, job.ID, job.Attempt, "w"))
	b.OK(b.Pause(ctx, study.Pause{Lane: study.EveryLane, By: "anna", Reason: "test"}))
	at := map[study.UID]study.Stall{"1.2": study.StallPaused, "1.4": study.StallPaused}
	at[job.Study] = "" // what runs already ends
	storetest.Same(b, "paused while a job runs", []study.Stall{stallOf(b, "1.2"), stallOf(b, "1.4")}, []study.Stall{at["1.2"], at["1.4"]})
}

func stalledComing(b *storetest.Bench) {
	ctx := context.Background()
	b = b.Another(store.LedgerOptions{})
	b.Receive("1.2", 1, 1)
	all := study.Pause{Lane: study.EveryLane, By: "anna", Reason: "test"}
	b.OK(b.Pause(ctx, all))
	storetest.Same(b, "no model is in use", stallOf(b, "1.2"), "")
	b.OK(b.SetModel(ctx, storetest.By("anna", "ct", study.ModelShadow)))
	b.Speak(storetest.By("anna", "ct", study.ModelLive))
	storetest.Same(b, "paused", stallOf(b, "1.2"), study.StallPaused)
	b.OK(b.Resume(ctx, all))
	storetest.Same(b, "resumed", stallOf(b, "1.2"), "")
	some := study.Pause{Pool: study.PoolCPU, Lane: study.EveryLane, By: "anna", Reason: "test"}
	b.OK(b.Pause(ctx, some))
	storetest.Same(b, "one pool is paused", stallOf(b, "1.2"), "")
	b.Clock.Pass(time.Minute)
	storetest.Same(b, "nobody is there", stallOf(b, "1.2"), study.StallNoWorker)
}

func readersKnown(b *storetest.Bench) {
	ctx := context.Background()
	hour := b.Clock.Now().Add(time.Hour)
	add := func(key, role, name string, until time.Time) study.Token {
		return study.Token{Hash: sha256.Sum256([]byte(key)), Role: role, Name: name, Expires: until}
	}
	b.OK(b.AddToken(ctx, add("a", "reader", "dora", time.Time{}), "setup"))
	b.OK(b.AddToken(ctx, add("b", "reader", "carl", hour), "setup"))
	b.OK(b.AddToken(ctx, add("c", "system", "archive", time.Time{}), "setup"))
	b.OK(b.AddSession(ctx, add("d", "admin", "bo", hour)))
	b.OK(b.AddSession(ctx, add("e", "reader", "carl", hour)))
	b.Receive("1.2", 1, 1)
	b.Settle("1.3")
	b.OK(b.MarkRead(ctx, "1.3", "anna", "none"))
	known := func() []string {
		b.T.Helper()
		names, err := b.KnownReaders(ctx, []string{"reader", "admin"}, b.Clock.Now().Add(-24*time.Hour))
		b.OK(err)
		return names
	}
	storetest.Same(b, "readers", known(), []string{"anna", "bo", "carl", "dora"})
	b.Clock.Pass(2 * time.Hour)
	storetest.Same(b, "after their sessions", known(), []string{"anna", "dora"})
	b.Clock.Pass(48 * time.Hour)
	storetest.Same(b, "long after", known(), []string{"dora"})
}
