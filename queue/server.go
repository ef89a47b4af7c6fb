package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"varde/study"
)

const (
	// pollEvery is how often an idle server looks at the conveyor: often enough
	// that a job hardly waits, seldom enough to cost no processor.
	pollEvery = 25 * time.Millisecond
	// recordFor is how long a server tries to tell the ledger what became of a
	// job before it leaves that to the next delivery.
	recordFor = 30 * time.Second
	// leaveFor is how long a handler has to return once its context has ended.
	leaveFor = 2 * time.Second
)

// A Server takes the jobs of one pool off the conveyor, several at once.
type Server struct {
	Ledger   Ledger
	Conveyor *Conveyor
	Pool     string
	Slots    int           // jobs at once; at least 1
	Stat     int           // slots more that take stat jobs only
	Drain    time.Duration // for jobs in hand to end when the server stops; 0 = 5 s
	Breaker  *Breaker      // tripped when a handler finds a store away; nil: none
	Log      *slog.Logger  // nil: silent
	// Observe is told of every job that was done: how long it waited from its
	// making, how long it ran, and the handler's error. Nil: nobody is.
	Observe func(j study.Job, waited, ran time.Duration, err error)
	// Tell gives what the worker tells of itself with each beat; whether it leaves
	// and what is in hand is added. Nil: that is all.
	Tell func() study.WorkerFacts

	stale atomic.Int64
}

// Stale tells how many deliveries were dropped because their attempt no longer
// counted.
func (s *Server) Stale() int64 { return s.stale.Load() }

// A shift is one run of a server.
type shift struct {
	*Server
	worker  string // our name in the ledger, of this run only
	begun   time.Time
	ready   atomic.Bool // what the last beat said: slots were offered
	handle  Handler
	ctx     context.Context // ends when handlers must return; it lives as long as Run
	leaving atomic.Bool     // nothing more is begun

	mu     sync.Mutex     // held for a look into the map
	inHand map[string]int // attempt by job; guarded by mu
}

// Run hands jobs to the handler until ctx ends. Then nothing more is begun, the
// jobs in hand have Drain to end, and what hasn't ended goes back to the line. It
// returns an error only when it can't begin.
func (s *Server) Run(ctx context.Context, handle Handler) error {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	h := &shift{Server: s, handle: handle, ctx: work, inHand: map[string]int{}, begun: time.Now(),
		worker: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])}
	slots := max(1, s.Slots)
	if err := s.Ledger.Beat(ctx, h.self(ctx)); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it began
		}
		return fmt.Errorf("serve pool %s: %w", s.Pool, err)
	}
	servers := []*asynq.Server{h.server(slots, study.Lanes[:])}
	if s.Stat > 0 {
		servers = append(servers, h.server(s.Stat, []study.Lane{study.Stat}))
	}
	for _, a := range servers {
		if err := a.Start(asynq.HandlerFunc(h.take)); err != nil {
			return fmt.Errorf("serve pool %s: %w", s.Pool, err)
		}
	}
	logger(s.Log).Info("worker started", "worker", h.worker, "pool", s.Pool, "slots", slots, "stat", s.Stat)
	h.beat(ctx)
	h.drain(servers, stop)
	if err := s.Ledger.Leave(h.safe(), h.worker, s.Pool); err != nil {
		logger(s.Log).Warn("leave not taken", "worker", h.worker, "err", err)
	}
	logger(s.Log).Info("worker stopped", "worker", h.worker, "pool", s.Pool)
	return nil
}

// server makes the part of asynq that fetches.
func (h *shift) server(slots int, lanes []study.Lane) *asynq.Server {
	queues := map[string]int{}
	for i, l := range lanes {
		queues[queueName(h.Pool, l)] = len(lanes) - i
	}
	return asynq.NewServerFromRedisClient(h.Conveyor.redis, asynq.Config{
		Concurrency:       slots,
		Queues:            queues,
		StrictPriority:    true,
		TaskCheckInterval: pollEvery,
		ShutdownTimeout:   leaveFor, // h.drain has waited already
		RetryDelayFunc:    func(int, error, *asynq.Task) time.Duration { return time.Second },
		Logger:            asynqLog{logger(h.Log)},
		LogLevel:          asynq.WarnLevel,
	})
}

// beat says every few seconds that we are alive, until ctx ends; and at once that a
// store is away, or back: jobs would be taken only to be given back.
func (h *shift) beat(ctx context.Context) {
	tick := time.NewTicker(beatEvery / 8)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if time.Since(last) >= beatEvery || h.ready.Load() != h.Breaker.Closed(ctx) {
				last = time.Now()
				h.beatOnce()
			}
		}
	}
}

func (h *shift) beatOnce() {
	if err := h.Ledger.Beat(h.safe(), h.self(h.safe())); err != nil {
		logger(h.Log).Warn("beat failed", "worker", h.worker, "err", err)
	}
}

// self is what we tell the ledger of us. We offer slots while we can work.
func (h *shift) self(ctx context.Context) study.Worker {
	w := study.Worker{Name: h.worker, Pool: h.Pool}
	if h.Tell != nil {
		w.Told = h.Tell()
	}
	w.Told.Host, _, _ = strings.Cut(h.worker, "/")
	w.Told.StartedAt, w.Told.Leaving, w.Told.InHand = h.begun.UTC().Truncate(time.Millisecond), h.leaving.Load(), len(h.left())
	h.ready.Store(!w.Told.Leaving && h.Breaker.Closed(ctx))
	if h.ready.Load() {
		w.Slots = max(1, h.Slots) + h.Stat
	}
	return w
}

