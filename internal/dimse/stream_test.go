package dimse_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"varde/internal/dimse"
)

// counter counts what it is sent.
type counter struct{ n atomic.Int64 }

func (c *counter) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	n, err := io.Copy(io.Discard, r.Data)
	c.n.Add(n)
	if err != nil {
		return dimse.CannotUnderstand
	}
	return dimse.Success
}

// TestGigabyteStreamsThroughAFlatHeap sends 1 GiB from our user to our provider,
// both in this process, and looks at its memory all the while.
func TestGigabyteStreamsThroughAFlatHeap(t *testing.T) {
	if testing.Short() {
		t.Skip("a gigabyte")
	}
	const size = 1 << 30
	c := &counter{}
	r := serve(t, &dimse.Server{Handler: c})
	a := dial(t, r.addr, ctContext)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	heap, sys := m.HeapAlloc, m.Sys
	worst, done := uint64(0), make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			worst = max(worst, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	start := time.Now()
	s, err := a.Store(t.Context(), ctImage, "1.2.3", explicitLE, io.LimitReader(endless{}, size))
	took := time.Since(start)
	close(done)
	<-watched
	if s != dimse.Success || err != nil || c.n.Load() != size {
		t.Fatalf("%v, %v, %d bytes", s, err, c.n.Load())
	}
	runtime.ReadMemStats(&m)
	if grown := int64(worst) - int64(heap); grown > 8<<20 {
		t.Errorf("heap grew by %d KiB", grown>>10)
	}
	if grown := int64(m.Sys) - int64(sys); grown > 24<<20 {
		t.Errorf("process grew by %d KiB", grown>>10)
	}
	t.Logf("%.0f MB/s, heap %d KiB above %d KiB, process %d KiB above %d KiB",
		size/1e6/took.Seconds(), (int64(worst)-int64(heap))>>10, heap>>10, (int64(m.Sys)-int64(sys))>>10, sys>>10)
}

// BenchmarkStore sends objects of the size of a CT slice over one association.
func BenchmarkStore(b *testing.B) {
	const size = 525_000
	r := serve(b, &dimse.Server{Handler: &counter{}})
	a := dial(b, r.addr, ctContext)
	data := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if s, err := a.Store(b.Context(), ctImage, "1.2.3", explicitLE, bytes.NewReader(data)); s != dimse.Success || err != nil {
			b.Fatal(s, err)
		}
	}
}
