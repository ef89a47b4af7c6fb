package dicom_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/study"
)

// module is the pixel module of an image of n frames.
func module(n string, extra ...element) []byte {
	return elements(explicit, append([]element{
		{dicom.SamplesPerPixel, "US", []byte{1, 0}},
		{dicom.PhotometricInterpretation, "CS", []byte("MONOCHROME2 ")},
		{dicom.NumberOfFrames, "IS", []byte(n)},
		{dicom.Rows, "US", []byte{2, 0}},
		{dicom.Columns, "US", []byte{3, 0}},
		{dicom.BitsAllocated, "US", []byte{8, 0}},
	}, extra...)...)
}

// fragmented writes pixel data in fragments behind a basic offset table.
func fragmented(table []uint32, fragments ...string) []byte {
	b := header(nil, explicit, dicom.PixelData, "OB", undefined)
	b = header(b, explicit, itemTag, "", uint32(4*len(table)))
	for _, o := range table {
		b = binary.LittleEndian.AppendUint32(b, o)
	}
	for _, f := range fragments {
		b = append(header(b, explicit, itemTag, "", uint32(len(f))), f...)
	}
	return header(b, explicit, sequence, "", 0)
}

// extended writes an extended offset table.
func extended(offsets ...uint64) []byte {
	var b []byte
	for _, o := range offsets {
		b = binary.LittleEndian.AppendUint64(b, o)
	}
	return elements(explicit, element{dicom.ExtendedOffsetTable, "OV", b})
}

// framesOf gives the bytes of every frame, fragments joined.
func framesOf(t *testing.T, b []byte, h *dicom.Header) []string {
	t.Helper()
	var out []string
	for i := range h.Frames.Len() {
		spans, err := h.Frames.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		var f []byte
		for _, s := range spans {
			f = append(f, b[s.Off:s.Off+s.Len]...)
		}
		out = append(out, string(f))
	}
	return out
}

