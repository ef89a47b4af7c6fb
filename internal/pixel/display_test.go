package pixel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/pixel"
	"varde/internal/studytest/shared"
	"varde/study"
)

// blob is a stored object in memory, under any key.
type blob []byte

func (b blob) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	if n < 0 {
		n = int64(len(b)) - off
	}
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(b), off, n)), nil
}

// rendering is what another renderer made of the first frame.
type rendering struct {
	How       string
	Mean      float64
	Tolerance float64 `json:"tolerance_mean"`
}

// notBelieved lists renderings that are wrong, with the reason and, where one is
// known, the mean of the right one.
var notBelieved = map[string]float64{
	"dicom/image/fo-dicom__GH610.dcm":              9.31,  // the slope of 5.9e-8 was lost
	"dicom/object/pydicom__rtdose_expb_1frame.dcm": 121.5, // words were swapped
}

// TestRenderingAgreesWithDCMTK windows the first frame of every gray image of
// the shared files, and converts that of every color image, as the expectation
// says how, and compares the mean brightness.
func TestRenderingAgreesWithDCMTK(t *testing.T) {
	dir, entries := shared.Manifest(t)
	counts, agree := map[string]int{}, 0
	for _, e := range entries {
		var want struct{ Display8 *rendering }
		if !strings.HasPrefix(e.Path, "dicom/") {
			continue
		}
		if err := json.Unmarshal(e.Expectation, &want); err != nil {
			t.Fatal(err)
		}
		if want.Display8 == nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		mean, how, err := render(b, want.Display8.How)
		if err != nil {
			counts[want.Display8.How+": "+how]++
			continue
		}
		expected, known := notBelieved[e.Path]
		if !known {
			expected = want.Display8.Mean
		}
		if !near(mean, expected, 1.5) {
			t.Errorf("%s (%s): mean %.2f, want %.2f", e.Path, want.Display8.How, mean, expected)
			counts[want.Display8.How+": differs"]++
			continue
		}
		counts[want.Display8.How+": agrees"]++
		agree++
	}
	if agree < 90 {
		t.Errorf("only %d files were compared", agree)
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%3d  %s", counts[k], k)
	}
}

// render gives the mean of the first frame as displayed, or says why there is
// nothing to compare.
func render(b blob, how string) (mean float64, why string, err error) {
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		return 0, "not read", err
	}
	_, in, err := h.Describe()
	if err != nil || in.Image == nil {
		return 0, "not described", fmt.Errorf("describe: %w", study.ErrInvalid)
	}
	f, err := codec.ReadFrame(context.Background(), b, in, h.Frames, 0)
	if err != nil {
		return 0, "not decoded here", err
	}
	var shown []byte
	if f.Samples == 3 {
		shown, err = f.RGB()
		return average(shown), "", err
	}
	if f.Color == codec.Palette || how == "VOI LUT 1" {
		return 0, "lookup tables are not for here", study.ErrUnsupported
	}
	slope, intercept := in.Image.Slope, in.Image.Intercept
	s := pixel.Samples{Rows: f.Rows, Columns: f.Columns, Bits: f.Bits, Signed: f.Signed, Float: f.Float, Data: f.Data}
	v, err := pixel.Modality(s, slope, intercept)
	if err != nil {
		return 0, "", err
	}
	w := pixel.MinMax(v)
	if how == "window 1" {
		w = pixel.Window{Center: in.Image.WindowCenter, Width: in.Image.WindowWidth}
	}
	w.Inverted = in.Image.Photometric == "MONOCHROME1"
	return average(w.Apply(v)), "", nil
}

func average(b []byte) float64 {
	sum := 0.0
	for _, v := range b {
		sum += float64(v)
	}
	return sum / float64(max(len(b), 1))
}
