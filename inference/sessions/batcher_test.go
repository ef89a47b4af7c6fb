package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"varde/inference/sessions"
	"varde/internal/pixel"
	"varde/study"
)

// A fakeDevice adds up the numbers of each tile, as slowly and with as little
// memory as a test wants. It stands for a GPU.
type fakeDevice struct {
	takes  time.Duration // of one run
	memory int           // tiles that it has room for; 0 = any
	broken bool          // every run fails
	poison float32       // a tile that begins with it fails

	mu    sync.Mutex // held to take down a run
	sizes []int      // of the runs that came to their end
	lanes [][]float32
}

func (d *fakeDevice) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	t := in["x"]
	n, data := int(t.Shape[0]), t.Data.([]float32)
	each := len(data) / n
	select {
	case <-time.After(d.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return nil, errors.New("unspecified launch failure")
	}
	if d.memory >= 0 && d.memory < n {
		return nil, fmt.Errorf("%d tiles: %w", n, study.ErrBusy)
	}
	sums, firsts := make([]float32, n), make([]float32, n)
	for i := range n {
		firsts[i] = data[i*each]
		if d.poison != 0 && firsts[i] == d.poison {
			return nil, errors.New("illegal instruction")
		}
		for _, v := range data[i*each : (i+1)*each] {
			sums[i] += v
		}
	}
	d.sizes, d.lanes = append(d.sizes, n), append(d.lanes, firsts)
	return map[string]pixel.Tensor{"y": {Shape: []int64{int64(n)}, Data: sums}}, nil
}

// a turn at the device is one at a time, the best lane first.
type oneAtATime struct {
	mu      sync.Mutex
	busy    bool
	waiting []*oneWaits
}

type oneWaits struct {
	lane study.Lane
	go_  chan struct{}
}

func (g *oneAtATime) Run(ctx context.Context, turn study.Turn, f func(int) error) error {
	w := &oneWaits{turn.Lane, make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.next()
	g.mu.Unlock()
	select {
	case <-w.go_:
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		if i := slices.Index(g.waiting, w); i >= 0 {
			g.waiting = slices.Delete(g.waiting, i, i+1)
		} else {
			g.busy = false
			g.next()
		}
		return ctx.Err()
	}
	err := f(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = false
	g.next()
	return err
}

func (g *oneAtATime) next() {
	if g.busy || len(g.waiting) == 0 {
		return
	}
	best := 0
	for i, w := range g.waiting {
		if w.lane < g.waiting[best].lane {
			best = i
		}
	}
	g.busy = true
	close(g.waiting[best].go_)
	g.waiting = slices.Delete(g.waiting, best, best+1)
}

// batcher puts a batcher before a fake device.
func batcher(d *fakeDevice) *sessions.Batcher {
	return &sessions.Batcher{What: "test", Session: d,
		Device: &sessions.Device{Provider: "cuda", Most: 16, Gate: &oneAtATime{}}}
}

// tiles makes a request of n tiles that all begin with v.
func tiles(n int, v float32) map[string]pixel.Tensor {
	data := make([]float32, 3*n)
	for i := range data {
		data[i] = v
	}
	return map[string]pixel.Tensor{"x": {Shape: []int64{int64(n), 3}, Data: data}}
}

// answered checks that an answer is that of so many tiles of v.
func answered(out map[string]pixel.Tensor, n int, v float32) error {
	y := out["y"]
	if !slices.Equal(y.Shape, []int64{int64(n)}) || slices.ContainsFunc(y.Data.([]float32), func(s float32) bool { return s != 3*v }) {
		return fmt.Errorf("%d tiles of %v gave %v", n, v, y)
	}
	return nil
}

// crowd lets blocks ask at once, each some requests of a few tiles one after the
// other, and checks every answer.
func crowd(t *testing.T, b *sessions.Batcher, blocks, each int) (lent []sessions.Share) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range blocks {
		s := b.Share(study.Routine)
		lent = append(lent, s)
		wg.Go(func() {
			defer s.End()
			for k := range each {
				n, v := 1+rand.IntN(6), float32(1+i*each+k)
				out, err := s.Run(t.Context(), tiles(n, v))
				if err == nil {
					err = answered(out, n, v)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return lent
}

// TestRequestsOfManyBlocksGoTogether: every block gets its own answers, the runs
// are of a few sizes, and there are fewer of them than requests.
func TestRequestsOfManyBlocksGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{takes: 20 * time.Millisecond, memory: 1000}
		for _, s := range crowd(t, batcher(d), 12, 10) {
			if p, why := s.Ran(); p != "cuda" || why != "" {
				t.Errorf("ran on %q, %q", p, why)
			}
		}
		for _, n := range d.sizes {
			if n&(n-1) != 0 || n > 16 {
				t.Errorf("a run of %d", n)
			}
		}
		if len(d.sizes) > 60 {
			t.Errorf("%d runs for 120 requests", len(d.sizes))
		}
	})
}

// TestRunThatIsNotFullGoesAfterAMoment: with another block being prepared a
// request waits a few milliseconds for it; with none it does not.
func TestRunThatIsNotFullGoesAfterAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batcher(&fakeDevice{memory: 1000})
		ask := func(s sessions.Share) time.Duration {
			begun := time.Now()
			if _, err := s.Run(t.Context(), tiles(2, 1)); err != nil {
				t.Error(err)
			}
			return time.Since(begun)
		}
		one := b.Share(study.Routine)
		if took := ask(one); took != 0 {
			t.Errorf("alone it took %v", took)
		}
		other := b.Share(study.Routine)
		if took := ask(one); took != 5*time.Millisecond {
			t.Errorf("beside another it took %v", took)
		}
		other.End()
		if took := ask(one); took != 0 {
			t.Errorf("alone again it took %v", took)
		}
		one.End()
	})
}

