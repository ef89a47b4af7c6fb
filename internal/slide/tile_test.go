package slide_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"varde/internal/slide"
	"varde/study"
)

// tiles opens a step of a drawn slide.
func tiles(t *testing.T, s *shelf, in []study.Instance, step slide.Step) *slide.Tiles {
	t.Helper()
	levels, err := slide.Levels(in)
	if err != nil {
		t.Fatal(err)
	}
	open, err := s.reader().Tiles(levels, step)
	if err != nil {
		t.Fatal(err)
	}
	return open
}

func decoded(t *testing.T, b []byte) image.Image {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// near reports whether a color is another one, give or take what JPEG costs.
func near(m image.Image, x, y int, want [3]byte) bool {
	r, g, b, _ := m.At(x, y).RGBA()
	for i, v := range []uint32{r >> 8, g >> 8, b >> 8} {
		if d := int(v) - int(want[i]); d < -8 || d > 8 {
			return false
		}
	}
	return true
}

func TestTileOfABaselineJPEGIsTheFrame(t *testing.T) {
	for name, d := range map[string]scan{
		"full":          {columns: 700, rows: 500, tile: 256, mpp: 0.5, jpeg: true},
		"sparse":        {columns: 700, rows: 500, tile: 256, mpp: 0.5, jpeg: true, sparse: true, order: []int{5, 0, 3, 1, 4, 2}},
		"concatenation": {columns: 700, rows: 500, tile: 256, mpp: 0.5, jpeg: true, parts: 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			in := s.draw(d)
			open := tiles(t, s, in, slide.Step{Shrink: 1})
			for row := range 2 {
				for column := range 3 {
					b, stored, err := open.JPEG(t.Context(), column, row)
					if err != nil || !stored {
						t.Fatalf("tile %d, %d: stored %v, %v", column, row, stored, err)
					}
					if m := decoded(t, b); !near(m, 3, 5, smooth(column*256+3, row*256+5)) {
						t.Errorf("tile %d, %d is another one", column, row)
					}
					found := false
					for _, i := range in {
						found = found || bytes.Contains(s.objects[i.Key], b)
					}
					if !found {
						t.Errorf("tile %d, %d is not the frame's own bytes", column, row)
					}
				}
			}
		})
	}
}

func TestTileThatNoBrowserShowsIsMadeAnew(t *testing.T) {
	s := newShelf()
	native := scan{columns: 700, rows: 500, tile: 256, mpp: 0.5}
	open := tiles(t, s, s.draw(native), slide.Step{Shrink: 1})
	b, stored, err := open.JPEG(t.Context(), 2, 1)
	if err != nil || stored {
		t.Fatal(stored, err)
	}
	if m := decoded(t, b); m.Bounds() != image.Rect(0, 0, 700-512, 500-256) {
		t.Errorf("%v: not cut off where the level ends", m.Bounds())
	}
	missing := scan{columns: 700, rows: 500, tile: 256, mpp: 0.5, jpeg: true, sparse: true, drop: map[int]bool{4: true}}
	open = tiles(t, s, s.draw(missing), slide.Step{Shrink: 1})
	b, stored, err = open.JPEG(t.Context(), 1, 1)
	if err != nil || stored || !near(decoded(t, b), 100, 100, [3]byte{255, 255, 255}) {
		t.Errorf("a tile that a sparse level does not have: stored %v, %v", stored, err)
	}
	off := scan{columns: 700, rows: 500, tile: 256, mpp: 0.5, jpeg: true, sparse: true, shift: 16}
	open = tiles(t, s, s.draw(off), slide.Step{Shrink: 1})
	b, stored, err = open.JPEG(t.Context(), 1, 0)
	if err != nil || stored || !near(decoded(t, b), 9, 9, smooth(256+9, 9)) {
		t.Errorf("a tile of frames that are off the grid: stored %v, %v", stored, err)
	}
}

