package dicom_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"varde/internal/dicom"
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
