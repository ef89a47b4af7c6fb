package queue_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"varde/queue"
	"varde/study"
)

// hangEnv makes the test binary a process whose run hangs.
const hangEnv = "VARDE_TEST_HANG"

func TestGateLetsOnlySoManyRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(2, time.Minute, nil)
		var now, most atomic.Int32
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				// The caller's patience ends while the run goes on, as with a C
				// library: the slot must stay taken all the same.
				ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
				defer cancel()
				err := g.Run(ctx, study.Turn{What: "model"}, func(int) error {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
					return nil
				})
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d ran at once, want 2", most.Load())
		}
	})
}

func TestGateGivesTheErrorOfTheRun(t *testing.T) {
	g := queue.NewGate(0, time.Minute, nil)
	if err := g.Run(t.Context(), study.Turn{}, func(int) error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ended, study.Turn{}, func(int) error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestHungRunEndsTheProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), hangEnv+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != queue.ExitHung {
		t.Errorf("got %v, want exit code %d", err, queue.ExitHung)
	}
	if !strings.Contains(string(out), "run hangs") {
		t.Errorf("it left without a word: %s", out)
	}
}

// TestBetterLaneOvertakesAtTheGate fills the gate, lets runs of all lanes wait,
// and looks at the order in which they go: by lane, and by coming inside it.
func TestBetterLaneOvertakesAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(1, time.Minute, nil)
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		pass := func(what string, lane study.Lane) {
			wg.Go(func() {
				_ = g.Run(t.Context(), study.Turn{What: what, Lane: lane}, func(int) error {
					mu.Lock()
					order = append(order, what)
					mu.Unlock()
					time.Sleep(time.Second)
					return nil
				})
			})
			synctest.Wait()
		}
		pass("first", study.Backfill)
		pass("backfill", study.Backfill)
		pass("routine", study.Routine)
		pass("routine 2", study.Routine)
		pass("stat", study.Stat)
		pass("urgent", study.Urgent)
		wg.Wait()
		if got, want := strings.Join(order, ", "), "first, stat, urgent, routine, routine 2, backfill"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestNoRunWaitsForEverAtTheGate keeps the gate full of stat runs: the one of the
// worst lane goes after 32 of them.
func TestNoRunWaitsForEverAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(1, time.Minute, nil)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var stats atomic.Int32
		for range 3 {
			go func() {
				for ctx.Err() == nil {
					_ = g.Run(ctx, study.Turn{Lane: study.Stat}, func(int) error {
						stats.Add(1)
						time.Sleep(time.Second)
						return nil
					})
				}
			}()
		}
		synctest.Wait()
		before := stats.Load()
		if err := g.Run(ctx, study.Turn{Lane: study.Backfill}, func(int) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if n := stats.Load() - before; n > 35 {
			t.Errorf("it went after %d others", n)
		}
		stop()
		synctest.Wait()
	})
}

// TestIdleProcessorsWorkTogether: a run gets all the threads that it could use
// when nobody else wants them, and one when somebody does.
func TestIdleProcessorsWorkTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(4, time.Minute, nil)
		got := make(chan int, 3)
		wide := func() {
			_ = g.Run(t.Context(), study.Turn{Threads: 4}, func(n int) error { got <- n; return nil })
		}
		wide()
		_ = g.Run(t.Context(), study.Turn{}, func(int) error { wide(); return nil })
		wide()
		if a, b := <-got, <-got; a != 4 || b != 1 {
			t.Errorf("%d threads alone, %d beside another", a, b)
		}
		if n := <-got; n != 4 {
			t.Errorf("%d threads after all", n)
		}
	})
}
