package codec_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest/shared"
	"varde/study"
)

// An entry is one object of the test data with what a right decoder gets out of it.
type entry struct {
	Path, Behaviour string
	Expectation     struct {
		Pixels *struct {
			Dtype    string
			Shape    []int
			Mean     float64
			Min, Max float64
			Lossy    bool
			SHA256   string `json:"sha256_le"`
		}
	}
}

// dataset gives the folder of the test data and its entries.
func dataset(t testing.TB) (string, []entry) {
	t.Helper()
	dir, all := shared.Manifest(t)
	var entries []entry
	for _, e := range all {
		if !strings.HasPrefix(e.Path, "dicom/") && !strings.HasPrefix(e.Path, "wsi/dicom-sm/") {
			continue
		}
		mine := entry{Path: e.Path, Behaviour: e.Behaviour}
		if err := json.Unmarshal(e.Expectation, &mine.Expectation); err != nil {
			t.Fatalf("%s: %v", e.Path, err)
		}
		entries = append(entries, mine)
	}
	return dir, entries
}

// blob is a stored object in memory, under any key.
type blob []byte

func (b blob) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	if off < 0 || off > int64(len(b)) {
		return nil, fmt.Errorf("range at %d of %d: %w", off, len(b), study.ErrNotFound)
	}
	end := int64(len(b))
	if n >= 0 {
		end = min(end, off+n)
	}
	return io.NopCloser(bytes.NewReader(b[off:end])), nil
}

// open reads an object as the ledger would know it.
func open(path string) (blob, study.Instance, study.Frames, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, study.Instance{}, study.Frames{}, err
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		return b, study.Instance{}, study.Frames{}, err
	}
	// Some objects lack the UIDs without which nothing is taken in; their
	// pixels are as good as others'.
	in := study.Instance{UID: "2.25.1", TransferSyntax: h.TransferSyntax, Image: h.Image()}
	return b, in, h.Frames, h.FramesErr
}

