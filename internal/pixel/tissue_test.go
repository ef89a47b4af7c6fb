package pixel_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"varde/internal/pixel"
	"varde/study"
)

// A glass is a drawn overview of a slide at 8 µm.
type glass struct {
	w, h int
	rgb  []byte
}

func newGlass(w, h int) *glass {
	g := &glass{w, h, make([]byte, 3*w*h)}
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range g.rgb {
		g.rgb[i] = byte(243 + rng.IntN(5))
	}
	return g
}

func (g *glass) disk(x, y, r int, c color.RGBA) {
	for py := max(y-r, 0); py < min(y+r+1, g.h); py++ {
		for px := max(x-r, 0); px < min(x+r+1, g.w); px++ {
			if (px-x)*(px-x)+(py-y)*(py-y) <= r*r {
				copy(g.rgb[3*(py*g.w+px):], []byte{c.R, c.G, c.B})
			}
		}
	}
}

func (g *glass) mask(t *testing.T) *pixel.Mask {
	t.Helper()
	m, err := pixel.Tissue(g.rgb, g.w, g.h, [2]float64{8, 8})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	eosin   = color.RGBA{225, 170, 205, 255}
	nuclei  = color.RGBA{125, 80, 165, 255}
	greenPn = color.RGBA{40, 160, 80, 255}
	bluePn  = color.RGBA{50, 60, 190, 255}
	redPn   = color.RGBA{200, 30, 40, 255}
	blood   = color.RGBA{190, 75, 90, 255}
	pale    = color.RGBA{234, 206, 222, 255}
	black   = color.RGBA{10, 10, 12, 255}
)

func TestTissueIsFoundAndInkIsNot(t *testing.T) {
	g := newGlass(400, 300)
	g.disk(100, 100, 60, eosin)
	g.disk(110, 100, 25, nuclei)
	g.disk(300, 80, 40, greenPn)
	g.disk(300, 200, 40, bluePn)
	g.disk(200, 250, 30, redPn)
	g.disk(70, 130, 12, blood)
	g.disk(100, 240, 40, black)
	m := g.mask(t)
	for _, tt := range []struct {
		name string
		x, y int
		want bool
	}{
		{"eosin", 70, 100, true}, {"nuclei", 110, 100, true}, {"glass", 200, 150, false},
		{"green pen", 300, 80, false}, {"blue pen", 300, 200, false}, {"missing tile", 100, 240, false},
		{"red pen", 200, 250, false}, {"blood", 70, 130, true},
	} {
		if m.At(tt.x, tt.y) != tt.want {
			t.Errorf("%s: tissue %v, want %v (threshold %d)", tt.name, !tt.want, tt.want, m.Threshold)
		}
	}
	want := math.Pi * 60 * 60 / (400 * 300)
	if !near(m.Share(), want, 0.01) {
		t.Errorf("share %.3f, want %.3f", m.Share(), want)
	}
	if !near(m.AreaMM2(), want*400*300*64/1e6, 0.1) {
		t.Errorf("area %.3f mm²", m.AreaMM2())
	}
	if m.Threshold < 12 || m.Threshold > 25 {
		t.Errorf("threshold %d", m.Threshold)
	}
}

// TestPaleTissueIsFoundBesideDark: without a ceiling the threshold would lie
// between the two.
func TestPaleTissueIsFoundBesideDark(t *testing.T) {
	g := newGlass(400, 300)
	g.disk(100, 150, 60, nuclei)
	g.disk(300, 150, 60, pale)
	if m := g.mask(t); !m.At(300, 150) || !m.At(100, 150) || !near(m.Share(), 2*math.Pi*60*60/(400*300), 0.01) {
		t.Errorf("share %.3f, threshold %d", m.Share(), m.Threshold)
	}
}

func TestDustIsNoTissue(t *testing.T) {
	g := newGlass(400, 300)
	rng := rand.New(rand.NewPCG(5, 5))
	for range 300 { // specks of 8 to 40 µm, a few of them clumped
		g.disk(rng.IntN(400), rng.IntN(300), rng.IntN(3), color.RGBA{150, 110, 90, 255})
	}
	for x := range 400 { // a hair
		g.disk(x, 150+x/10, 1, color.RGBA{60, 50, 40, 255})
	}
	if m := g.mask(t); m.Share() > 0.01 {
		t.Errorf("share %.3f, threshold %d", m.Share(), m.Threshold)
	}
}

