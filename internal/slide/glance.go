package slide

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io"
	"math"

	"varde/internal/pixel"
	"varde/study"
)

// A Glance is a slide as a whole, at about 8 µm per pixel: its picture and where
// its tissue is.
type Glance struct {
	RGB  []byte // interleaved, of the mask's size
	Mask *pixel.Mask
}

// glancePixels bounds the picture of a whole slide, which takes some 13 bytes of
// memory a pixel: enough for a section of 25 by 43 mm at 8 µm.
const glancePixels = 16 << 20

// Glance looks at a whole slide. A section that is larger than most is looked at
// more coarsely.
func (r *Reader) Glance(ctx context.Context, levels []Level) (Glance, error) {
	if len(levels) == 0 {
		return Glance{}, fmt.Errorf("glance at a slide without levels: %w", study.ErrInvalid)
	}
	l := levels[0]
	area := float64(l.Columns) * l.MPP[0] * float64(l.Rows) * l.MPP[1]
	rgb, w, h, at, err := r.Overview(ctx, levels, max(pixel.TissueMPP, math.Sqrt(area/glancePixels)))
	if err != nil {
		return Glance{}, err
	}
	m, err := pixel.Tissue(rgb, w, h, at)
	return Glance{RGB: rgb, Mask: m}, err
}

// Tissue finds the tissue of a slide at about 8 µm per pixel.
func (r *Reader) Tissue(ctx context.Context, levels []Level) (*pixel.Mask, error) {
	g, err := r.Glance(ctx, levels)
	return g.Mask, err
}

// A Shelf keeps small objects; an object of the same key is written over.
type Shelf interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
}

const (
	// thumbSide is the longer side of a thumbnail in pixels.
	thumbSide    = 1024
	thumbQuality = 85
)

// MaskKey is where the tissue mask of a slide lies, which is made when its study
// settles: a gray PNG, tissue white, that covers the finest level from edge to
// edge. It is there for every slide that some model was asked about.
func MaskKey(series study.UID) string { return fmt.Sprintf("slides/%s/mask.png", series) }

// ThumbKey is where a picture of the whole slide lies, a JPEG of at most
// 1024 pixels a side. It shows the tissue alone: never the label.
func ThumbKey(series study.UID) string { return fmt.Sprintf("slides/%s/thumb.jpg", series) }

// Keep writes the mask and the thumbnail of a slide.
func (g Glance) Keep(ctx context.Context, shelf Shelf, series study.UID) error {
	picture, err := pixel.RGBImage(g.RGB, g.Mask.W, g.Mask.H)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		key   string
		write func(io.Writer) error
	}{
		{MaskKey(series), func(w io.Writer) error { return pixel.PNG(w, g.Mask.Image()) }},
		{ThumbKey(series), func(w io.Writer) error { return pixel.JPEG(w, fit(picture), thumbQuality) }},
	} {
		var b bytes.Buffer
		if err := p.write(&b); err != nil {
			return fmt.Errorf("write %s: %w", p.key, err)
		}
		if err := shelf.Put(ctx, p.key, &b, int64(b.Len())); err != nil {
			return fmt.Errorf("keep %s: %w", p.key, err)
		}
	}
	return nil
}

// fit makes a picture smaller than the thumbnail's side, or leaves it.
func fit(m image.Image) image.Image {
	if b := m.Bounds(); max(b.Dx(), b.Dy()) > thumbSide {
		return pixel.Thumbnail(m, thumbSide)
	}
	return m
}

const (
	// A stain is measured on so many squares of so many pixels: over a million
	// pixels from all over the tissue.
	stainSquares = 24
	stainSide    = 256
)

// Stain measures the stain of a slide on squares of one of its levels that lie
// evenly in its tissue. A stain that can't be measured is an error that wraps
// [study.ErrInvalid].
func (r *Reader) Stain(ctx context.Context, l Level, m *pixel.Mask, method string) (study.Stain, error) {
	var rgb []byte
	for p := range r.Patches(ctx, l, squares(l, m), 0, 0) {
		switch {
		case p.Err == nil:
			rgb = append(rgb, p.RGB...)
		case !about(p.Err):
			return study.Stain{}, p.Err
		}
	}
	if err := ctx.Err(); err != nil {
		return study.Stain{}, err
	}
	return pixel.FitStain(method, rgb)
}

// squares lays squares over pixels of the mask that lie evenly in the row of all
// that are tissue.
func squares(l Level, m *pixel.Mask) []Rect {
	total := int(math.Round(m.Share() * float64(m.W*m.H)))
	w, h := min(stainSide, l.Columns), min(stainSide, l.Rows)
	var out []Rect
	seen, next := 0, total/(2*stainSquares)
	for y := range m.H {
		for x := range m.W {
			if !m.At(x, y) {
				continue
			}
			if seen == next {
				cx := (float64(x) + 0.5) * m.MPP[0] / l.MPP[0]
				cy := (float64(y) + 0.5) * m.MPP[1] / l.MPP[1]
				out = append(out, Rect{X: min(max(int(cx)-w/2, 0), l.Columns-w), Y: min(max(int(cy)-h/2, 0), l.Rows-h), W: w, H: h})
				next = total * (2*len(out) + 1) / (2 * stainSquares)
			}
			seen++
		}
	}
	return out
}
