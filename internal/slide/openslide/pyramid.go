package openslide

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"varde/study"
)

const (
	// tileSide is the side of the tiles that are made: what a viewer fetches in
	// one piece, and a model's patch is cut from few of.
	tileSide = 512
	// smallest is the longer side at which no further level is worth having.
	smallest = 2048
	// shrink is how many times smaller than the last a level is that we make, where
	// the file has none.
	shrink = 4
	// keptPixels bounds the picture in memory from which such levels are made.
	keptPixels = 160 << 20
	// maxTiles bounds one level.
	maxTiles = 1 << 22
)

// A pyramid is a BigTIFF under construction: the tiles of each level, row by row,
// and the directories at the end.
type pyramid struct {
	out   io.WriterAt
	at    int64
	slide *Slide
	facts Facts
	code  *encoder
	dirs  []level
}

// A level is one that was written.
type level struct {
	columns, rows    int
	offsets, lengths []uint64
}

func newPyramid(out io.WriterAt, s *Slide, f Facts) *pyramid {
	return &pyramid{out: out, at: 16, slide: s, facts: f, code: newEncoder()}
}

// write reads the levels of the slide and writes them, and further ones where the
// last is still large.
func (p *pyramid) write() error {
	var take []int
	wide := int64(math.MaxInt64)
	for i := range p.slide.Levels() {
		w, h := p.slide.Size(i)
		if w < 1 || h < 1 || w > math.MaxInt32 || h > math.MaxInt32 {
			return fmt.Errorf("level %d of %d×%d pixels: %w", i+1, w, h, study.ErrInvalid)
		}
		// Levels that are nearly the last one, or another field, are left out.
		if i == 0 || w <= wide/4*3 && sameField(p.slide, w, h) {
			take, wide = append(take, i), w
		}
	}
	for n, i := range take {
		w, h := p.slide.Size(i)
		var k *kept
		if n == len(take)-1 && max(w, h) > smallest {
			k = newKept(int(w), int(h))
		}
		if err := p.copyLevel(i, int(w), int(h), k); err != nil {
			return fmt.Errorf("level %d: %w", i+1, err)
		}
		for k != nil {
			if err := p.makeLevel(k); err != nil {
				return err
			}
			k = k.smaller()
		}
	}
	return p.finish()
}

// sameField reports whether a level shows what the finest one does.
func sameField(s *Slide, w, h int64) bool {
	w0, h0 := s.Size(0)
	across, down := float64(w0)/float64(w), float64(h0)/float64(h)
	return math.Abs(across-down) <= (1.5/float64(min(w, h))+0.01)*max(across, down)
}

// copyLevel writes a level of the slide as it is, and draws it smaller into k when
// there is one.
func (p *pyramid) copyLevel(n, w, h int, k *kept) error {
	down := p.slide.Downsample(n)
	return p.tiles(w, h, func(x, y int) ([]byte, error) {
		argb := make([]uint32, tileSide*tileSide)
		if err := p.slide.Read(argb, int64(math.Round(float64(x)*down)), int64(math.Round(float64(y)*down)), n, tileSide, tileSide); err != nil {
			return nil, err
		}
		if empty(argb) {
			return nil, nil
		}
		rgb := make([]byte, 3*tileSide*tileSide)
		RGB(rgb, argb)
		whiten(rgb, w-x, h-y)
		if k != nil {
			k.add(rgb, x, y)
		}
		return rgb, nil
	})
}

// empty reports whether the slide has nothing here.
func empty(argb []uint32) bool {
	for _, p := range argb {
		if p>>24 != 0 {
			return false
		}
	}
	return true
}

// whiten makes white what lies beyond the edge of the level.
func whiten(rgb []byte, w, h int) {
	for y := range tileSide {
		from := min(max(w, 0), tileSide)
		if y >= h {
			from = 0
		}
		for i := 3 * (y*tileSide + from); i < 3*(y+1)*tileSide; i++ {
			rgb[i] = 0xff
		}
	}
}

