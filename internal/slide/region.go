package slide

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"varde/internal/pixel"
	"varde/study"
)

// maxPixels bounds a region and an overview: 192 MB, the whole of a slide at 8 µm
// twice over.
const maxPixels = 64 << 20

// Region reads a rectangle of a level as interleaved RGB. What lies outside the
// level, and where a sparse level has no tile, is white. Every source frame is
// fetched and decoded once. decoders names what decoded them.
func (r *Reader) Region(ctx context.Context, l Level, x, y, w, h int) (rgb []byte, decoders []string, err error) {
	if w <= 0 || h <= 0 || int64(w)*int64(h) > maxPixels || !sane(Rect{x, y, w, h}) {
		return nil, nil, fmt.Errorf("region of %d×%d pixels: %w", w, h, study.ErrInvalid)
	}
	o, err := r.open(l)
	if err != nil {
		return nil, nil, err
	}
	return o.region(ctx, Rect{x, y, w, h})
}

// region is Region of a level that is open. It may be called at the same time.
func (o *open) region(ctx context.Context, rect Rect) (rgb []byte, decoders []string, err error) {
	touched := o.touching(rect)
	if o.covered(rect, len(touched)) {
		rgb = make([]byte, 3*rect.W*rect.H) // every pixel is painted over
	} else {
		rgb = white(nil, 3*rect.W*rect.H)
	}
	list, err := o.plan(ctx, touched)
	if err != nil {
		return nil, nil, err
	}
	for len(list) > 0 {
		n := batch(list)
		if err := o.fetch(ctx, list[:n]); err != nil {
			return nil, nil, err
		}
		if decoders, err = o.pasteAll(ctx, rgb, rect, list[:n], decoders); err != nil {
			return nil, nil, err
		}
		list = list[n:]
	}
	return rgb, decoders, nil
}

// pasteAll decodes frames, several at once, and pastes them one after the other,
// in their order: where two lie over each other the later one counts.
func (o *open) pasteAll(ctx context.Context, dst []byte, r Rect, list []fetched, decoders []string) ([]string, error) {
	tiles := make([]tile, 2*runtime.GOMAXPROCS(0))
	for len(list) > 0 {
		n := min(len(list), len(tiles))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i := range n {
			group.Go(func() (err error) {
				if err = ctx.Err(); err == nil {
					tiles[i], err = o.decode(ctx, list[i], nil)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for i := range n {
			o.paste(dst, r, tiles[i])
			decoders = note(decoders, tiles[i].decoder)
			tiles[i], list[i].fragments = tile{}, nil
		}
		list = list[n:]
	}
	return decoders, nil
}

// sane keeps sums of coordinates within an int32.
func sane(r Rect) bool {
	const far = 1 << 30
	return r.X > -far && r.X < far && r.Y > -far && r.Y < far && r.W > 0 && r.W < far && r.H > 0 && r.H < far
}

// batch is how many of the frames may wait to be decoded at once; at least one.
func batch(list []fetched) int {
	n, bytes := 0, int64(0)
	for n < len(list) && (n == 0 || bytes+list[n].whole.Len <= maxFetched) {
		bytes += list[n].whole.Len
		n++
	}
	return n
}

// note adds a name to a sorted list of names. Background of which there are no
// bytes was decoded by nobody.
func note(names []string, name string) []string {
	i, found := slices.BinarySearch(names, name)
	if found || name == "" {
		return names
	}
	return slices.Insert(slices.Clip(names), i, name)
}

// white gives n bytes of white, in b where it has room.
func white(b []byte, n int) []byte {
	if cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	if n > 0 {
		b[0] = 255
	}
	for done := 1; done < n; done *= 2 { // as fast as memory is copied
		copy(b[done:], b[:done])
	}
	return b
}

// overviewBlock is the side of the square of a level's pixels that is read at
// once for an overview.
const overviewBlock = 2048

// Overview reads a whole slide at about mpp µm per pixel: from the coarsest level
// that is no coarser, give or take a sixteenth, as it is or averaged down. It
// gives the size and the true resolution of the picture.
func (r *Reader) Overview(ctx context.Context, levels []Level, mpp float64) (rgb []byte, w, h int, at [2]float64, err error) {
	if len(levels) == 0 || !(mpp > 0) {
		return nil, 0, 0, at, fmt.Errorf("overview of %d levels at %g µm: %w", len(levels), mpp, study.ErrInvalid)
	}
	l := levels[0]
	for _, c := range levels {
		if max(c.MPP[0], c.MPP[1]) <= mpp*17/16 {
			l = c
		}
	}
	scale := max(mpp/math.Sqrt(l.MPP[0]*l.MPP[1]), 1)
	if scale < 4.0/3 { // near enough
		scale = 1
	}
	w, h = max(int(float64(l.Columns)/scale+0.5), 1), max(int(float64(l.Rows)/scale+0.5), 1)
	at = [2]float64{l.MPP[0] * float64(l.Columns) / float64(w), l.MPP[1] * float64(l.Rows) / float64(h)}
	if int64(w)*int64(h) > maxPixels {
		return nil, 0, 0, at, fmt.Errorf("overview of %d×%d pixels: %w", w, h, study.ErrInvalid)
	}
	if scale == 1 {
		rgb, _, err = r.Region(ctx, l, 0, 0, w, h)
		return rgb, w, h, at, err
	}
	o, err := r.open(l)
	if err != nil {
		return nil, 0, 0, at, err
	}
	rgb = make([]byte, 3*w*h)
	step := max(int(overviewBlock/scale), 1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0)) // 13 MB each
	for y := 0; y < h; y += step {
		for x := 0; x < w; x += step {
			group.Go(func() error { return o.shrink(ctx, rgb, w, h, Rect{x, y, min(step, w-x), min(step, h-y)}) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, 0, 0, at, err
	}
	return rgb, w, h, at, nil
}

// shrink fills one block of a picture of w×h pixels that shows the whole level.
func (o *open) shrink(ctx context.Context, dst []byte, w, h int, b Rect) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l := o.level
	fx, fy := float64(l.Columns)/float64(w), float64(l.Rows)/float64(h)
	x0, y0 := float64(b.X)*fx, float64(b.Y)*fy
	x1, y1 := float64(b.X+b.W)*fx, float64(b.Y+b.H)*fy
	ox, oy := int(x0), int(y0)
	sw, sh := min(int(math.Ceil(x1)), l.Columns)-ox, min(int(math.Ceil(y1)), l.Rows)-oy
	src, _, err := o.region(ctx, Rect{ox, oy, sw, sh})
	if err != nil {
		return err
	}
	box := pixel.Box{X0: x0 - float64(ox), Y0: y0 - float64(oy), X1: x1 - float64(ox), Y1: y1 - float64(oy)}
	small, err := pixel.ResizeBoxRGB(src, sw, sh, box, b.W, b.H)
	if err != nil {
		return err
	}
	for y := range b.H {
		copy(dst[3*((b.Y+y)*w+b.X):], small[3*y*b.W:3*(y+1)*b.W])
	}
	return nil
}
