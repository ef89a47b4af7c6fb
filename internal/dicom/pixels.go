package dicom

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// A pixelRun is what the scanner notes while the pixel data passes.
type pixelRun struct {
	off, declared int64  // native: where it lies and what its header promised
	fragmented    bool   // it came in fragments
	eot           []byte // extended offset table, PS3.3 §C.7.6.3.1.8
	bot           []byte // basic offset table, PS3.5 §A.4
	spans         []study.Span
	starts        []uint64 // bit i: fragment i begins like a codestream
	err           error    // why the run cannot be used
}

// topValue reads an element of group 7FE0 or above at the top of the data set.
func (s *scanner) topValue(h elementHead) error {
	if s.head.End < 0 {
		s.head.End = h.at
	}
	switch h.tag {
	case ExtendedOffsetTable, ExtendedOffsetTableLengths:
		return s.offsetTable(h)
	case PixelData, FloatPixelData, DoubleFloatPixelData:
	default:
		return s.value(h, -1)
	}
	if s.head.pixels != 0 {
		s.warn("a second pixel element, %v", h.tag)
		if h.length == undefined {
			return s.fragmentsIn(h, false)
		}
		return s.plain(h)
	}
	s.head.pixels = h.tag
	if h.length == undefined {
		return s.fragmentsIn(h, true)
	}
	defer func() { s.after = true }()
	s.pixels.off, s.pixels.declared = s.in.off, int64(h.length)
	e := entry{tag: h.tag, vr: h.vr, n: h.length, off: s.in.off}
	s.head.pixelLen = s.in.skip(int64(h.length))
	if err := s.add(e); err != nil {
		return err
	}
	if s.head.pixelLen < int64(h.length) {
		s.head.Truncated = true
	}
	return nil
}

// offsetTable keeps an extended offset table, which may be longer than any
// ordinary value.
func (s *scanner) offsetTable(h elementHead) error {
	if h.length == undefined || int64(h.length) > s.lim.OffsetTable {
		return s.bad("%v of %d bytes", h.tag, h.length)
	}
	e := entry{tag: h.tag, vr: h.vr, n: h.length, off: s.in.off}
	b, n := s.in.keep(nil, int64(h.length))
	if n < int64(h.length) {
		return errEnd
	}
	if h.tag == ExtendedOffsetTable {
		s.pixels.eot = b
	}
	return s.add(e)
}

// fragmentsIn walks over encapsulated pixel data, PS3.5 §A.4: always by the
// lengths of the items, for a codestream may hold the bytes of a delimiter. It
// makes the index when asked to, that is for the image and not for its icon.
func (s *scanner) fragmentsIn(h elementHead, index bool) error {
	at := s.in.off
	if err := s.add(entry{tag: h.tag, vr: h.vr, n: undefined, off: at, flags: flagFragments}); err != nil {
		return err
	}
	if index {
		s.pixels.fragmented = true
		defer func() { s.after = true }()
	}
	for i := 0; ; i++ {
		tag, length, err := s.itemHeader()
		switch {
		case err != nil && index && len(s.in.peek(1)) == 0 && len(s.pixels.spans) > 0:
			s.warn("no sequence delimiter after the last fragment")
			return nil
		case err != nil:
			return s.cut(index, err)
		case tag == SequenceDelimitationItem:
			return nil
		case tag != itemStart || length == undefined:
			return s.cut(index, s.bad("%v in place of a fragment", tag))
		}
		if i == 0 {
			err = s.basicOffsets(length, index)
		} else {
			err = s.fragment(length, index)
		}
		if err != nil {
			return s.cut(index, err)
		}
	}
}

// cut notes why the fragments end before their delimiter. The header is good all
// the same, so for the image itself this is no error of the scan.
func (s *scanner) cut(index bool, err error) error {
	if !index {
		return err
	}
	if err == errEnd {
		s.head.Truncated = true
		err = fmt.Errorf("pixel data ends early, after %d fragments: %w", len(s.pixels.spans), study.ErrInvalid)
	}
	s.pixels.err = err
	return nil
}

// basicOffsets reads the first item, the basic offset table, which may be empty.
func (s *scanner) basicOffsets(length uint32, index bool) error {
	if !index || int64(length) > s.lim.OffsetTable {
		if s.in.skip(int64(length)) < int64(length) {
			return errEnd
		}
		return nil
	}
	b, n := s.in.keep(nil, int64(length))
	if n < int64(length) {
		return errEnd
	}
	s.pixels.bot = b
	return nil
}

// fragment passes over one fragment and notes where it lies.
func (s *scanner) fragment(length uint32, index bool) error {
	if !index {
		if s.in.skip(int64(length)) < int64(length) {
			return errEnd
		}
		return nil
	}
	k := len(s.pixels.spans)
	if k >= s.lim.Fragments {
		return s.bad("more than %d fragments", s.lim.Fragments)
	}
	if k%64 == 0 {
		s.pixels.starts = append(s.pixels.starts, 0)
	}
	if length >= 2 && codestreamStart(s.in.peek(12)) {
		s.pixels.starts[k/64] |= 1 << (k % 64)
	}
	span := study.Span{Off: s.in.off, Len: int64(length)}
	if s.in.skip(int64(length)) < int64(length) {
		return errEnd
	}
	s.pixels.spans = append(s.pixels.spans, span)
	return nil
}

// codestreamStart reports whether bytes begin like a JPEG, JPEG-LS, JPEG 2000 or
// JPEG XL codestream, or like the boxed form of the latter two.
func codestreamStart(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	switch binary.BigEndian.Uint16(p) {
	case 0xFFD8, 0xFF4F, 0xFF0A:
		return true
	}
	return len(p) >= 8 && binary.BigEndian.Uint32(p) == 12 &&
		(string(p[4:8]) == "jP  " || string(p[4:8]) == "JXL ")
}
