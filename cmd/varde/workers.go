package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"varde/internal/onnx"
	"varde/queue"
	"varde/store"
	"varde/study"
)

// pools lists all that a dispatcher feeds, whoever's their workers are: the one that
// leads may itself have none.
func pools() []string { return []string{study.PoolCPU, study.PoolGPU, study.PoolReport} }

// shared reports whether other processes may work on the same studies, so that they
// need the same models.
func (s Settings) shared() bool {
	return store.IsPostgres(s.Ledger) && strings.HasPrefix(s.Store, "s3://")
}

// sharing does something at a desk whose models are those of all processes.
func sharing(do func(context.Context, *desk, []string) error) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, args []string) (err error) {
		if !d.shared() {
			return do(ctx, d, args)
		}
		objects, err := d.openObjects(ctx)
		if err != nil {
			return fmt.Errorf("open the object store; see --store: %w", err)
		}
		defer func() { err = errors.Join(err, objects.Close()) }()
		if err := d.registry.Share(ctx, objects); err != nil {
			return err
		}
		return do(ctx, d, args)
	}
}

// measured lets a handler's jobs be counted, so that we can tell how fast we are.
func measured(speeds *queue.Speeds, handle queue.Handler) queue.Handler {
	return func(ctx context.Context, j study.Job) error {
		end := speeds.Begin(j)
		err := handle(ctx, j)
		end(err == nil)
		return err
	}
}

// tell gives what a worker of a pool tells of itself.
func (h *house) tell(pool string) study.WorkerFacts {
	w := study.WorkerFacts{Version: version}
	if pool == study.PoolReport || h.runtime == nil {
		return w
	}
	w.Runtime = h.runtime.Info().Version
	w.Devices = []study.Device{{Name: "cpu", Provider: onnx.CPU, Runners: h.workers()}}
	if pool == study.PoolGPU {
		w.Devices = nil
		for _, d := range h.engine.fleet.Devices {
			w.Devices = append(w.Devices, study.Device{Name: d.String(), Provider: d.Provider, Runners: deviceRunners})
		}
	}
	w.Models = h.speeds.Models()
	return w
}

// lookAtWorkers tells which workers are alive.
func lookAtWorkers(ctx context.Context, s Settings) (all []check) {
	d, err := openDesk(ctx, s)
	if err != nil {
		return nil // told of under the ledger
	}
	defer d.ledger.Close()
	workers, err := d.ledger.Workers(ctx)
	if err != nil {
		return []check{verdict("workers", "", err, "see the ledger above")}
	}
	scoring := 0
	for _, w := range workers {
		k := verdict("worker", describeWorker(w), nil, "")
		if w.Slots == 0 && !w.Told.Leaving {
			k.Outcome, k.Remedy = checkWarn, "something that it needs is away; its log says what"
		}
		if w.Pool != study.PoolReport {
			scoring += w.Slots
		}
		all = append(all, k)
	}
	if scoring == 0 {
		all = append(all, check{"workers", checkWarn, "none scores now", "start varde serve, or varde worker on the same store, queue and ledger"})
	}
	return all
}

// describeWorker is a worker in a line.
func describeWorker(w study.Worker) string {
	t := w.Told
	text := fmt.Sprintf("%s, pool %s, %d of %d jobs in hand", w.Name, w.Pool, t.InHand, w.Slots)
	for _, d := range t.Devices {
		text += fmt.Sprintf(", %s (%s, %d at once)", d.Name, d.Provider, d.Runners)
	}
	var speeds []string
	for _, m := range t.Models {
		speeds = append(speeds, fmt.Sprintf("%s %.1f tiles/s", m.Model, m.PerSecond))
	}
	if len(speeds) > 0 {
		text += ": " + strings.Join(speeds, ", ")
	}
	if t.Leaving {
		text += "; leaving"
	}
	return text
}
