package slide

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"sync"

	"varde/study"
)

const (
	jpegBaseline study.UID = "1.2.840.10008.1.2.4.50"
	// tileQuality is that of a tile which is encoded here: high enough that a
	// reader sees the scanner's compression and not ours.
	tileQuality = 92
)

// Tiles are the tiles of one level as a browser shows them. Its methods may be
// called at the same time.
type Tiles struct {
	level Level
	mu    sync.Mutex
	kept  *open // holds the frame index of each part once it was asked for
}

// Tiles opens a level for single tiles. The frame index is read once for all of
// them, so it is kept for as long as the slide is looked at, and made again when
// an instance of it has changed.
func (r *Reader) Tiles(l Level) (*Tiles, error) {
	o, err := r.open(l)
	if err != nil {
		return nil, err
	}
	return &Tiles{level: l, kept: o}, nil
}

// JPEG gives the tile in a column and row of the level's grid of TileW×TileH
// pixels, counted from 0. stored says that the bytes are those of the scanner:
// a baseline JPEG that begins in that very place and whose colors a browser
// takes for what they are. Everything else is decoded and encoded anew, cut off
// where the level ends; a stored tile may reach beyond. Where a sparse level has
// no tile it is white. A place outside the level is [study.ErrNotFound].
func (t *Tiles) JPEG(ctx context.Context, column, row int) (b []byte, stored bool, err error) {
	l := t.level
	if column < 0 || row < 0 || column >= ceil(l.Columns, l.TileW) || row >= ceil(l.Rows, l.TileH) {
		return nil, false, fmt.Errorf("tile %d, %d of a level of %d×%d pixels: %w", column, row, l.Columns, l.Rows, study.ErrNotFound)
	}
	r := Rect{X: column * l.TileW, Y: row * l.TileH, W: min(l.TileW, l.Columns-column*l.TileW), H: min(l.TileH, l.Rows-row*l.TileH)}
	o, touched, err := t.open(ctx, r)
	if err != nil {
		return nil, false, err
	}
	if b, err = o.asStored(ctx, r, touched); err != nil || b != nil {
		return b, b != nil, err
	}
	rgb, err := o.paint(ctx, r, touched)
	if err != nil {
		return nil, false, err
	}
	b, err = encodeJPEG(rgb, r.W, r.H)
	return b, false, err
}

// open gives the level with the frame index of every part that r needs, for one
// tile alone.
func (t *Tiles) open(ctx context.Context, r Rect) (*open, []int32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	touched := t.kept.touching(r)
	if _, err := t.kept.plan(ctx, touched); err != nil {
		return nil, nil, err
	}
	o := *t.kept
	o.frames, o.got = slices.Clone(o.frames), slices.Clone(o.got)
	return &o, touched, nil
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
	b := spliced(in.Image, list[0].fragments)
	if !plainJPEG(b, in.Image.Photometric, r.W, r.H) {
		return nil, nil
	}
	return b, nil
}

// spliced joins the fragments of a JPEG frame and puts in front the tables that
// its file keeps apart.
func spliced(img *study.Image, fragments [][]byte) []byte {
	b := bytes.Join(fragments, nil)
	if img.Origin != nil && len(img.Origin.Head) > 0 && len(b) > 2 {
		b = append(slices.Clone(img.Origin.Head), b[2:]...)
	}
	return b
}

// paint decodes what a rectangle touches.
func (o *open) paint(ctx context.Context, r Rect, touched []int32) ([]byte, error) {
	rgb := white(nil, 3*r.W*r.H)
	list, err := o.plan(ctx, touched)
	if err != nil {
		return nil, err
	}
	if err := o.fetch(ctx, list); err != nil {
		return nil, err
	}
	for _, f := range list {
		t, err := o.decode(ctx, f)
		if err != nil {
			return nil, err
		}
		o.paste(rgb, r, t)
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
