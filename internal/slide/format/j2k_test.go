package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/internal/studytest/shared"
	"varde/study"
)

const j2k = study.UID("1.2.840.10008.1.2.4.91")

// codestream takes the one frame out of a DICOM object of the shared set.
func codestream(t *testing.T, name string) []byte {
	t.Helper()
	dir, _ := shared.Manifest(t)
	b, err := os.ReadFile(filepath.Join(dir, "dicom", name))
	if err != nil {
		t.Fatal(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil || h.Frames.Len() != 1 {
		t.Fatal(name, err)
	}
	var out []byte
	for _, s := range h.Frames.Spans {
		out = append(out, b[s.Off:][:s.Len]...)
	}
	return out
}

// oneTile is an SVS file of one tile.
func oneTile(w, h, compression, photometric int, tile []byte) []byte {
	text := []byte("Aperio Image Library v12.0.0\r\n1x1 (1x1) J2K|AppMag = 20|MPP = 0.5\x00")
	bits := []byte{8, 0, 8, 0, 8, 0}
	b := append([]byte("II*\x00\x00\x00\x00\x00"), bits...)
	at := map[string]int{"bits": 8, "text": len(b)}
	b = append(b, text...)
	at["tile"] = len(b)
	b = append(b, tile...)
	b = append(b, make([]byte, len(b)%2)...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	tags := map[int][3]int{ // type, count, value
		256: {4, 1, w}, 257: {4, 1, h}, 258: {3, 3, at["bits"]}, 259: {3, 1, compression}, 262: {3, 1, photometric},
		270: {2, len(text), at["text"]}, 277: {3, 1, 3}, 284: {3, 1, 1}, 322: {4, 1, w}, 323: {4, 1, h}, 324: {4, 1, at["tile"]}, 325: {4, 1, len(tile)},
	}
	var ids []int
	for id := range tags {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(tags)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint16(b, uint16(id))
		b = binary.LittleEndian.AppendUint16(b, uint16(tags[id][0]))
		b = binary.LittleEndian.AppendUint32(b, uint32(tags[id][1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(tags[id][2]))
	}
	return append(b, 0, 0, 0, 0)
}

// TestJPEG2000Slides puts real codestreams into SVS files under both of Aperio's
// numbers and reads them as OpenSlide does; where number and codestream disagree
// about the color the file is refused.
func TestJPEG2000Slides(t *testing.T) {
	if !codec.Supported(j2k) {
		if os.Getenv("CI") == "true" {
			t.Fatal("OpenJPEG is not installed; it is in Debian's package libopenjp2-7")
		}
		t.Skip("OpenJPEG is not installed")
	}
	for _, tt := range []struct {
		name        string
		w, h        int
		compression int
		photometric string
	}{
		{"wg04/dicom-test-files__US1_J2KI", 640, 480, 33005, "YBR_ICT"},
		{"wg04/dicom-test-files__VL1_J2KR", 756, 486, 33005, "YBR_RCT"},
		{"image/pydicom__SC_rgb_gdcm_KY.dcm", 100, 100, 33005, "RGB"},
		{"image/pydicom__SC_rgb_gdcm_KY.dcm", 100, 100, 33003, "YBR_FULL"},
		{"wg04/dicom-test-files__US1_J2KI", 640, 480, 33003, ""},
	} {
		name := tt.name
		b := oneTile(tt.w, tt.h, tt.compression, 2, codestream(t, name))
		s := memory(b)
		f, err := s.open(t, "a.svs")
		if tt.photometric == "" {
			if !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "YCbCr") {
				t.Errorf("%s as %d: %v", name, tt.compression, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(name, err)
		}
		if img := f.Levels[0].Image; img.Photometric != tt.photometric || !img.Lossy {
			t.Errorf("%s as %d: %s, lossy %v", name, tt.compression, img.Photometric, img.Lossy)
		}
		r, levels := s.levels(t, f)
		rgb, _, err := r.Region(t.Context(), levels[0], 0, 0, tt.w, tt.h)
		if err != nil {
			t.Fatal(name, err)
		}
		againstOpenSlide(t, name, b, rgb, tt.w, tt.h)
	}
}

func againstOpenSlide(t *testing.T, name string, b, rgb []byte, w, h int) {
	t.Helper()
	tool := peers.Need(t, "openslide-write-png", "openslide-tools")
	path := filepath.Join(t.TempDir(), "slide.svs")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := memory(b).open(t, "a.svs")
	if err != nil {
		t.Fatal(err)
	}
	if n, worst := compare(rgb, openSlide(t, tool, path, f, 0, 0, 0, w, h), w, h); n > 0 {
		t.Errorf("%s: %d samples differ, by up to %d", name, n, worst)
	}
}
