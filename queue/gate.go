package queue

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"varde/study"
)

// ExitHung is the exit code of a process that leaves because a run hangs. A
// supervisor that sees it starts the process afresh.
const ExitHung = 75

// maxOvertaken is how many runs of better lanes that came later may go before a
// run. It is what keeps the worst lane moving: at most one run in so many is not
// of the best lane.
const maxOvertaken = 32

// A Gate is the one semaphore over all networks: it lets only so many runs at the
// processors at once, the best lane first, and watches that each of them ends. A
// block asks for every batch, so that one of a better lane overtakes it at its
// next batch. A run inside a C library can't be ended from outside: when one takes
// longer than the limit the process leaves, and the fence keeps whatever it might
// still have written out of the ledger.
type Gate struct {
	limit time.Duration
	log   *slog.Logger

	mu      sync.Mutex // held for a look into the line
	free    int        // guarded by mu
	waiting []*ticket  // in the order of their coming; guarded by mu
}

// A ticket is one run that waits. Its fields are guarded by the gate's mu.
type ticket struct {
	turn      study.Turn
	overtaken int
	threads   int           // granted
	granted   chan struct{} // closed once threads is set
}

// NewGate makes a gate for slots runs at once, each of at most limit.
func NewGate(slots int, limit time.Duration, log *slog.Logger) *Gate {
	return &Gate{free: max(1, slots), limit: limit, log: logger(log)}
}

// Run waits for its turn and runs f, whose error it returns. f is told how many
// threads it may use: all that the turn could use when they are free and nobody
// waits, and one otherwise. They are free again only when f has really returned,
// whatever has become of ctx.
func (g *Gate) Run(ctx context.Context, turn study.Turn, f func(threads int) error) error {
	t := &ticket{turn: turn, granted: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, t)
	g.next()
	g.mu.Unlock()
	select {
	case <-t.granted:
	case <-ctx.Done():
		if !g.leave(t) {
			g.release(t)
		}
		return ctx.Err()
	}
	defer g.release(t)
	if err := ctx.Err(); err != nil {
		return err
	}
	hung := time.AfterFunc(g.limit, func() {
		g.log.Error("run hangs, leaving to be started afresh", "run", turn.What, "limit", g.limit)
		os.Exit(ExitHung)
	})
	defer hung.Stop()
	return f(t.threads)
}

// leave takes a run out of the line, and reports whether it still stood there.
func (g *Gate) leave(t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, t)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// release gives back what a run was granted.
func (g *Gate) release(t *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free += t.threads
	g.next()
}

// next lets runs through while there is room. mu is held.
func (g *Gate) next() {
	for g.free > 0 && len(g.waiting) > 0 {
		i := turnOf(g.waiting)
		t := g.waiting[i]
		for _, earlier := range g.waiting[:i] {
			earlier.overtaken++
		}
		g.waiting = slices.Delete(g.waiting, i, i+1)
		t.threads = 1
		if n := t.turn.Threads; n > 1 && n <= g.free && len(g.waiting) == 0 {
			t.threads = n
		}
		g.free -= t.threads
		close(t.granted)
	}
}

// turnOf gives whose turn it is: the first who was overtaken too often, else the
// first of the best lane.
func turnOf(waiting []*ticket) int {
	if i := slices.IndexFunc(waiting, func(t *ticket) bool { return t.overtaken >= maxOvertaken }); i >= 0 {
		return i
	}
	best := slices.MinFunc(waiting, func(a, b *ticket) int { return cmp.Compare(a.turn.Lane, b.turn.Lane) })
	return slices.Index(waiting, best)
}
