package slide_test

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"image/png"
	"io"
	"testing"

	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/study"
)

// Put keeps a picture.
func (s *shelf) Put(_ context.Context, key string, r io.Reader, size int64) error {
	if s.fail != nil {
		return s.fail
	}
	b, err := io.ReadAll(r)
	if err == nil && int64(len(b)) != size {
		err = errors.New("another size")
	}
	s.objects[key] = b
	return err
}

// stained draws an H&E slide.
func stained(t *testing.T, s *shelf) []slide.Level {
	t.Helper()
	d, err := studytest.Slide(studytest.SM{Seed: 3, Cellular: true, Columns: 3000, Rows: 2000})
	if err != nil {
		t.Fatal(err)
	}
	var in []study.Instance
	for _, o := range d.Objects {
		in = append(in, s.keep(t, o.File))
	}
	levels, err := slide.Levels(in)
	if err != nil {
		t.Fatal(err)
	}
	return levels
}

// TestMaskAndThumbnailAreKept: who shows the slide need not look for its tissue
// again.
func TestMaskAndThumbnailAreKept(t *testing.T) {
	s := newShelf()
	levels := stained(t, s)
	g, err := s.reader().Glance(t.Context(), levels)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Keep(t.Context(), s, "1.9.1"); err != nil {
		t.Fatal(err)
	}
	mask, err := png.Decode(bytes.NewReader(s.objects[slide.MaskKey("1.9.1")]))
	if err != nil {
		t.Fatal(err)
	}
	if b := mask.Bounds(); b.Dx() != g.Mask.W || b.Dy() != g.Mask.H || g.Mask.Share() < 0.2 {
		t.Errorf("mask of %v, share %.2f", b, g.Mask.Share())
	}
	for y := range g.Mask.H {
		for x := range g.Mask.W {
			if v, _, _, _ := mask.At(x, y).RGBA(); v>>8 != map[bool]uint32{true: 255, false: 0}[g.Mask.At(x, y)] {
				t.Fatalf("the kept mask differs at %d, %d", x, y)
			}
		}
	}
	thumb, err := jpeg.Decode(bytes.NewReader(s.objects[slide.ThumbKey("1.9.1")]))
	if err != nil || max(thumb.Bounds().Dx(), thumb.Bounds().Dy()) > 1024 {
		t.Errorf("thumbnail of %v: %v", thumb.Bounds(), err)
	}
	s.fail = study.ErrBusy
	if err := g.Keep(t.Context(), s, "1.9.1"); !errors.Is(err, study.ErrBusy) {
		t.Errorf("a store that is away: %v", err)
	}
}

// TestStainIsMeasuredAlikeAgain: two workers and a replay see the same numbers.
func TestStainIsMeasuredAlikeAgain(t *testing.T) {
	s := newShelf()
	levels := stained(t, s)
	m, err := s.reader().Tissue(t.Context(), levels)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{study.StainMacenko, study.StainReinhard} {
		first, err := s.reader().Stain(t.Context(), levels[0], m, method)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := s.reader().Stain(t.Context(), levels[0], m, method); err != nil || again != first {
			t.Errorf("%s: %+v, then %+v, %v", method, first, again, err)
		}
		if _, err := pixel.NewStainer(first); err != nil {
			t.Error(err)
		}
	}
	s.fail = study.ErrBusy
	if _, err := s.reader().Stain(t.Context(), levels[0], m, study.StainMacenko); !errors.Is(err, study.ErrBusy) {
		t.Errorf("a store that is away: %v", err)
	}
}
