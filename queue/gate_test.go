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
				err := g.Run(ctx, "model", func() error {
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
	if err := g.Run(t.Context(), "model", func() error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ended, "model", func() error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
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
