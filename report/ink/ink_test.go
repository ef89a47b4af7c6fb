package ink_test

import (
	"bytes"
	"image"
	"image/color"
	"strings"
	"testing"

	"varde/report/ink"
)

var white = color.RGBA{255, 255, 255, 255}

func pen(t *testing.T) *ink.Pen {
	t.Helper()
	p, err := ink.NewPen(20, false, white)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLettersOfOurLanguagesAreThere(t *testing.T) {
	for _, text := range []string{"æøåÆØÅ äöüß é", "Ødegård Ærø Åse", "sha256 0–9 · “…” µm mm² mm³ ≥ ± □ − ’", "Жанна Γιώργος Łukasz"} {
		if got := ink.Shown(text); got != text {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

func TestUnknownLetterIsSeenToBeMissing(t *testing.T) {
	for text, want := range map[string]string{"李^Å": "□^Å", "a\u202eb": "ab", "a\tb\x00": "a b ", "\xff": "\ufffd"} {
		if got := ink.Shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestNoLineIsWiderThanItMayBe(t *testing.T) {
	p := pen(t)
	text := "AI flagged this study. " + strings.Repeat("0123456789abcdef", 8) + " and goes on\nin a second paragraph"
	lines := p.Wrap(text, 300)
	for _, l := range lines {
		if p.Width(l) > 300 {
			t.Errorf("%q is %d wide", l, p.Width(l))
		}
	}
	got, want := strings.Join(lines, ""), strings.NewReplacer(" ", "", "\n", "").Replace(text)
	if strings.ReplaceAll(got, " ", "") != want {
		t.Errorf("something is lost: %q", got)
	}
	if n := len(p.Wrap("", 300)); n != 1 {
		t.Errorf("an empty text has %d lines", n)
	}
	if lines := p.Wrap("wide", 1); strings.Join(lines, "") != "wide" {
		t.Errorf("where not one letter fits: %q", lines)
	}
}

func TestLettersStandBelowTheirCorner(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 200, 60))
	pen(t).Line(m, 10, 20, "Åg")
	var box image.Rectangle
	for y := range 60 {
		for x := range 200 {
			if m.RGBAAt(x, y).R > 0 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if box.Min.Y < 18 || box.Min.X < 9 || box.Max.Y > 20+26 || box.Empty() {
		t.Errorf("letters in %v", box)
	}
}

func TestRingLiesWhereItIsSaid(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 100, 100))
	ink.Ring(m, ink.Stroke{Color: white, Width: 2}, ink.Circle(50, 50, 30))
	for _, tt := range []struct {
		x, y int
		on   bool
	}{{79, 50, true}, {20, 50, true}, {50, 79, true}, {50, 50, false}, {90, 50, false}, {60, 60, false}} {
		if got := m.RGBAAt(tt.x, tt.y).R > 128; got != tt.on {
			t.Errorf("(%d, %d): inked %v", tt.x, tt.y, got)
		}
	}
}

func TestRingBeyondThePictureHarmsNothing(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 10, 10))
	for _, points := range [][]float64{nil, {1}, {1e300, -1e300, -1e300, 1e300}, ink.Circle(-500, -500, 3), ink.Circle(5, 5, 1e7)} {
		ink.Ring(m, ink.Stroke{Color: white, Halo: white, Width: 2}, points)
	}
}

func TestSameWordsGiveSamePixels(t *testing.T) {
	draw := func() []byte {
		m := image.NewRGBA(image.Rect(0, 0, 300, 80))
		pen(t).Block(m, 0, 0, 280, "Kun beslutningsstøtte – ikke for primærdiagnostikk")
		ink.Ring(m, ink.Stroke{Color: white, Halo: color.RGBA{A: 128}, Width: 3}, ink.Circle(40, 40, 20))
		return m.Pix
	}
	if !bytes.Equal(draw(), draw()) {
		t.Error("they differ")
	}
}
