package house

import (
	"context"
	"errors"
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
	"varde/models/modelcard"
	"varde/queue"
	"varde/report"
	"varde/store"
	"varde/study"
)

const (
	// shutdownGrace is how long HTTP requests may take to end once the service
	// is asked to stop.
	shutdownGrace = 8 * time.Second
	// RunLimit is the longest that one run of a network may take before it
	// counts as hung, and the process leaves so that a supervisor starts afresh.
	RunLimit = 2 * time.Minute
	// Ahead is how many jobs more than networks run are in hand: while one is being
	// recorded, fetched or read for the first time, another has its batches ready.
	Ahead = 1
	// reporters is how many results are concluded and reported at once.
	reporters = 2
)

// Run serves until ctx ends, then lets what is in hand come to its end. An error
// of one part stops the others.
func (h *House) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	traffic := &ingest.Traffic{}
	receiver := &ingest.Receiver{Archive: h.Objects, Keeper: h.Objects, Register: h.Ledger, Traffic: traffic,
		Log: h.log, MinFree: h.MinFree, Charset: h.Charset}
	g.Go(func() error { return h.serveWeb(ctx, h.routes(receiver, traffic)) })
	if h.Has("ingest") {
		committer := h.committer()
		g.Go(func() error { return committer.Run(ctx) })
		g.Go(func() error { return h.prune(ctx) })
		g.Go(func() error { return (&store.Manifester{Ledger: h.Ledger, Objects: h.Objects, Log: h.log}).Run(ctx) })
		g.Go(func() error { return h.serveDICOM(ctx, receiver, traffic, h.services(committer)) })
		settler := h.settler(traffic)
		h.inquire(ctx, g, settler, receiver, traffic)
		g.Go(func() error { return settler.Run(ctx) })
		if h.Watch != "" {
			g.Go(func() error { return h.watch(ctx, receiver, traffic) })
		}
	}
	if h.HL7 != nil {
		g.Go(func() error { return h.serveHL7(ctx) })
	}
	h.runQueue(ctx, g)
	h.describe(ctx)
	return g.Wait()
}

func (h *House) settler(traffic *ingest.Traffic) *ingest.Settler {
	return &ingest.Settler{Ledger: h.Ledger, Models: h.Registry, Slides: h.slides(), Pictures: h.Objects, Traffic: traffic, Told: h.Ledger, Memory: h.Ledger, Priors: h.Ledger, ScorePriors: h.PriorsScore, Log: h.log,
		Decodes: codec.Supported, GPU: h.hasGPU, Cap: h.GapCap}
}

func (h *House) slides() *slide.Reader {
	return &slide.Reader{Objects: h.Objects, Frames: h.Ledger.Frames}
}

// A crew is who does the jobs of one pool.
type crew struct {
	pool        string
	slots, stat int // jobs at once; and how many more that are stat
	handle      queue.Handler
}

// crews lists those that this process has.
func (h *House) crews() (all []crew) {
	worker := h.worker()
	if h.Has("score") {
		all = append(all, crew{study.PoolCPU, h.Runners() + Ahead, 1, worker.Handle})
		if c, ok := h.gpuCrew(worker); ok {
			all = append(all, c)
		}
	}
	if h.Has("report") {
		writer := h.writer()
		all = append(all, crew{study.PoolReport, reporters, 1, func(ctx context.Context, j study.Job) error {
			if j.Task == study.TaskReport || j.Task == study.TaskWithdraw || j.Task == study.TaskVerify || j.Task == study.TaskPatient {
				return writer.Handle(ctx, j)
			}
			return worker.Handle(ctx, j)
		}})
	}
	return all
}