// TestRealTilesAreJudged holds the mask against tiles of real slides.
func TestRealTilesAreJudged(t *testing.T) {
	for _, tt := range []struct {
		name        string
		least, most float64
	}{
		{"histolab__almost-white-1.png", 0, 0.001}, {"histolab__no-tissue.png", 0, 0.001}, {"histolab__no-tissue2.png", 0, 0.001},
		{"histolab__no-tissue-line.png", 0, 0.01}, {"histolab__no-tissue-green-pen.png", 0, 0.001},
		{"histolab__low-nuclei-score-level1.png", 0.1, 0.3}, {"histolab__medium-nuclei-score-level2.png", 0.75, 0.9},
		{"histolab__tissue-level2-3000-7666-7096-11763.png", 0.6, 0.85}, {"histolab__wsi-blue-pen.png", 0.2, 0.35},
		{"stardist__histo.jpg", 0.99, 1}, {"torchstain__source.png", 0.95, 1},
	} {
		rgb, w, h := realTile(t, tt.name)
		m, err := pixel.Tissue(rgb, w, h, [2]float64{8, 8})
		if err != nil {
			t.Fatal(err)
		}
		if s := m.Share(); s < tt.least || s > tt.most {
			t.Errorf("%s: share %.3f, want %.3f to %.3f", tt.name, s, tt.least, tt.most)
		}
	}
	// Of a red pen the pure color is known; where it is thin it looks like eosin,
	// and where it is thick like clotted blood.
	rgb, w, h := realTile(t, "histolab__no-tissue-red-pen.png")
	m, err := pixel.Tissue(rgb, w, h, [2]float64{8, 8})
	if err != nil || m.Share() > 0.68 || m.At(300, 260) {
		t.Errorf("red pen: share %.3f, %v", m.Share(), err)
	}
}

func TestEmptySlideHasNoTissue(t *testing.T) {
	if m := newGlass(300, 200).mask(t); m.Share() != 0 {
		t.Errorf("share %g", m.Share())
	}
}

func TestCrumbsAreDroppedAndHolesAreFilled(t *testing.T) {
	g := newGlass(400, 300)
	g.disk(50, 50, 8, eosin) // 129 µm across
	g.disk(150, 150, 90, eosin)
	g.disk(150, 150, 9, color.RGBA{245, 245, 245, 255})  // a hole of 145 µm
	g.disk(150, 100, 25, color.RGBA{245, 245, 245, 255}) // a lumen of 400 µm
	m := g.mask(t)
	if m.At(50, 50) {
		t.Error("a crumb counts as tissue")
	}
	if !m.At(150, 150) {
		t.Error("a small hole is left")
	}
	if m.At(150, 100) {
		t.Error("a lumen is filled")
	}
}

func TestFractionOfAPatch(t *testing.T) {
	g := newGlass(200, 200)
	for y := range 200 {
		for x := range 100 {
			copy(g.rgb[3*(y*200+x):], []byte{200, 120, 180})
		}
	}
	m := g.mask(t)
	for _, tt := range []struct {
		name       string
		x, y, w, h float64
		want       float64
	}{
		{"within", 80, 80, 112, 112, 1},
		{"beside", 1000, 80, 112, 112, 0},
		{"half", 744, 80, 112, 112, 0.5},
		{"a quarter", 772, 80, 112, 112, 0.25},
		{"half outside the slide", -56, 80, 112, 112, 0.5},
		{"outside", -500, -500, 112, 112, 0},
		{"less than a pixel", 100, 100, 1, 1, 1},
		{"nothing", 100, 100, 0, 0, 0},
		{"the whole slide", 0, 0, 1600, 1600, 0.5},
	} {
		if got := m.Fraction(tt.x, tt.y, tt.w, tt.h); !near(got, tt.want, 1e-6) {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestSenselessOverviewIsRefused(t *testing.T) {
	for name, f := range map[string]func() error{
		"too few bytes": func() error { _, err := pixel.Tissue(make([]byte, 11), 2, 2, [2]float64{8, 8}); return err },
		"no spacing":    func() error { _, err := pixel.Tissue(make([]byte, 12), 2, 2, [2]float64{}); return err },
		"no picture":    func() error { _, err := pixel.Tissue(nil, 0, 0, [2]float64{8, 8}); return err },
	} {
		if err := f(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, err := pixel.Tissue(make([]byte, 3), 1, 1, [2]float64{8, 8}); err != nil || m.Share() != 0 {
		t.Errorf("one black pixel: %v", err)
	}
}

func TestPicturesAreEncoded(t *testing.T) {
	g := newGlass(300, 100)
	g.disk(100, 50, 40, nuclei)
	img, err := pixel.RGBImage(g.rgb, g.w, g.h)
	if err != nil {
		t.Fatal(err)
	}
	small := pixel.Thumbnail(img, 64)
	if b := small.Bounds(); b.Dx() != 64 || b.Dy() != 21 {
		t.Errorf("thumbnail of %v", b)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"png":  func(b *bytes.Buffer) error { return pixel.PNG(b, small) },
		"jpeg": func(b *bytes.Buffer) error { return pixel.JPEG(b, small, 90) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		back, format, err := image.Decode(&b)
		if err != nil || format != name || back.Bounds() != small.Bounds() {
			t.Errorf("%s: %s, %v", name, format, err)
		}
	}
	if _, err := pixel.RGBImage(g.rgb, 7, 7); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if gray, err := pixel.GrayImage(make([]byte, 6), 3, 2); err != nil || gray.Bounds().Dx() != 3 {
		t.Errorf("%v", err)
	}
	if m := g.mask(t).Image(); m.GrayAt(100, 50).Y != 255 || m.GrayAt(250, 50).Y != 0 {
		t.Error("the mask's picture is another")
	}
}

func BenchmarkTissue(b *testing.B) {
	g := newGlass(1500, 1500)
	g.disk(700, 700, 500, eosin)
	for b.Loop() {
		if _, err := pixel.Tissue(g.rgb, g.w, g.h, [2]float64{8, 8}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(g.w*g.h)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpx/s")
}
