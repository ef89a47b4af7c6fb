package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"varde/queue"
	"varde/study"
)

// TestMain lets the test binary be the child process of a test.
func TestMain(m *testing.M) {
	if os.Getenv(hangEnv) != "" {
		g := queue.NewGate(1, 100*time.Millisecond, slog.Default())
		_ = g.Run(context.Background(), study.Turn{What: "model"}, func(int) error { select {} })
	}
	if dir := os.Getenv(killEnv); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
