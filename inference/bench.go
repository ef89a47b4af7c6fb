package inference

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/internal/pixel"
	"varde/study"
)

// A Throughput compares the whole way of a worker with the bare network on the
// same tensors in the same process.
type Throughput struct {
	Tiles int     // of the block
	Whole float64 // tiles per second of processor time: read, decode, prepare, run, take down
	Bare  float64 // the network alone
	Ratio float64 // median of the rounds' Whole by Bare; 1 = the platform costs nothing
}

// Measure scores a block in some rounds and, after each, runs the network alone
// on the tensors of the block, which are the same in every round. Processor time is the whole process's: nothing
// else should run in it.
func Measure(ctx context.Context, s *scores.Scorer, q scores.Question, rounds int) (Throughput, error) {
	session := q.Session
	recorded := &Recorder{Session: session}
	q.Session = recorded
	part, err := s.Score(ctx, q) // it warms up, and tells what the network is given
	if err != nil {
		return Throughput{}, err
	}
	q.Session = session
	t := Throughput{Tiles: q.Block.Planned() - len(part.Missed)}
	if t.Tiles == 0 {
		return t, fmt.Errorf("measure: no tile of the block could be scored: %w", study.ErrInvalid)
	}
	var ratios, whole, bare []float64
	for range max(1, rounds) {
		begun := ProcessorTime()
		if _, err := s.Score(ctx, q); err != nil {
			return t, err
		}
		spent := ProcessorTime() - begun
		begun = ProcessorTime()
		for _, in := range recorded.Inputs() {
			if _, err := session.Run(ctx, in); err != nil {
				return t, err
			}
		}
		alone := ProcessorTime() - begun
		if spent <= 0 || alone <= 0 {
			continue
		}
		whole = append(whole, float64(t.Tiles)/spent.Seconds())
		bare = append(bare, float64(t.Tiles)/alone.Seconds())
		ratios = append(ratios, alone.Seconds()/spent.Seconds())
	}
	t.Whole, t.Bare, t.Ratio = middle(whole), middle(bare), middle(ratios)
	return t, nil
}

// A Recorder keeps copies of what its session was given.
type Recorder struct {
	sessions.Session
	mu     sync.Mutex // held for an append
	inputs []map[string]pixel.Tensor
}

// Run keeps the tensors and runs the session.
func (r *Recorder) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	kept := maps.Clone(in)
	for name, t := range kept {
		switch data := t.Data.(type) {
		case []float32:
			t.Data = slices.Clone(data)
		case []uint8:
			t.Data = slices.Clone(data)
		}
		kept[name] = t
	}
	r.mu.Lock()
	r.inputs = append(r.inputs, kept)
	r.mu.Unlock()
	return r.Session.Run(ctx, in)
}

// Inputs gives what was kept, in the order of the runs.
func (r *Recorder) Inputs() []map[string]pixel.Tensor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.inputs)
}

// ProcessorTime is what this process has used of all processors so far.
func ProcessorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}