// tiles writes the tiles of a level, row by row. read gives the pixels of one, or
// nothing where there is nothing; it is called by several goroutines at once.
func (p *pyramid) tiles(w, h int, read func(x, y int) ([]byte, error)) error {
	across, down := (w+tileSide-1)/tileSide, (h+tileSide-1)/tileSide
	if int64(across)*int64(down) > maxTiles {
		return fmt.Errorf("%d×%d tiles: %w", across, down, study.ErrInvalid)
	}
	l := level{columns: w, rows: h}
	for row := range down {
		made := make([][]byte, across)
		var g errgroup.Group
		g.SetLimit(runtime.GOMAXPROCS(0))
		for column := range across {
			g.Go(func() error {
				rgb, err := read(column*tileSide, row*tileSide)
				if err == nil && rgb != nil {
					made[column], err = p.code.encode(rgb, tileSide, tileSide)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, b := range made {
			at := uint64(p.at)
			if len(b) == 0 {
				at = 0 // a tile that the file does not hold
			} else if err := p.put(b); err != nil {
				return err
			}
			l.offsets, l.lengths = append(l.offsets, at), append(l.lengths, uint64(len(b)))
		}
	}
	p.dirs = append(p.dirs, l)
	return nil
}

// put writes at the end, which stays even.
func (p *pyramid) put(b []byte) error {
	n, err := p.out.WriteAt(b, p.at)
	p.at += int64(n)
	p.at += p.at % 2
	return err
}

// A kept is a picture of a level, by times smaller, from which levels are made
// that the file does not have.
type kept struct {
	w, h, by int
	rgb      []byte
}

// newKept makes a white one.
func newKept(w, h int) *kept {
	k := &kept{by: shrink}
	for (w/k.by+1)*(h/k.by+1) > keptPixels {
		k.by *= 2
	}
	k.w, k.h = max(1, w/k.by), max(1, h/k.by)
	k.rgb = make([]byte, 3*k.w*k.h)
	for i := range k.rgb {
		k.rgb[i] = 0xff
	}
	return k
}

// add averages the pixels of a tile of the level at x, y. Tiles do not share a
// pixel of the picture, for their side is a multiple of by.
func (k *kept) add(rgb []byte, x, y int) {
	for ty := 0; ty < tileSide; ty += k.by {
		for tx := 0; tx < tileSide; tx += k.by {
			px, py := (x+tx)/k.by, (y+ty)/k.by
			if px >= k.w || py >= k.h {
				continue
			}
			average(k.rgb[3*(py*k.w+px):], rgb, tx, ty, tileSide, k.by)
		}
	}
}

// average puts the mean of by×by pixels at x, y of a picture into dst.
func average(dst, rgb []byte, x, y, wide, by int) {
	var sum [3]int
	for dy := range by {
		at := 3 * ((y+dy)*wide + x)
		for i := 0; i < 3*by; i += 3 {
			sum[0] += int(rgb[at+i])
			sum[1] += int(rgb[at+i+1])
			sum[2] += int(rgb[at+i+2])
		}
	}
	for c := range sum {
		dst[c] = byte((sum[c] + by*by/2) / (by * by))
	}
}

// makeLevel writes the picture as a level.
func (p *pyramid) makeLevel(k *kept) error {
	return p.tiles(k.w, k.h, func(x, y int) ([]byte, error) {
		rgb := make([]byte, 3*tileSide*tileSide)
		for i := range rgb {
			rgb[i] = 0xff
		}
		for row := 0; row < tileSide && y+row < k.h; row++ {
			n := min(tileSide, k.w-x)
			copy(rgb[3*row*tileSide:], k.rgb[3*((y+row)*k.w+x):3*((y+row)*k.w+x+n)])
		}
		return rgb, nil
	})
}

// smaller makes the next smaller picture, or nil when this one is small enough.
func (k *kept) smaller() *kept {
	if max(k.w, k.h) <= smallest {
		return nil
	}
	out := &kept{w: max(1, k.w/shrink), h: max(1, k.h/shrink), by: 1}
	out.rgb = make([]byte, 3*out.w*out.h)
	for y := range out.h {
		for x := range out.w {
			average(out.rgb[3*(y*out.w+x):], k.rgb, min(x*shrink, max(0, k.w-shrink)), min(y*shrink, max(0, k.h-shrink)), k.w, min(shrink, k.w, k.h))
		}
	}
	return out
}

// A tag is one entry of a directory.
type tag struct {
	id, kind uint16
	values   []uint64
	bytes    []byte // of kindUndefined
}

// The kinds of values, TIFF 6.0 section 2 and BigTIFF.
const (
	kindShort     = 3
	kindRational  = 5
	kindUndefined = 7
	kindLong8     = 16
)

// finish writes the directories, and at last the header that makes it a file.
func (p *pyramid) finish() error {
	le := binary.LittleEndian
	first, link := int64(0), int64(0) // of the first directory; where the next one's place is to be written
	for n, l := range p.dirs {
		dir, next, err := p.directory(n, l)
		if err != nil {
			return err
		}
		here := p.at
		if err := p.put(dir); err != nil {
			return err
		}
		if n == 0 {
			first = here
		} else if _, err := p.out.WriteAt(le.AppendUint64(nil, uint64(here)), link); err != nil {
			return err
		}
		link = here + int64(next)
	}
	head := append([]byte("II+\x00\x08\x00\x00\x00"), le.AppendUint64(nil, uint64(first))...)
	_, err := p.out.WriteAt(head, 0)
	return err
}

// directory makes the directory of a level, and says where in it the place of the
// next one is to stand. Values that have no room in it are written first.
func (p *pyramid) directory(n int, l level) (dir []byte, next int, err error) {
	le := binary.LittleEndian
	tags := p.tags(n, l)
	dir = le.AppendUint64(nil, uint64(len(tags)))
	for _, t := range tags {
		value, count := t.bytes, uint64(len(t.bytes))
		if t.values != nil {
			count = uint64(len(t.values))
			for _, v := range t.values {
				switch t.kind {
				case kindShort:
					value = le.AppendUint16(value, uint16(v))
				default: // a rational has its two halves in one
					value = le.AppendUint64(value, v)
				}
			}
		}
		dir = le.AppendUint64(le.AppendUint16(le.AppendUint16(dir, t.id), t.kind), count)
		if len(value) <= 8 {
			dir = append(dir, append(value, make([]byte, 8-len(value))...)...)
			continue
		}
		dir = le.AppendUint64(dir, uint64(p.at))
		if err := p.put(value); err != nil {
			return nil, 0, err
		}
	}
	return le.AppendUint64(dir, 0), len(dir), nil
}

// tags describes a level, TIFF 6.0 section 15 and technical note 2.
func (p *pyramid) tags(n int, l level) []tag {
	short := func(id uint16, v ...uint64) tag { return tag{id: id, kind: kindShort, values: v} }
	long := func(id uint16, v ...uint64) tag { return tag{id: id, kind: kindLong8, values: v} }
	reduced := uint64(0)
	if n > 0 {
		reduced = 1
	}
	subsampling := []uint64{1, 1}
	if p.code.half {
		subsampling = []uint64{2, 2}
	}
	tags := []tag{
		long(254, reduced), long(256, uint64(l.columns)), long(257, uint64(l.rows)),
		short(258, 8, 8, 8), short(259, 7), short(262, 6), short(277, 3),
	}
	if mpp := p.facts.MPP; mpp[0] > 0 {
		tags = append(tags, p.resolution(282, mpp[0], p.dirs[0].columns, l.columns), p.resolution(283, mpp[1], p.dirs[0].rows, l.rows),
			short(284, 1), short(296, 3))
	} else {
		tags = append(tags, short(284, 1))
	}
	tags = append(tags, short(322, tileSide), short(323, tileSide), long(324, l.offsets...), long(325, l.lengths...), short(530, subsampling...))
	if len(p.facts.ICC) > 0 && n == 0 {
		tags = append(tags, tag{id: 34675, kind: kindUndefined, bytes: p.facts.ICC})
	}
	return tags
}

// resolution is pixels per centimeter as a fraction of two 32-bit numbers.
func (p *pyramid) resolution(id uint16, mpp float64, finest, here int) tag {
	perCM := 10000 / mpp * float64(here) / float64(finest)
	const parts = 10000
	return tag{id: id, kind: kindRational, values: []uint64{uint64(math.Round(min(perCM*parts, math.MaxUint32))) | parts<<32}}
}
