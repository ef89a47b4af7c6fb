package scores

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"varde/inference/sessions"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// patches scores a block of patches of one level of a slide.
func (w *work) patches(ctx context.Context) error {
	level, err := w.level()
	if err != nil {
		return err
	}
	rects := make([]slide.Rect, len(w.Block.Tiles))
	for i, t := range w.Block.Tiles {
		rects[i] = slide.Rect{X: t.X, Y: t.Y, W: t.W, H: t.H}
	}
	filler, err := newFiller(w.Card.Input, w.Block.Stain, w.batchSize(), &w.spare)
	if err != nil {
		return err
	}
	r := slide.Reader{Objects: w.Objects, Frames: w.Index.Frames}
	// On a processor the network reads what its own core has just decoded; other
	// blocks keep the other cores busy. A device must not wait for that.
	side := straight[batch]
	if w.share != nil {
		side = ahead[batch]
	}
	return side(ctx, func(ctx context.Context, emit func(batch) error) error {
		for p := range r.Patches(ctx, level, rects, w.Card.Input.Width, w.Card.Input.Height) {
			if err := filler.add(p, w.Block.Tiles); err != nil {
				return err
			}
			if filler.full() {
				if err := emit(filler.take()); err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil { // the patches end early then
			return err
		}
		return emit(filler.take())
	}, w.runTiles)
}

// level finds the level of the slide that the block's tiles are of.
func (w *work) level() (slide.Level, error) {
	if len(w.Block.Tiles) == 0 {
		return slide.Level{}, fmt.Errorf("a block without patches: %w", study.ErrInvalid)
	}
	key := w.Block.Tiles[0].Instance
	for _, t := range w.Block.Tiles {
		if t.Instance != key {
			return slide.Level{}, fmt.Errorf("a block of patches of two levels, %s and %s: %w", key, t.Instance, study.ErrInvalid)
		}
	}
	series := w.instances[key].Series
	var in []study.Instance
	for _, i := range w.Instances {
		if i.Series == series {
			in = append(in, i)
		}
	}
	levels, err := slide.Levels(in)
	if err != nil {
		return slide.Level{}, err
	}
	at := slices.IndexFunc(levels, func(l slide.Level) bool { return l.Key() == key })
	if at < 0 {
		return slide.Level{}, fmt.Errorf("%s is no level of its slide: %w", key, study.ErrInvalid)
	}
	return levels[at], nil
}

// A filler puts patches into batches. It is the preparer's.
type filler struct {
	in     modelcard.Input
	look   *pixel.Lookup  // nil for 8-bit colors, which go in as they are
	stain  *pixel.Stainer // nil for colors as the scanner gave them
	size   int            // numbers of a patch
	most   int
	batch  batch
	bytes  []uint8
	floats []float32
	// spare holds tensors that a network is done with. They are used again: to
	// clear the memory of new ones would take as long as filling it.
	spare *sync.Pool // of *[]float32
}

// newFiller refuses a block whose colors were not measured for a card that asks
// for it, and one that was measured for another card: a network that is shown
// other colors than it was made for answers as readily.
func newFiller(in modelcard.Input, stain *study.Stain, most int, spare *sync.Pool) (*filler, error) {
	f := &filler{in: in, size: 3 * in.Width * in.Height, most: most, spare: spare}
	measured := ""
	if stain != nil {
		measured = stain.Method
	}
	if in.Stain != measured {
		return nil, fmt.Errorf("a block of stain %q for a model of stain %q: %w", measured, in.Stain, study.ErrInvalid)
	}
	if stain != nil {
		var err error
		if f.stain, err = pixel.NewStainer(*stain); err != nil {
			return nil, err
		}
	}
	if in.Values != modelcard.ValuesRGB || f.size <= 0 {
		return nil, fmt.Errorf("patches of %d×%d pixels of %q: %w", in.Width, in.Height, in.Values, study.ErrInvalid)
	}
	if in.Type == modelcard.TypeUint8 {
		return f, nil
	}
	var err error
	f.look, err = normalize(in).Lookup()
	return f, err
}

// add puts one patch in, or notes why there is none. An error is one of the
// machinery.
func (f *filler) add(p slide.Patch, tiles []study.Tile) error {
	if p.Err != nil {
		reason, its := fault(p.Err, tiles[p.Index])
		if !its {
			return p.Err
		}
		f.batch.missed = append(f.batch.missed, study.Miss{Tile: p.Index, Reason: reason})
		return nil
	}
	if len(p.RGB) != f.size {
		return fmt.Errorf("a patch of %d bytes, not %d: %w", len(p.RGB), f.size, study.ErrInvalid)
	}
	if f.stain != nil {
		f.stain.Apply(p.RGB) // the patch is ours until the next
	}
	f.batch.tiles = append(f.batch.tiles, p.Index)
	f.batch.decoders = append(f.batch.decoders, p.Decoders...)
	n := len(f.batch.tiles)
	if f.look == nil && f.in.Layout == modelcard.LayoutNHWC {
		f.bytes = append(slices.Grow(f.bytes, f.size*(f.most+1-n)), p.RGB...)
		return nil
	}
	if f.look == nil {
		f.bytes = planar(slices.Grow(f.bytes, f.size*(f.most+1-n)), p.RGB)
		return nil
	}
	if f.floats == nil {
		if old, ok := f.spare.Get().(*[]float32); ok && cap(*old) >= f.size*f.most {
			f.floats = *old
		} else {
			f.floats = make([]float32, f.size*f.most)
		}
	}
	f.floats = f.floats[:n*f.size]
	if f.in.Layout == modelcard.LayoutNHWC {
		f.look.NHWC(f.floats[(n-1)*f.size:], p.RGB)
	} else {
		f.look.NCHW(f.floats[(n-1)*f.size:], p.RGB)
	}
	return nil
}

// planar appends interleaved RGB as three planes.
func planar(dst, rgb []byte) []byte {
	for c := range 3 {
		for i := c; i < len(rgb); i += 3 {
			dst = append(dst, rgb[i])
		}
	}
	return dst
}

func (f *filler) full() bool { return len(f.batch.tiles) >= f.most }

// take gives the batch away and begins the next.
func (f *filler) take() batch {
	b := f.batch
	b.in = pixel.Tensor{Shape: sessions.Shape(f.in.Layout, len(b.tiles), 3, f.in.Width, f.in.Height), Data: f.bytes}
	if f.look != nil {
		b.in.Data = f.floats
		if whole := f.floats; whole != nil {
			b.done = func() { f.spare.Put(&whole) }
		}
	}
	f.batch, f.bytes, f.floats = batch{}, nil, nil
	return b
}