// TestDeviceThatIsFullIsAskedForLess: runs are halved until they fit, nothing is
// lost, the size is remembered, and a larger one is tried again later.
func TestDeviceThatIsFullIsAskedForLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{takes: 20 * time.Millisecond, memory: 4}
		b := batcher(d)
		crowd(t, b, 8, 5)
		if n := slices.Max(d.sizes); n > 4 {
			t.Errorf("a run of %d", n)
		}
		d.memory = 1000
		crowd(t, b, 8, 5)
		if n := slices.Max(d.sizes); n > 4 {
			t.Errorf("a run of %d while the size is remembered", n)
		}
		for range 3 {
			time.Sleep(6 * time.Minute)
			crowd(t, b, 8, 5)
		}
		if n := slices.Max(d.sizes); n != 16 {
			t.Errorf("runs of %d at most, when there is room again", n)
		}
	})
}

// spare adds a processor to a batcher.
func spare(b *sessions.Batcher) *fakeDevice {
	cpu := &fakeDevice{memory: 1000}
	b.Spare, b.Gate = func() (sessions.Session, error) { return cpu, nil }, &oneAtATime{}
	return cpu
}

// TestDeviceWithoutRoomGivesWay to the processor when the card allows that, and
// says so. When the card does not, the job is to be tried again, and is when the
// device has rested.
func TestDeviceWithoutRoomGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batcher(&fakeDevice{takes: time.Millisecond})
		cpu := spare(b)
		for _, s := range crowd(t, b, 4, 5) {
			if p, why := s.Ran(); p != "cpu" || !strings.Contains(why, "cuda:0") {
				t.Errorf("ran on %q, %q", p, why)
			}
		}
		if len(cpu.sizes) != 20 {
			t.Errorf("%d runs on the processor", len(cpu.sizes))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{takes: time.Millisecond}
		b := batcher(d)
		s := b.Share(study.Routine)
		defer s.End()
		if _, err := s.Run(t.Context(), tiles(4, 1)); !errors.Is(err, study.ErrBusy) {
			t.Errorf("%v", err)
		}
		d.memory = 1000
		begun := time.Now()
		if _, err := s.Run(t.Context(), tiles(4, 1)); err != nil || time.Since(begun) < 9*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if p, why := s.Ran(); p != "cuda" || why != "" {
			t.Errorf("ran on %q, %q", p, why)
		}
	})
}

