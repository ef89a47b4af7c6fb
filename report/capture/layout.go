package capture

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"slices"
	"strconv"
	"strings"

	"varde/internal/words"
	"varde/report/ink"
	"varde/study"
)

// The colors of a capture. It lies among images in a dark room.
var (
	ground   = color.RGBA{0x12, 0x15, 0x19, 0xFF}
	bright   = color.RGBA{0xF2, 0xF4, 0xF6, 0xFF}
	soft     = color.RGBA{0xB4, 0xBC, 0xC4, 0xFF}
	warning  = color.RGBA{0xFF, 0xC2, 0x3C, 0xFF}
	rule     = color.RGBA{0x3A, 0x42, 0x4A, 0xFF}
	onGray   = ink.Stroke{Color: color.RGBA{0xFF, 0xD8, 0x2E, 0xFF}, Halo: color.RGBA{0, 0, 0, 0xA0}}
	onColors = ink.Stroke{Color: color.RGBA{0x0B, 0x3C, 0xC8, 0xFF}, Halo: color.RGBA{0xFF, 0xFF, 0xFF, 0xC8}}
)

const (
	leastWidth   = 1024 // of a capture: a line of text needs that
	leastRing    = 11.0 // radius, pixels: what is smaller would not be seen
	mostListed   = 4    // findings named below an image
	mostNumbered = 20   // findings that bear their number: as many as are told in words
	pageHeight   = 1024 // of a page of text, at least
	mostHeight   = 1536 // of a page of text; what is longer goes on the next one
	pageLetters  = 1.2  // times as large as below an image
	letterShare  = 52   // of the width of a capture is the height of its letters
)

// A sheet is a capture under construction.
type sheet struct {
	width, margin int
	head, bold    *ink.Pen // the headline, and what must not be missed
	body, small   *ink.Pen
	alert, gap    *ink.Pen
}

// newSheet makes one whose letters are so many times as large as usual.
func newSheet(width int, letters float64) (sheet, error) {
	size := letters * float64(width) / letterShare
	s := sheet{width: width, margin: width / 40}
	var errs [6]error
	s.head, errs[0] = ink.NewPen(1.35*size, true, bright)
	s.bold, errs[1] = ink.NewPen(size, true, bright)
	s.body, errs[2] = ink.NewPen(size, false, bright)
	s.small, errs[3] = ink.NewPen(0.86*size, false, soft)
	s.alert, errs[4] = ink.NewPen(size, true, warning)
	s.gap, errs[5] = ink.NewPen(size/2, false, ground)
	return s, errors.Join(errs[:]...)
}

// A line is one line of text with its pen.
type line struct {
	pen  *ink.Pen
	text string
}

// lines wraps texts; empty ones are left out.
func (s sheet) lines(pen *ink.Pen, texts ...string) []line {
	var out []line
	for _, t := range texts {
		if t == "" {
			continue
		}
		for _, l := range pen.Wrap(t, s.width-2*s.margin) {
			out = append(out, line{pen, l})
		}
	}
	return out
}

func height(all []line) int {
	h := 0
	for _, l := range all {
		h += l.pen.LineHeight()
	}
	return h
}

// write draws lines from y on and gives where the next one would stand.
func (s sheet) write(dst draw.Image, y int, all []line) int {
	for _, l := range all {
		l.pen.Line(dst, s.margin, y, l.text)
		y += l.pen.LineHeight()
	}
	return y
}