// pixels decodes all frames and gives the hash of all samples, and their mean.
func pixels(o codec.Options, b blob, in study.Instance, frames study.Frames) (hash string, mean float64, err error) {
	sum, total, n := sha256.New(), 0.0, 0
	for i := range frames.Len() {
		f, err := codec.ReadFrameWith(context.Background(), o, b, in, frames, i)
		if err != nil {
			return "", 0, err
		}
		sum.Write(f.Data)
		if f.Bits == 8 {
			for _, v := range f.Data {
				total += float64(v)
			}
			n += len(f.Data)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), total / float64(max(n, 1)), nil
}

// wrong lists the expectations that are not to be believed, with the reason.
var wrong = map[string]string{
	"wsi/dicom-sm/fo-dicom__multiframe.dcm": "the reference decoder gave all zeros",
}

// TestManifestPixels decodes every DICOM object of the test data. Of the
// transfer syntaxes that are built here every sample must be right; the others
// must end in a clean refusal.
func TestManifestPixels(t *testing.T) {
	dir, entries := dataset(t)
	counts := map[string]int{}
	for _, e := range entries {
		verdict, ts := judge(t, filepath.Join(dir, e.Path), e, "")
		counts[fmt.Sprintf("%-14s %-23s %s", e.Behaviour, ts, verdict)]++
		if study.UID(ts) == jpegBaseline && verdict == "equal" {
			if again, _ := judge(t, filepath.Join(dir, e.Path), e, "go"); again != verdict {
				t.Errorf("%s: without the library: %s", e.Path, again)
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%4d  %s", counts[k], k)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	if t.Logf("%d MiB taken from the system", mem.Sys>>20); mem.Sys > 1<<30 {
		t.Error("more than 1 GiB")
	}
}

// judge decodes one object and says in a word what became of it.
func judge(t *testing.T, path string, e entry, decoder string) (verdict, ts string) {
	b, in, frames, err := open(path)
	ts = string(in.TransferSyntax)
	if err != nil || in.Image == nil || frames.Len() == 0 {
		if e.Behaviour == "decode" && e.Expectation.Pixels != nil && codec.Supported(in.TransferSyntax) {
			t.Errorf("%s: frames: %v", e.Path, err)
		}
		return "no frames", ts
	}
	hash, mean, err := pixels(codec.Options{Decoder: decoder}, b, in, frames)
	want := e.Expectation.Pixels
	switch {
	case err != nil && !codec.Supported(in.TransferSyntax):
		if !errors.Is(err, study.ErrUnsupported) {
			t.Errorf("%s: %v, want a refusal of kind unsupported", e.Path, err)
		}
		return "unsupported", ts
	case err != nil:
		if !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrUnsupported) {
			t.Errorf("%s: %v is of no kind", e.Path, err)
		}
		if e.Behaviour == "decode" {
			t.Errorf("%s: %v", e.Path, err)
		}
		return "refused", ts
	case e.Behaviour == "reject_pixels":
		t.Errorf("%s: damaged pixels were decoded", e.Path)
		return "decoded", ts
	case want == nil || wrong[e.Path] != "":
		return "decoded, nothing to compare", ts
	case hash == want.SHA256:
		return "equal", ts
	case want.Lossy && max(mean-want.Mean, want.Mean-mean) <= max(0.5, 0.002*(want.Max-want.Min)):
		t.Errorf("%s: not equal, mean %.3f, want %.3f", e.Path, mean, want.Mean)
		return "within tolerance", ts
	}
	t.Errorf("%s: other samples: mean %.3f, want %.3f of %s %v", e.Path, mean, want.Mean, want.Dtype, want.Shape)
	return "wrong", ts
}

// TestOnePictureInManyEncodings needs no expectation: what was one picture
// before it was encoded must be one picture again.
func TestOnePictureInManyEncodings(t *testing.T) {
	dir, entries := dataset(t)
	for _, group := range [][]string{
		{"dicom/ts-ct/*_1.2.840.10008.1.2.1.dcm", "dicom/ts-ct/*_1.2.840.10008.1.2.dcm", "dicom/ts-ct/*_1.2.840.10008.1.2.2.dcm",
			"dicom/ts-ct/*_1.2.840.10008.1.2.5.dcm", "dicom/ts-ct/*_1.2.840.10008.1.2.1.99.dcm"},
		{"dicom/image/*MR_small.dcm", "dicom/image/*MR_small_implicit.dcm", "dicom/image/*MR_small_bigendian.dcm",
			"dicom/image/*MR_small_RLE.dcm", "dicom/image/*MR_small_padded.dcm", "dicom/derived/encapsulated-uncompressed.dcm"},
		{"dicom/image/*emri_small.dcm", "dicom/image/*emri_small_RLE.dcm"},
		{"dicom/image/*color-pl.dcm", "dicom/image/*color-px.dcm"},
		{"dicom/image/*SC_rgb_small_odd.dcm", "dicom/image/*SC_rgb_small_odd_big_endian.dcm"},
		{"dicom/image/*SC_rgb_16bit_2frame.dcm", "dicom/image/*SC_rgb_rle_16bit_2frame.dcm"},
		{"dicom/object/*liver_1frame.dcm", "dicom/object/*liver_expb_1frame.dcm"},
		{"dicom/object/*rtdose.dcm", "dicom/object/*rtdose_rle.dcm"},
		{"dicom/image/*US1_UNCR.dcm", "dicom/wg04/*US1_RLE"},
		{"dicom/image/*SC_rgb_jpeg_dcmtk.dcm", "dicom/image/*SC_ybr_full_uncompressed.dcm", "dicom/image/*SC_ybr_full_422_uncompressed.dcm"},
	} {
		first := ""
		for _, pattern := range group {
			i := slices.IndexFunc(entries, func(e entry) bool {
				ok, err := filepath.Match(pattern, e.Path)
				return err == nil && ok
			})
			if i < 0 {
				t.Errorf("%s: no such file", pattern)
				continue
			}
			b, in, frames, err := open(filepath.Join(dir, entries[i].Path))
			if err != nil {
				t.Errorf("%s: %v", pattern, err)
				continue
			}
			hash, _, err := pixels(codec.Options{}, b, in, frames)
			if first == "" {
				first = hash
			}
			if err != nil || hash != first {
				t.Errorf("%s differs from %s: %v", pattern, group[0], err)
			}
		}
	}
}
