package slide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"varde/internal/codec"
	"varde/study"
)

const (
	// mergeGap is the largest distance between two frames that one request reads
	// through: less than what another request costs.
	mergeGap = 256 << 10
	// maxRequest bounds one request, and maxFetched the bytes of frames that wait
	// to be decoded.
	maxRequest = 16 << 20
	maxFetched = 32 << 20
)

// A level open for reading.
type open struct {
	*Reader
	level  Level
	places *placement

	mu     *sync.Mutex    // held while an index is asked for
	frames []study.Frames // by part, once asked for; guarded by mu
	got    []bool         // guarded by mu
}

func (r *Reader) open(l Level) (*open, error) {
	if len(l.Instances) == 0 || l.TileW <= 0 || l.TileH <= 0 || l.Columns <= 0 || l.Rows <= 0 {
		return nil, fmt.Errorf("level of %d instances: %w", len(l.Instances), study.ErrInvalid)
	}
	p := l.places
	if p == nil {
		var err error
		if p, err = place(l); err != nil {
			return nil, err
		}
	}
	return &open{Reader: r, level: l, places: p, mu: &sync.Mutex{}, frames: make([]study.Frames, len(l.Instances)), got: make([]bool, len(l.Instances))}, nil
}

// touching gives the sources that hold pixels of a rectangle, as indices in
// places.sources, in the order of their place.
func (o *open) touching(r Rect) []int32 {
	l, p := o.level, o.places
	x0, y0, x1, y1 := max(r.X, 0), max(r.Y, 0), min(r.X+r.W, l.Columns), min(r.Y+r.H, l.Rows)
	if x0 >= x1 || y0 >= y1 {
		return nil
	}
	var out []int32
	// A source that is not on the grid reaches one cell further.
	for cy := max(y0/l.TileH-1, 0); cy <= (y1-1)/l.TileH; cy++ {
		for cx := max(x0/l.TileW-1, 0); cx <= (x1-1)/l.TileW; cx++ {
			cell := cy*p.across + cx
			for i := p.first[cell]; i < p.first[cell+1]; i++ {
				s := p.sources[i]
				if int(s.x) < x1 && int(s.x)+l.TileW > x0 && int(s.y) < y1 && int(s.y)+l.TileH > y0 {
					out = append(out, i)
				}
			}
		}
	}
	return out
}

// covered reports whether so many sources that touch a rectangle cover it: it lies
// within the level, and each tile of a regular grid is there.
func (o *open) covered(r Rect, touching int) bool {
	l := o.level
	return o.places.regular && r.X >= 0 && r.Y >= 0 && r.X+r.W <= l.Columns && r.Y+r.H <= l.Rows &&
		touching == ((r.X+r.W-1)/l.TileW-r.X/l.TileW+1)*((r.Y+r.H-1)/l.TileH-r.Y/l.TileH+1)
}

// index gives where the frames of a part lie.
func (o *open) index(ctx context.Context, part int32) (study.Frames, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.got[part] {
		f, err := o.Frames(ctx, o.level.Instances[part].UID)
		if err != nil {
			return f, fmt.Errorf("frame index of %s: %w", o.level.Instances[part].UID, err)
		}
		o.frames[part], o.got[part] = f, true
	}
	return o.frames[part], nil
}

// spans gives where a source's bytes lie.
func (o *open) spans(ctx context.Context, s source) ([]study.Span, error) {
	frames, err := o.index(ctx, s.part)
	if err != nil {
		return nil, err
	}
	return frames.Frame(int(s.frame))
}

// A fetched frame is one whose bytes are here. Without fragments it is still to
// be read, by itself.
type fetched struct {
	source    int32
	whole     study.Span // from its first fragment to its last
	spans     []study.Span
	fragments [][]byte
	blank     bool // a slide file has no bytes of it: it is background
}

// plan says what is to be fetched for sources.
func (o *open) plan(ctx context.Context, sources []int32) ([]fetched, error) {
	out := make([]fetched, 0, len(sources))
	for _, i := range sources {
		spans, err := o.spans(ctx, o.places.sources[i])
		if errors.Is(err, study.ErrNotFound) || err == nil && len(spans) == 0 {
			out = append(out, fetched{source: i}) // its own decoding will say so
			continue
		}
		if err != nil {
			return nil, err
		}
		first, last := spans[0], spans[len(spans)-1]
		if o.sparse(i) && len(spans) == 1 && first.Len == 0 {
			out = append(out, fetched{source: i, blank: true})
			continue
		}
		out = append(out, fetched{source: i, spans: spans, whole: study.Span{Off: first.Off, Len: last.Off + last.Len - first.Off}})
	}
	return out, nil
}

// sparse reports whether a source lies in a slide file, where a tile without
// bytes is background. In a DICOM object it would be damage.
func (o *open) sparse(source int32) bool {
	return o.level.Instances[o.places.sources[source].part].Image.Origin != nil
}