func (s sheet) fill(dst draw.Image, r image.Rectangle, c color.Color) {
	draw.Draw(dst, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// top is what stands above: what AI says, how sure it is, and what is wrong.
func (s sheet) top(t words.Told) []line {
	all := s.lines(s.head, Headline(t))
	all = append(all, s.lines(s.bold, t.Summary)...)
	all = append(all, s.lines(s.alert, strings.TrimSpace(t.NotLooked+" "+t.Reason))...)
	return append(all, s.lines(s.body, t.Frequency)...)
}

// bottom is what stands below: who says so, and what it is not for.
func (s sheet) bottom(w Work, model, where string) []line {
	all := s.lines(s.small, model, where)
	return append(all, s.lines(s.bold, w.Told.Disclaimer)...)
}

// image lays out one view: the banner above and below its picture, never on it.
func (w Work) image(v View, p Picture, n, of int) (*image.RGBA, error) {
	s, err := newSheet(max(leastWidth, p.Columns), 1)
	if err != nil {
		return nil, err
	}
	gap := s.margin / 2
	top := s.top(w.Told)
	listed := s.findings(w.Told, v)
	bottom := s.bottom(w, model(w.Told.Lang, w.Result), w.where(v, n, of))
	low := gap + height(top) + gap
	rest := low + p.Rows
	dst := image.NewRGBA(image.Rect(0, 0, s.width, rest+gap+height(listed)+gap+height(bottom)+gap))
	s.fill(dst, dst.Rect, ground)
	s.write(dst, gap, top)
	picture := image.Rect(0, 0, p.Columns, p.Rows).Add(image.Pt((s.width-p.Columns)/2, low))
	s.fill(dst, image.Rect(0, low, s.width, rest), color.Black)
	ringed, err := Ringed(v, p, 1)
	if err != nil {
		return nil, err
	}
	draw.Draw(dst, picture, ringed, image.Point{}, draw.Src)
	y := s.write(dst, rest+gap, listed)
	s.fill(dst, image.Rect(s.margin, y+gap/2, s.width-s.margin, y+gap/2+max(1, s.width/1024)), rule)
	s.write(dst, y+gap, bottom)
	return dst, nil
}

// findings names what is ringed, the most suspicious first.
func (s sheet) findings(t words.Told, v View) []line {
	var all []line
	named, listed := map[int]bool{}, 0
	for _, spot := range v.Spots {
		n := spot.Finding.Number
		if named[n] {
			continue
		}
		named[n] = true
		at := slices.IndexFunc(t.Findings, func(f words.ToldFinding) bool { return f.Number == n })
		if at >= 0 && listed < mostListed {
			all = append(all, s.lines(s.body, t.Findings[at].Text)...)
			listed++
		}
	}
	if left := len(named) - listed; left > 0 {
		all = append(all, s.lines(s.small, t.Lang.T("capture.more", left))...)
	}
	return all
}

// Ringed draws a view's picture with rings around what was found, each with the
// number of its finding: so many times as heavy as a screen wants them.
func Ringed(v View, p Picture, heavy float64) (*image.RGBA, error) {
	if p.Columns < 1 || p.Rows < 1 || len(p.RGB) < 3*p.Columns*p.Rows {
		return nil, fmt.Errorf("picture of %s: %d × %d pixels in %d bytes: %w", v.Instance.UID, p.Columns, p.Rows, len(p.RGB), study.ErrInvalid)
	}
	dst := image.NewRGBA(image.Rect(0, 0, p.Columns, p.Rows))
	for i := range p.Columns * p.Rows {
		copy(dst.Pix[4*i:4*i+3], p.RGB[3*i:3*i+3])
		dst.Pix[4*i+3] = 255
	}
	stroke := onGray
	if v.Instance.Image != nil && v.Instance.Image.Samples > 1 {
		stroke = onColors
	}
	wide := float64(max(leastWidth, p.Columns))
	stroke.Width = heavy * max(2, wide/480)
	edge := stroke.Halo
	edge.A = 255
	pen, err := ink.NewPen(1.2*heavy*wide/letterShare, true, stroke.Color)
	if err != nil {
		return nil, err
	}
	halo, err := ink.NewPen(1.2*heavy*wide/letterShare, true, edge)
	if err != nil {
		return nil, err
	}
	// The least suspicious first, so that others lie over it.
	for k := len(v.Spots) - 1; k >= 0; k-- {
		points := outline(v.Spots[k].Region, p.Scale, stroke.Width)
		ink.Ring(dst, stroke, points)
		if v.Spots[k].Finding.Number > mostNumbered {
			continue
		}
		number := strconv.Itoa(v.Spots[k].Finding.Number)
		at := beside(dst.Rect, points, pen.Width(number), pen.LineHeight())
		for d := range 9 {
			halo.Line(dst, at.X+2*(d%3-1), at.Y+2*(d/3-1), number)
		}
		pen.Line(dst, at.X, at.Y, number)
	}
	return dst, nil
}

// outline is the line that is drawn around a region, in pixels of the picture.
// What is very small gets a ring around it in place of its own outline, and a
// circle runs around what it is of, not over its rim.
func outline(g study.Region, scale [2]float64, width float64) []float64 {
	low, high := extent(g)
	x, y := (low[0]+high[0])/2*scale[0], (low[1]+high[1])/2*scale[1]
	rx, ry := (high[0]-low[0])/2*scale[0], (high[1]-low[1])/2*scale[1]
	if max(rx, ry) < leastRing {
		return ink.Circle(x, y, leastRing)
	}
	if g.Shape == study.Circle && len(g.Points) == 4 {
		r := max(rx, ry)
		c := ink.Circle(0, 0, r)
		for i := range c {
			c[i] = [2]float64{x, y}[i%2] + c[i]/r*([2]float64{rx, ry}[i%2]+1.5*width)
		}
		return c
	}
	var out []float64
	for i, v := range g.Points {
		out = append(out, v*scale[i%2])
	}
	if n := len(out); out[0] != out[n-2] || out[1] != out[n-1] {
		out = append(out, out[0], out[1])
	}
	return out
}

// beside is where a ring's number stands: at its upper right, or where the picture
// has room.
func beside(frame image.Rectangle, points []float64, w, h int) image.Point {
	low, high := extent(study.Region{Shape: study.Outline, Points: points})
	const gap = 6
	// The point of the line that is nearest to the upper right corner of its box.
	var at [2]float64
	for k := 0; k+1 < len(points); k += 2 {
		if k == 0 || points[k]-points[k+1] > at[0]-at[1] {
			at = [2]float64{points[k], points[k+1]}
		}
	}
	x, y := int(at[0])+gap, int(at[1])-h+gap/2
	if x+w+gap > frame.Max.X {
		x = int(low[0]) - gap - w
	}
	if y < frame.Min.Y {
		y = int(high[1]) + gap
	}
	return image.Pt(max(min(x, frame.Max.X-w-gap), frame.Min.X+gap), max(min(y, frame.Max.Y-h), frame.Min.Y))
}

// pages lays out the text alone: all of it, on as many pages as it takes. unshown
// is how many images with findings have no picture.
func (w Work) pages(unshown int) ([]*image.RGBA, error) {
	s, err := newSheet(leastWidth, pageLetters)
	if err != nil {
		return nil, err
	}
	gap := s.margin
	top := s.top(w.Told)
	var body []line
	if unshown > 0 {
		body = append(s.lines(s.alert, w.Told.Lang.T("capture.unshown", unshown)), line{s.gap, ""})
	}
	for _, t := range said(w.Told) {
		body = append(body, s.lines(s.body, t)...)
		body = append(body, line{s.gap, ""})
	}
	var parts [][]line
	for room := mostHeight - height(top) - height(s.bottom(w, w.Told.Model, w.where(View{}, 1, 99))) - 4*gap; ; {
		n := 0
		for used := 0; n < len(body) && (n == 0 || used+body[n].pen.LineHeight() <= room); n++ {
			used += body[n].pen.LineHeight()
		}
		parts, body = append(parts, body[:n]), body[n:]
		if len(body) == 0 {
			break
		}
	}
	var out []*image.RGBA
	for n, part := range parts {
		bottom := s.bottom(w, w.Told.Model, w.where(View{}, n+1, len(parts)))
		high := max(pageHeight, gap+height(top)+gap+height(part)+2*gap+height(bottom)+gap)
		dst := image.NewRGBA(image.Rect(0, 0, s.width, high))
		s.fill(dst, dst.Rect, ground)
		y := s.write(dst, gap, top)
		s.fill(dst, image.Rect(s.margin, y+gap/2, s.width-s.margin, y+gap/2+1), rule)
		s.write(dst, y+gap, part)
		foot := high - gap - height(bottom)
		s.fill(dst, image.Rect(s.margin, foot-gap/2, s.width-s.margin, foot-gap/2+1), rule)
		s.write(dst, foot, bottom)
		out = append(out, dst)
	}
	return out, nil
}
