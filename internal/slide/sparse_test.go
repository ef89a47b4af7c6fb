package slide_test

import (
	"bytes"
	"errors"
	"testing"

	"varde/internal/slide"
	"varde/study"
)

// TestTilesThatASlideFileLeavesOutAreWhite reads a level of a slide file some of
// whose tiles have no bytes: by region, and by patches, of which each must show
// nothing of the one before.
func TestTilesThatASlideFileLeavesOutAreWhite(t *testing.T) {
	s := newShelf()
	d := scan{columns: 256, rows: 256, tile: 64, mpp: 0.5}
	in := s.draw(d)
	// The frames lie in another object than the instance's own.
	in[0].Image.Origin = &study.Origin{Key: in[0].Key}
	in[0].Key = "an object without pixels"
	frames := s.frames[in[0].UID]
	gone := map[int]bool{0: true, 5: true, 6: true, 15: true}
	for i := range gone {
		frames.Spans[i] = study.Span{}
	}
	missing := func(x, y int) bool { return gone[y/64*4+x/64] }
	l := one(t, in)
	rgb, decoders, err := s.reader().Region(t.Context(), l, 0, 0, 256, 256)
	if err != nil || len(decoders) != 1 || !bytes.Equal(rgb, d.want(0, 0, 256, 256, missing)) {
		t.Fatalf("region: %v, %v", decoders, err)
	}
	var rects []slide.Rect
	for y := 0; y < 256; y += 32 {
		for x := 0; x < 256; x += 32 {
			rects = append(rects, slide.Rect{X: x, Y: y, W: 32, H: 32})
		}
	}
	n := 0
	for p := range s.reader().Patches(t.Context(), l, rects, 0, 0) {
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		r := rects[p.Index]
		if !bytes.Equal(p.RGB, d.want(r.X, r.Y, r.W, r.H, missing)) {
			t.Errorf("patch at %d, %d shows something else", r.X, r.Y)
		}
		if missing(r.X, r.Y) && len(p.Decoders) > 0 {
			t.Errorf("patch at %d, %d was decoded by %v", r.X, r.Y, p.Decoders)
		}
		n++
	}
	if n != len(rects) {
		t.Errorf("%d of %d patches", n, len(rects))
	}
}

// TestFrameWithoutBytesInADICOMObjectIsDamage: only a slide file may leave tiles
// out.
func TestFrameWithoutBytesInADICOMObjectIsDamage(t *testing.T) {
	s := newShelf()
	in := s.draw(scan{columns: 128, rows: 128, tile: 64, mpp: 0.5})
	s.frames[in[0].UID].Spans[1].Len = 0
	if _, _, err := s.reader().Region(t.Context(), one(t, in), 0, 0, 128, 128); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}