// drain ends the shift: no new jobs, time for those in hand, and an end to the
// context of those that take longer.
func (h *shift) drain(servers []*asynq.Server, stop func()) {
	h.leaving.Store(true)
	h.beatOnce()
	for _, a := range servers {
		a.Stop()
	}
	limit := h.Drain
	if limit == 0 {
		limit = 5 * time.Second
	}
	h.await(limit)
	stop()
	h.await(leaveFor)
	for id, attempt := range h.left() {
		if err := h.record(func() error { return h.Ledger.Release(h.safe(), id, attempt) }); err == nil {
			logger(h.Log).Warn("job left behind", "job", id, "attempt", attempt)
		}
	}
	for _, a := range servers {
		a.Shutdown()
	}
}

// await waits until nothing is in hand, at most that long. Meanwhile we go on
// saying that we are alive, for so are our jobs.
func (h *shift) await(limit time.Duration) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	end, beat := time.Now().Add(limit), time.Now().Add(beatEvery)
	for len(h.left()) > 0 && time.Now().Before(end) {
		<-tick.C
		if time.Now().After(beat) {
			h.beatOnce()
			beat = time.Now().Add(beatEvery)
		}
	}
}

// left gives what is in hand.
func (h *shift) left() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.inHand)
}

// take is what asynq calls. It returns nil for whatever the ledger has been told,
// for the ledger counts the tries; an error is delivered again.
func (h *shift) take(_ context.Context, task *asynq.Task) error {
	id, attempt, err := parse(task.Payload())
	if err != nil {
		logger(h.Log).Error("task dropped", "err", err)
		return nil
	}
	if h.leaving.Load() {
		return h.record(func() error { return h.Ledger.Release(h.safe(), id, attempt) })
	}
	if !h.grasp(id, attempt) {
		return h.drop(id, attempt) // asynq delivers again what it thinks is lost
	}
	defer h.letGo(id)
	j, state, err := h.Ledger.Job(h.safe(), id)
	switch {
	case errors.Is(err, study.ErrNotFound):
		return h.drop(id, attempt)
	case err != nil:
		h.Breaker.Trip(err)
		return err
	case state != study.JobEnqueued || j.Attempt != attempt:
		return h.drop(id, attempt)
	}
	// Recorded before anything is done that might end the process.
	err = h.Ledger.Started(h.safe(), id, attempt, h.worker)
	switch {
	case errors.Is(err, study.ErrRefused):
		return h.drop(id, attempt)
	case err != nil:
		h.Breaker.Trip(err)
		return err
	}
	begun := time.Now()
	err = h.call(j)
	if h.Observe != nil {
		h.Observe(j, begun.Sub(j.CreatedAt), time.Since(begun), err)
	}
	return h.settle(j, err)
}

// safe is a context for the ledger: what is recorded isn't given up because the
// server stops.
func (h *shift) safe() context.Context { return context.WithoutCancel(h.ctx) }

// grasp takes a job in hand, unless it is in hand.
func (h *shift) grasp(id string, attempt int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.inHand[id]; ok {
		return false
	}
	h.inHand[id] = attempt
	return true
}

func (h *shift) letGo(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.inHand, id)
}

func (h *shift) drop(id string, attempt int) error {
	h.stale.Add(1)
	logger(h.Log).Debug("stale delivery dropped", "job", id, "attempt", attempt)
	return nil
}

// call runs the handler. A panic is an error of the job's, not the end of all
// others.
func (h *shift) call(j study.Job) (err error) {
	defer func() {
		if r := recover(); r != nil {
			logger(h.Log).Error("handler panicked", "job", j.ID, "study", j.Study, "stack", string(debug.Stack()))
			err = errors.New("handler panicked")
		}
	}()
	return h.handle(h.ctx, j)
}

// hopeless lists the errors that another try can't mend.
var hopeless = []error{study.ErrInvalid, study.ErrNotFound, study.ErrRefused, study.ErrUnsupported, study.ErrWithheld}

// settle tells the ledger what became of a job. The fence decides whether it is
// still ours to tell.
func (h *shift) settle(j study.Job, err error) error {
	log := logger(h.Log).With("job", j.ID, "study", j.Study, "task", j.Task, "model", j.Model.String(), "attempt", j.Attempt)
	switch {
	case err == nil:
		if !h.unfinished(j) {
			return nil
		}
		err = errors.New("handler recorded no end")
	case h.ctx.Err() != nil, errors.Is(err, study.ErrBusy):
		if h.ctx.Err() == nil {
			h.Breaker.Trip(err)
		}
		log.Info("job given back", "err", err)
		return h.record(func() error { return h.Ledger.Release(h.safe(), j.ID, j.Attempt) })
	}
	final := false
	for _, kind := range hopeless {
		final = final || errors.Is(err, kind)
	}
	told := h.record(func() error {
		e := h.Ledger.Fail(h.safe(), j.ID, j.Attempt, err, final)
		if e == nil {
			log.Warn("job failed", "hopeless", final, "err", err)
		}
		return e
	})
	return told
}

// unfinished reports whether the ledger still waits for the end of this attempt.
func (h *shift) unfinished(j study.Job) bool {
	now, state, err := h.Ledger.Job(h.safe(), j.ID)
	return err == nil && state == study.JobEnqueued && now.Attempt == j.Attempt
}

// record tells the ledger something, again and again while it is away. That the
// attempt no longer counts is as good as told.
func (h *shift) record(do func() error) error {
	pause := 50 * time.Millisecond
	for end := time.Now().Add(recordFor); ; pause = min(2*pause, 2*time.Second) {
		err := do()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, study.ErrRefused), errors.Is(err, study.ErrNotFound):
			h.stale.Add(1)
			return nil
		case time.Now().After(end):
			logger(h.Log).Error("outcome of a job not recorded", "err", err)
			return err
		}
		h.Breaker.Trip(err)
		time.Sleep(pause)
	}
}
