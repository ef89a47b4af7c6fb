package metrics

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"varde/study"
)

// A Line knows what waits for workers. A [Source] that is one too shows it.
type Line interface {
	Queue(ctx context.Context) (study.Queue, error)
	// OwedCommitments tells by destination what it has to answer for.
	OwedCommitments(ctx context.Context) ([]study.OwedCount, error)
	// Destinations tells how each fares, and what has not reached it.
	Destinations(ctx context.Context) ([]study.DestinationState, error)
}

// A Scale is how much work there is for one pool of workers, for whoever starts
// and stops them.
type Scale struct {
	Pool string `json:"pool"`
	// BacklogSeconds is how long one worker of the pool would take for all that
	// waits and is under way. Shared out, it is how many workers are needed to be
	// done in a given time. What is paused does not count.
	BacklogSeconds float64 `json:"backlog_seconds"`
	// DrainSeconds is how long those that are alive take for it. Without any it is
	// the same as BacklogSeconds.
	DrainSeconds  float64 `json:"drain_seconds"`
	OldestSeconds float64 `json:"oldest_s"` // age of the oldest job that waits and is not paused
	Jobs          int     `json:"jobs"`
	Workers       int     `json:"workers"`
	Slots         int     `json:"slots"`
	Paused        bool    `json:"paused"` // every lane of the pool
}

// ScaleOf sums up one pool at a moment.
func ScaleOf(q study.Queue, pool string, now time.Time) Scale {
	s := Scale{Pool: pool}
	hands := 0
	for _, w := range q.Workers {
		if w.Pool == pool && w.Slots > 0 {
			s.Workers++
			s.Slots += w.Slots
			hands += handsOf(w)
		}
	}
	var work time.Duration
	for _, b := range q.Backlogs {
		if b.Pool != pool || paused(q, pool, b.Lane) {
			continue
		}
		work += b.Work
		s.Jobs += b.Jobs
		if age := now.Sub(b.Oldest).Seconds(); !b.Oldest.IsZero() && age > s.OldestSeconds {
			s.OldestSeconds = age
		}
	}
	s.BacklogSeconds = work.Seconds()
	s.DrainSeconds = s.BacklogSeconds
	if hands > 0 {
		s.DrainSeconds = work.Seconds() / float64(hands)
		s.BacklogSeconds = s.DrainSeconds * float64(s.Workers)
	}
	s.Paused = !slices.ContainsFunc(study.Lanes[:], func(l study.Lane) bool { return !paused(q, pool, l) })
	return s
}

// handsOf is how many jobs a worker really does at once: a job more than networks
// run is in hand only so that its batches are ready.
func handsOf(w study.Worker) int {
	runners := 0
	for _, d := range w.Told.Devices {
		runners += d.Runners
	}
	if runners > 0 {
		return runners
	}
	return w.Slots
}

func paused(q study.Queue, pool string, lane study.Lane) bool {
	return slices.ContainsFunc(q.Pauses, func(p study.Pause) bool { return p.Covers(pool, lane) })
}

// backlog asks for the line at each scrape. Whichever process is scraped tells of
// all: take the greatest over processes, not the sum.
type backlog struct{ line Line }

// Describe sends nothing: lanes and models come and go.
func (backlog) Describe(chan<- *prometheus.Desc) {}

// Collect asks once and sends gauges.
func (b backlog) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if q, err := b.line.Queue(ctx); err == nil {
		collectQueue(q, gauge)
	}
	if owed, err := b.line.OwedCommitments(ctx); err == nil {
		collectOwed(owed, gauge)
	}
	if all, err := b.line.Destinations(ctx); err == nil {
		collectDestinations(all, gauge)
	}
}

