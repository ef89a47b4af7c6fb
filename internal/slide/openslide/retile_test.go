package openslide

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"varde/internal/slide/format"
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
	b, err := io.ReadAll(made)
	if err != nil || int64(len(b)) != made.Size {
		t.Fatalf("%d bytes of %d: %v", len(b), made.Size, err)
	}
	if d := os.Getenv("VARDE_TEST_KEEP"); d != "" {
		_ = os.WriteFile(d, b, 0o600)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
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

func TestDyingChildCostsOneFile(t *testing.T) {
	need(t)
	for _, tt := range []struct {
		fault string
		want  error
	}{{"crash", study.ErrInvalid}, {"fill", study.ErrInvalid}, {"hang", study.ErrInvalid}} {
		bad := &Retiler{Folder: t.TempDir(), fault: tt.fault, memory: 256 << 20, Patience: 2 * time.Second}
		_, err := bad.Retile(t.Context(), "a.svs", real(t, cmu))
		t.Log(tt.fault, ": ", err)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.fault, err)
		}
		if left, _ := os.ReadDir(bad.Folder); len(left) > 0 {
			t.Error("left in the folder: ", left)
		}
	}
}
