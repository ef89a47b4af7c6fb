package working

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var agingPromises = []storetest.Promise{
	{Name: "nothing starves, whatever better comes", Test: nothingStarves},
	{Name: "shadow work takes what is left", Test: shadowLast},
	{Name: "jobs of a pool without workers can be moved", Test: movedJobs},
}

// nothingStarves floods a pool with more urgent work than it can do, at random
// times, and lets two routine jobs wait. Before they are due they wait; then each
// is claimed within sixteen claims for each that was due before it.
func nothingStarves(b *storetest.Bench) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(7, 7))
	b.Settle("1.1", storetest.Asked("slide", 2))
	arrivals, asked, served := 0, 0, 0
	arrive := func() {
		arrivals++
		uid, n := study.UID(fmt.Sprintf("1.9.%d", arrivals)), 1+r.IntN(3)
		asked += n
		a := storetest.Arrival(uid, 1, "")
		a.Study.Priority = study.PriorityUrgent
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
		b.OK(b.Ledger.Settle(ctx, b.Plan(uid, storetest.Asked("ct", n))))
	}
	claim := func() (routine bool) {
		j := b.Claim(study.PoolCPU, 1)[0]
		served++
		b.OK(b.FinishPart(ctx, j, "k", 1, 1, 1))
		return j.Study == "1.1"
	}
	for range 10 {
		arrive()
		arrive()
		if claim() {
			b.T.Error("a routine job was claimed before it was due, and urgent ones wait")
		}
		b.Clock.Pass(time.Duration(r.IntN(120)) * time.Second)
	}
	b.Clock.Pass(12 * time.Hour)
	bound := 16 * (asked - served + 1) // all of these were due earlier
	for n := 1; ; n++ {
		for range r.IntN(3) {
			arrive()
		}
		if claim() {
			break
		}
		if n > bound {
			b.T.Fatalf("no routine job among %d claims", n)
		}
		b.Clock.Pass(time.Second)
	}
}

// shadowLast asks a live and a shadow model of a stat study, and a live one of a
// routine study: the shadow comes last.
func shadowLast(b *storetest.Bench) {
	ctx := context.Background()
	a := storetest.Arrival("1.1", 1, "")
	a.Study.Priority = study.PriorityStat
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	shadow := storetest.Asked("new", 1)
	shadow.Shadow = true
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", storetest.Asked("ct", 1), shadow)))
	b.Settle("1.2", storetest.Asked("ct", 1))
	var got []string
	for _, j := range b.Claim(study.PoolCPU, 10) {
		got = append(got, fmt.Sprintf("%s %s %s", j.Study, j.Model.ID, j.Lane))
	}
	storetest.Same(b, "order", got, []string{"1.1 ct stat", "1.2 ct routine", "1.1 new backfill"})
}

// movedJobs moves those that nobody has begun.
func movedJobs(b *storetest.Bench) {
	ctx := context.Background()
	m := storetest.Asked("ct", 3)
	m.Pool = study.PoolGPU
	b.Settle("1.1", m)
	b.Claim(study.PoolGPU, 1)
	ready, err := b.Ready(ctx, study.PoolGPU)
	b.OK(err)
	storetest.Same(b, "ready", ready, map[study.ModelRef]int{m.Model: 2})
	n, err := b.Move(ctx, storetest.Model("other"), study.PoolGPU, study.PoolCPU)
	b.OK(err)
	storetest.Same(b, "moved of another model", n, 0)
	n, err = b.Move(ctx, m.Model, study.PoolGPU, study.PoolCPU)
	b.OK(err)
	storetest.Same(b, "moved", n, 2)
	storetest.Same(b, "claimable", len(b.Claim(study.PoolCPU, 9)), 2)
}
