package slide_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"varde/internal/slide"
	"varde/study"
)

func one(t testing.TB, in []study.Instance) slide.Level {
	t.Helper()
	levels, err := slide.Levels(in)
	if err != nil || len(levels) != 1 {
		t.Fatalf("%d levels: %v", len(levels), err)
	}
	return levels[0]
}

// layouts are the ways in which frames may lie in objects.
func layouts() map[string]scan {
	rng := rand.New(rand.NewPCG(5, 5))
	base := scan{columns: 301, rows: 203, tile: 48, mpp: 0.5}
	with := func(f func(*scan)) scan { s := base; f(&s); return s }
	return map[string]scan{
		"full":                  base,
		"one tile":              with(func(s *scan) { s.tile = 512 }),
		"concatenated":          with(func(s *scan) { s.parts = 4 }),
		"sparse, out of order":  with(func(s *scan) { s.sparse, s.order = true, rng.Perm(35) }),
		"sparse, tiles missing": with(func(s *scan) { s.sparse, s.drop = true, map[int]bool{0: true, 9: true, 34: true} }),
		"sparse, concatenated":  with(func(s *scan) { s.sparse, s.parts, s.order = true, 3, rng.Perm(35) }),
	}
}

func TestRegionIsWhatWasDrawn(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for name, d := range layouts() {
		s := newShelf()
		l := one(t, s.draw(d))
		missing := func(x, y int) bool { return d.drop[y/d.tile*((d.columns+d.tile-1)/d.tile)+x/d.tile] }
		r := s.reader()
		for range 40 {
			x, y, w, h := rng.IntN(400)-60, rng.IntN(300)-60, 1+rng.IntN(200), 1+rng.IntN(200)
			got, decoders, err := r.Region(t.Context(), l, x, y, w, h)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(got, d.want(x, y, w, h, missing)) {
				t.Fatalf("%s: region at %d, %d of %d×%d is not what was drawn", name, x, y, w, h)
			}
			if inside := x < d.columns && y < d.rows && x+w > 0 && y+h > 0; inside && d.drop == nil && len(decoders) != 1 {
				t.Fatalf("%s: decoders %q", name, decoders)
			}
		}
	}
}

// TestTilesOffTheGridAreFound shifts every tile, so that each lies in two cells.
func TestTilesOffTheGridAreFound(t *testing.T) {
	d := scan{columns: 96, rows: 96, tile: 48, mpp: 0.5, sparse: true, shift: 7}
	s := newShelf()
	l := one(t, s.draw(d))
	got, _, err := s.reader().Region(t.Context(), l, 0, 0, 96, 96)
	if err != nil {
		t.Fatal(err)
	}
	want := d.want(0, 0, 96, 96, func(x, _ int) bool { return x >= 96-7 })
	if !bytes.Equal(got, want) {
		t.Error("not what was drawn")
	}
}

func TestLevelMadeByHandIsReadToo(t *testing.T) {
	d := scan{columns: 100, rows: 80, tile: 32, mpp: 0.5}
	s := newShelf()
	l := one(t, s.draw(d))
	l = slide.Level{Columns: l.Columns, Rows: l.Rows, TileW: l.TileW, TileH: l.TileH, MPP: l.MPP, Instances: l.Instances}
	got, _, err := s.reader().Region(t.Context(), l, 5, 6, 70, 60)
	if err != nil || !bytes.Equal(got, d.want(5, 6, 70, 60, func(int, int) bool { return false })) {
		t.Errorf("%v", err)
	}
}

func TestEdgeFramesAreNotSheared(t *testing.T) {
	for _, cut := range []bool{false, true} {
		d := scan{columns: 311, rows: 205, tile: 128, mpp: 0.5, jpeg: true, cut: cut}
		s := newShelf()
		l := one(t, s.draw(d))
		got, _, err := s.reader().Region(t.Context(), l, 0, 0, 320, 210)
		if err != nil {
			t.Fatal(err)
		}
		for y := range 210 {
			for x := range 320 {
				p := got[3*(y*320+x):][:3]
				if x >= 311 || y >= 205 {
					if p[0] != 255 || p[1] != 255 || p[2] != 255 {
						t.Fatalf("cut %v: %v outside, at %d, %d", cut, p, x, y)
					}
					continue
				}
				c := smooth(x, y)
				for k := range 3 {
					if diff := int(p[k]) - int(c[k]); diff < -14 || diff > 14 {
						t.Fatalf("cut %v: %v at %d, %d, want %v", cut, p, x, y, c)
					}
				}
			}
		}
	}
}

