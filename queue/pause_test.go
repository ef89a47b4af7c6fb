package queue_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"varde/store/storetest"
	"varde/study"
)

// TestPausedLaneReachesNoWorker pauses the routine lane while its jobs lie before a
// worker that is busy: they go back, stat goes on, and what was begun ends.
func TestPausedLaneReachesNoWorker(t *testing.T) {
	inHouse(t, func(h *house) {
		var mu sync.Mutex
		var begun []study.Lane
		count := func() (routine, stat int) {
			mu.Lock()
			defer mu.Unlock()
			for _, l := range begun {
				if l == study.Stat {
					stat++
				}
			}
			return len(begun) - stat, stat
		}
		h.dispatch()
		h.sweep()
		h.serve(1, 1, func(ctx context.Context, j study.Job) error {
			mu.Lock()
			begun = append(begun, j.Lane)
			mu.Unlock()
			time.Sleep(time.Second)
			return h.finish(ctx, j)
		})
		h.Settle("1.1", storetest.Asked("ct", 20))
		h.within(5*time.Second, "routine runs", func() bool { n, _ := count(); return n >= 3 })
		pause := study.Pause{Lane: study.Routine, By: "A. Dahl", Reason: "test"}
		h.OK(h.Pause(h.ctx, pause))
		time.Sleep(2 * time.Second) // what was begun ends
		before, _ := count()

		a := storetest.Arrival("1.2", 1, "")
		a.Study.Priority = study.PriorityStat
		_, err := h.Ledger.Receive(h.ctx, a)
		h.OK(err)
		h.OK(h.Ledger.Settle(h.ctx, h.Plan("1.2", storetest.Asked("ct", 3))))
		h.within(10*time.Second, "stat goes on", h.isReported("1.2"))
		time.Sleep(time.Minute) // many sweeps
		if after, stat := count(); after != before || stat != 3 {
			t.Errorf("%d routine jobs began while their lane was paused, and %d of 3 stat jobs", after-before, stat)
		}

		h.OK(h.Resume(h.ctx, pause))
		h.within(time.Minute, "all is done", h.isReported("1.1"))
		parts, err := h.Parts(h.ctx, "1.1", 1, storetest.Model("ct"))
		h.OK(err)
		if n := slices.IndexFunc(parts, func(p study.PartRow) bool { return p.State != study.JobDone }); n >= 0 || len(parts) != 20 {
			t.Errorf("%d parts, one of them %d", len(parts), n)
		}
	})
}