func collectQueue(q study.Queue, gauge func(*prometheus.Desc, float64, ...string)) {
	now := time.Now()
	type place struct{ pool, lane, model string }
	work, overdue := map[place]float64{}, map[place]int{}
	for _, k := range q.Backlogs {
		lane := k.Lane.String()
		work[place{k.Pool, lane, k.Model.String()}] += k.Work.Seconds()
		overdue[place{k.Pool, lane, ""}] += k.Overdue
	}
	seconds := desc("varde_work_seconds", "Work that waits or is under way, in seconds of one runner, by what was learned of the model.", "pool", "lane", "model")
	for p, v := range work {
		gauge(seconds, v, p.pool, p.lane, p.model)
	}
	late := desc("varde_jobs_overdue", "Jobs that wait though their time has come.", "pool", "lane")
	for p, n := range overdue {
		gauge(late, float64(n), p.pool, p.lane)
	}
	one := desc("varde_backlog_seconds", "What waits or is under way and is not paused, in seconds of one worker of the pool. To scale by.", "pool")
	drain := desc("varde_drain_seconds", "How long the living workers take for what waits, by pool.", "pool")
	for _, pool := range poolsOf(q) {
		s := ScaleOf(q, pool, now)
		gauge(one, s.BacklogSeconds, pool)
		gauge(drain, s.DrainSeconds, pool)
	}
	type paced struct{ pool, model string }
	speeds := map[paced]float64{} // two networks of one name are one line
	for _, p := range q.Paces {
		speeds[paced{p.Pool, p.Model.String()}] = p.TilesPerSecond
	}
	speed := desc("varde_model_tiles_per_second", "How fast one runner of the pool scored the model's last blocks.", "pool", "model")
	for p, v := range speeds {
		gauge(speed, v, p.pool, p.model)
	}
	held := desc("varde_paused", "1 while a lane of a pool is paused by somebody.", "pool", "lane")
	for _, pool := range poolsOf(q) {
		for _, lane := range study.Lanes {
			v := 0.0
			if paused(q, pool, lane) {
				v = 1
			}
			gauge(held, v, pool, lane.String())
		}
	}
}

// poolsOf lists the pools in which there is anything, and those that there always
// are, so that a scaler finds a zero instead of nothing.
func poolsOf(q study.Queue) []string {
	pools := []string{study.PoolCPU, study.PoolGPU, study.PoolReport}
	for _, b := range q.Backlogs {
		pools = append(pools, b.Pool)
	}
	for _, w := range q.Workers {
		pools = append(pools, w.Pool)
	}
	slices.Sort(pools)
	return slices.Compact(pools)
}

func collectOwed(owed []study.OwedCount, gauge func(*prometheus.Desc, float64, ...string)) {
	open := desc("varde_commitments", "Reports that a destination took and has not answered for, answered for too late, or then did not have.", "destination", "state")
	oldest := desc("varde_commitment_oldest_seconds", "How long a destination owes the oldest answer.", "destination")
	for _, o := range owed {
		gauge(open, float64(o.Awaited), o.Destination, "awaited")
		gauge(open, float64(o.Late), o.Destination, "late")
		gauge(open, float64(o.Broken), o.Destination, "broken")
		age := 0.0
		if !o.Oldest.IsZero() {
			age = time.Since(o.Oldest).Seconds()
		}
		gauge(oldest, age, o.Destination)
	}
}

func collectDestinations(all []study.DestinationState, gauge func(*prometheus.Desc, float64, ...string)) {
	left := desc("varde_destination_reports", "Reports that have not reached a destination: that wait, whose commitment is awaited, or that were given up.", "destination", "state")
	fails := desc("varde_destination_failing_seconds", "How long nothing has reached a destination that is tried; 0 while it takes what it is sent.", "destination")
	for _, s := range all {
		gauge(left, float64(s.Waiting), s.Destination, "waiting")
		gauge(left, float64(s.Sent), s.Destination, "sent")
		gauge(left, float64(s.Failed), s.Destination, "failed")
		since := 0.0
		if !s.FailsSince.IsZero() {
			since = time.Since(s.FailsSince).Seconds()
		}
		gauge(fails, since, s.Destination)
	}
}

// WatchLine shows the queue, how destinations fare and what they owe, out of what keeps them.
func (m *Metrics) WatchLine(l Line) {
	if m != nil {
		m.registry.MustRegister(backlog{l})
	}
}

// WatchModels shows in which state each model is; states gives that by id@version.
func (m *Metrics) WatchModels(states func(context.Context) (map[string]study.ModelState, error)) {
	if m != nil {
		m.registry.MustRegister(modelStates(states))
	}
}

// WatchNumber shows one number under a name, asked at each scrape.
func (m *Metrics) WatchNumber(name, help string, f func() float64) {
	if m != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
}

type modelStates func(context.Context) (map[string]study.ModelState, error)

// Describe sends nothing: models come and go.
func (modelStates) Describe(chan<- *prometheus.Desc) {}

// Collect sends a 1 for the state that each model is in.
func (f modelStates) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	states, err := f(ctx)
	if err != nil {
		return
	}
	d := desc("varde_model_state", "1; the labels tell in which state the model is.", "model", "state")
	for model, state := range states {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, 1, model, string(state))
	}
}