// runQueue starts the dispatcher, the sweeper and the workers.
func (h *House) runQueue(ctx context.Context, g *errgroup.Group) {
	breaker := &queue.Breaker{Probe: h.probeObjects, Log: h.log}
	for _, c := range h.crews() {
		s := &queue.Server{Ledger: h.Ledger, Conveyor: h.conveyor, Pool: c.pool, Slots: c.slots, Stat: c.stat, Breaker: breaker,
			Log: h.log, Observe: func(j study.Job, _, ran time.Duration, err error) { h.metrics.Ran(j, ran, err) },
			Drain: h.Drain, Tell: func() study.WorkerFacts { return h.tell(c.pool) }}
		g.Go(func() error { return s.Run(ctx, measured(&h.speeds, c.handle)) })
	}
	d := &queue.Dispatcher{Ledger: h.Ledger, Conveyor: h.conveyor, Pools: Pools(), Breaker: breaker, Log: h.log}
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error { return (&queue.Sweeper{Ledger: h.Ledger, Conveyor: h.conveyor, Log: h.log}).Run(ctx) })
	g.Go(func() error { return h.watchLine(ctx) })
	g.Go(func() error { return h.moveJobs(ctx) })
	if h.Has("report") {
		g.Go(func() error { return h.deliver(ctx) })
	}
}

// openQueue connects to the Redis that is asked for, or starts one within.
func (h *House) openQueue(ctx context.Context) error {
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
	// Whether it is there doesn't matter: the queue is filled anew when it is back.
	if err := h.conveyor.Ping(ctx); errors.Is(err, study.ErrRefused) || errors.Is(err, study.ErrBusy) && !passing(err) {
		return fmt.Errorf("open the queue; correct the address of --queue: %w", err)
	} else if err != nil {
		h.log.WarnContext(ctx, "queue does not answer; studies are taken in and wait", "err", err)
	}
	return nil
}

// worker is who scores and concludes. Concluding needs no runtime.
func (h *House) worker() *inference.Worker {
	ran := study.Provenance{Varde: settings.Version}
	var gate sessions.Gate = queue.NewGate(h.Runners(), RunLimit, h.log)
	var sessions inference.Sessions = &sessions.Pool{Networks: h.Registry, Load: func(modelcard.Card, []byte) (sessions.Session, error) {
		return nil, fmt.Errorf("this process does not score: %w", study.ErrUnsupported)
	}}
	if h.Runtime != nil {
		i := h.Runtime.Info()
		ran.Runtime, ran.Library, ran.Route, ran.Provider = i.Version, i.SHA256, i.Route, onnx.CPU
		ran.CPU = onnx.CPUClass()
		gate, sessions = h.engine.gate, h.engine.fleet
	}
	return &inference.Worker{Ledger: h.Ledger, Records: h.Ledger, Models: h.Registry, Sessions: sessions, Objects: h.Objects,
		Scorer: &scores.Scorer{Objects: h.Objects, Index: h.Ledger, Gate: gate, Ran: ran, Observe: h.metrics.Network}, Log: h.log, Calibrations: h.Ledger}
}

// writer is who writes reports.
func (h *House) writer() *report.Writer {
	w := &report.Writer{Ledger: h.Ledger, Objects: h.Objects, Lang: h.Lang, Log: h.log,
		Device: report.Device{Version: settings.Version}, Slides: SlideFiles(h.Ledger, h.Objects, h.Registry), Marks: h.Marks,
		Messages: h.Messages(), Orders: h.Ledger.Orders, Told: h.Ledger.Told, RejectSuperseded: h.RejectSuperseded,
		Steps: h.Ledger.Steps, Organization: h.Organization, Installation: h.Installation}
	for _, d := range h.Destinations {
		w.Wants = append(w.Wants, d.Want())
	}
	return w
}

// serveWeb answers HTTP until ctx ends.
func (h *House) serveWeb(ctx context.Context, handler http.Handler) error {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	s.RegisterOnShutdown(h.Site.EndStreams)
	done := make(chan error, 1)
	go func() { done <- s.Serve(h.Web) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve HTTP on %s: %w", h.Web.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return s.Close()
	}
	return nil
}