func TestFragmentsAreGroupedIntoFrames(t *testing.T) {
	const jpeg, j2k = "\xFF\xD8", "\xFF\x4F"
	for _, tt := range []struct {
		name   string
		n      string
		pixels []byte
		want   string // frames, or the error
	}{
		{"one for one", "2 ", fragmented(nil, "aa", "bb"), "aa bb"},
		{"one for one, and the table is wrong", "2 ", fragmented([]uint32{0, 7}, "aa", "bb"), "aa bb"},
		{"one frame in many", "1 ", fragmented(nil, "aa", "bb", "cc"), "aabbcc"},
		{"basic table", "2 ", fragmented([]uint32{0, 20}, "aa", "bb", "cc"), "aabb cc"},
		{"extended table", "2 ", append(extended(0, 10), fragmented(nil, "aa", "bb", "cc")...), "aa bbcc"},
		{"extended before basic", "2 ", append(extended(0, 10), fragmented([]uint32{0, 20}, "aa", "bb", "cc")...), "aa bbcc"},
		{"JPEG beginnings", "2 ", fragmented(nil, jpeg+"aa", "bb", jpeg+"cc"), jpeg + "aabb " + jpeg + "cc"},
		{"JPEG 2000 beginnings", "2 ", fragmented(nil, j2k, "bb", j2k, "dd"), j2k + "bb " + j2k + "dd"},
		{"table that fits no fragment, then beginnings", "2 ", fragmented([]uint32{0, 11}, jpeg, jpeg, "cc"), jpeg + " " + jpeg + "cc"},
		{"delimiter bytes in a fragment", "1 ", fragmented(nil, "\xFE\xFF\xDD\xE0\x00\x00\x00\x00zz"), "\xFE\xFF\xDD\xE0\x00\x00\x00\x00zz"},
		{"nothing tells", "2 ", fragmented(nil, "aa", "bb", "cc"), "3 fragments for 2 frames, and nothing says which is whose"},
		{"something before the first beginning", "2 ", fragmented(nil, "aa", jpeg, jpeg), "nothing says"},
		{"too few", "3 ", fragmented(nil, "aa", "bb"), "2 fragments for 3 frames"},
		{"none", "1 ", fragmented(nil), "no fragments"},
		{"nonsense", "1A", fragmented(nil, "aa"), "not a number of frames"},
		{"two billion", "2000000000", fragmented(nil, "aa"), "2000000000 frames"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := part10(dicom.JPEGBaseline, append(module(tt.n), tt.pixels...))
			h := scan(t, b)
			if h.FramesErr != nil {
				if !strings.Contains(h.FramesErr.Error(), tt.want) || h.Frames.Len() != 0 || !errors.Is(h.FramesErr, study.ErrInvalid) {
					t.Errorf("%d frames, %v; want %s", h.Frames.Len(), h.FramesErr, tt.want)
				}
			} else if got := strings.Join(framesOf(t, b, h), " "); got != tt.want {
				t.Errorf("frames %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFilmIsUnsupportedNotInvalid(t *testing.T) {
	h := scan(t, part10(dicom.MPEG4, append(module("30"), fragmented(nil, "film")...)))
	if !errors.Is(h.FramesErr, study.ErrUnsupported) {
		t.Errorf("the error is %v", h.FramesErr)
	}
}

func TestFragmentsMayEndWithoutDelimiter(t *testing.T) {
	b := part10(dicom.JPEGBaseline, append(module("2 "), fragmented(nil, "aa", "bb")...))
	h := scan(t, b[:len(b)-8])
	if h.FramesErr != nil || h.Frames.Len() != 2 || len(h.Warnings) != 1 {
		t.Errorf("%d frames, %v, %q", h.Frames.Len(), h.FramesErr, h.Warnings)
	}
	if h = scan(t, b[:len(b)-9]); h.FramesErr == nil || !h.Truncated {
		t.Errorf("a fragment that is cut: %v", h.FramesErr)
	}
}

func TestPixelsAndSyntaxMustAgree(t *testing.T) {
	native := elements(explicit, element{dicom.PixelData, "OB", make([]byte, 6)})
	for ts, pixels := range map[study.UID][]byte{dicom.JPEGBaseline: native, dicom.ExplicitLE: fragmented(nil, "aa")} {
		if h := scan(t, part10(ts, append(module("1 "), pixels...))); h.FramesErr == nil {
			t.Errorf("%s: frames %v", dicom.TransferSyntaxName(ts), h.Frames)
		}
	}
}

func TestIconIsNotTheImage(t *testing.T) {
	icon := wrap(explicit, dicom.IconImageSequence, "SQ",
		item(explicit, append(module("1 "), fragmented([]uint32{0}, "icon")...)),
		item(explicit, elements(explicit, element{dicom.PixelData, "OW", []byte("icon")})))
	b := part10(dicom.JPEGBaseline, append(append(module("1 "), icon...), fragmented(nil, "image!")...))
	h := scan(t, b)
	if got := framesOf(t, b, h); len(got) != 1 || got[0] != "image!" || h.FramesErr != nil {
		t.Errorf("frames %q, %v", got, h.FramesErr)
	}
	if len(h.Data.Items(dicom.IconImageSequence)) != 2 {
		t.Error("the icon is lost")
	}
}

func TestNativeFramesAreSliced(t *testing.T) {
	const rows, columns = 5, 3
	for _, tt := range []struct {
		name       string
		bits       int
		samples    int
		n          int
		want       []study.Span // from the first byte of the pixel data
		bitsAFrame int64
	}{
		{"8 bit", 8, 1, 2, []study.Span{{Off: 0, Len: 15}, {Off: 15, Len: 15}}, 0},
		{"16 bit", 16, 1, 2, []study.Span{{Off: 0, Len: 30}, {Off: 30, Len: 30}}, 0},
		{"color", 8, 3, 1, []study.Span{{Off: 0, Len: 45}}, 0},
		{"1 bit runs on", 1, 1, 3, []study.Span{{Off: 0, Len: 2}, {Off: 1, Len: 3}, {Off: 3, Len: 3}}, 15},
	} {
		o := dicom.NewObject(dicom.SecondaryCapture, "2.25.1")
		frames := make([][]byte, tt.n)
		for i := range frames {
			frames[i] = bytes.Repeat([]byte{1}, rows*columns*tt.samples*max(1, tt.bits/8))
		}
		o.Native(rows, columns, tt.samples, tt.bits, false, frames...)
		h := scan(t, encode(t, o))
		e, _ := h.Data.Find(dicom.PixelData)
		got := fmt.Sprint(h.Frames.Spans)
		for i := range tt.want {
			tt.want[i].Off += e.Offset
		}
		if h.FramesErr != nil || got != fmt.Sprint(tt.want) || h.Frames.BitsPerFrame != tt.bitsAFrame {
			t.Errorf("%s: %v, %d bits a frame, %v; want %v", tt.name, got, h.Frames.BitsPerFrame, h.FramesErr, tt.want)
		}
	}
}

func TestShortNativePixelsHaveNoFrames(t *testing.T) {
	for n, ok := range map[int]bool{4: false, 6: true, 8: true, 5: false} {
		h := scan(t, part10(dicom.ExplicitLE, append(module("1 "), elements(explicit, element{dicom.PixelData, "OB", make([]byte, n)})...)))
		if (h.FramesErr == nil) != ok || ok != (h.Frames.Len() == 1) {
			t.Errorf("%d bytes: %d frames, %v", n, h.Frames.Len(), h.FramesErr)
		}
	}
}

func TestFloatPixelsAreFrames(t *testing.T) {
	b := elements(explicit, element{dicom.Rows, "US", []byte{2, 0}}, element{dicom.Columns, "US", []byte{2, 0}},
		element{dicom.FloatPixelData, "OF", make([]byte, 16)})
	h := scan(t, part10(dicom.ExplicitLE, b))
	if h.FramesErr != nil || h.Frames.Len() != 1 || h.Frames.Spans[0].Len != 16 {
		t.Errorf("%v, %v", h.Frames, h.FramesErr)
	}
	if im := h.Image(); !im.Float || im.BitsAllocated != 32 {
		t.Errorf("the image is %+v", im)
	}
}