func TestSmallFrameAmidTheLevelIsRefused(t *testing.T) {
	d := scan{columns: 256, rows: 256, tile: 128, mpp: 0.5, jpeg: true}
	s := newShelf()
	in := s.draw(d)
	small := scan{columns: 100, rows: 100, tile: 128, jpeg: true, cut: true}.frame(0, 0)
	key := in[0].Key
	f := s.frames[in[0].UID]
	f.Spans[0] = study.Span{Off: int64(len(s.objects[key])), Len: int64(len(small))}
	s.objects[key] = append(s.objects[key], small...)
	if _, _, err := s.reader().Region(t.Context(), one(t, in), 0, 0, 10, 10); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestRegionIsReadInFewRequests(t *testing.T) {
	d := scan{columns: 1024, rows: 1024, tile: 64, mpp: 0.5}
	s := newShelf()
	l := one(t, s.draw(d))
	if _, _, err := s.reader().Region(t.Context(), l, 0, 0, 1024, 1024); err != nil {
		t.Fatal(err)
	}
	if s.ranges != 1 || s.bytes > 1024*1024*3+256*8 {
		t.Errorf("%d requests of %d bytes for 256 tiles side by side", s.ranges, s.bytes)
	}
	s.ranges, s.bytes = 0, 0
	if _, _, err := s.reader().Region(t.Context(), l, 0, 0, 64, 1024); err != nil {
		t.Fatal(err)
	}
	if s.ranges > 2 { // a row of tiles apart: 197 kB, near enough
		t.Errorf("%d requests for a column of tiles", s.ranges)
	}
}

func TestSenselessRegionsAreRefused(t *testing.T) {
	s := newShelf()
	l := one(t, s.draw(scan{columns: 100, rows: 100, tile: 64, mpp: 0.5}))
	for name, r := range map[string]slide.Rect{
		"no width": {0, 0, 0, 5}, "negative": {0, 0, 5, -5}, "too large": {0, 0, 1 << 20, 1 << 20}, "far off": {1 << 40, 0, 5, 5},
	} {
		if _, _, err := s.reader().Region(t.Context(), l, r.X, r.Y, r.W, r.H); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		for p := range s.reader().Patches(t.Context(), l, []slide.Rect{r}, 0, 0) {
			if !errors.Is(p.Err, study.ErrInvalid) {
				t.Errorf("%s as a patch: %v", name, p.Err)
			}
		}
	}
	if _, _, err := s.reader().Region(t.Context(), slide.Level{}, 0, 0, 5, 5); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("no level: %v", err)
	}
}

func TestPatchesAreTheRegions(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for name, d := range layouts() {
		s := newShelf()
		l := one(t, s.draw(d))
		r := s.reader()
		var rects []slide.Rect
		for range 60 {
			rects = append(rects, slide.Rect{X: rng.IntN(330) - 20, Y: rng.IntN(230) - 20, W: 1 + rng.IntN(90), H: 1 + rng.IntN(90)})
		}
		next := 0
		for p := range r.Patches(t.Context(), l, rects, 0, 0) {
			if p.Err != nil || p.Index != next {
				t.Fatalf("%s: patch %d, want %d: %v", name, p.Index, next, p.Err)
			}
			q := rects[next]
			want, _, err := r.Region(t.Context(), l, q.X, q.Y, q.W, q.H)
			if err != nil || !bytes.Equal(p.RGB, want) {
				t.Fatalf("%s: patch %v is not the region: %v", name, q, err)
			}
			next++
		}
		if next != len(rects) {
			t.Errorf("%s: %d of %d patches", name, next, len(rects))
		}
	}
}

// TestFramesOfABlockAreReadOnce cuts a block of overlapping patches and expects
// the bytes of its frames to be read once.
func TestFramesOfABlockAreReadOnce(t *testing.T) {
	s := newShelf()
	l := one(t, s.draw(scan{columns: 1024, rows: 1024, tile: 128, mpp: 0.5}))
	var rects []slide.Rect
	for y := 0; y+112 <= 1024; y += 56 {
		for x := 0; x+112 <= 1024; x += 56 {
			rects = append(rects, slide.Rect{X: x, Y: y, W: 112, H: 112})
		}
	}
	n := 0
	for p := range s.reader().Patches(t.Context(), l, rects, 28, 28) {
		if p.Err != nil || len(p.RGB) != 28*28*3 || len(p.Decoders) != 1 {
			t.Fatalf("%d bytes, %v", len(p.RGB), p.Err)
		}
		n++
	}
	if n != len(rects) || s.bytes > 3*1024*1024+64*8 {
		t.Errorf("%d of %d patches; %d bytes in %d requests", n, len(rects), s.bytes, s.ranges)
	}
}

