package sessions

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"varde/internal/pixel"
	"varde/study"
)

// A Batcher is a network in the memory of a device, shared by many blocks: their
// goroutines read and decode, and their requests go through the network together.
//
// Each request asks the device's gate for a turn of its own lane. Whoever has it
// takes along what else waits, the best lane first, as far as it fits, pads it to
// one of a few sizes, and hands out the answers. So a stat request goes with the
// next run however much lies before it, and a device is never idle while somebody
// waits.
//
// When the device has no memory for so many tiles the run is halved, and halved
// again. For a single tile it rests, and the tile goes to the processor if the
// card allows that, which the result says; else its job is tried again later.
type Batcher struct {
	What    string // names its runs in the log
	Device  *Device
	Session Session // on the device
	// Spare gives the same network on the processor. Nil: the card does not allow
	// that.
	Spare func() (Session, error)
	Gate  Gate // of the processors, for the spare; nil = none
	// Apart forbids that requests of several blocks go together: volumes, of
	// which no two are alike.
	Apart bool

	mu      sync.Mutex // held for map work
	waiting []*request // in the order of their coming; guarded by mu
	open    int        // shares that may still ask; guarded by mu
	most    int        // tiles in one run, when fewer than the device's; guarded by mu
	grow    time.Time  // when the next larger size is tried; guarded by mu
	arrived chan struct{}
}

// A request is what one block asks at a time.
type request struct {
	ctx   context.Context
	lane  study.Lane
	in    map[string]pixel.Tensor
	tiles int

	taken bool          // guarded by the batcher's mu
	done  chan struct{} // closed once the answer is there
	stop  func()        // ends its wait at the gate

	out   map[string]pixel.Tensor
	avoid error // why it is to run on the processor
	err   error
}

// A stake is the share that one block has of a batcher. One goroutine uses it at a time.
type stake struct {
	*Batcher
	lane     study.Lane
	device   bool // some run was executed there
	fallback string
}

// Share is one block's part of it.
func (b *Batcher) Share(lane study.Lane) Share {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open++
	return &stake{Batcher: b, lane: lane}
}

// End says that the block asks no more.
func (s *stake) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.wake()
}

// Batch is how many tiles a block should ask at a time.
func (b *Batcher) Batch() int {
	if b.Apart {
		return 1
	}
	return max(1, b.size()/2) // two blocks fill a run
}

// Run runs one request in the last lane. Blocks have a share each.
func (b *Batcher) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	s := b.Share(study.Backfill)
	defer s.End()
	return s.Run(ctx, in)
}

// On is the device.
func (b *Batcher) On() *Device { return b.Device }

// Close closes the session on the device.
func (b *Batcher) Close() error {
	if c, ok := b.Session.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Ran says by whom the share's runs were executed.
func (s *stake) Ran() (provider, fallback string) {
	switch {
	case s.fallback == "":
		return s.Device.Provider, ""
	case s.device:
		return s.Device.Provider + ", cpu", s.fallback
	}
	return "cpu", s.fallback
}

// Run asks, and waits for the answer. The tensors are the caller's again when it
// returns.
func (s *stake) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	r, err := s.ask(ctx, s.lane, in)
	if err != nil {
		return nil, err
	}
	if r.avoid == nil {
		s.device = true
		return r.out, nil
	}
	if err := s.elsewhere(ctx, r); err != nil {
		return nil, err
	}
	s.fallback = fmt.Sprintf("%s: %v", s.Device, r.avoid)
	return r.out, nil
}

// elsewhere runs a request on the processor, where the card allows it. It is the
// asking block's: the device goes on with others.
func (b *Batcher) elsewhere(ctx context.Context, r *request) error {
	if b.Spare == nil {
		return fmt.Errorf("%s can't run it now, and the card does not list cpu: %w", b.Device, r.avoid)
	}
	spare, err := b.Spare()
	if err != nil {
		return err
	}
	return gated(ctx, b.Gate, study.Turn{What: b.What + ", moved to the cpu", Lane: r.lane}, func() (err error) {
		r.out, err = spare.Run(ctx, r.in)
		return err
	})
}

