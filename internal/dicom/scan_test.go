package dicom_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"

	"varde/internal/dicom"
	"varde/study"
)

// A syntax says how elements are written for a test: byte order, and whether VRs
// are left out.
type syntax struct {
	order    binary.AppendByteOrder
	implicit bool
}

var (
	explicit  = syntax{order: binary.LittleEndian}
	implicit  = syntax{order: binary.LittleEndian, implicit: true}
	bigEndian = syntax{order: binary.BigEndian}
)

// undefined is the length of what a delimiter ends.
const undefined = 0xFFFFFFFF

// An element is one to be written by hand, so that it can be wrong.
type element struct {
	tag   dicom.Tag
	vr    string
	value []byte
}

// elements writes elements with the lengths that they have.
func elements(s syntax, all ...element) []byte {
	var b []byte
	for _, e := range all {
		b = append(header(b, s, e.tag, e.vr, uint32(len(e.value))), e.value...)
	}
	return b
}

// header appends tag, VR and length.
func header(b []byte, s syntax, tag dicom.Tag, vr string, length uint32) []byte {
	b = s.order.AppendUint16(b, tag.Group())
	b = s.order.AppendUint16(b, tag.Element())
	if s.implicit || vr == "" {
		return s.order.AppendUint32(b, length)
	}
	b = append(b, vr...)
	if slices.Contains([]string{"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}, vr) {
		return s.order.AppendUint32(append(b, 0, 0), length)
	}
	return s.order.AppendUint16(b, uint16(length))
}

const (
	itemTag  = dicom.Tag(0xFFFEE000)
	itemEnd  = dicom.ItemDelimitationItem
	sequence = dicom.SequenceDelimitationItem
)

func scan(t testing.TB, b []byte) *dicom.Header {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func encode(t testing.TB, o *dicom.Object) []byte {
	t.Helper()
	b, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// item wraps elements in an item of undefined length.
func item(s syntax, body []byte) []byte {
	b := append(header(nil, s, itemTag, "", undefined), body...)
	return header(b, s, itemEnd, "", 0)
}

// wrap makes a sequence of undefined length.
func wrap(s syntax, tag dicom.Tag, vr string, items ...[]byte) []byte {
	b := header(nil, s, tag, vr, undefined)
	for _, i := range items {
		b = append(b, i...)
	}
	return header(b, s, sequence, "", 0)
}

// part10 puts preamble and file meta information before a data set.
func part10(ts study.UID, data []byte) []byte {
	return append(dicom.Prefix(dicom.SecondaryCapture, "2.25.1", ts, "SENDER"), data...)
}

func uid(s string) []byte { return append([]byte(s), make([]byte, len(s)%2)...) }

// small is a data set of a few elements in any syntax.
func small(s syntax) []byte {
	return elements(s,
		element{dicom.SOPClassUID, "UI", uid(string(dicom.SecondaryCapture))},
		element{dicom.Modality, "CS", []byte("OT")},
		element{dicom.PatientName, "PN", []byte("Doe^Jane")},
		element{dicom.Rows, "US", s.order.AppendUint16(nil, 2)},
		element{dicom.Columns, "US", s.order.AppendUint16(nil, 3)},
		element{dicom.BitsAllocated, "US", s.order.AppendUint16(nil, 8)},
		element{dicom.PixelData, "OB", []byte{1, 2, 3, 4, 5, 6}},
	)
}

func TestEverySyntaxIsRead(t *testing.T) {
	var deflated bytes.Buffer
	w, _ := flate.NewWriter(&deflated, 9)
	w.Write(small(explicit))
	w.Close()
	meta := func(drop dicom.Tag, ts study.UID) []byte {
		b := make([]byte, 128)
		b = append(b, "DICM"...)
		for _, e := range []element{
			{dicom.FileMetaInformationGroupLength, "UL", []byte{99, 99, 0, 0}}, // wrong
			{dicom.MediaStorageSOPClassUID, "UI", uid("2.25.1")},
			{dicom.TransferSyntaxUID, "UI", uid(string(ts))},
		} {
			if e.tag != drop {
				b = append(b, elements(explicit, e)...)
			}
		}
		return b
	}
	for _, tt := range []struct {
		name     string
		b        []byte
		ts       study.UID
		warnings int
	}{
		{"explicit", part10(dicom.ExplicitLE, small(explicit)), dicom.ExplicitLE, 0},
		{"implicit", part10(dicom.ImplicitLE, small(implicit)), dicom.ImplicitLE, 0},
		{"big endian", part10(dicom.ExplicitBE, small(bigEndian)), dicom.ExplicitBE, 0},
		{"deflated", part10(dicom.Deflated, deflated.Bytes()), dicom.Deflated, 0},
		{"deflated and padded", part10(dicom.Deflated, append(deflated.Bytes(), 0)), dicom.Deflated, 0},
		{"unknown syntax", part10("1.2.3.4", small(explicit)), "1.2.3.4", 0},
		{"wrong group length", append(meta(0, dicom.ExplicitLE), small(explicit)...), dicom.ExplicitLE, 0},
		{"no group length", append(meta(dicom.FileMetaInformationGroupLength, dicom.ExplicitLE), small(explicit)...), dicom.ExplicitLE, 0},
		{"no transfer syntax", append(meta(dicom.TransferSyntaxUID, ""), small(explicit)...), dicom.ExplicitLE, 1},
		{"no transfer syntax, implicit", append(meta(dicom.TransferSyntaxUID, ""), small(implicit)...), dicom.ImplicitLE, 1},
		{"no preamble", append(meta(0, dicom.ImplicitLE)[132:], small(implicit)...), dicom.ImplicitLE, 1},
		{"no meta, explicit", small(explicit), dicom.ExplicitLE, 1},
		{"no meta, implicit", small(implicit), dicom.ImplicitLE, 1},
		{"no meta, big endian", small(bigEndian), dicom.ExplicitBE, 1},
		{"declared implicit, is explicit", part10(dicom.ImplicitLE, small(explicit)), dicom.ImplicitLE, 1},
		{"declared explicit, is implicit", part10(dicom.ExplicitLE, small(implicit)), dicom.ExplicitLE, 1},
		{"trailing padding", part10(dicom.ExplicitLE, append(small(explicit), elements(explicit, element{dicom.DataSetTrailingPadding, "OB", make([]byte, 9)})...)), dicom.ExplicitLE, 0},
		{"stray bytes at the end", part10(dicom.ExplicitLE, append(small(explicit), 1, 2, 3, 4, 5, 6, 7, 8, 9)), dicom.ExplicitLE, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := scan(t, tt.b)
			if h.TransferSyntax != tt.ts || h.Truncated || len(h.Warnings) != tt.warnings {
				t.Errorf("%s, truncated %v, warnings %q", h.TransferSyntax, h.Truncated, h.Warnings)
			}
			rows, _ := h.Data.Int(dicom.Rows)
			if name := h.Data.Text(dicom.PatientName); name != "Doe^Jane" || rows != 2 {
				t.Errorf("name %q, %d rows", name, rows)
			}
			if h.FramesErr != nil && tt.ts != "1.2.3.4" {
				t.Error(h.FramesErr)
			}
			for _, s := range h.Frames.Spans {
				stored := readAll(t, tt.b, h)
				if got := stored[s.Off : s.Off+s.Len]; !bytes.Equal(got, []byte{1, 2, 3, 4, 5, 6}) {
					t.Errorf("the frame is %v", got)
				}
			}
		})
	}
}

// readAll gives the bytes that the offsets of a header count in.
func readAll(t *testing.T, b []byte, h *dicom.Header) []byte {
	if !h.Inflated {
		return b
	}
	r, err := dicom.Inflate(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBareDataSetIsPlacedBehindItsPrefix(t *testing.T) {
	prefix := dicom.Prefix(dicom.SecondaryCapture, "2.25.1", dicom.ImplicitLE, "CT1")
	h, err := dicom.Scan(bytes.NewReader(small(implicit)),
		dicom.ScanOptions{TransferSyntax: dicom.ImplicitLE, Offset: int64(len(prefix))})
	if err != nil {
		t.Fatal(err)
	}
	whole := append(prefix, small(implicit)...)
	if want := scan(t, whole).Frames; !reflect.DeepEqual(h.Frames, want) {
		t.Errorf("frames at %v, want %v", h.Frames, want)
	}
	ts, body, err := dicom.DataSet(bytes.NewReader(whole))
	rest, _ := io.ReadAll(body)
	if err != nil || ts != dicom.ImplicitLE || !bytes.Equal(rest, small(implicit)) {
		t.Errorf("split into %s and %d bytes: %v", ts, len(rest), err)
	}
}

// TestSequencesAreReadThrough covers the encodings of sequences that devices use,
// among them those that only an older or a broken one does.
func TestSequencesAreReadThrough(t *testing.T) {
	code := func(s syntax) []byte { return elements(s, element{dicom.CodeValue, "SH", []byte("T-04000 ")}) }
	private := dicom.Tag(0x00091010)
	defined := func(s syntax, tag dicom.Tag, vr string) []byte {
		body := append(header(nil, s, itemTag, "", uint32(len(code(s)))), code(s)...)
		return append(header(nil, s, tag, vr, uint32(len(body))), body...)
	}
	for _, tt := range []struct {
		name string
		s    syntax
		ts   study.UID
		tag  dicom.Tag
		b    []byte
	}{
		{"undefined lengths", explicit, dicom.ExplicitLE, dicom.AnatomicRegionSequence, wrap(explicit, dicom.AnatomicRegionSequence, "SQ", item(explicit, code(explicit)))},
		{"defined lengths", explicit, dicom.ExplicitLE, dicom.AnatomicRegionSequence, defined(explicit, dicom.AnatomicRegionSequence, "SQ")},
		{"implicit", implicit, dicom.ImplicitLE, dicom.AnatomicRegionSequence, defined(implicit, dicom.AnatomicRegionSequence, "")},
		{"big endian", bigEndian, dicom.ExplicitBE, dicom.AnatomicRegionSequence, wrap(bigEndian, dicom.AnatomicRegionSequence, "SQ", item(bigEndian, code(bigEndian)))},
		{"private, implicit, undefined length", implicit, dicom.ImplicitLE, private, wrap(implicit, private, "", item(implicit, code(implicit)))},
		{"UN of undefined length is implicit inside", explicit, dicom.ExplicitLE, private,
			append(header(nil, explicit, private, "UN", undefined), wrap(implicit, private, "", item(implicit, code(implicit)))[8:]...)},
		{"UN of defined length, known to be a sequence", explicit, dicom.ExplicitLE, dicom.AnatomicRegionSequence,
			append(header(nil, explicit, dicom.AnatomicRegionSequence, "UN", uint32(len(defined(implicit, dicom.AnatomicRegionSequence, ""))-8)), defined(implicit, dicom.AnatomicRegionSequence, "")[8:]...)},
		{"UN in big endian is little endian inside", bigEndian, dicom.ExplicitBE, private,
			append(header(nil, bigEndian, private, "UN", undefined), wrap(implicit, private, "", item(implicit, code(implicit)))[8:]...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := elements(tt.s, element{dicom.Modality, "CS", []byte("OT")})
			b = append(b, tt.b...)
			b = append(b, elements(tt.s, element{dicom.PatientID, "LO", []byte("42")})...)
			if tt.tag > dicom.PatientID { // tags ascend
				b = append(elements(tt.s, element{dicom.PatientID, "LO", []byte("42")}), tt.b...)
			}
			h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: tt.ts})
			if err != nil || h.Truncated {
				t.Fatal(err, h.Truncated)
			}
			if got := h.Data.Item(tt.tag).Text(dicom.CodeValue); len(h.Data.Items(tt.tag)) != 1 || got != "T-04000" {
				t.Errorf("%d items, the code is %q", len(h.Data.Items(tt.tag)), got)
			}
			if h.Data.Text(dicom.PatientID) != "42" {
				t.Error("what follows was lost")
			}
		})
	}
}

func TestMalformedObjectsAreRefused(t *testing.T) {
	sq := func(length uint32, rest []byte) []byte {
		return append(header(nil, explicit, dicom.AnatomicRegionSequence, "SQ", length), rest...)
	}
	nested := header(nil, explicit, itemTag, "", 8)
	deep := []byte{}
	for range 2_000_000 {
		deep = header(header(deep, explicit, dicom.ReferencedImageSequence, "SQ", undefined), explicit, itemTag, "", undefined)
	}
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"text", []byte("This is no DICOM object at all, but a note to a colleague.")},
		{"a picture", append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 500)...)},
		{"zeros", make([]byte, 4096)},
		{"a stray byte before the data set", append([]byte{0x20}, small(implicit)...)},
		{"only file meta information", part10(dicom.ExplicitLE, nil)},
		{"cut inside the file meta information", part10(dicom.ExplicitLE, nil)[:150]},
		{"no such VR", part10(dicom.ExplicitLE, append(small(explicit)[:20], header(nil, explicit, dicom.Modality, "xx", 2)...))},
		{"a stray item", part10(dicom.ExplicitLE, header(nil, explicit, itemTag, "", 0))},
		{"text of undefined length", part10(dicom.ExplicitLE, header(nil, explicit, dicom.TextValue, "UT", undefined))},
		{"no item in a sequence", part10(dicom.ExplicitLE, sq(undefined, small(explicit)))},
		{"an item longer than its sequence", part10(dicom.ExplicitLE, sq(8, append(nested, small(explicit)...)))},
		{"an element longer than its item", part10(dicom.ExplicitLE, sq(16, append(nested, header(nil, explicit, dicom.CodeValue, "SH", 60)...)))},
		{"a delimiter in an item of defined length", part10(dicom.ExplicitLE, sq(undefined, append(nested, header(nil, explicit, itemEnd, "", 0)...)))},
		{"two million sequences in each other", part10(dicom.ExplicitLE, deep)},
		{"broken deflate", part10(dicom.Deflated, []byte{0xFF, 0xFF, 0xFF, 0xFF})},
		{"a UID of letters", part10("one.two", small(explicit))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &counting{r: bytes.NewReader(tt.b)}
			_, err := dicom.Scan(r, dicom.ScanOptions{})
			if !errors.Is(err, study.ErrInvalid) {
				t.Errorf("the error is %v", err)
			}
			if r.n != int64(len(tt.b)) {
				t.Errorf("%d of %d bytes were read", r.n, len(tt.b))
			}
		})
	}
}

