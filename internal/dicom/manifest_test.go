package dicom_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest/shared"
	"varde/study"
)

// attributes are the expectations of the shared test files that are attributes.
var attributes = map[string]dicom.Tag{
	"SOPClassUID": dicom.SOPClassUID, "SOPInstanceUID": dicom.SOPInstanceUID,
	"StudyInstanceUID": dicom.StudyInstanceUID, "SeriesInstanceUID": dicom.SeriesInstanceUID,
	"Modality": dicom.Modality, "PatientID": dicom.PatientID, "PatientBirthDate": dicom.PatientBirthDate,
	"AccessionNumber": dicom.AccessionNumber, "Rows": dicom.Rows, "Columns": dicom.Columns,
	"NumberOfFrames": dicom.NumberOfFrames, "SamplesPerPixel": dicom.SamplesPerPixel,
	"PhotometricInterpretation": dicom.PhotometricInterpretation, "PlanarConfiguration": dicom.PlanarConfiguration,
	"BitsAllocated": dicom.BitsAllocated, "BitsStored": dicom.BitsStored, "HighBit": dicom.HighBit,
	"PixelRepresentation": dicom.PixelRepresentation, "SpecificCharacterSet": dicom.SpecificCharacterSet,
	"RescaleSlope": dicom.RescaleSlope, "RescaleIntercept": dicom.RescaleIntercept,
	"WindowCenter": dicom.WindowCenter, "WindowWidth": dicom.WindowWidth, "ImageType": dicom.ImageType,
	"PixelSpacing": dicom.PixelSpacing, "ImagerPixelSpacing": dicom.ImagerPixelSpacing,
	"ViewPosition": dicom.ViewPosition, "ImageLaterality": dicom.ImageLaterality,
	"PresentationIntentType": dicom.PresentationIntentType, "VOILUTFunction": dicom.VOILUTFunction,
	"TotalPixelMatrixColumns": dicom.TotalPixelMatrixColumns, "TotalPixelMatrixRows": dicom.TotalPixelMatrixRows,
	"DimensionOrganizationType": dicom.DimensionOrganizationType,
}

// sequences are the expectations that count items.
var sequences = map[string]dicom.Tag{
	"ReferencedSeriesSequence": dicom.ReferencedSeriesSequence, "SegmentSequence": dicom.SegmentSequence,
	"ContentSequence": dicom.ContentSequence, "IconImageSequence": dicom.IconImageSequence,
	"DirectoryRecordSequence": dicom.DirectoryRecordSequence, "WaveformSequence": dicom.WaveformSequence,
	"GraphicAnnotationSequence": dicom.GraphicAnnotationSequence, "BeamSequence": dicom.BeamSequence,
	"AnnotationGroupSequence":                   dicom.AnnotationGroupSequence,
	"CurrentRequestedProcedureEvidenceSequence": dicom.CurrentRequestedProcedureEvidenceSequence,
	"ROIContourSequence":                        dicom.ROIContourSequence,
	"StructureSetROISequence":                   dicom.StructureSetROISequence,
}

// notAttributes are expectations that tell of the file, of pixels, or of other
// readers.
var notAttributes = []string{"preamble", "transfer_syntax", "transfer_syntax_guess", "dcmdump_rc", "pixel_element",
	"pixels", "display8", "decoder_errors", "PatientName", "PatientName_dcmtk"}

func dicomFiles(t testing.TB) (string, []shared.Entry) {
	dir, all := shared.Manifest(t)
	return dir, slices.DeleteFunc(all, func(e shared.Entry) bool {
		return !strings.HasPrefix(e.Path, "dicom/") && !strings.HasPrefix(e.Path, "wsi/dicom-sm/")
	})
}

// TestSharedFilesReadAsExpected reads every DICOM file of the shared set and
// holds what it says against what other readers found.
func TestSharedFilesReadAsExpected(t *testing.T) {
	dir, files := dicomFiles(t)
	counts := map[string]int{}
	for _, f := range files {
		var want map[string]any
		if err := json.Unmarshal(f.Expectation, &want); err != nil {
			t.Fatal(err)
		}
		h, err := dicom.ReadFile(filepath.Join(dir, f.Path))
		counts[f.Behaviour]++
		if err != nil {
			if f.Behaviour != "tolerate" || !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%s: %v", f.Path, err)
			}
			counts[f.Behaviour+" refused"]++
			continue
		}
		counts["syntax "+string(h.TransferSyntax)]++
		for _, fault := range differences(h, want) {
			t.Errorf("%s (%s): %s", f.Path, f.Behaviour, fault)
		}
		for _, fault := range frameFaults(h, f, want) {
			t.Errorf("%s (%s): %s", f.Path, f.Behaviour, fault)
		}
	}
	for _, k := range slices.Sorted(mapsKeys(counts)) {
		t.Logf("%-30s %d", k, counts[k])
	}
	if counts["tolerate refused"] > 1 {
		t.Errorf("%d tolerable files refused", counts["tolerate refused"])
	}
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// differences compares the attributes of a header with what is expected.
func differences(h *dicom.Header, want map[string]any) []string {
	var faults []string
	for key, value := range want {
		if slices.Contains(notAttributes, key) {
			continue
		}
		if tag, ok := sequences[key]; ok {
			if n := len(h.Data.Items(tag)); float64(n) != value {
				faults = append(faults, fmt.Sprintf("%s has %d items, want %v", key, n, value))
			}
			continue
		}
		tag, ok := attributes[key]
		if !ok {
			faults = append(faults, "no test for "+key)
			continue
		}
		var texts []string
		switch v := value.(type) {
		case string:
			texts = []string{strings.TrimSpace(v)}
		case []any:
			for _, x := range v {
				texts = append(texts, strings.TrimSpace(x.(string)))
			}
		}
		if got := h.Data.Texts(tag); !slices.Equal(got, texts) {
			faults = append(faults, fmt.Sprintf("%s is %q, want %q", key, got, texts))
		}
	}
	if ts, ok := want["transfer_syntax"].(string); ok && ts != string(h.TransferSyntax) {
		faults = append(faults, fmt.Sprintf("transfer syntax %s, want %s", h.TransferSyntax, ts))
	}
	name, ok := want["PatientName_dcmtk"].(string)
	if !ok {
		name, ok = want["PatientName"].(string)
	}
	if trim := func(s string) string { return strings.TrimRight(s, "^= ") }; ok && trim(h.Data.Text(dicom.PatientName)) != trim(name) {
		faults = append(faults, fmt.Sprintf("PatientName is %q, want %q", h.Data.Text(dicom.PatientName), name))
	}
	return faults
}

