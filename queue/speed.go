package queue

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"varde/study"
)

// speedMemory is how many busy seconds it takes until a model's speed of before
// weighs a third: a machine whose cores others want is slower now, not for ever.
const speedMemory = 120.0

// Speeds learns how fast a worker scores with each model: tiles for each second in
// which at least one job of the model is in hand. The zero value knows none.
type Speeds struct {
	mu    sync.Mutex
	paces map[study.ModelRef]*pace // guarded by mu
	ended time.Time                // when a job last began or ended; guarded by mu
}

// A pace is what is known of one model.
type pace struct {
	inHand int       // jobs
	since  time.Time // of what busy does not hold yet; while a job is in hand
	all    int64     // tiles since the start
	tiles  float64   // lately
	busy   float64   // seconds, lately
}

// Begin notes that a job is taken in hand, and gives what to call when it is over
// and whether it was done.
func (s *Speeds) Begin(j study.Job) (end func(done bool)) {
	if j.Task != study.TaskScore {
		return func(bool) {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paces == nil {
		s.paces = map[study.ModelRef]*pace{}
	}
	p := s.paces[j.Model]
	if p == nil {
		p = &pace{}
		s.paces[j.Model] = p
	}
	p.count(time.Now())
	p.inHand++
	s.ended = time.Now()
	return func(done bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.count(time.Now())
		p.inHand--
		s.ended = time.Now()
		if done {
			n := j.Block.Planned()
			p.all += int64(n)
			p.tiles += float64(n)
		}
	}
}

// quietEvery is how often it is looked whether a worker has nothing to do.
const quietEvery = 100 * time.Millisecond

// Quiet waits until the worker has had no job to score for so long, or until ctx
// ends, which is its error. Before the first job it is quiet.
func (s *Speeds) Quiet(ctx context.Context, lasting time.Duration) error {
	for tick := time.NewTicker(quietEvery); ; {
		if err := ctx.Err(); err != nil || s.quiet(lasting) {
			tick.Stop()
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (s *Speeds) quiet(lasting time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.paces {
		if p.inHand > 0 {
			return false
		}
	}
	return time.Since(s.ended) >= lasting
}

// count takes in the time that has passed.
func (p *pace) count(now time.Time) {
	if p.inHand > 0 {
		passed := now.Sub(p.since).Seconds()
		keep := math.Exp(-passed / speedMemory)
		p.busy, p.tiles = p.busy*keep+passed, p.tiles*keep
	}
	p.since = now
}

// Models gives the models that were scored with, by name.
func (s *Speeds) Models() []study.WorkerModel {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []study.WorkerModel
	for ref, p := range s.paces {
		m := study.WorkerModel{Model: ref.String(), Hash: ref.SHA256, Tiles: p.all}
		if p.busy > 0 {
			m.PerSecond = math.Round(p.tiles/p.busy*100) / 100
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b study.WorkerModel) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Hash.String(), b.Hash.String()))
	})
	return all
}
