package format_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/slide/format"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/study"
)

// cmu gives the one real slide of the shared set, if there is one.
func cmu(t *testing.T) ([]byte, bool) {
	dir := os.Getenv("VARDE_TESTDATA")
	if dir == "" {
		dir = filepath.Join(shared.ModuleRoot(t), "..", "shared", "testdata")
	}
	b, err := os.ReadFile(filepath.Join(dir, "wsi", "slides", "wsi-to-dicom-converter__CMU-1-Small-Region.svs"))
	return b, err == nil
}

// retag changes one entry of the first directory of a little-endian classic TIFF:
// its number, and its value where that stands in the entry.
func retag(b []byte, old, tag uint16, value uint32) []byte {
	at := int(binary.LittleEndian.Uint32(b[4:]))
	for i := range int(binary.LittleEndian.Uint16(b[at:])) {
		e := b[at+2+12*i:]
		if binary.LittleEndian.Uint16(e) == old {
			binary.LittleEndian.PutUint16(e, tag)
			binary.LittleEndian.PutUint32(e[8:], value)
			return b
		}
	}
	panic("no such tag")
}

// TestWhatIsNotCertainIsRefusedByName changes one thing of a sound slide at a
// time.
func TestWhatIsNotCertainIsRefusedByName(t *testing.T) {
	jpeg := small(studytest.SlideFile{})
	raw := small(studytest.SlideFile{Coding: "deflate", Predictor: true})
	for _, tt := range []struct {
		name     string
		file     studytest.SlideFile
		old, tag uint16
		value    uint32
		want     string
		kind     error
	}{
		{"a turned picture", jpeg, 284, 274, 3, "orientation 3", study.ErrUnsupported},
		{"planes", jpeg, 284, 284, 2, "separate color planes", study.ErrUnsupported},
		{"gray", jpeg, 262, 262, 1, "photometric interpretation 1", study.ErrUnsupported},
		{"CMYK", jpeg, 262, 262, 5, "photometric interpretation 5", study.ErrUnsupported},
		{"no word of color", jpeg, 262, 40000, 5, "photometric interpretation", study.ErrUnsupported},
		{"four samples", jpeg, 277, 277, 4, "4 samples", study.ErrUnsupported},
		{"an alpha channel", jpeg, 284, 338, 1, "extra samples", study.ErrUnsupported},
		{"numbers with a sign", jpeg, 284, 339, 2, "sample format 2", study.ErrUnsupported},
		{"bits in the other order", jpeg, 284, 266, 2, "fill order 2", study.ErrUnsupported},
		{"WebP", jpeg, 259, 259, 50001, "WebP", study.ErrUnsupported},
		{"Zstandard", jpeg, 259, 259, 50000, "Zstandard", study.ErrUnsupported},
		{"an unknown compression", jpeg, 259, 259, 12345, "compression 12345", study.ErrUnsupported},
		{"predictor 3", raw, 317, 317, 3, "predictor 3", study.ErrUnsupported},
		{"YCbCr without JPEG", raw, 262, 262, 6, "YCbCr without JPEG", study.ErrUnsupported},
		{"no tile width", jpeg, 322, 40001, 1, "tag 322 of 0", study.ErrInvalid},
		{"no width", jpeg, 256, 256, 0, "tag 256 of 0", study.ErrInvalid},
		{"more tiles than it has", jpeg, 256, 256, 90000, "tiles", study.ErrInvalid},
		{"tiles of half the size", jpeg, 322, 322, 32, "tiles", study.ErrInvalid},
		{"a tag twice", jpeg, 257, 256, 999, "twice", study.ErrInvalid},
	} {
		_, err := memory(retag(write(t, tt.file), tt.old, tt.tag, tt.value)).open(t, "a.tiff")
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v, want %q and %v", tt.name, err, tt.want, tt.kind)
		}
	}
}