// TestPartlyOnTheProcessorIsSaid: a share that began on the device and ended on
// the processor names both.
func TestPartlyOnTheProcessorIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{memory: 1000}
		b := batcher(d)
		spare(b)
		s := b.Share(study.Routine)
		defer s.End()
		for _, memory := range []int{1000, 0} {
			d.memory = memory
			if out, err := s.Run(t.Context(), tiles(3, 2)); err != nil || answered(out, 3, 2) != nil {
				t.Errorf("%v, %v", out, err)
			}
		}
		if p, why := s.Ran(); p != "cuda, cpu" || why == "" {
			t.Errorf("ran on %q, %q", p, why)
		}
	})
}

// TestPoisonFailsByItself: what lay beside it in the run is answered.
func TestPoisonFailsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batcher(&fakeDevice{takes: 20 * time.Millisecond, memory: 1000, poison: 7})
		b.Device.Check = func() error { return nil }
		var wg sync.WaitGroup
		for i := range 12 {
			s := b.Share(study.Routine)
			wg.Go(func() {
				defer s.End()
				out, err := s.Run(t.Context(), tiles(2, float32(i+1)))
				if i+1 == 7 {
					if err == nil || errors.Is(err, study.ErrBusy) {
						t.Errorf("the poison: %v", err)
					}
					return
				}
				if err != nil || answered(out, 2, float32(i+1)) != nil {
					t.Errorf("%d: %v, %v", i, out, err)
				}
			})
		}
		wg.Wait()
		if err := b.Device.Err(); err != nil {
			t.Error(err)
		}
	})
}

// TestBrokenDeviceCostsNoJob: a device that fails its check is lost, once; jobs
// go to the processor or back to the line.
func TestBrokenDeviceCostsNoJob(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := batcher(&fakeDevice{takes: time.Millisecond, broken: true})
			told := 0
			b.Device.Check = func() error { return errors.New("it does not answer") }
			b.Device.Lost = func(error) { told++ }
			if allowed {
				spare(b)
				crowd(t, b, 6, 3)
			} else {
				for range 3 {
					if _, err := b.Run(t.Context(), tiles(2, 1)); !errors.Is(err, study.ErrBusy) {
						t.Errorf("%v", err)
					}
				}
			}
			if told != 1 || b.Device.Err() == nil {
				t.Errorf("told %d times: %v", told, b.Device.Err())
			}
		})
	}
}

// TestStatGoesWithTheNextRunOfABusyDevice puts a stat request behind hundreds of
// routine tiles.
func TestStatGoesWithTheNextRunOfABusyDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const run = 100 * time.Millisecond
		d := &fakeDevice{takes: run, memory: 1000}
		b := batcher(d)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 40 {
			s := b.Share(study.Routine)
			wg.Go(func() {
				defer s.End()
				for ctx.Err() == nil {
					_, _ = s.Run(ctx, tiles(8, 1))
				}
			})
		}
		time.Sleep(3*run + run/2)
		s := b.Share(study.Stat)
		begun := time.Now()
		if _, err := s.Run(ctx, tiles(8, 2)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*run {
			t.Errorf("it took %v, and a run takes %v", took, run)
		}
		s.End()
		stop()
		wg.Wait()
	})
}

// TestWhoLeavesDisturbsNobody: of the requests of one run some are given up
// while it is under way.
func TestWhoLeavesDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batcher(&fakeDevice{takes: time.Second, memory: 1000})
		short, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer stop()
		var wg sync.WaitGroup
		for i := range 9 {
			ctx := t.Context()
			if i%2 == 1 {
				ctx = short
			}
			s := b.Share(study.Routine)
			wg.Go(func() {
				defer s.End()
				for range 3 {
					out, err := s.Run(ctx, tiles(4, 5))
					switch {
					case ctx == short && errors.Is(err, context.DeadlineExceeded):
					case err != nil || answered(out, 4, 5) != nil:
						t.Errorf("%v, %v", out, err)
					}
				}
			})
		}
		wg.Wait()
	})
}
