package deid

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"varde/internal/dicom"
	"varde/study"
)

// undefined is the length of what a delimiter ends, PS3.5 §7.1.1.
const undefined = 0xFFFFFFFF

// An encoder writes elements in one of the three encodings of PS3.5 §7.1. Its
// first error stays.
type encoder struct {
	w        *bufio.Writer
	order    binary.AppendByteOrder
	implicit bool
	big      bool
	err      error
}

func newEncoder(w io.Writer, implicit, big bool) *encoder {
	e := &encoder{w: bufio.NewWriterSize(w, 64<<10), order: binary.LittleEndian, implicit: implicit, big: big}
	if big {
		e.order = binary.BigEndian
	}
	return e
}

func (e *encoder) write(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *encoder) flush() error {
	if e.err != nil {
		return e.err
	}
	return e.w.Flush()
}

// long are the VRs with a 32-bit length, PS3.5 §7.1.2.
var long = []string{"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}

// head writes what stands before a value. A value that is too long for its VR, as
// implicit VR lets it be, becomes UN, PS3.5 §6.2.2 note.
func (e *encoder) head(t dicom.Tag, vr string, length uint32) {
	b := e.order.AppendUint16(e.order.AppendUint16(nil, t.Group()), t.Element())
	if e.implicit || t.Group() == 0xFFFE {
		e.write(e.order.AppendUint32(b, length))
		return
	}
	if !slices.Contains(long, vr) && length > 0xFFFE {
		vr = "UN"
	}
	b = append(b, vr...)
	if slices.Contains(long, vr) {
		b = e.order.AppendUint32(append(b, 0, 0), length)
	} else {
		b = e.order.AppendUint16(b, uint16(length))
	}
	e.write(b)
}

// pad is what fills a value to an even length.
func pad(vr string) byte {
	switch vr {
	case "UI", "OB", "UN", "OW":
		return 0
	}
	return ' '
}

// text writes a value of ASCII.
func (e *encoder) text(t dicom.Tag, vr, s string) { e.value(t, vr, []byte(s), e.big) }

// value writes a value whose bytes are in the order that big says.
func (e *encoder) value(t dicom.Tag, vr string, b []byte, big bool) {
	if w := width(vr); big != e.big && w > 1 {
		b = slices.Clone(b)
		for i := 0; i+w <= len(b); i += w {
			slices.Reverse(b[i : i+w])
		}
	}
	e.head(t, vr, uint32(len(b)+len(b)%2))
	e.write(b)
	if len(b)%2 == 1 {
		e.write([]byte{pad(vr)})
	}
}

// width is the number of bytes that change places between byte orders.
func width(vr string) int {
	switch vr {
	case "US", "SS", "OW", "AT":
		return 2
	case "UL", "SL", "FL", "OF", "OL":
		return 4
	case "FD", "SV", "UV", "OD", "OV":
		return 8
	}
	return 1
}

// stream copies a long value from the source.
func (e *encoder) stream(x dicom.Element, r io.Reader) {
	if x.BigEndian != e.big && width(x.VR) > 1 && x.Tag.Group() < 0x7FE0 {
		e.fail(fmt.Errorf("%v of %d bytes is in another byte order than its object: %w", x.Tag, x.Length, study.ErrUnsupported))
		return
	}
	e.head(x.Tag, x.VR, uint32(x.Length+x.Length%2))
	e.copy(r, x.Length)
	if x.Length%2 == 1 {
		e.write([]byte{pad(x.VR)})
	}
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) copy(r io.Reader, n int64) {
	if e.err != nil {
		return
	}
	if _, err := io.CopyN(e.w, r, n); errors.Is(err, io.EOF) {
		e.err = fmt.Errorf("the object ends early: %w", study.ErrInvalid)
	} else {
		e.err = err
	}
}

// fragments copies encapsulated pixel data, PS3.5 §A.4, item by item.
func (e *encoder) fragments(x dicom.Element, from source) {
	e.head(x.Tag, x.VR, undefined)
	e.each(from.at(x.Offset, -1), func(_, n int64, r io.Reader) {
		e.head(itemTag, "", uint32(n+n%2))
		e.copy(r, n)
		if n%2 == 1 {
			e.write([]byte{0})
		}
	})
	e.end()
}

// frames writes encapsulated pixel data of one fragment a frame, each coded anew,
// and no table of where they lie.
func (e *encoder) frames(x dicom.Element, from source, code func([]byte) ([]byte, error)) {
	e.head(x.Tag, x.VR, undefined)
	e.head(itemTag, "", 0)
	e.each(from.at(x.Offset, -1), func(i, n int64, r io.Reader) {
		if i == 0 || n == 0 {
			_, err := io.CopyN(io.Discard, r, n)
			if err != nil {
				e.fail(fmt.Errorf("the object ends early: %w", study.ErrInvalid))
			}
			return
		}
		if n > maxFrame {
			e.fail(fmt.Errorf("a frame of %d bytes: %w", n, study.ErrInvalid))
			return
		}
		var b bytes.Buffer // grows as bytes come
		if _, err := io.CopyN(&b, r, n); err != nil {
			e.fail(fmt.Errorf("the object ends early: %w", study.ErrInvalid))
			return
		}
		coded, err := code(b.Bytes())
		if err != nil {
			e.fail(err)
			return
		}
		e.head(itemTag, "", uint32(len(coded)))
		e.write(coded)
	})
	e.end()
}

// each calls f with the number and the length of every item of encapsulated pixel
// data, and with a reader that stands at its first byte. f reads the item.
func (e *encoder) each(r io.Reader, f func(i, n int64, r io.Reader)) {
	var b [8]byte
	for i := int64(0); e.err == nil; i++ {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF { // the delimiter was left out
				return
			}
			e.fail(err)
			return
		}
		tag := dicom.Tag(binary.LittleEndian.Uint16(b[:]))<<16 | dicom.Tag(binary.LittleEndian.Uint16(b[2:]))
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if tag == dicom.SequenceDelimitationItem {
			return
		}
		if tag != itemTag || n == undefined {
			e.fail(fmt.Errorf("%v in place of a fragment: %w", tag, study.ErrInvalid))
			return
		}
		f(i, n, r)
	}
}

