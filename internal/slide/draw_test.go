package slide_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"sync"

	"varde/internal/slide"
	"varde/study"
)

// A scan is a drawn level to be cut into frames: every pixel says where it is.
type scan struct {
	columns, rows, tile int
	mpp                 float64
	order               []int // of the tiles as stored; nil = row by row
	drop                map[int]bool
	sparse              bool
	shift               int // pixels by which sparse tiles are off the grid
	parts               int // instances; 0 = 1
	jpeg                bool
	cut                 bool // edge frames only as large as needed
	kind                string
}

// at is the color of a pixel.
func at(x, y int) [3]byte { return [3]byte{byte(x), byte(y), byte(x>>8<<4 | y>>8)} }

const (
	explicitLE   = study.UID("1.2.840.10008.1.2.1")
	jpegBaseline = study.UID("1.2.840.10008.1.2.4.50")
)

// A shelf keeps drawn objects and counts what is asked of it.
type shelf struct {
	mu      sync.Mutex // held for one count
	objects map[string][]byte
	frames  map[study.UID]study.Frames
	ranges  int
	bytes   int64
	fail    error
}

func newShelf() *shelf {
	return &shelf{objects: map[string][]byte{}, frames: map[study.UID]study.Frames{}}
}

func (s *shelf) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.ranges++
	s.bytes += n
	s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	b, ok := s.objects[key]
	if !ok {
		return nil, study.ErrNotFound
	}
	if n < 0 {
		n = int64(len(b)) - off
	}
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(b), off, n)), nil
}

func (s *shelf) Frames(_ context.Context, uid study.UID) (study.Frames, error) {
	f, ok := s.frames[uid]
	if !ok {
		return f, study.ErrNotFound
	}
	return f, nil
}

func (s *shelf) reader() *slide.Reader { return &slide.Reader{Objects: s, Frames: s.Frames} }

// draw puts a scan on the shelf.
func (s *shelf) draw(d scan) []study.Instance {
	type frame struct {
		x, y int
		data []byte
	}
	across, down := (d.columns+d.tile-1)/d.tile, (d.rows+d.tile-1)/d.tile
	order := d.order
	if order == nil {
		for i := range across * down {
			order = append(order, i)
		}
	}
	var all []frame
	for _, i := range order {
		if d.drop[i] {
			continue
		}
		x, y := i%across*d.tile, i/across*d.tile
		if d.shift > 0 && x > 0 {
			x -= d.shift
		}
		all = append(all, frame{x, y, d.frame(x, y)})
	}
	parts := max(d.parts, 1)
	var out []study.Instance
	offset := 0
	for p := range parts {
		mine := all[offset : (p+1)*len(all)/parts]
		uid := study.UID(fmt.Sprintf("1.2.%d.%d", len(s.objects)+1, d.columns))
		ts := explicitLE
		if d.jpeg {
			ts = jpegBaseline
		}
		level := &study.SlideLevel{
			TotalColumns: d.columns, TotalRows: d.rows, MicronsPerPixel: [2]float64{d.mpp, d.mpp},
			TiledFull: !d.sparse, FocalPlanes: 1, OpticalPaths: 1, Kind: d.kind,
		}
		if parts > 1 {
			level.Concatenation, level.FrameOffset = study.UID(fmt.Sprintf("1.3.%d", d.columns)), offset
		}
		object := make([]byte, 700)
		index := study.Frames{First: []int32{0}}
		for i, f := range mine {
			object = append(object, make([]byte, 8)...)
			index.Spans = append(index.Spans, study.Span{Off: int64(len(object)), Len: int64(len(f.data))})
			index.First = append(index.First, int32(i+1))
			object = append(object, f.data...)
			if d.sparse {
				level.Places = append(level.Places, [2]int{f.x, f.y})
			}
		}
		s.objects["k"+string(uid)], s.frames[uid] = object, index
		out = append(out, study.Instance{UID: uid, Key: "k" + string(uid), TransferSyntax: ts, Number: len(s.objects), Image: &study.Image{
			Rows: d.tile, Columns: d.tile, Frames: len(mine), Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7,
			Photometric: map[bool]string{false: "RGB", true: "YBR_FULL_422"}[d.jpeg], Slide: level,
		}})
		offset += len(mine)
	}
	return out
}

// frame draws one tile. What lies beyond the level is black, so that it shows
// when it is let through.
func (d scan) frame(x, y int) []byte {
	w, h := d.tile, d.tile
	if d.cut {
		w, h = min(w, d.columns-x), min(h, d.rows-y)
	}
	if d.jpeg {
		img := image.NewRGBA(image.Rect(0, 0, w, h))
		for j := range h {
			for i := range w {
				c := smooth(x+i, y+j)
				img.SetRGBA(i, j, color.RGBA{c[0], c[1], c[2], 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
			panic(err)
		}
		return b.Bytes()
	}
	b := make([]byte, 3*w*h)
	for j := range h {
		for i := range w {
			if x+i < d.columns && y+j < d.rows {
				c := at(x+i, y+j)
				copy(b[3*(j*w+i):], c[:])
			}
		}
	}
	return b
}

// smooth is a color that JPEG keeps.
func smooth(x, y int) [3]byte {
	return [3]byte{byte(60 + x/8%128), byte(60 + y/8%128), byte(120 + (x+y)/16%64)}
}

// want is the region as it should be read.
func (d scan) want(x, y, w, h int, missing func(x, y int) bool) []byte {
	b := make([]byte, 3*w*h)
	for j := range h {
		for i := range w {
			c := [3]byte{255, 255, 255}
			if px, py := x+i, y+j; px >= 0 && py >= 0 && px < d.columns && py < d.rows && !missing(px, py) {
				c = at(px, py)
			}
			copy(b[3*(j*w+i):], c[:])
		}
	}
	return b
}

// reason is the code of a refusal.
func reason(err error) string {
	var r *slide.RefusedError
	if errors.As(err, &r) {
		return r.Reason.Code
	}
	return ""
}
