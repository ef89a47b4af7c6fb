package queue

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// ExitHung is the exit code of a process that leaves because a run hangs. A
// supervisor that sees it starts the process afresh.
const ExitHung = 75

// A Gate lets only so many runs at something at once, and watches that each of
// them ends. A run inside a C library can't be ended from outside: when one takes
// longer than the limit the process leaves, and the fence keeps whatever it might
// still have written out of the ledger.
type Gate struct {
	slots chan struct{}
	limit time.Duration
	log   *slog.Logger
}

// NewGate makes a gate for slots runs at once, each of at most limit.
func NewGate(slots int, limit time.Duration, log *slog.Logger) *Gate {
	return &Gate{slots: make(chan struct{}, max(1, slots)), limit: limit, log: logger(log)}
}

// Run waits for a slot and runs f, whose error it returns. The slot is free again
// only when f has really returned, whatever has become of ctx. What is for the
// log.
func (g *Gate) Run(ctx context.Context, what string, f func() error) error {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.slots }()
	if err := ctx.Err(); err != nil {
		return err
	}
	hung := time.AfterFunc(g.limit, func() {
		g.log.Error("run hangs, leaving to be started afresh", "run", what, "limit", g.limit)
		os.Exit(ExitHung)
	})
	defer hung.Stop()
	return f()
}
