package slide

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"varde/internal/pixel"
	"varde/study"
)

// A Patch is one rectangle that was read, or why it was not.
type Patch struct {
	Index    int    // in the rectangles asked for
	RGB      []byte // interleaved; the receiver's until the next patch
	Decoders []string
	// Err of kind ErrInvalid or ErrUnsupported is about this patch alone: one of
	// its frames is damaged. Any other error ends the sequence.
	Err error
}

// maxHeld bounds the decoded frames that wait for a further patch. Patches in
// rows need two rows of frames, some 10 MB; beyond the bound a frame is dropped
// and read again.
const maxHeld = 128 << 20

// Patches reads rectangles of one level in the order given. Frames that several
// of them share are fetched and decoded once, and kept no longer than needed.
// Each patch comes in w×h pixels, resampled where the rectangle has another size;
// 0×0 leaves it as it is.
func (r *Reader) Patches(ctx context.Context, l Level, rects []Rect, w, h int) iter.Seq[Patch] {
	return func(yield func(Patch) bool) {
		c := &cutter{w: w, h: h, rects: rects}
		var err error
		if c.open, err = r.open(l); err == nil {
			err = c.survey()
		}
		for from := 0; err == nil && from < len(rects); {
			var n int
			if n, err = c.load(ctx, from); err != nil {
				break
			}
			for i := from; i < from+n; i++ {
				p := c.cut(ctx, i)
				if !yield(p) || p.Err != nil && !about(p.Err) {
					return
				}
			}
			from += n
		}
		if err != nil {
			yield(Patch{Err: err})
		}
	}
}

// about reports whether an error tells of the pixels asked for, and not of the
// way to them.
func about(err error) bool {
	return errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported)
}

// A cutter cuts patches out of frames.
type cutter struct {
	*open
	rects   []Rect
	w, h    int
	touch   [][]int32         // the sources of each rectangle
	left    map[int32]int     // how many rectangles still need a source
	waiting map[int32]fetched // to be decoded
	held    map[int32]result
	size    int // of what is held
	canvas  []byte
	spare   [][]byte // memory of frames that are no longer held
}

// maxSpare bounds the memory that is kept for further frames: those that a patch
// of the usual size lets go at once.
const maxSpare = 4

type result struct {
	tile tile
	err  error
}

// survey finds the sources of every rectangle.
func (c *cutter) survey() error {
	c.left, c.waiting, c.held = map[int32]int{}, map[int32]fetched{}, map[int32]result{}
	for _, r := range c.rects {
		if !sane(r) || int64(r.W)*int64(r.H) > maxPixels {
			return fmt.Errorf("patch of %d×%d pixels: %w", r.W, r.H, study.ErrInvalid)
		}
		t := c.touching(r)
		c.touch = append(c.touch, t)
		for _, s := range t {
			c.left[s]++
		}
	}
	return nil
}

// load fetches the frames of as many rectangles as may wait at once, at least
// one, and gives their number.
func (c *cutter) load(ctx context.Context, from int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var all []fetched
	bytes, n := int64(0), 0
	for ; from+n < len(c.rects); n++ {
		var fresh []int32
		for _, s := range c.touch[from+n] {
			if _, ok := c.waiting[s]; ok {
				continue
			}
			if _, ok := c.held[s]; ok {
				continue
			}
			fresh = append(fresh, s)
		}
		list, err := c.plan(ctx, fresh)
		if err != nil {
			return 0, err
		}
		more := int64(0)
		for _, f := range list {
			more += f.whole.Len
		}
		if n > 0 && bytes+more > maxFetched {
			break
		}
		bytes += more
		all = append(all, list...)
		for _, f := range list {
			c.waiting[f.source] = f
		}
	}
	if err := c.fetch(ctx, all); err != nil {
		return 0, err
	}
	for _, f := range all {
		c.waiting[f.source] = f
	}
	return n, nil
}

// cut makes one patch.
func (c *cutter) cut(ctx context.Context, i int) Patch {
	p, r := Patch{Index: i}, c.rects[i]
	if n := 3 * r.W * r.H; c.covered(r, len(c.touch[i])) && cap(c.canvas) >= n {
		c.canvas = c.canvas[:n] // every pixel is painted over
	} else {
		c.canvas = white(c.canvas, n)
	}
	for _, s := range c.touch[i] {
		got := c.tile(ctx, s)
		if got.err == nil {
			c.paste(c.canvas, r, got.tile)
			p.Decoders = note(p.Decoders, got.tile.decoder)
		} else if p.Err == nil {
			p.Err = got.err
		}
		if c.left[s]--; c.left[s] == 0 {
			c.drop(s)
		}
	}
	if p.Err != nil {
		return p
	}
	p.RGB = c.canvas
	if c.w > 0 && c.h > 0 && (c.w != r.W || c.h != r.H) {
		p.RGB, p.Err = pixel.ResizeRGB(c.canvas, r.W, r.H, c.w, c.h)
	}
	return p
}

// tile gives a source's pixels, or why there are none.
func (c *cutter) tile(ctx context.Context, s int32) result {
	if got, ok := c.held[s]; ok {
		return got
	}
	f, ok := c.waiting[s]
	if !ok {
		f = fetched{source: s} // dropped before, and read again by itself
	}
	delete(c.waiting, s)
	if err := ctx.Err(); err != nil {
		return result{err: err}
	}
	into := c.room()
	t, err := c.decode(ctx, f, into)
	if !t.own {
		c.spare = append(c.spare, into)
	}
	got := result{t, err}
	if err != nil && !about(err) {
		return got
	}
	for victim := range c.held {
		if c.size+len(t.rgb) <= maxHeld {
			break
		}
		c.drop(victim)
	}
	c.held[s], c.size = got, c.size+len(t.rgb)
	return got
}

// drop lets a frame go. Its pixels have been copied, and its memory, where it is
// ours, serves the next one.
func (c *cutter) drop(s int32) {
	t := c.held[s].tile
	c.size -= len(t.rgb)
	delete(c.held, s)
	if t.own && len(c.spare) < maxSpare {
		c.spare = append(c.spare, t.rgb[:cap(t.rgb)])
	}
}

// room gives memory for a frame, of one that is no longer held if there is any.
func (c *cutter) room() []byte {
	if len(c.spare) == 0 {
		return make([]byte, 3*c.level.TileW*c.level.TileH)
	}
	b := c.spare[len(c.spare)-1]
	c.spare = c.spare[:len(c.spare)-1]
	return b
}