// counting counts what is read through it.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func TestTruncatedObjectIsReadAsFarAsItGoes(t *testing.T) {
	whole := part10(dicom.ExplicitLE, small(explicit))
	for cut := len(whole) - 1; cut > len(whole)-len(small(explicit)); cut-- {
		h, err := dicom.Scan(bytes.NewReader(whole[:cut]), dicom.ScanOptions{Size: int64(len(whole))})
		if err != nil && h.Data.Len() > 0 {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if err == nil && !h.Truncated {
			t.Errorf("cut at %d of %d: not seen", cut, len(whole))
		}
		if err == nil && h.Frames.Len() > 0 {
			t.Errorf("cut at %d: the frame is still there", cut)
		}
	}
	inside := part10(dicom.ExplicitLE, wrap(explicit, dicom.AnatomicRegionSequence, "SQ", item(explicit, elements(explicit, element{dicom.CodeValue, "SH", []byte("T-04")}))))
	h, err := dicom.Scan(bytes.NewReader(inside[:len(inside)-12]), dicom.ScanOptions{})
	if err != nil || !h.Truncated || h.Data.Item(dicom.AnatomicRegionSequence).Text(dicom.CodeValue) != "T-04" {
		t.Errorf("what lies in an open sequence is lost: %v, truncated %v", err, h.Truncated)
	}
}

