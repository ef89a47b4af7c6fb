package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// shortestPause is how long feeding pauses the first time that a store is away.
	shortestPause = 200 * time.Millisecond
	// longestPause bounds how long it takes to notice that a store is back.
	longestPause = 10 * time.Second
)

// A Breaker stops the feeding of workers while something that they need is
// away: without it every job would be taken, found impossible and given back,
// again and again. The zero value is closed and good. A nil Breaker never opens.
type Breaker struct {
	// Probe tells whether what was away is back. Nil: it is tried out with jobs.
	Probe func(context.Context) error
	Log   *slog.Logger // nil: silent

	mu      sync.Mutex // held for a look at the fields below, never while probing
	open    bool
	pause   time.Duration
	until   time.Time // of the pause, while open
	closeAt time.Time // when it closed last
}

// Trip opens the breaker. Each time that it opens soon after it closed, the pause
// is twice as long.
func (b *Breaker) Trip(cause error) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.open {
		return
	}
	if b.pause == 0 || now.Sub(b.closeAt) > 2*b.pause {
		b.pause = shortestPause
	} else {
		b.pause = min(2*b.pause, longestPause)
	}
	b.open, b.until = true, now.Add(b.pause)
	logger(b.Log).Warn("feeding paused", "pause", b.pause, "err", cause)
}

// Closed reports whether work may be fed. After a pause it probes first.
func (b *Breaker) Closed(ctx context.Context) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	open, over := b.open, !time.Now().Before(b.until)
	b.mu.Unlock()
	if !open {
		return true
	}
	if !over {
		return false
	}
	var err error
	if b.Probe != nil {
		err = b.Probe(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.pause = min(2*b.pause, longestPause)
		b.until = time.Now().Add(b.pause)
		return false
	}
	b.open, b.closeAt = false, time.Now()
	logger(b.Log).Info("feeding resumed")
	return true
}

// logger is a logger that can be used, whatever was given.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
