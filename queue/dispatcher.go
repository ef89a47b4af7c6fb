package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"varde/study"
)

const (
	// depth is how many jobs are under way for each slot: one in hand, and one
	// that lies ready when that is done. More would keep what comes later, and is
	// more urgent, behind.
	depth = 2
	// statExtra is how many stat jobs are put on a full conveyor: the slots that
	// are reserved for them would stand idle else.
	statExtra = 2
	// lookEvery is how often the dispatcher looks when nobody wakes it: for jobs
	// that have rested, and for what other processes did.
	lookEvery = 100 * time.Millisecond
	// leadFor is how long a dispatcher leads without asking again: what the others
	// wait when it dies.
	leadFor = 4 * time.Second
	// leadAgain is how often it asks.
	leadAgain = time.Second
	// leadOf is what is led.
	leadOf = "dispatch"
)

// A Dispatcher keeps the conveyor filled with the best jobs. Of those on one
// ledger, in any number of processes, one leads and the others stand by.
type Dispatcher struct {
	Ledger   Ledger
	Conveyor *Conveyor
	Pools    []string
	Breaker  *Breaker     // nil: never opens
	Log      *slog.Logger // nil: silent

	name  string    // in the ledger, of this run
	leads bool      // we lead, as far as we know
	asked time.Time // when we asked last
}

// Run fills the conveyor until ctx ends. What fails is tried again, and logged
// when it begins and when it is over.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.name = rand.Text()
	defer d.stepDown(context.WithoutCancel(ctx))
	failing := false
	for ctx.Err() == nil {
		moved := d.Ledger.JobsMoved()
		err := d.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			logger(d.Log).Error("jobs not dispatched", "err", err)
		case err == nil && failing:
			logger(d.Log).Info("jobs dispatched again")
		}
		failing = err != nil
		if failing {
			moved = nil // a wake can't mend it
		}
		select {
		case <-moved:
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
	return nil
}

// round fills every pool once.
func (d *Dispatcher) round(ctx context.Context) error {
	if !d.Breaker.Closed(ctx) {
		// What is away from here may be there for another process.
		d.stepDown(ctx)
		return nil
	}
	if err := d.lead(ctx); err != nil || !d.leads {
		return err
	}
	if err := d.recognize(ctx); err != nil {
		return err
	}
	for _, pool := range d.Pools {
		if err := d.fill(ctx, pool); err != nil {
			return fmt.Errorf("pool %s: %w", pool, err)
		}
	}
	return nil
}

// lead asks for the lead, or to keep it, when it is time to. Asked too late it
// could be another's.
func (d *Dispatcher) lead(ctx context.Context) (err error) {
	if time.Since(d.asked) < leadAgain {
		return nil
	}
	led := d.leads
	d.leads = false
	asked := time.Now()
	if d.leads, err = d.Ledger.Lead(ctx, leadOf, d.name, leadFor); err != nil {
		return err
	}
	if d.asked = asked; d.leads != led {
		logger(d.Log).Debug("lead of the dispatchers", "have", d.leads)
	}
	return nil
}

// stepDown gives the lead up.
func (d *Dispatcher) stepDown(ctx context.Context) {
	if !d.leads {
		return
	}
	d.leads, d.asked = false, time.Time{}
	if _, err := d.Ledger.Lead(ctx, leadOf, d.name, 0); err != nil {
		logger(d.Log).Debug("lead not given up", "err", err) // it ends by itself
	}
}

// recognize sees whether the conveyor is the one that was filled. If it isn't,
// it gets a new epoch, and all that lay on the old one goes back to the line. A
// crash between the two only repeats that.
func (d *Dispatcher) recognize(ctx context.Context) error {
	theirs, err := d.Conveyor.epoch(ctx)
	if err != nil {
		return err
	}
	ours, err := d.Ledger.Epoch(ctx)
	if err != nil || ours != "" && ours == theirs {
		return err
	}
	epoch := rand.Text()
	if err := d.Conveyor.setEpoch(ctx, epoch); err != nil {
		return err
	}
	if err := d.Ledger.SetEpoch(ctx, epoch); err != nil {
		return err
	}
	logger(d.Log).Info("conveyor is new, jobs taken back")
	return nil
}

// fill claims what a pool has room for and lays it on the conveyor, best first.
// The claim is durable before anything is laid on: what a crash leaves in
// between is enqueued and nowhere, and the sweeper finds it.
func (d *Dispatcher) fill(ctx context.Context, pool string) error {
	slots, err := d.Ledger.Slots(ctx, pool)
	if err != nil || slots == 0 {
		return err
	}
	all, stat, err := d.Ledger.InFlight(ctx, pool)
	if err != nil {
		return err
	}
	k, worst := depth*slots-all, study.Backfill
	if k <= 0 {
		k, worst = statExtra-stat, study.Stat
	}
	if k <= 0 {
		return nil
	}
	jobs, err := d.Ledger.Claim(ctx, pool, k, worst)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		if err := d.Conveyor.put(ctx, j); err != nil {
			return errors.Join(err, d.giveBack(ctx, jobs[i:]))
		}
	}
	return nil
}

// giveBack returns jobs that could not be laid on.
func (d *Dispatcher) giveBack(ctx context.Context, jobs []study.Job) error {
	var errs []error
	for _, j := range jobs {
		if err := d.Ledger.Release(context.WithoutCancel(ctx), j.ID, j.Attempt); err != nil && !errors.Is(err, study.ErrRefused) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
