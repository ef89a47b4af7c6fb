package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/settings"
	"varde/inference"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/ingest"
	"varde/internal/codec"
	"varde/internal/embedded"
	"varde/internal/onnx"
	"varde/internal/slide"
	"varde/models"
	"varde/queue"
	"varde/report"
	"varde/store"
	"varde/study"
)

const (
	// shutdownGrace is how long HTTP requests may take to end once the service
	// is asked to stop.
	shutdownGrace = 8 * time.Second
	// runLimit is the longest that one run of a network may take before it
	// counts as hung, and the process leaves so that a supervisor starts afresh.
	runLimit = 2 * time.Minute
	// ahead is how many jobs more than networks run are in hand: while one is being
	// recorded, fetched or read for the first time, another has its batches ready.
	ahead = 1
	// reporters is how many results are concluded and reported at once.
	reporters = 2
)

// run serves until ctx ends, then lets what is in hand come to its end. An error
// of one part stops the others.
func (h *house) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	traffic := &ingest.Traffic{}
	receiver := &ingest.Receiver{Archive: h.objects, Keeper: h.objects, Register: h.ledger, Traffic: traffic,
		Log: h.log, MinFree: h.MinFree, Charset: h.Charset}
	g.Go(func() error { return h.serveWeb(ctx, h.routes(receiver, traffic)) })
	if h.Has("ingest") {
		committer := h.committer()
		g.Go(func() error { return committer.Run(ctx) })
		g.Go(func() error { return h.prune(ctx) })
		g.Go(func() error { return (&store.Manifester{Ledger: h.ledger, Objects: h.objects, Log: h.log}).Run(ctx) })
		g.Go(func() error { return h.serveDICOM(ctx, receiver, traffic, h.services(committer)) })
		settler := h.settler(traffic)
		h.inquire(ctx, g, settler, receiver, traffic)
		g.Go(func() error { return settler.Run(ctx) })
		if h.Watch != "" {
			g.Go(func() error { return h.watch(ctx, receiver, traffic) })
		}
	}
	if h.hl7 != nil {
		g.Go(func() error { return h.serveHL7(ctx) })
	}
	h.runQueue(ctx, g)
	h.describe(ctx)
	return g.Wait()
}

func (h *house) settler(traffic *ingest.Traffic) *ingest.Settler {
	return &ingest.Settler{Ledger: h.ledger, Models: h.registry, Slides: h.slides(), Pictures: h.objects, Traffic: traffic, Told: h.ledger, Memory: h.ledger, Priors: h.ledger, ScorePriors: h.PriorsScore, Log: h.log,
		Decodes: codec.Supported, GPU: h.hasGPU, Cap: h.GapCap}
}

func (h *house) slides() *slide.Reader {
	return &slide.Reader{Objects: h.objects, Frames: h.ledger.Frames}
}

// A crew is who does the jobs of one pool.
type crew struct {
	pool        string
	slots, stat int // jobs at once; and how many more that are stat
	handle      queue.Handler
}

// crews lists those that this process has.
func (h *house) crews() (all []crew) {
	worker := h.worker()
	if h.Has("score") {
		all = append(all, crew{study.PoolCPU, h.Runners() + ahead, 1, worker.Handle})
		if c, ok := h.gpuCrew(worker); ok {
			all = append(all, c)
		}
	}
	if h.Has("report") {
		writer := h.writer()
		all = append(all, crew{study.PoolReport, reporters, 1, func(ctx context.Context, j study.Job) error {
			if j.Task == study.TaskReport || j.Task == study.TaskWithdraw || j.Task == study.TaskVerify {
				return writer.Handle(ctx, j)
			}
			return worker.Handle(ctx, j)
		}})
	}
	return all
}