// TestTextsThatSayMoreThanOnePictureAreRefused changes a word in what the makers
// write beside the pictures.
func TestTextsThatSayMoreThanOnePictureAreRefused(t *testing.T) {
	for _, tt := range []struct {
		kind      studytest.SlideKind
		old, with string
		want      string
		kindOf    error
	}{
		{studytest.OMETIFF, `SizeZ="1"`, `SizeZ="3"`, "3 focal planes", study.ErrUnsupported},
		{studytest.OMETIFF, `SizeT="1"`, `SizeT="9"`, "9 points in time", study.ErrUnsupported},
		{studytest.OMETIFF, `SizeC="3"`, `SizeC="4"`, "4 channels", study.ErrUnsupported},
		{studytest.OMETIFF, `SamplesPerPixel="3"`, `SamplesPerPixel="1"`, "channels", study.ErrUnsupported},
		{studytest.OMETIFF, `Name="slide"`, `Name="label"`, "no picture", study.ErrUnsupported},
		{studytest.OMETIFF, `SizeX="512"`, `SizeX="511"`, "describes 511", study.ErrInvalid},
		{studytest.OMETIFF, `TiffData IFD="0"`, `TiffData IFD="7"`, "directory 7", study.ErrInvalid},
		{studytest.LeicaSCN, "brightfield</illuminationSource></illuminationSettings></scanSettings></image></coll", "fluorescent</illuminationSource></illuminationSettings></scanSettings></image></coll", "fluorescent", study.ErrUnsupported},
		{studytest.LeicaSCN, `ifd="1"`, `ifd="9"`, "directory", study.ErrInvalid},
		{studytest.LeicaSCN, `<dimension sizeX="512"`, `<dimension sizeX="513"`, "513", study.ErrInvalid},
		{studytest.PhilipsTIFF, ">WSI<", ">WSX<", "without a slide", study.ErrUnsupported},
		{studytest.PhilipsTIFF, "&quot;0.001000000&quot; &quot;0.001000000&quot;", "&quot;0.001300000&quot; &quot;0.001300000&quot;", "2.6", study.ErrUnsupported},
		{studytest.VentanaTIFF, `Z-layers="1"`, `Z-layers="5"`, "5 focal planes", study.ErrUnsupported},
		{studytest.VentanaBIF, `NumCols="8"`, `NumCols="7"`, "OpenSlide", study.ErrUnsupported},
		{studytest.VentanaBIF, `AOIScanned="1"`, `AOIScanned="0"`, "OpenSlide", study.ErrUnsupported},
	} {
		b := write(t, small(studytest.SlideFile{Kind: tt.kind}))
		bad := bytes.Replace(b, []byte(tt.old), []byte(tt.with), 1)
		if bytes.Equal(b, bad) || len(b) != len(bad) {
			t.Fatalf("%s: %q cannot be replaced", tt.kind, tt.old)
		}
		_, err := memory(bad).open(t, "a")
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.kindOf) {
			t.Errorf("%s with %q: %v, want %q", tt.kind, tt.with, err, tt.want)
		}
	}
}

// TestSeveralFullPicturesAreRefused makes the second directory one that does not
// call itself reduced and is as large as the first.
func TestSeveralFullPicturesAreRefused(t *testing.T) {
	b := write(t, small(studytest.SlideFile{}))
	at := int(binary.LittleEndian.Uint32(b[4:]))
	next := int(binary.LittleEndian.Uint32(b[at+2+12*int(binary.LittleEndian.Uint16(b[at:])):]))
	binary.LittleEndian.PutUint32(b[4:], uint32(next)) // so that retag finds it
	retag(retag(retag(b, 254, 254, 0), 256, 256, 512), 257, 257, 384)
	binary.LittleEndian.PutUint32(b[4:], uint32(at))
	if _, err := memory(b).open(t, "a"); !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "several full pictures") {
		t.Error(err)
	}
}

// TestUnitsThatAreNoLengthAreNotBelieved reads a spacing in pixels.
func TestUnitsThatAreNoLengthAreNotBelieved(t *testing.T) {
	b := write(t, small(studytest.SlideFile{Kind: studytest.OMETIFF}))
	f, err := memory(bytes.ReplaceAll(b, []byte(`Unit="nm"`), []byte(`Unit="px"`))).open(t, "a")
	if err != nil || f.Trouble.Code != study.ReasonSpacing {
		t.Errorf("%v, %+v", err, f)
	}
}

