package inference_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/queue"
	"varde/study"
)

// A traced gate writes down when a run asks for its turn and when it has it.
type traced struct {
	sessions.Gate
	routine atomic.Int64 // runs of routine blocks that have begun

	mu      sync.Mutex // held to write down
	behind  []int64    // routine runs that began while a stat run waited
	waited  []time.Duration
	longest time.Duration // of a routine run
}

func (g *traced) Run(ctx context.Context, turn study.Turn, f func(int) error) error {
	asked, before := time.Now(), g.routine.Load()
	return g.Gate.Run(ctx, turn, func(n int) error {
		begun := time.Now()
		if turn.Lane == study.Stat {
			g.mu.Lock()
			g.behind, g.waited = append(g.behind, g.routine.Load()-before), append(g.waited, begun.Sub(asked))
			g.mu.Unlock()
			return f(n)
		}
		g.routine.Add(1)
		err := f(n)
		g.mu.Lock()
		g.longest = max(g.longest, time.Since(begun))
		g.mu.Unlock()
		return err
	})
}

// TestStatBehindTwentyThousandTilesWaitsForOneBatch keeps both slots of the gate
// busy with routine blocks of 20,000 tiles in the real runtime, and puts a stat
// block behind them: each of its batches is the next to go.
func TestStatBehindTwentyThousandTilesWaitsForOneBatch(t *testing.T) {
	const slots, routineTiles = 2, 20_000
	run := session(t, smallNet(t))
	s := newShelf()
	all := s.slide(5, 4, func(x, y int) uint8 { return uint8(x*x + 3*y) })
	card := smCard()
	card.Input.Type, card.Input.Layout = "float32", "NCHW"
	card.Input.Mean, card.Input.Std = []float64{120, 60, 130}, []float64{50, 25, 60}
	g := &traced{Gate: queue.NewGate(slots, time.Minute, nil)}
	sc := scorer(s)
	sc.Gate = g
	score := func(ctx context.Context, lane study.Lane) error {
		_, err := sc.Score(ctx, scores.Question{Card: card, Session: run, Instances: s.instances, Lane: lane,
			Block: study.Block{Kind: study.Patches, Tiles: all}})
		return err
	}
	ctx, stop := context.WithCancel(t.Context())
	var left atomic.Int64
	left.Store(routineTiles)
	var wg sync.WaitGroup
	for range slots + 2 {
		wg.Go(func() {
			for ctx.Err() == nil && left.Add(-int64(len(all))) > 0 {
				if err := score(ctx, study.Routine); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for g.routine.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	waiting := left.Load()
	if err := score(ctx, study.Stat); err != nil {
		t.Error(err)
	}
	stop()
	wg.Wait()
	t.Logf("%d routine tiles lay before it; routine runs that went before each stat run: %v; waits %v; the longest routine run took %v",
		waiting, g.behind, g.waited, g.longest)
	if waiting < routineTiles/2 {
		t.Fatalf("only %d routine tiles were left: the stat block came too late to show anything", waiting)
	}
	// Those that went between the question and its place in line, one a slot. A
	// busy machine may hold a goroutine up that has its turn already, so that the
	// order itself is proven where the clock is a fake: TestBetterLaneOvertakesAtTheGate.
	slices.Sort(g.behind)
	if n := g.behind[len(g.behind)/2]; n > slots {
		t.Errorf("%d routine runs went before half of the stat runs", n)
	}
}