// fetch reads the bytes of frames, which it sorts by where they lie, in as few
// requests as their distances allow. A frame that an object is too short for is
// left without fragments, and so are frames of syntaxes whose bytes mean nothing
// by themselves.
func (o *open) fetch(ctx context.Context, list []fetched) error {
	part := func(f fetched) int32 { return o.places.sources[f.source].part }
	slices.SortFunc(list, func(a, b fetched) int {
		return cmp.Or(cmp.Compare(part(a), part(b)), cmp.Compare(a.whole.Off, b.whole.Off), cmp.Compare(a.source, b.source))
	})
	for len(list) > 0 {
		if list[0].blank {
			list = list[1:]
			continue
		}
		in := o.level.Instances[part(list[0])]
		from, to := list[0].whole.Off, list[0].whole.Off+list[0].whole.Len
		n := 1
		for ; n < len(list) && part(list[n]) == part(list[0]); n++ {
			w := list[n].whole
			if list[n].blank || w.Off > to+mergeGap || max(to, w.Off+w.Len)-from > maxRequest {
				break
			}
			to = max(to, w.Off+w.Len)
		}
		if sliceable(in.TransferSyntax) && from > 0 && to > from && to-from <= codec.MaxEncodedBytes {
			if err := o.request(ctx, in.PixelKey(), from, to, list[:n]); err != nil {
				return err
			}
		}
		list = list[n:]
	}
	return nil
}

// sliceable reports whether a frame's span holds all that its decoding needs: not
// so in a deflated object, nor in a big-endian one, whose bytes may be swapped.
func sliceable(ts study.UID) bool {
	return ts != "1.2.840.10008.1.2.1.99" && ts != "1.2.840.10008.1.2.2"
}

// request reads one range and cuts it up.
func (o *open) request(ctx context.Context, key string, from, to int64, list []fetched) error {
	body, err := o.Objects.Range(ctx, key, from, to-from)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	b := make([]byte, to-from)
	n, err := io.ReadFull(body, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	b = b[:n]
	for i := range list {
		f := &list[i]
		if f.whole.Off < from || f.whole.Off+f.whole.Len > from+int64(n) {
			continue
		}
		for _, s := range f.spans {
			if s.Off < f.whole.Off || s.Len < 0 || s.Off+s.Len > f.whole.Off+f.whole.Len {
				f.fragments = nil
				break
			}
			f.fragments = append(f.fragments, b[s.Off-from:][:s.Len:s.Len])
		}
	}
	return nil
}

// A tile is a decoded frame in its place.
type tile struct {
	x, y, w, h int
	rgb        []byte // nil where it is all white
	own        bool   // rgb is the memory that was given for it
	decoder    string
}

// decode makes a tile. An error of kind ErrInvalid or ErrUnsupported is about
// this frame alone.
// into is memory that it may use for the pixels; nil: there is none.
func (o *open) decode(ctx context.Context, f fetched, into []byte) (tile, error) {
	s := o.places.sources[f.source]
	if f.blank {
		return tile{x: int(s.x), y: int(s.y), w: o.level.TileW, h: o.level.TileH}, nil
	}
	in := o.level.Instances[s.part]
	opts := codec.Options{RGB: true, Decoder: o.Decoder, Into: into}
	var frame codec.Frame
	var err error
	if f.fragments != nil {
		if frame, err = codec.DecodeWith(opts, *in.Image, in.TransferSyntax, f.fragments); err != nil {
			err = fmt.Errorf("frame %d of %s: %w", s.frame+1, in.UID, err)
		}
	} else {
		var frames study.Frames
		if frames, err = o.index(ctx, s.part); err == nil {
			frame, err = codec.ReadFrameWith(ctx, opts, o.Objects, in, frames, int(s.frame))
		}
		if errors.Is(err, study.ErrNotFound) {
			err = fmt.Errorf("frame %d of %s is not in its object: %w", s.frame+1, in.UID, study.ErrInvalid)
		}
	}
	if err != nil {
		return tile{}, err
	}
	rgb, err := frame.RGB()
	if err != nil {
		return tile{}, fmt.Errorf("frame %d of %s: %w", s.frame+1, in.UID, err)
	}
	t := tile{x: int(s.x), y: int(s.y), w: frame.Columns, h: frame.Rows, rgb: rgb, decoder: frame.Decoder}
	t.own = len(into) > 0 && len(rgb) > 0 && &into[0] == &rgb[0]
	// A frame may be cut off where the level ends, and nowhere else.
	if t.w < min(o.level.TileW, o.level.Columns-t.x) || t.h < min(o.level.TileH, o.level.Rows-t.y) {
		return tile{}, fmt.Errorf("frame %d of %s has %d×%d pixels amid the level: %w", s.frame+1, in.UID, t.w, t.h, study.ErrInvalid)
	}
	return t, nil
}

// paste copies what tile and rectangle share, within the level.
func (o *open) paste(dst []byte, r Rect, t tile) {
	x0, x1 := max(r.X, t.x), min(r.X+r.W, t.x+t.w, o.level.Columns)
	y0, y1 := max(r.Y, t.y), min(r.Y+r.H, t.y+t.h, o.level.Rows)
	if x0 >= x1 {
		return
	}
	for y := y0; y < y1; y++ {
		row := dst[3*((y-r.Y)*r.W+x0-r.X):][:3*(x1-x0)]
		if t.rgb == nil {
			white(row, len(row))
			continue
		}
		copy(row, t.rgb[3*((y-t.y)*t.w+x0-t.x):])
	}
}