func TestFaultOfTheReaderIsNotTheObjects(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := dicom.Scan(io.MultiReader(bytes.NewReader(part10(dicom.ExplicitLE, small(explicit))[:300]), iotest.ErrReader(broken)), dicom.ScanOptions{})
	if !errors.Is(err, broken) || errors.Is(err, study.ErrInvalid) {
		t.Errorf("the error is %v", err)
	}
	whole := part10(dicom.ExplicitLE, small(explicit))
	h, err := dicom.Scan(iotest.OneByteReader(bytes.NewReader(whole)), dicom.ScanOptions{})
	if err != nil || h.Frames.Len() != 1 {
		t.Errorf("read byte by byte: %v", err)
	}
}

func TestLimitsHold(t *testing.T) {
	var many []byte
	for i := range 2000 {
		many = append(many, elements(explicit, element{dicom.Tag(0x00090000 + uint32(i)), "LO", []byte("xxxx")})...)
	}
	for _, tt := range []struct {
		name   string
		limits dicom.Limits
		b      []byte
	}{
		{"elements", dicom.Limits{Elements: 1999}, part10(dicom.ExplicitLE, many)},
		{"bytes kept", dicom.Limits{Kept: 7999}, part10(dicom.ExplicitLE, many)},
	} {
		if _, err := dicom.Scan(bytes.NewReader(tt.b), dicom.ScanOptions{Limits: tt.limits}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, err := dicom.Scan(bytes.NewReader(tt.b), dicom.ScanOptions{}); err != nil {
			t.Errorf("%s by default: %v", tt.name, err)
		}
	}
	long := part10(dicom.ExplicitLE, elements(explicit,
		element{dicom.TextValue, "UT", make([]byte, 65<<10)}, element{dicom.ContentLabel, "CS", []byte("AFTER ")}))
	h := scan(t, long)
	if e, ok := h.Data.Find(dicom.TextValue); !ok || e.Value != nil || e.Length != 65<<10 || h.Data.Text(dicom.ContentLabel) != "AFTER" {
		t.Errorf("a long value is not passed over: %+v", e)
	}
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, 9)
	w.Write(append(small(explicit), header(nil, explicit, dicom.DataSetTrailingPadding, "OB", 64<<20)...))
	w.Write(make([]byte, 64<<20))
	w.Close()
	h, err := dicom.Scan(bytes.NewReader(part10(dicom.Deflated, bomb.Bytes())), dicom.ScanOptions{Limits: dicom.Limits{Inflated: 1 << 20}})
	if !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a deflate bomb: %v, %q", err, h.Warnings)
	}
}
