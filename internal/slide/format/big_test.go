package format_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"varde/internal/codec"
	"varde/internal/slide/format"
	"varde/internal/studytest"
	"varde/study"
)

// decodeOne decodes the first tile of the coarsest level.
func decodeOne(s *shelf, f *format.Slide) error {
	l := f.Levels[len(f.Levels)-1]
	img := l.Image
	o := *img.Origin
	o.Key = "file"
	img.Origin = &o
	in := study.Instance{UID: "1.2", Key: "object", TransferSyntax: l.TransferSyntax, Image: &img}
	_, err := codec.ReadFrame(context.Background(), s, in, l.Frames, 0)
	return err
}

// disk puts a drawn slide into a file.
func disk(t testing.TB, d studytest.SlideFile) *shelf {
	t.Helper()
	o, err := os.Create(filepath.Join(t.TempDir(), "slide"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	n, err := d.WriteTo(o)
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{file: o, size: n}
}

// TestSlideBeyond4GiBIsReadThroughRanges opens a slide all of whose parts lie
// beyond 4 GiB, and counts what that costs: a few ranges for each level, and
// memory for nothing but the index.
func TestSlideBeyond4GiBIsReadThroughRanges(t *testing.T) {
	s := disk(t, studytest.SlideFile{Columns: 60000, Rows: 50000, BigTIFF: true, Share: true, Sparse: true, Cellular: true, Gap: 5 << 30})
	if s.size < 5<<30 {
		t.Fatalf("a slide of %d bytes", s.size)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := s.open(t, "a.tiff")
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	tiles := 0
	for _, l := range f.Levels {
		tiles += l.Frames.Len()
	}
	// An entry of the index has 20 bytes; blocks come and go.
	allowed := uint64(40*tiles + 8<<20)
	if used := after.TotalAlloc - before.TotalAlloc; used > allowed {
		t.Errorf("%d bytes for %d tiles, more than %d", used, tiles, allowed)
	}
	if s.ranges > 8*len(f.Levels) || s.bytes > 16<<20 {
		t.Errorf("%d ranges and %d bytes for %d levels", s.ranges, s.bytes, len(f.Levels))
	}
	t.Logf("%d tiles in %d levels: %d ranges, %d bytes, %d allocated", tiles, len(f.Levels), s.ranges, s.bytes, after.TotalAlloc-before.TotalAlloc)
	r, levels := s.levels(t, f)
	rgb, _, err := r.Region(t.Context(), levels[0], 30000, 25000, 512, 512)
	if err != nil {
		t.Fatal(err)
	}
	if m := means(rgb); m[1] < 100 || m[1] > 220 {
		t.Errorf("tissue has mean %v", m)
	}
	if rgb, _, err = r.Region(t.Context(), levels[0], 0, 0, 256, 256); err != nil || means(rgb) != [3]float64{255, 255, 255} {
		t.Errorf("what is left out has mean %v, %v", means(rgb), err)
	}
}

// BenchmarkOpen opens a slide of some 37,000 tiles.
func BenchmarkOpen(b *testing.B) {
	for _, tt := range []struct {
		name string
		file studytest.SlideFile
	}{
		{"small", studytest.SlideFile{Kind: studytest.AperioSVS}},
		{"37000 tiles", studytest.SlideFile{Columns: 43000, Rows: 43000, BigTIFF: true, Share: true}},
	} {
		s := disk(b, tt.file)
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			tiles := 0
			for b.Loop() {
				f, err := s.open(b, "a")
				if err != nil {
					b.Fatal(err)
				}
				tiles = 0
				for _, l := range f.Levels {
					tiles += l.Frames.Len()
				}
			}
			b.ReportMetric(float64(tiles), "tiles")
			b.ReportMetric(float64(s.ranges)/float64(b.N), "ranges/op")
		})
	}
}

// Example shows what a slide file is asked for.
func Example() {
	b, err := studytest.SlideFile{Kind: studytest.AperioSVS, Columns: 512, Rows: 384}.Bytes()
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := format.Open(context.Background(), format.File{Objects: memory(b), Key: "slides/1/2.svs", Size: int64(len(b))})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range f.Levels {
		fmt.Printf("%s %d×%d in %d tiles, %s\n", f.Format, l.Columns, l.Rows, l.Frames.Len(), l.Image.Photometric)
	}
	// Output:
	// aperio 512×384 in 4 tiles, YBR_FULL_422
	// aperio 128×96 in 1 tiles, YBR_FULL_422
}
