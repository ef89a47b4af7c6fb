// Package ink draws letters and rings on pictures, for results that go where no
// structured report is read.
//
//	NewPen        letters of one size and color: Width, Wrap, Line, Block
//	Ring          the outline of a region, with a halo that keeps it visible
//	Shown         a text with a box for what the letters can't write
//	Regular, Bold the letters themselves, for printing
//
// The letters are the Go fonts, which know Latin, Greek and Cyrillic; nothing is
// looked for on the machine, so that a picture is the same wherever it is made.
package ink

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Regular gives the letters as a TrueType file. It must not be changed.
func Regular() []byte { return goregular.TTF }

// Bold gives the heavier ones.
func Bold() []byte { return gobold.TTF }

// A set is both weights of the letters.
type set struct{ regular, bold *opentype.Font }

var letters = sync.OnceValues(func() (set, error) {
	var s set
	var err error
	if s.regular, err = opentype.Parse(goregular.TTF); err != nil {
		return s, fmt.Errorf("read the letters: %w", err)
	}
	if s.bold, err = opentype.Parse(gobold.TTF); err != nil {
		return s, fmt.Errorf("read the bold letters: %w", err)
	}
	return s, nil
})

// box stands for a letter that the fonts do not have.
const box = '□'

// Shown gives a text as it can be written: a letter that the fonts lack becomes a
// box, so that it is seen that something stands there, and what makes no mark
// becomes a blank.
func Shown(text string) string {
	s, err := letters()
	if err != nil {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\u00a0':
			return r
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r): // would turn the direction of what follows
			return -1
		}
		if n, err := s.regular.GlyphIndex(nil, r); err != nil || n == 0 {
			return box
		}
		return r
	}, text)
}

// A Pen writes in one size, weight and color. It is one goroutine's.
type Pen struct {
	face  font.Face
	color color.Color
	up    int // from the top of a line to its base
	line  int // from line to line
}

// NewPen makes a pen whose letters are size pixels high.
func NewPen(size float64, bold bool, c color.Color) (*Pen, error) {
	s, err := letters()
	if err != nil {
		return nil, err
	}
	f := s.regular
	if bold {
		f = s.bold
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, fmt.Errorf("letters of %g pixels: %w", size, err)
	}
	return &Pen{face: face, color: c, up: face.Metrics().Ascent.Ceil(), line: int(size*1.32 + 0.5)}, nil
}

// LineHeight is how far lines stand apart, pixels.
func (p *Pen) LineHeight() int { return p.line }

// Width is how wide a text is, pixels.
func (p *Pen) Width(text string) int { return font.MeasureString(p.face, Shown(text)).Ceil() }

// Line writes one line whose upper left corner is (x, y). What does not fit on
// the picture is cut off by its edge.
func (p *Pen) Line(dst draw.Image, x, y int, text string) {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(p.color), Face: p.face, Dot: fixed.P(x, y+p.up)}
	d.DrawString(Shown(text))
}

// Block writes a text in lines of at most width pixels and gives where the next
// line would begin.
func (p *Pen) Block(dst draw.Image, x, y, width int, text string) int {
	for _, l := range p.Wrap(text, width) {
		p.Line(dst, x, y, l)
		y += p.line
	}
	return y
}

// Wrap parts a text into lines of at most width pixels, between words, and within
// a word that is wider than that, such as a hash. A line break in the text is one.
func (p *Pen) Wrap(text string, width int) []string {
	var out []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for _, word := range strings.FieldsFunc(paragraph, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' }) {
			if line != "" && p.Width(line+" "+word) <= width {
				line += " " + word
				continue
			}
			if line != "" {
				out = append(out, line)
			}
			var whole []string
			whole, line = p.split(word, width)
			out = append(out, whole...)
		}
		out = append(out, line)
	}
	return out
}

// split parts a word that is too wide: lines that are full, and the rest.
func (p *Pen) split(word string, width int) (full []string, rest string) {
	for p.Width(word) > width {
		r := []rune(word)
		n := len(r) - 1
		for n > 1 && p.Width(string(r[:n])) > width {
			n--
		}
		if n < 1 {
			break // not even one letter fits
		}
		full, word = append(full, string(r[:n])), string(r[n:])
	}
	return full, word
}