// begin, item, endItem and end write a sequence of undefined length.
func (e *encoder) begin(t dicom.Tag) { e.head(t, "SQ", undefined) }
func (e *encoder) item()             { e.head(itemTag, "", undefined) }
func (e *encoder) endItem()          { e.head(dicom.ItemDelimitationItem, "", 0) }
func (e *encoder) end()              { e.head(dicom.SequenceDelimitationItem, "", 0) }

// A source gives the bytes of the object that is read.
type source interface {
	// at gives n bytes from an offset on, or all that follow when n is negative.
	at(off, n int64) io.Reader
}

type raw struct{ r io.ReaderAt }

func (r raw) at(off, n int64) io.Reader {
	if n < 0 {
		n = 1<<62 - off
	}
	return bufio.NewReaderSize(io.NewSectionReader(r.r, off, n), 64<<10)
}

// forward reads an inflated stream, whose long values are asked for in order.
type forward struct {
	r   io.Reader
	pos int64
}

func (f *forward) at(off, n int64) io.Reader {
	if off < f.pos {
		return failing{fmt.Errorf("values lie in no order: %w", study.ErrInvalid)}
	}
	if _, err := io.CopyN(io.Discard, f, off-f.pos); err != nil {
		return failing{err}
	}
	if n < 0 {
		return f
	}
	return io.LimitReader(f, n)
}

// Read counts what is read.
func (f *forward) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	f.pos += int64(n)
	return n, err
}

type failing struct{ err error }

// Read gives the error.
func (f failing) Read([]byte) (int, error) { return 0, f.err }
