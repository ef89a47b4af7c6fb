package ingest

import (
	"sync"
	"time"
)

// How long objects make way for short ones, so that a slide of gigabytes does not
// hold up an emergency's slices: both wait for the same disk.
const (
	// longBytes makes an object a long one, from there on.
	longBytes = 32 << 20
	// turnBytes is what a long object may take before it looks for short ones.
	turnBytes = 1 << 20
	// yieldFor is the longest that it makes way each time, so that it comes to its
	// end however many short ones there are: at some 90 MB/s at least, if the disk
	// can do that.
	yieldFor = 10 * time.Millisecond
)

// turns counts the short objects under way. The zero value is ready.
type turns struct {
	mu    sync.Mutex    // held for a count
	short int           // guarded by mu
	none  chan struct{} // closed when short comes to 0; nil while nobody waits; guarded by mu
}

// A turn is what one object takes of the machine. One goroutine uses it.
type turn struct {
	of    *turns
	bytes int64
	next  int64 // when a long one looks again
	long  bool
}

// begin takes up an object, a short one until it has shown otherwise.
func (t *turns) begin() *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.short++
	return &turn{of: t}
}

// took counts bytes. A long object makes way here.
func (t *turn) took(n int) {
	if t.bytes += int64(n); t.bytes < longBytes || t.bytes < t.next {
		return
	}
	t.next = t.bytes + turnBytes
	if !t.long {
		t.long = true
		t.of.leave()
	}
	t.of.yield()
}

// end gives the turn back.
func (t *turn) end() {
	if !t.long {
		t.of.leave()
	}
}

// leave counts a short object that is over, or was none.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.short--; t.short == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// yield waits until no short object is under way, and not for long.
func (t *turns) yield() {
	t.mu.Lock()
	if t.short == 0 {
		t.mu.Unlock()
		return
	}
	if t.none == nil {
		t.none = make(chan struct{})
	}
	none := t.none
	t.mu.Unlock()
	timer := time.NewTimer(yieldFor)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	}
}
