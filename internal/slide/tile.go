package slide

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"

	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/study"
)

const (
	jpegBaseline study.UID = "1.2.840.10008.1.2.4.50"
	// tileQuality is that of a tile which is encoded here: high enough that a
	// reader sees the scanner's compression and not ours.
	tileQuality = 92
)

// A Step is a resolution at which a slide is shown: a level as it is, or averaged
// down by a whole number.
type Step struct {
	Level  int // index in the levels
	Shrink int // 1: as it is
}

const (
	// A pyramid is even enough when each level is at most so many times coarser
	// than the one before.
	evenGap = 5
	// maxShrink bounds what is averaged into one tile: 256 of the level's.
	maxShrink = 16
	// wholeSide is the side of a level that is small enough to be shown whole.
	wholeSide = 4096
)

// Steps gives the resolutions at which a slide is shown, finest first: its levels,
// and where they are far apart or the coarsest one is large, steps of four between
// and beyond.
func Steps(levels []Level) []Step {
	var steps []Step
	for i, l := range levels {
		steps = append(steps, Step{i, 1})
		for by := 4; by <= maxShrink && by*max(l.TileW, l.TileH) <= wholeSide; by *= 4 {
			if i+1 < len(levels) && float64(l.Columns)/float64(levels[i+1].Columns) <= float64(by)*evenGap/4 ||
				i+1 == len(levels) && max(l.Columns, l.Rows)*4/by <= wholeSide {
				break
			}
			steps = append(steps, Step{i, by})
		}
	}
	return steps
}

// Tiles are the tiles of one step of a slide as a browser shows them. Its methods
// may be called at the same time.
type Tiles struct {
	Columns, Rows int // pixels of the step
	TileW, TileH  int
	shrink        int
	open          *open
}

// Tiles opens a step of a slide for single tiles. The frame index of the level is
// read once for all of them, so Tiles are kept for as long as the slide is looked
// at, and made again when an instance of it has changed.
func (r *Reader) Tiles(levels []Level, s Step) (*Tiles, error) {
	if s.Level < 0 || s.Level >= len(levels) || s.Shrink < 1 || s.Shrink > maxShrink {
		return nil, fmt.Errorf("step %d of %d levels, averaged by %d: %w", s.Level, len(levels), s.Shrink, study.ErrNotFound)
	}
	l := levels[s.Level]
	o, err := r.open(l)
	if err != nil {
		return nil, err
	}
	return &Tiles{Columns: ceil(l.Columns, s.Shrink), Rows: ceil(l.Rows, s.Shrink), TileW: l.TileW, TileH: l.TileH, shrink: s.Shrink, open: o}, nil
}

// JPEG gives the tile in a column and row of the step's grid of TileW×TileH
// pixels, counted from 0. stored says that the bytes are those of the scanner:
// a baseline JPEG that begins in that very place and whose colors a browser
// takes for what they are. Everything else is decoded and encoded anew, cut off
// where the level ends; a stored tile may reach beyond. Where a sparse level has
// no tile it is white. A place outside the level is [study.ErrNotFound].
func (t *Tiles) JPEG(ctx context.Context, column, row int) (b []byte, stored bool, err error) {
	if column < 0 || row < 0 || column >= ceil(t.Columns, t.TileW) || row >= ceil(t.Rows, t.TileH) {
		return nil, false, fmt.Errorf("tile %d, %d of a level of %d×%d pixels: %w", column, row, t.Columns, t.Rows, study.ErrNotFound)
	}
	x, y := column*t.TileW, row*t.TileH
	w, h := min(t.TileW, t.Columns-x), min(t.TileH, t.Rows-y)
	r := Rect{X: x * t.shrink, Y: y * t.shrink, W: w * t.shrink, H: h * t.shrink}
	touched := t.open.touching(r)
	if t.shrink == 1 {
		if b, err = t.open.asStored(ctx, r, touched); err != nil || b != nil {
			return b, b != nil, err
		}
	}
	rgb, err := t.open.paint(ctx, r, touched)
	if err == nil && t.shrink > 1 {
		rgb, err = pixel.ResizeRGB(rgb, r.W, r.H, w, h)
	}
	if err != nil {
		return nil, false, err
	}
	b, err = encodeJPEG(rgb, w, h)
	return b, false, err
}

