package sessions

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"varde/internal/pixel"
	"varde/study"
)

// serve runs requests and answers each of them.
func (b *Batcher) serve(batch []*request) {
	switch {
	case b.Device.Err() != nil:
		avoid(batch, b.Device.Err())
		return
	case b.Spare != nil && b.Device.resting() > 0:
		avoid(batch, errRests)
		return
	case len(batch) == 1 && batch[0].tiles > b.size() && !b.Apart:
		b.halves(batch[0])
		return
	}
	ctx, stop := whileWanted(batch)
	defer stop()
	out, err := b.together(ctx, batch)
	if err == nil {
		for i, r := range batch {
			r.out = out[i]
			r.answer()
		}
		return
	}
	b.setback(ctx, batch, err)
}

// setback does what follows from a run that failed: what had no room is tried in
// halves, and what failed in company is tried alone, so that a poisonous tile
// fails by itself.
func (b *Batcher) setback(ctx context.Context, batch []*request, err error) {
	tiles := 0
	for _, r := range batch {
		tiles += r.tiles
	}
	full := errors.Is(err, study.ErrBusy)
	if full {
		b.shrink(tiles)
	}
	switch {
	case ctx.Err() != nil:
		fail(batch, ctx.Err())
	case len(batch) > 1:
		half := len(batch) / 2
		b.serve(batch[:half])
		b.serve(batch[half:])
	case full && tiles > 1 && !b.Apart:
		b.halves(batch[0])
	case full:
		b.Device.rest()
		avoid(batch, err)
	default:
		b.Device.failed()
		if lost := b.Device.Err(); lost != nil {
			avoid(batch, lost)
			return
		}
		fail(batch, err)
	}
}

// halves runs one request in two pieces and puts the answers together.
func (b *Batcher) halves(r *request) {
	half := r.tiles / 2
	pieces := []*request{r.piece(0, half), r.piece(half, r.tiles)}
	for _, p := range pieces {
		b.serve([]*request{p})
		if p.err != nil || p.avoid != nil {
			r.err, r.avoid = p.err, p.avoid
			r.answer()
			return
		}
	}
	r.out, r.err = joined(pieces[0].out, pieces[1].out)
	r.answer()
}

// piece is some tiles of a request.
func (r *request) piece(from, to int) *request {
	return &request{ctx: r.ctx, lane: r.lane, in: cut(r.in, from, to), tiles: to - from, taken: true, done: make(chan struct{})}
}

// errRests is why a run goes to the processor while the device rests.
var errRests = fmt.Errorf("out of memory a moment ago: %w", study.ErrBusy)

// avoid sends requests away from the device.
func avoid(batch []*request, why error) {
	for _, r := range batch {
		r.avoid = why
		r.answer()
	}
}

// fail answers requests with an error.
func fail(batch []*request, err error) {
	for _, r := range batch {
		r.err = err
		r.answer()
	}
}

// whileWanted gives a context that ends when nobody waits for the batch any more.
func whileWanted(batch []*request) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex // held to count
	left := len(batch)
	var stops []func() bool
	for _, r := range batch {
		stops = append(stops, context.AfterFunc(r.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// together runs requests as one tensor of a size that the device knows.
func (b *Batcher) together(ctx context.Context, batch []*request) ([]map[string]pixel.Tensor, error) {
	if b.Apart {
		out, err := b.Session.Run(ctx, batch[0].in)
		return []map[string]pixel.Tensor{out}, err
	}
	tiles := 0
	for _, r := range batch {
		tiles += r.tiles
	}
	size := bucket(tiles)
	in, err := packed(batch, size)
	if err != nil {
		return nil, err
	}
	out, err := b.Session.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	for name, t := range out {
		if len(t.Shape) == 0 || t.Shape[0] != int64(size) {
			return nil, fmt.Errorf("output %s has the shape %v for %d tiles; a card without input.batch = 1 needs one answer for each tile: %w", name, t.Shape, size, study.ErrInvalid)
		}
	}
	answers := make([]map[string]pixel.Tensor, len(batch))
	from := 0
	for i, r := range batch {
		answers[i] = cut(out, from, from+r.tiles)
		from += r.tiles
	}
	return answers, nil
}