// runQueue starts the dispatcher, the sweeper and the workers.
func (h *house) runQueue(ctx context.Context, g *errgroup.Group) {
	breaker := &queue.Breaker{Probe: h.probeObjects, Log: h.log}
	for _, c := range h.crews() {
		s := &queue.Server{Ledger: h.ledger, Conveyor: h.conveyor, Pool: c.pool, Slots: c.slots, Stat: c.stat, Breaker: breaker,
			Log: h.log, Observe: func(j study.Job, _, ran time.Duration, err error) { h.metrics.Ran(j, ran, err) },
			Drain: h.Drain, Tell: func() study.WorkerFacts { return h.tell(c.pool) }}
		g.Go(func() error { return s.Run(ctx, measured(&h.speeds, c.handle)) })
	}
	d := &queue.Dispatcher{Ledger: h.ledger, Conveyor: h.conveyor, Pools: pools(), Breaker: breaker, Log: h.log}
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error { return (&queue.Sweeper{Ledger: h.ledger, Conveyor: h.conveyor, Log: h.log}).Run(ctx) })
	g.Go(func() error { return h.watchLine(ctx) })
	g.Go(func() error { return h.moveJobs(ctx) })
	if h.Has("report") {
		g.Go(func() error { return h.deliver(ctx) })
	}
}

// openQueue connects to the Redis that is asked for, or starts one within.
func (h *house) openQueue(ctx context.Context) error {
	if h.Queue == "" {
		r := embedded.NewRedis()
		h.closing(r.Close)
		h.conveyor = queue.Over(r.Client())
		return nil
	}
	var err error
	if h.conveyor, err = queue.Open(h.Queue); err != nil {
		return err
	}
	h.closing(h.conveyor.Close)
	if err := h.conveyor.Ping(ctx); err != nil {
		h.log.WarnContext(ctx, "queue does not answer; studies are taken in and wait", "err", err)
	}
	return nil
}

// worker is who scores and concludes. Concluding needs no runtime.
func (h *house) worker() *inference.Worker {
	ran := study.Provenance{Varde: settings.Version}
	var gate sessions.Gate = queue.NewGate(h.Runners(), runLimit, h.log)
	var sessions inference.Sessions = &sessions.Pool{Networks: h.registry, Load: func(models.Card, []byte) (sessions.Session, error) {
		return nil, fmt.Errorf("this process does not score: %w", study.ErrUnsupported)
	}}
	if h.runtime != nil {
		i := h.runtime.Info()
		ran.Runtime, ran.Library, ran.Route, ran.Provider = i.Version, i.SHA256, i.Route, onnx.CPU
		ran.CPU = onnx.CPUClass()
		gate, sessions = h.engine.gate, h.engine.fleet
	}
	return &inference.Worker{Ledger: h.ledger, Records: h.ledger, Models: h.registry, Sessions: sessions, Objects: h.objects,
		Scorer: &scores.Scorer{Objects: h.objects, Index: h.ledger, Gate: gate, Ran: ran, Observe: h.metrics.Network}, Log: h.log, Calibrations: h.ledger}
}

// writer is who writes reports.
func (h *house) writer() *report.Writer {
	w := &report.Writer{Ledger: h.ledger, Objects: h.objects, Lang: h.Lang, Log: h.log,
		Device: report.Device{Version: settings.Version}, Slides: slideFiles(h.ledger, h.objects, h.registry), Marks: h.Marks,
		Messages: h.Messages(), Orders: h.ledger.Orders, Told: h.ledger.Told, RejectSuperseded: h.RejectSuperseded,
		Steps: h.ledger.Steps, Organization: h.Organization}
	for _, d := range h.Destinations {
		w.Wants = append(w.Wants, d.Want())
	}
	return w
}

// serveWeb answers HTTP until ctx ends.
func (h *house) serveWeb(ctx context.Context, handler http.Handler) error {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	s.RegisterOnShutdown(h.site.EndStreams)
	done := make(chan error, 1)
	go func() { done <- s.Serve(h.web) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve HTTP on %s: %w", h.web.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return s.Close()
	}
	return nil
}