// TestBrowserIsNotLeftToGuessColors: without a marker a browser takes three
// components for YCbCr, and a data set may say otherwise.
func TestBrowserIsNotLeftToGuessColors(t *testing.T) {
	s := newShelf()
	in := s.draw(scan{columns: 256, rows: 256, tile: 256, mpp: 0.5, jpeg: true})
	for _, tt := range []struct {
		name, photometric string
		marker            []byte // behind SOI
		even              bool   // no component is subsampled
		stored            bool
	}{
		{"nothing said", "YBR_FULL_422", nil, false, true},
		{"RGB, and subsampled: the tag lies", "RGB", nil, false, true},
		{"RGB by the tag alone", "RGB", nil, true, false},
		{"Adobe RGB", "RGB", adobe(0), true, true},
		{"Adobe YCbCr", "RGB", adobe(1), true, true},
		{"JFIF and Adobe RGB", "RGB", append(jfif(), adobe(0)...), true, false},
	} {
		b := s.objects[in[0].Key]
		span := s.frames[in[0].UID].Spans[0]
		frame := slices.Clone(b[span.Off : span.Off+span.Len])
		if tt.even {
			frame = evened(frame)
		}
		frame = append(append([]byte{0xff, 0xd8}, tt.marker...), frame[2:]...)
		other := in[0]
		other.UID, other.Key = in[0].UID+".1", "other"
		img := *in[0].Image
		img.Photometric = tt.photometric
		other.Image = &img
		s.objects["other"] = append(make([]byte, 100), frame...)
		s.frames[other.UID] = study.Frames{Spans: []study.Span{{Off: 100, Len: int64(len(frame))}}, First: []int32{0, 1}}
		got, stored, err := tiles(t, s, []study.Instance{other}, slide.Step{Shrink: 1}).JPEG(t.Context(), 0, 0)
		if tt.even { // its scan no longer fits its header: only what is decided is looked at
			if err == nil && stored != tt.stored || err != nil && tt.stored {
				t.Errorf("%s: stored %v, %v", tt.name, stored, err)
			}
			continue
		}
		if err != nil || stored != tt.stored || stored && !bytes.Equal(got, frame) {
			t.Errorf("%s: stored %v, %v", tt.name, stored, err)
		}
	}
}

func jfif() []byte {
	return []byte{0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 2, 0, 0, 1, 0, 1, 0, 0}
}

func adobe(transform byte) []byte {
	return []byte{0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform}
}

// evened says in the frame header that no component is subsampled.
func evened(frame []byte) []byte {
	at := bytes.Index(frame, []byte{0xff, 0xc0})
	frame[at+11] = 0x11
	return frame
}

func TestTileOutsideIsNotFound(t *testing.T) {
	s := newShelf()
	in := s.draw(scan{columns: 700, rows: 500, tile: 256, mpp: 0.5, jpeg: true})
	open := tiles(t, s, in, slide.Step{Shrink: 1})
	for _, at := range [][2]int{{3, 0}, {0, 2}, {-1, 0}, {0, -1}, {1 << 40, 0}} {
		if _, _, err := open.JPEG(t.Context(), at[0], at[1]); !errors.Is(err, study.ErrNotFound) {
			t.Errorf("%v: %v", at, err)
		}
	}
	levels, err := slide.Levels(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []slide.Step{{Level: 1, Shrink: 1}, {Level: -1, Shrink: 1}, {Shrink: 0}, {Shrink: 64}} {
		if _, err := s.reader().Tiles(levels, step); !errors.Is(err, study.ErrNotFound) {
			t.Errorf("%v: %v", step, err)
		}
	}
}

func TestDamagedTileIsAnErrorAndNoWhite(t *testing.T) {
	s := newShelf()
	in := s.draw(scan{columns: 512, rows: 256, tile: 256, mpp: 0.5, jpeg: true})
	span := s.frames[in[0].UID].Spans[1]
	copy(s.objects[in[0].Key][span.Off:], make([]byte, 64))
	open := tiles(t, s, in, slide.Step{Shrink: 1})
	if _, _, err := open.JPEG(t.Context(), 1, 0); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
	if _, _, err := open.JPEG(t.Context(), 0, 0); err != nil {
		t.Errorf("its neighbor: %v", err)
	}
}

func TestSlideWithoutAPyramidHasSteps(t *testing.T) {
	level := func(side int) slide.Level { return slide.Level{Columns: side, Rows: side, TileW: 256, TileH: 256} }
	for _, tt := range []struct {
		sides []int
		want  []slide.Step
	}{
		{[]int{3000}, []slide.Step{{0, 1}}},
		{[]int{48840, 12210, 3052}, []slide.Step{{0, 1}, {1, 1}, {2, 1}}},
		{[]int{50000}, []slide.Step{{0, 1}, {0, 4}, {0, 16}}},
		{[]int{50000, 3125}, []slide.Step{{0, 1}, {0, 4}, {1, 1}}},
		{[]int{50000, 25000, 12500}, []slide.Step{{0, 1}, {1, 1}, {2, 1}, {2, 4}}},
	} {
		var levels []slide.Level
		for _, side := range tt.sides {
			levels = append(levels, level(side))
		}
		if got := slide.Steps(levels); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.sides, got, tt.want)
		}
	}
	s := newShelf()
	in := s.draw(scan{columns: 1400, rows: 1100, tile: 256, mpp: 0.5, jpeg: true})
	open := tiles(t, s, in, slide.Step{Shrink: 4})
	b, stored, err := open.JPEG(t.Context(), 1, 1)
	if err != nil || stored || open.Columns != 350 || open.Rows != 275 {
		t.Fatalf("stored %v, %v, %d×%d", stored, err, open.Columns, open.Rows)
	}
	m := decoded(t, b)
	if m.Bounds() != image.Rect(0, 0, 350-256, 275-256) || !near(m, 20, 6, smooth((256+20)*4+2, (256+6)*4+2)) {
		t.Errorf("%v, %v", m.Bounds(), color.RGBAModel.Convert(m.At(20, 6)))
	}
}
