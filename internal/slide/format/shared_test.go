package format_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"varde/internal/slide"
	"varde/internal/slide/format"
	"varde/internal/studytest/shared"
	"varde/study"
)

// A shelf gives ranges of one file and counts what is asked of it.
type shelf struct {
	file   io.ReaderAt
	size   int64
	mu     sync.Mutex // held for one count
	ranges int
	bytes  int64
}

func (s *shelf) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 {
		n = s.size - off
	}
	s.ranges++
	s.bytes += n
	return io.NopCloser(io.NewSectionReader(s.file, off, n)), nil
}

func memory(b []byte) *shelf { return &shelf{file: bytes.NewReader(b), size: int64(len(b))} }

func (s *shelf) open(t testing.TB, key string) (*format.Slide, error) {
	t.Helper()
	return format.Open(t.Context(), format.File{Objects: s, Key: key, Size: s.size})
}

// levels makes of a slide what the rest of the house sees: one instance for each
// level.
func (s *shelf) levels(t testing.TB, f *format.Slide) (*slide.Reader, []slide.Level) {
	t.Helper()
	frames := map[study.UID]study.Frames{}
	var in []study.Instance
	for i, l := range f.Levels {
		img := l.Image
		o := *img.Origin
		o.Key, o.Bytes = "file", s.size
		img.Origin = &o
		if f.MPP[0] == 0 { // an operator has said what it is
			level := *img.Slide
			level.MicronsPerPixel = [2]float64{0.5, 0.5}
			img.Slide = &level
		}
		uid := study.DerivedUID("level", string(rune('0'+i)))
		in = append(in, study.Instance{UID: uid, Key: "object", Number: i, TransferSyntax: l.TransferSyntax, Image: &img})
		frames[uid] = l.Frames
	}
	levels, err := slide.Levels(in)
	if err != nil {
		t.Fatal(err)
	}
	return &slide.Reader{Objects: s, Frames: func(_ context.Context, uid study.UID) (study.Frames, error) { return frames[uid], nil }}, levels
}

func sharedFile(t testing.TB, name string) []byte {
	t.Helper()
	dir, _ := shared.Manifest(t)
	b, err := os.ReadFile(filepath.Join(dir, "wsi", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func means(rgb []byte) (m [3]float64) {
	for i, v := range rgb {
		m[i%3] += float64(v)
	}
	for i := range m {
		m[i] /= float64(len(rgb) / 3)
	}
	return m
}

func TestAperioSlide(t *testing.T) {
	s := memory(sharedFile(t, "slides/wsi-to-dicom-converter__CMU-1-Small-Region.svs"))
	f, err := s.open(t, "slides/1/2.svs")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d ranges, %d bytes; %+v", s.ranges, s.bytes, f.Associated)
	if f.Format != "aperio" || len(f.Levels) != 1 || f.MPP != [2]float64{0.499, 0.499} || f.Objective != 20 || !f.Trouble.Zero() {
		t.Errorf("%+v", f)
	}
	r, levels := s.levels(t, f)
	rgb, _, err := r.Region(t.Context(), levels[0], 982, 1355, 256, 256)
	if err != nil {
		t.Fatal(err)
	}
	m := means(rgb)
	for i, want := range []float64{140.92, 92.266, 132.641} {
		if math.Abs(m[i]-want) > 0.01 {
			t.Errorf("mean %v", m)
		}
	}
}