// asStored gives the bytes of the one frame that fills r, nil where there is no
// such frame or a browser would not show it as it is.
func (o *open) asStored(ctx context.Context, r Rect, touched []int32) ([]byte, error) {
	if len(touched) != 1 {
		return nil, nil
	}
	s := o.places.sources[touched[0]]
	in := o.level.Instances[s.part]
	if int(s.x) != r.X || int(s.y) != r.Y || in.TransferSyntax != jpegBaseline {
		return nil, nil
	}
	list, err := o.plan(ctx, touched)
	if err != nil {
		return nil, err
	}
	if err := o.fetch(ctx, list); err != nil {
		return nil, err
	}
	if len(list) != 1 || list[0].fragments == nil {
		return nil, nil
	}
	b, err := codec.Encoded(*in.Image, in.TransferSyntax, list[0].fragments)
	if err != nil || !plainJPEG(b, in.Image.Photometric, r.W, r.H) {
		return nil, nil // the decoder says what is wrong with it, if anything is
	}
	return b, nil
}

// paint decodes what a rectangle touches, a batch at a time.
func (o *open) paint(ctx context.Context, r Rect, touched []int32) ([]byte, error) {
	rgb := white(nil, 3*r.W*r.H)
	list, err := o.plan(ctx, touched)
	if err != nil {
		return nil, err
	}
	for len(list) > 0 {
		n := batch(list)
		if err := o.fetch(ctx, list[:n]); err != nil {
			return nil, err
		}
		for i := range list[:n] {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			t, err := o.decode(ctx, list[i], nil)
			if err != nil {
				return nil, err
			}
			o.paste(rgb, r, t)
			list[i].fragments = nil
		}
		list = list[n:]
	}
	return rgb, nil
}

// encodeJPEG writes interleaved RGB as a baseline JPEG.
func encodeJPEG(rgb []byte, w, h int) ([]byte, error) {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, j := 0, 0; i+2 < len(rgb) && j+3 < len(m.Pix); i, j = i+3, j+4 {
		m.Pix[j], m.Pix[j+1], m.Pix[j+2], m.Pix[j+3] = rgb[i], rgb[i+1], rgb[i+2], 255
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: tileQuality}); err != nil {
		return nil, fmt.Errorf("encode a tile of %d×%d pixels: %w", w, h, err)
	}
	return b.Bytes(), nil
}

// plainJPEG reports whether a browser shows a JPEG of three components as what
// it is: whole enough to fill w×h pixels, 8 bits deep, and of a color space on
// which the rule of browsers (that of libjpeg) and that of [codec] agree. They
// part ways where a frame says both JFIF and Adobe RGB, and where it says
// nothing at all and its data set says RGB.
func plainJPEG(b []byte, photometric string, w, h int) bool {
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return false
	}
	jfif, adobe, transform := false, false, byte(0)
	sampled, ids, frame := false, [3]byte{}, false
	for at := 2; at+4 <= len(b); {
		if b[at] != 0xff {
			return false
		}
		marker := b[at+1]
		if marker == 0xff { // a fill byte
			at++
			continue
		}
		size := int(binary.BigEndian.Uint16(b[at+2:]))
		if size < 2 || at+2+size > len(b) {
			return false
		}
		p := b[at+4 : at+2+size]
		switch {
		case marker == 0xe0 && len(p) >= 12 && string(p[:5]) == "JFIF\x00":
			jfif = true
		case marker == 0xee && len(p) >= 12 && string(p[:5]) == "Adobe":
			adobe, transform = true, p[11]
		case marker == 0xc0 || marker == 0xc1:
			if frame || len(p) != 15 || p[0] != 8 || p[5] != 3 ||
				int(binary.BigEndian.Uint16(p[1:])) < h || int(binary.BigEndian.Uint16(p[3:])) < w {
				return false
			}
			frame = true
			ids = [3]byte{p[6], p[9], p[12]}
			sampled = p[7] != p[10] || p[7] != p[13]
		case marker == 0xda:
			rgb := adobe && transform == 0
			switch {
			case jfif && rgb:
				return false
			case !jfif && !adobe && ids != [3]byte{'R', 'G', 'B'} && !sampled && photometric == "RGB":
				return false
			}
			return frame
		case marker > 0xc1 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc, marker == 0xd8, marker == 0xd9:
			return false
		}
		at += 2 + size
	}
	return false
}