// TestDoubtsHoldASlide reads slides that are whole and yet must not be scored
// before a person has looked.
func TestDoubtsHoldASlide(t *testing.T) {
	for _, tt := range []struct {
		name string
		file studytest.SlideFile
		want string
	}{
		{"no spacing", studytest.SlideFile{MPP: -1}, study.ReasonSpacing},
		{"no spacing, aperio", studytest.SlideFile{Kind: studytest.AperioSVS, MPP: -1}, study.ReasonSpacing},
		{"no spacing, ome", studytest.SlideFile{Kind: studytest.OMETIFF, MPP: -1}, study.ReasonSpacing},
		{"no spacing, ventana", studytest.SlideFile{Kind: studytest.VentanaTIFF, MPP: -1}, study.ReasonSpacing},
		{"72 dots an inch", studytest.SlideFile{MPP: 352.8}, study.ReasonSpacing},
		{"5 µm", studytest.SlideFile{Kind: studytest.PhilipsTIFF, MPP: 5}, study.ReasonSpacing},
		{"tiles that were lost", studytest.SlideFile{Kind: studytest.AperioSVS, Sparse: true}, study.ReasonDamaged},
	} {
		f, err := memory(write(t, small(tt.file))).open(t, "a")
		if err != nil || f.Trouble.Code != tt.want || f.Trouble.Detail == "" {
			t.Errorf("%s: %v, %+v", tt.name, err, f)
			continue
		}
		if tt.want == study.ReasonSpacing && (f.MPP != [2]float64{} || f.Levels[0].Image.Slide.MicronsPerPixel != [2]float64{}) {
			t.Errorf("%s: %v µm are still believed", tt.name, f.MPP)
		}
	}
}

func TestDirectoriesThatLeadBackAreRefused(t *testing.T) {
	b := write(t, small(studytest.SlideFile{}))
	at := int(binary.LittleEndian.Uint32(b[4:]))
	n := int(binary.LittleEndian.Uint16(b[at:]))
	binary.LittleEndian.PutUint32(b[at+2+12*n:], uint32(at))
	if _, err := memory(b).open(t, "a"); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "lead back") {
		t.Error(err)
	}
	b = write(t, small(studytest.SlideFile{}))
	retag(b, 284, 330, uint32(at)) // a sub-directory of itself; the value is read as a short
	b[at+2+12*entryOf(b, 330)+2] = 4
	if _, err := memory(b).open(t, "a"); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "lead back") {
		t.Error(err)
	}
}

// far is a file of which only some parts are not zero.
type far map[int64][]byte

// ReadAt gives zeros, and the parts where they lie.
func (f far) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, b := range f {
		for i, v := range b {
			if k := at + int64(i) - off; k >= 0 && k < int64(len(p)) {
				p[k] = v
			}
		}
	}
	return len(p), nil
}

// TestNDPIBeyond4GiBIsKnown: its offsets have 64 bits in a TIFF of 32.
func TestNDPIBeyond4GiBIsKnown(t *testing.T) {
	const at = 6 << 30
	head := binary.LittleEndian.AppendUint64([]byte("II*\x00"), at)
	dir := binary.LittleEndian.AppendUint16(nil, 1)
	dir = binary.LittleEndian.AppendUint16(dir, 65420)
	dir = append(dir, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0)
	s := &shelf{file: far{0: head, at: dir}, size: 7 << 30}
	_, err := s.open(t, "a.ndpi")
	var needs *format.NeedsOpenSlideError
	if !errors.As(err, &needs) || needs.Format != "hamamatsu" {
		t.Error(err)
	}
}

// TestTroubleOfTheStoreIsHandedOn keeps apart what is wrong with a file and what
// is wrong with the way to it.
func TestTroubleOfTheStoreIsHandedOn(t *testing.T) {
	b := write(t, small(studytest.SlideFile{Kind: studytest.PhilipsTIFF}))
	down := errors.New("the store is down")
	for after := range 8 {
		s := memory(b)
		_, err := format.Open(t.Context(), format.File{Objects: failing{s, after, down}, Key: "a", Size: s.size})
		if err != nil && (!errors.Is(err, down) || errors.Is(err, study.ErrInvalid)) {
			t.Errorf("after %d ranges: %v", after, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := memory(b)
	if _, err := format.Open(ctx, format.File{Objects: s, Key: "a", Size: s.size}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// failing gives ranges of a file for so long.
type failing struct {
	*shelf
	after int
	err   error
}

// Range fails once enough was asked.
func (f failing) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if f.ranges >= f.after {
		return nil, f.err
	}
	return f.shelf.Range(ctx, key, off, n)
}

func TestDICOMObjectsAreSentElsewhere(t *testing.T) {
	b := write(t, small(studytest.SlideFile{}))
	copy(b[128:], "DICM") // both at the same time
	if _, err := memory(b).open(t, "a.dcm"); !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "DICOM object") {
		t.Error(err)
	}
}

// entryOf is the place of a tag in the first directory.
func entryOf(b []byte, tag uint16) int {
	at := int(binary.LittleEndian.Uint32(b[4:]))
	for i := range int(binary.LittleEndian.Uint16(b[at:])) {
		if binary.LittleEndian.Uint16(b[at+2+12*i:]) == tag {
			return i
		}
	}
	panic("no such tag")
}
