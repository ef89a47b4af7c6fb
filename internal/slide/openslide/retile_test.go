package openslide

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/slide/format"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/study"
)

// need skips the test where OpenSlide is not, and fails it where it is meant to be.
func need(t testing.TB) *Retiler {
	t.Helper()
	r := &Retiler{Folder: t.TempDir()}
	if _, err := r.Version(t.Context()); errors.Is(err, study.ErrUnsupported) {
		if os.Getenv("CI") == "true" {
			t.Fatal("OpenSlide is not installed; it is in Debian's package libopenslide0")
		}
		t.Skip("OpenSlide is not installed; it is in Debian's package libopenslide0")
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}

// real opens a real slide.
func real(t testing.TB, name string) *os.File {
	t.Helper()
	dir, _ := shared.Manifest(t)
	f, err := os.Open(filepath.Join(dir, "wsi", "slides", name))
	if err != nil {
		t.Skip("no such slide: ", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

const cmu = "wsi-to-dicom-converter__CMU-1-Small-Region.svs"

// A shelf gives ranges of one file.
type shelf struct{ b []byte }

func (s shelf) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	if n < 0 || off+n > int64(len(s.b)) {
		n = int64(len(s.b)) - off
	}
	return io.NopCloser(bytes.NewReader(s.b[off : off+n])), nil
}

func TestRetiledSlideShowsTheSame(t *testing.T) {
	r := need(t)
	made, err := r.Retile(t.Context(), "a.svs", real(t, cmu))
	if err != nil {
		t.Fatal(err)
	}
	path, b := keep(t, made)
	if d := difference(t, real(t, cmu).Name(), path, 900, 1200, 600); d > 2.5 {
		t.Errorf("samples differ by %.2f on average", d)
	}
	if left, _ := os.ReadDir(r.Folder); len(left) > 0 {
		t.Error("left in the folder: ", left)
	}
	if made.Facts.Vendor != "aperio" || made.Facts.MPP[0] < 0.498 || made.Facts.MPP[0] > 0.5 || made.Facts.Objective != 20 {
		t.Errorf("facts %+v", made.Facts)
	}
	s, err := format.Open(t.Context(), format.File{Objects: shelf{b}, Key: "k", Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	if s.Levels[0].Columns != 2220 || s.Levels[0].Rows != 2967 || s.MPP[0] < 0.498 || s.MPP[0] > 0.5 || !s.Trouble.Zero() {
		t.Errorf("levels %d×%d at %v µm, held: %v", s.Levels[0].Columns, s.Levels[0].Rows, s.MPP, s.Trouble)
	}
	if len(s.Levels) != 2 || s.Levels[1].Columns != 555 {
		t.Errorf("%d levels", len(s.Levels))
	}
}

// difference reads the same square of two files through the library and gives the
// mean difference of their samples.
func difference(t *testing.T, a, b string, x, y int64, side int) float64 {
	t.Helper()
	lib, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	var rgb [2][]byte
	for i, path := range []string{a, b} {
		s, err := lib.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		argb := make([]uint32, side*side)
		if err := s.Read(argb, x, y, 0, side, side); err != nil {
			t.Fatal(err)
		}
		rgb[i] = make([]byte, 3*side*side)
		RGB(rgb[i], argb)
	}
	sum := 0
	for i := range rgb[0] {
		sum += max(int(rgb[0][i])-int(rgb[1][i]), int(rgb[1][i])-int(rgb[0][i]))
	}
	return float64(sum) / float64(len(rgb[0]))
}

// keep writes what a retiler gave to a file.
func keep(t *testing.T, made *Retiled) (string, []byte) {
	t.Helper()
	b, err := io.ReadAll(made)
	if err != nil || int64(len(b)) != made.Size {
		t.Fatalf("%d bytes of %d: %v", len(b), made.Size, err)
	}
	path := filepath.Join(t.TempDir(), "made.tif")
	if err := errors.Join(os.WriteFile(path, b, 0o600), made.Close()); err != nil {
		t.Fatal(err)
	}
	return path, b
}

func TestSlideOfOneLevelIsGivenMore(t *testing.T) {
	r := need(t)
	b, err := studytest.SlideFile{Columns: 5000, Rows: 4100, Levels: 1, Coding: "jpeg", Cellular: true}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "a.tif")
	if err := os.WriteFile(source, b, 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := r.Retile(t.Context(), "a.tif", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	path, b := keep(t, made)
	for _, at := range [][2]int64{{0, 0}, {2300, 1900}, {4600, 3700}} {
		if d := difference(t, source, path, at[0], at[1], 400); d > 1.5 {
			t.Errorf("at %v samples differ by %.2f on average", at, d)
		}
	}
	s, err := format.Open(t.Context(), format.File{Objects: shelf{b}, Key: "k", Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	sizes := [][2]int{}
	for _, l := range s.Levels {
		sizes = append(sizes, [2]int{l.Columns, l.Rows})
	}
	if !slices.Equal(sizes, [][2]int{{5000, 4100}, {1250, 1025}}) {
		t.Errorf("levels of %v", sizes)
	}
}

func TestArchiveIsUnpackedWithinItsFolder(t *testing.T) {
	r := need(t)
	slide, err := io.ReadAll(real(t, cmu))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		want  error
	}{
		{"a slide in a folder", map[string][]byte{"case/readme.txt": []byte("x"), "case/a.svs": slide}, nil},
		{"no slide", map[string][]byte{"readme.txt": []byte("x")}, study.ErrUnsupported},
		{"out of the folder", map[string][]byte{"../../a.svs": slide}, study.ErrInvalid},
		{"from the root", map[string][]byte{"/tmp/a.svs": slide}, study.ErrInvalid},
		{"broken slide", map[string][]byte{"a.svs": slide[:4000]}, study.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			for name, data := range tt.files {
				w, err := z.Create(name)
				if err == nil {
					_, err = w.Write(data)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			made, err := r.Retile(t.Context(), "slide.zip", &b)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
			if err == nil {
				_, _ = keep(t, made)
			}
			if left, _ := os.ReadDir(r.Folder); len(left) > 0 {
				t.Error("left in the folder: ", left)
			}
		})
	}
	if _, err := r.Retile(t.Context(), "slide.zip", strings.NewReader("PK\x03\x04 and no more")); !errors.Is(err, study.ErrInvalid) {
		t.Error("no archive: ", err)
	}
}

func TestWhatTheDeadLeftIsSweptAfterADay(t *testing.T) {
	r := &Retiler{Folder: t.TempDir()}
	for name, age := range map[string]time.Duration{"slide-old": 25 * time.Hour, "slide-new": time.Hour} {
		dir := filepath.Join(r.Folder, name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "x"), nil, 0o600), os.Chtimes(dir, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(r.Folder); err != nil || len(left) != 1 || left[0].Name() != "slide-new" {
		t.Error(left, err)
	}
}

func TestDyingChildCostsOneFile(t *testing.T) {
	need(t)
	for _, tt := range []struct {
		fault string
		want  error
	}{{"crash", study.ErrInvalid}, {"fill", study.ErrInvalid}, {"hang", study.ErrInvalid}} {
		bad := &Retiler{Folder: t.TempDir(), fault: tt.fault, memory: 256 << 20, Patience: 2 * time.Second}
		_, err := bad.Retile(t.Context(), "a.svs", real(t, cmu))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.fault, err)
		}
		if left, _ := os.ReadDir(bad.Folder); len(left) > 0 {
			t.Error("left in the folder: ", left)
		}
	}
}