func TestOneReaderServesMany(t *testing.T) {
	d := scan{columns: 301, rows: 203, tile: 48, mpp: 0.5}
	s := newShelf()
	l, r := one(t, s.draw(d)), s.reader()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			got, _, err := r.Region(t.Context(), l, 9*i, 5*i, 120, 90)
			if err != nil || !bytes.Equal(got, d.want(9*i, 5*i, 120, 90, func(int, int) bool { return false })) {
				t.Errorf("region %d: %v", i, err)
			}
			for p := range r.Patches(t.Context(), l, []slide.Rect{{X: i, Y: i, W: 50, H: 50}, {X: 2 * i, Y: i, W: 60, H: 50}}, 25, 25) {
				if p.Err != nil {
					t.Errorf("patch %d: %v", p.Index, p.Err)
				}
			}
		})
	}
	wg.Wait()
}

func TestDamagedFrameCostsItsPatchesOnly(t *testing.T) {
	s := newShelf()
	in := s.draw(scan{columns: 512, rows: 512, tile: 128, mpp: 0.5, jpeg: true})
	span := s.frames[in[0].UID].Spans[5] // column 1, row 1
	clear(s.objects[in[0].Key][span.Off+span.Len/2 : span.Off+span.Len])
	var rects []slide.Rect
	for i := range 16 {
		rects = append(rects, slide.Rect{X: i % 4 * 128, Y: i / 4 * 128, W: 128, H: 128})
	}
	rects = append(rects, slide.Rect{X: 100, Y: 100, W: 60, H: 60})
	for p := range s.reader().Patches(t.Context(), one(t, in), rects, 0, 0) {
		damaged := p.Index == 5 || p.Index == 16
		if damaged != errors.Is(p.Err, study.ErrInvalid) || !damaged && p.Err != nil {
			t.Errorf("patch %d: %v", p.Index, p.Err)
		}
	}
	// An object that ends too early loses its last frames only.
	key := in[0].Key
	last := s.frames[in[0].UID].Spans[15]
	s.objects[key] = s.objects[key][:last.Off+10]
	failed := map[int]bool{}
	for p := range s.reader().Patches(t.Context(), one(t, in), rects[:16], 0, 0) {
		if p.Err != nil {
			failed[p.Index] = true
		}
	}
	if fmt.Sprint(failed) != "map[5:true 15:true]" {
		t.Errorf("failed patches %v", failed)
	}
}

func TestTroubleOnTheWayEndsThePatches(t *testing.T) {
	s := newShelf()
	l := one(t, s.draw(scan{columns: 256, rows: 256, tile: 64, mpp: 0.5}))
	rects := []slide.Rect{{0, 0, 64, 64}, {64, 0, 64, 64}}
	s.fail = errors.New("the store is away")
	n := 0
	for p := range s.reader().Patches(t.Context(), l, rects, 0, 0) {
		if !errors.Is(p.Err, s.fail) {
			t.Errorf("%v", p.Err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d answers", n)
	}
	s.fail = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for p := range s.reader().Patches(ctx, l, rects, 0, 0) {
		if !errors.Is(p.Err, context.Canceled) {
			t.Errorf("%v", p.Err)
		}
	}
	for range s.reader().Patches(t.Context(), l, rects, 0, 0) {
		break // the caller may stop
	}
}

func BenchmarkPatches(b *testing.B) {
	s := newShelf()
	l := one(b, s.draw(scan{columns: 3584, rows: 3584, tile: 256, mpp: 0.5, jpeg: true}))
	var rects []slide.Rect
	for i := range 256 {
		rects = append(rects, slide.Rect{X: i % 16 * 224, Y: i / 16 * 224, W: 224, H: 224})
	}
	for _, decoder := range []string{"turbo", "go"} {
		b.Run(decoder, func(b *testing.B) {
			r := s.reader()
			r.Decoder = decoder
			for b.Loop() {
				for p := range r.Patches(b.Context(), l, rects, 0, 0) {
					if p.Err != nil {
						b.Skip(p.Err)
					}
				}
			}
			b.ReportMetric(256*float64(b.N)/b.Elapsed().Seconds(), "patches/s")
		})
	}
}
