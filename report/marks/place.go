package marks

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"varde/internal/dicom"
	"varde/study"
)

// How large letters are: viewers choose for themselves, and fit a text into the box
// that is given for it.
const (
	linesPerFrame = 44   // lines that would fill the height of a square image
	charWidth     = 0.56 // of a line's height
	bannerChars   = 34   // a line of the banner
	labelChars    = 28   // a line beside a ring
)

// banner gives the lines that no presentation of a result goes without: what AI
// says, what it did not see, how often it is right where that is known, which model
// it is, and what it is not for.
func (w Work) banner() []string {
	t := w.told()
	lines := []string{t.Lang.T("marks.headline", t.Headline)}
	if t.NotLooked != "" {
		lines = append(lines, t.NotLooked)
	}
	if w.Result.Calibrated && t.Frequency != "" {
		lines = append(lines, t.Frequency)
	}
	name := w.Result.Name
	if name == "" {
		name = w.Result.Model.ID
	}
	lines = append(lines, t.Lang.T("marks.model", name, w.Result.Model.Version), t.Lang.T("bar.support"))
	return wrap(lines, bannerChars)
}

// label gives the words beside a ring: the finding's number, what it is, and how
// large. How likely it is stands in the banner: what is calibrated is the number of
// the whole study.
func (w Work) label(f study.Finding) []string {
	t := w.told()
	lines := []string{fmt.Sprint(f.Number)}
	for _, told := range t.Findings {
		if told.Number == f.Number {
			lines = []string{fmt.Sprintf("%d %s", f.Number, told.What)}
			if told.Sizes != "" {
				lines = append(lines, told.Sizes)
			}
		}
	}
	return wrap(lines, labelChars)
}

// wrap breaks lines between words.
func wrap(lines []string, most int) []string {
	var out []string
	for _, l := range lines {
		row := ""
		for word := range strings.FieldsSeq(l) {
			if row != "" && utf8.RuneCountInString(row)+1+utf8.RuneCountInString(word) > most {
				out, row = append(out, row), ""
			}
			if row != "" {
				row += " "
			}
			row += word
		}
		out = append(out, row)
	}
	return out
}

// A box is a rectangle of an image, in its pixels.
type box struct{ left, top, right, bottom float64 }

// over is the area that two boxes share.
func (b box) over(c box) float64 {
	return max(0, min(b.right, c.right)-max(b.left, c.left)) * max(0, min(b.bottom, c.bottom)-max(b.top, c.top))
}

// A page is an image with what stands on it already.
type page struct {
	columns, rows float64
	line          float64 // height of a line
	taken         []box
}

func newPage(img *study.Image) *page {
	p := &page{columns: float64(img.Columns), rows: float64(img.Rows)}
	p.line = max(1, min(p.rows, p.columns)/linesPerFrame)
	return p
}

// take marks where a ring is.
func (p *page) take(r study.Region) {
	low, high := bounds(r)
	p.taken = append(p.taken, box{low[0], low[1], high[0], high[1]})
}

// A note is a text in its box, and what it points at.
type note struct {
	box
	lines  []string
	anchor *[2]float64
}

// size is what lines need.
func (p *page) size(lines []string) (width, height float64) {
	most := 0
	for _, l := range lines {
		most = max(most, utf8.RuneCountInString(l))
	}
	return min(p.columns, (float64(most)+1)*charWidth*p.line), min(p.rows, (float64(len(lines))+0.5)*p.line)
}

// corner puts lines into the corner of the image where they cover the least, the
// upper left one before the others.
func (p *page) corner(lines []string) note {
	w, h := p.size(lines)
	gap := p.line / 2
	left, right, top, bottom := min(gap, p.columns-w), max(0, p.columns-w-gap), min(gap, p.rows-h), max(0, p.rows-h-gap)
	return p.place(lines, w, h, [][2]float64{{left, top}, {right, top}, {left, bottom}, {right, bottom}})
}

// beside puts lines next to a ring, where they cover the least: to its right before
// its left, and then further away.
func (p *page) beside(lines []string, r study.Region) note {
	w, h := p.size(lines)
	low, high := bounds(r)
	var at [][2]float64
	for _, gap := range []float64{p.line, 3 * p.line, 8 * p.line, 16 * p.line} {
		middle := [2]float64{(low[0] + high[0] - w) / 2, (low[1] + high[1] - h) / 2}
		at = append(at, [2]float64{high[0] + gap, middle[1]}, [2]float64{low[0] - gap - w, middle[1]},
			[2]float64{middle[0], high[1] + gap}, [2]float64{middle[0], low[1] - gap - h},
			[2]float64{high[0] + gap, high[1] + gap}, [2]float64{high[0] + gap, low[1] - gap - h},
			[2]float64{low[0] - gap - w, high[1] + gap}, [2]float64{low[0] - gap - w, low[1] - gap - h})
	}
	n := p.place(lines, w, h, at)
	to := [2]float64{min(max((n.left+n.right)/2, low[0]), high[0]), min(max((n.top+n.bottom)/2, low[1]), high[1])}
	to[0], to[1] = min(max(to[0], 0), p.columns), min(max(to[1], 0), p.rows)
	n.anchor = &to
	return n
}

// place takes the first of the places at which lines cover nothing and are on the
// image, or the one at which they cover the least.
func (p *page) place(lines []string, w, h float64, at [][2]float64) note {
	best, least := box{}, math.Inf(1)
	for _, c := range at {
		x, y := min(max(c[0], 0), p.columns-w), min(max(c[1], 0), p.rows-h)
		b := box{x, y, x + w, y + h}
		covered := 0.0
		for _, t := range p.taken {
			covered += b.over(t)
		}
		if covered < least-1e-9 {
			best, least = b, covered
		}
	}
	p.taken = append(p.taken, best)
	return note{box: best, lines: lines}
}

// item writes the text, PS3.3 §C.10.5.
func (n note) item() *dicom.Item {
	i := dicom.NewItem().Set(dicom.UnformattedTextValue, strings.Join(n.lines, "\r\n")).
		Set(dicom.BoundingBoxAnnotationUnits, "PIXEL").Set(dicom.BoundingBoxTopLeftHandCorner, tenth(n.left), tenth(n.top)).
		Set(dicom.BoundingBoxBottomRightHandCorner, tenth(n.right), tenth(n.bottom)).
		Set(dicom.BoundingBoxTextHorizontalJustification, "LEFT")
	if n.anchor != nil {
		i.Set(dicom.AnchorPointAnnotationUnits, "PIXEL").Set(dicom.AnchorPoint, tenth(n.anchor[0]), tenth(n.anchor[1])).
			Set(dicom.AnchorPointVisibility, "Y")
	}
	return i
}

func tenth(v float64) float64 { return math.Round(10*v) / 10 }