// ask puts a request in line and leads a run when its turn comes, unless another
// has taken it along.
func (b *Batcher) ask(ctx context.Context, lane study.Lane, in map[string]pixel.Tensor) (*request, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	r := &request{ctx: ctx, lane: lane, in: in, tiles: tilesOf(in), done: make(chan struct{})}
	turn, stop := context.WithCancel(ctx)
	defer stop()
	r.stop = stop
	b.join(r)
	err := b.Device.Gate.Run(turn, study.Turn{What: b.What, Lane: lane}, func(int) error {
		b.lead(r)
		return nil
	})
	if b.leave(r) {
		return nil, err // nobody took it: the caller's patience has ended
	}
	<-r.done // its tensors are in use until then
	if r.err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return r, r.err
}

// ready waits while the device rests, unless there is a spare.
func (b *Batcher) ready(ctx context.Context) error {
	for b.Spare == nil {
		if err := b.Device.Err(); err != nil {
			return err
		}
		wait := b.Device.resting()
		if wait <= 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (b *Batcher) join(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, r)
	b.wake()
}

// wake tells a leader that waits for others to look again. mu is held.
func (b *Batcher) wake() {
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
}

// leave takes a request out of the line, and reports whether it still stood there.
func (b *Batcher) leave(r *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, r)
	if i < 0 {
		return false
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return true
}

// lead runs what waits, the leader's own request among it, unless that has been
// taken already.
func (b *Batcher) lead(r *request) {
	b.fill(r)
	batch := b.take(r)
	if len(batch) == 0 {
		return
	}
	b.serve(batch)
}

// fill waits a moment for others when the run would not be full and other blocks
// are being prepared.
func (b *Batcher) fill(r *request) {
	if b.Apart {
		return
	}
	late := time.NewTimer(cmp.Or(b.Device.Flush, flushAfter))
	defer late.Stop()
	for {
		b.mu.Lock()
		tiles := 0
		for _, w := range b.waiting {
			tiles += w.tiles
		}
		if r.taken || tiles >= b.limit() || len(b.waiting) >= b.open {
			b.mu.Unlock()
			return
		}
		if b.arrived == nil {
			b.arrived = make(chan struct{})
		}
		more := b.arrived
		b.mu.Unlock()
		select {
		case <-more:
		case <-late.C:
			return
		case <-r.ctx.Done():
			return
		}
	}
}

// take takes the leader's request and others that can go with it, the best lane
// first.
func (b *Batcher) take(r *request) []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.taken {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(b.waiting), func(w *request) bool {
		return w == r || b.Apart || w.ctx.Err() != nil || !alike(w.in, r.in)
	})
	slices.SortStableFunc(others, func(x, y *request) int { return cmp.Compare(x.lane, y.lane) })
	batch, tiles := []*request{r}, r.tiles
	for _, w := range others {
		if tiles+w.tiles <= b.limit() {
			batch, tiles = append(batch, w), tiles+w.tiles
		}
	}
	for _, w := range batch {
		w.taken = true
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(w *request) bool { return w.taken })
	return batch
}

// size is how many tiles may go into one run now.
func (b *Batcher) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit()
}

// limit is size; mu is held.
func (b *Batcher) limit() int {
	whole := cmp.Or(b.Device.Most, deviceTiles)
	if b.most > 0 && time.Now().After(b.grow) {
		b.most, b.grow = 2*b.most, time.Now().Add(growAfter)
		if b.most >= whole {
			b.most = 0
		}
	}
	if b.most > 0 {
		return b.most
	}
	return whole
}

// shrink remembers that so many tiles were too many.
func (b *Batcher) shrink(tiles int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := max(1, bucket(tiles)/2); b.most == 0 || n < b.most {
		b.most, b.grow = n, time.Now().Add(growAfter)
	}
}

// answer wakes who waits for it.
func (r *request) answer() {
	close(r.done)
	if r.stop != nil {
		r.stop()
	}
}
