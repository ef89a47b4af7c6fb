package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"varde/study"
)

const (
	// sweepEvery is how often lost jobs are looked for.
	sweepEvery = 2 * time.Second
	// studiesEvery is after how many of these looks stuck studies are looked for.
	studiesEvery = 5
	// lostAfter is how long a job may be enqueued without having been begun before
	// somebody looks whether it is on the conveyor at all.
	lostAfter = 3 * time.Second
)

// A Sweeper finds jobs that were lost on the way and gives them back to the
// line. Whoever still works on one finds the fence closed.
type Sweeper struct {
	Ledger   Ledger
	Conveyor *Conveyor
	Log      *slog.Logger // nil: silent

	// seen is when a job was first found active without having been begun. One
	// look is not enough: every job is for a moment.
	seen map[string]time.Time
}

// Run sweeps at once and then every few seconds until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	failing := false
	for n := 0; ; n++ {
		err := s.sweep(ctx, n%studiesEvery == 0)
		if err != nil && !failing && ctx.Err() == nil {
			logger(s.Log).Error("sweep failed", "err", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Sweeper) sweep(ctx context.Context, studies bool) error {
	var errs []error
	if studies {
		errs = append(errs, s.Ledger.Sweep(ctx))
	}
	gone, err := s.Ledger.Gone(ctx, goneAfter)
	errs = append(errs, err)
	for _, j := range gone {
		errs = append(errs, s.back(ctx, j, "worker gone", s.Ledger.Lose))
	}
	old, err := s.Ledger.Enqueued(ctx, lostAfter)
	errs = append(errs, err, s.look(ctx, old))
	return errors.Join(errs...)
}

// look finds out where jobs are that nobody has begun. When the conveyor can't
// be asked nothing is taken back: it may well hold them.
func (s *Sweeper) look(ctx context.Context, jobs []study.Job) error {
	seen := map[string]time.Time{}
	var errs []error
	for _, j := range jobs {
		where, err := s.Conveyor.find(j)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		switch where {
		case nowhere:
			errs = append(errs, s.back(ctx, j, "not on the conveyor", s.Ledger.Release))
		case archived:
			errs = append(errs, s.Conveyor.remove(j), s.back(ctx, j, "archived", s.Ledger.Release))
		case active:
			id := taskID(j.ID, j.Attempt)
			first, ok := s.seen[id]
			if !ok {
				first = time.Now()
			}
			if time.Since(first) < goneAfter {
				seen[id] = first
				continue
			}
			errs = append(errs, s.back(ctx, j, "taken and never begun", s.Ledger.Release))
		}
	}
	s.seen = seen
	return errors.Join(errs...)
}

// back gives a job back, unless it has moved on since it was looked up.
func (s *Sweeper) back(ctx context.Context, j study.Job, why string, do func(context.Context, string, int) error) error {
	err := do(ctx, j.ID, j.Attempt)
	if errors.Is(err, study.ErrRefused) {
		return nil
	}
	if err == nil {
		logger(s.Log).Warn("job taken back", "job", j.ID, "study", j.Study, "attempt", j.Attempt, "why", why)
	}
	return err
}