// frameFaults holds the frame index against what decoders saw.
func frameFaults(h *dicom.Header, f shared.Entry, want map[string]any) []string {
	var faults []string
	_, hasPixels := want["pixel_element"]
	pixels, _ := want["pixels"].(map[string]any)
	shape, _ := pixels["shape"].([]any)
	switch {
	case !hasPixels && (h.Frames.Len() > 0 || h.FramesErr != nil):
		faults = append(faults, "frames where there are no pixels")
	case (f.Behaviour == "decode" || f.Behaviour == "tolerate") && shape != nil:
		if h.FramesErr != nil || float64(h.Frames.Len()) != shape[0] {
			faults = append(faults, fmt.Sprintf("%d frames (%v), want %v", h.Frames.Len(), h.FramesErr, shape[0]))
		}
		im := h.Image()
		if im == nil || float64(im.Rows) != shape[1] || float64(im.Columns) != shape[2] || float64(im.Frames) != shape[0] {
			faults = append(faults, "the image's size differs")
		}
	case f.Behaviour == "parse" && h.Frames.Len() > 0:
		faults = append(faults, "frames in an object to be parsed only")
	}
	for i := range h.Frames.Len() {
		spans, err := h.Frames.Frame(i)
		for _, s := range spans {
			if s.Len < 0 || s.Off < h.End || !h.Inflated && s.Off+s.Len > f.Size {
				err = fmt.Errorf("frame %d lies at %d+%d of %d bytes", i+1, s.Off, s.Len, f.Size)
			}
		}
		if err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// TestEveryDecodableFileIsDescribed asks for study, instance and image of every
// file of the shared set whose pixels can be decoded.
func TestEveryDecodableFileIsDescribed(t *testing.T) {
	dir, files := dicomFiles(t)
	described, trouble, refused := 0, map[string]int{}, map[string]int{}
	for _, f := range files {
		h, err := dicom.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			continue
		}
		s, in, err := h.Describe()
		if err != nil {
			if !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%s: %v", f.Path, err)
			}
			refused[f.Behaviour+": "+err.Error()]++
			continue
		}
		described++
		if s.UID == "" || in.UID == "" || in.Study != s.UID {
			t.Errorf("%s: identified as %+v", f.Path, in)
		}
		if in.Image != nil && in.Image.Trouble != "" {
			trouble[f.Behaviour+": "+in.Image.Trouble]++
		}
	}
	t.Logf("%d described", described)
	for _, m := range []map[string]int{refused, trouble} {
		for _, k := range slices.Sorted(mapsKeys(m)) {
			t.Logf("%3d  %s", m[k], k)
		}
	}
}

// TestNativeFramesAreTheirPixels reads native pixels by the frame index and holds
// them against the checksums of the shared set, where these are of the bytes as
// they lie in the file.
func TestNativeFramesAreTheirPixels(t *testing.T) {
	dir, files := dicomFiles(t)
	compared := 0
	for _, f := range files {
		var want struct {
			Planar string `json:"PlanarConfiguration"`
			Color  string `json:"PhotometricInterpretation"`
			Bits   string `json:"BitsAllocated"`
			Pixels struct {
				Sum    string `json:"sha256_le"`
				Masked bool   `json:"unused_high_bits_masked"`
				Only   bool   `json:"advisory_only"`
			}
		}
		if err := json.Unmarshal(f.Expectation, &want); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.Open(bytes.NewReader(b), int64(len(b)))
		native := err == nil && !h.Inflated && (h.TransferSyntax == dicom.ExplicitLE || h.TransferSyntax == dicom.ImplicitLE)
		if !native || want.Pixels.Sum == "" || want.Pixels.Only || want.Pixels.Masked || want.Planar == "1" || want.Bits == "1" || strings.HasSuffix(want.Color, "422") {
			continue
		}
		sum := sha256.New()
		for _, frame := range framesOf(t, b, h) {
			io.WriteString(sum, frame)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != want.Pixels.Sum {
			t.Errorf("%s: other pixels (%s, %s bits)", f.Path, want.Color, want.Bits)
		}
		compared++
	}
	t.Logf("%d files agree", compared)
	if compared < 40 {
		t.Errorf("only %d files could be compared", compared)
	}
}
