package dicom

import "encoding/binary"

// A head is what stands before a value.
type elementHead struct {
	tag    Tag
	vr     vr
	length uint32
	at     int64 // offset of the element
}

func (s *scanner) order() binary.ByteOrder {
	if s.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// header reads tag, VR and length, PS3.5 §7.1.
func (s *scanner) header() (elementHead, error) {
	h := elementHead{at: s.in.off}
	p := s.in.peek(8)
	if len(p) < 8 {
		return h, errEnd
	}
	order := s.order()
	h.tag = Tag(order.Uint16(p))<<16 | Tag(order.Uint16(p[2:]))
	if s.implicit || h.tag.Group() == 0xFFFE {
		h.length = order.Uint32(p[4:])
		h.vr = implicitVR(h.tag, s.signed)
		s.in.take(8)
		return h, nil
	}
	h.vr = vr(p[4])<<8 | vr(p[5])
	if h.vr.short() {
		h.length = uint32(order.Uint16(p[6:]))
		s.in.take(8)
		return h, nil
	}
	if !h.vr.long() {
		// A VR that came after this code has the long form, PS3.5 §7.1.2. Anything
		// else is where a reader has lost its way.
		if !upper(p[4]) || !upper(p[5]) || p[6] != 0 || p[7] != 0 {
			return h, s.bad("%v has no VR", h.tag)
		}
		h.vr = vrUN
	}
	if p = s.in.peek(12); len(p) < 12 {
		return h, errEnd
	}
	h.length = order.Uint32(p[8:])
	s.in.take(12)
	return h, nil
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }

// elements reads elements up to the offset end, or to an item delimiter when the
// item is of undefined length, or to the end of the object at the top.
func (s *scanner) elements(end int64, delimited, top bool) error {
	var last Tag
	for {
		if end >= 0 && s.in.off >= end {
			if delimited {
				return s.bad("an item runs to the end of its sequence without a delimiter")
			}
			return nil
		}
		if top && len(s.in.peek(1)) == 0 {
			return nil
		}
		h, err := s.header()
		if err == nil && h.tag == ItemDelimitationItem && delimited {
			return nil
		}
		if err == nil && h.tag.Group() == 0xFFFE {
			err = s.bad("stray %v", h.tag)
		}
		if err == nil && h.tag <= last {
			s.warn("%v after %v", h.tag, last)
		}
		last = h.tag
		if err == nil && top && h.tag.Group() >= 0x7FE0 {
			err = s.topValue(h)
		} else if err == nil {
			err = s.value(h, end)
		}
		if err != nil && top && s.after {
			s.warn("after the pixel data: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// value reads what follows a header. end is where the item around it ends, or -1.
func (s *scanner) value(h elementHead, end int64) error {
	if h.length != undefined && end >= 0 && s.in.off+int64(h.length) > end {
		return s.bad("%v of %d bytes runs over the end of its item", h.tag, h.length)
	}
	switch {
	case h.tag == PixelData && h.length == undefined:
		return s.fragmentsIn(h, false)
	case h.vr == vrSQ:
		return s.sequence(h, end)
	case h.length == undefined && (h.vr == vrUN || s.implicit):
		// Implicit VR inside, whatever the rest of the object is in: PS3.5 §6.2.2.
		return s.sequenceImplicit(h, end)
	case h.length == undefined:
		return s.bad("%v with VR %v has no length", h.tag, h.vr)
	case h.vr == vrUN && h.length >= 8 && implicitVR(h.tag, false) == vrSQ && s.itemAhead():
		return s.sequenceImplicit(h, end)
	}
	return s.plain(h)
}

// itemAhead reports whether the next tag is that of an item, little endian.
func (s *scanner) itemAhead() bool {
	p := s.in.peek(4)
	return len(p) == 4 && binary.LittleEndian.Uint32(p) == 0xE000FFFE
}

// plain keeps a value, or passes over one that is too long to keep.
func (s *scanner) plain(h elementHead) error {
	e := entry{tag: h.tag, vr: h.vr, n: h.length, off: s.in.off}
	if s.big && !(s.implicit) {
		e.flags |= flagBig
	}
	if int64(h.length) > s.lim.Value {
		if s.in.skip(int64(h.length)) < int64(h.length) {
			return errEnd
		}
		return s.add(e)
	}
	if int64(len(s.doc.bytes))+int64(h.length) > s.lim.Kept {
		return s.bad("more than %d bytes of attributes", s.lim.Kept)
	}
	start := len(s.doc.bytes)
	var n int64
	s.doc.bytes, n = s.in.keep(s.doc.bytes, int64(h.length))
	if n < int64(h.length) {
		s.doc.bytes = s.doc.bytes[:start]
		return errEnd
	}
	e.val = uint32(start)
	e.flags |= flagKept
	if h.tag == PixelRepresentation && s.depth == 0 && n >= 2 {
		s.signed = s.order().Uint16(s.doc.bytes[start:]) == 1
	}
	return s.add(e)
}

// add appends an entry that holds no others.
func (s *scanner) add(e entry) error {
	if len(s.doc.entries) >= s.lim.Elements {
		return s.bad("more than %d elements", s.lim.Elements)
	}
	e.end = uint32(len(s.doc.entries) + 1)
	s.doc.entries = append(s.doc.entries, e)
	return nil
}

// enter opens an entry that holds others, and gives its index.
func (s *scanner) enter(e entry) (int, error) {
	if s.depth++; s.depth > s.lim.Depth {
		return -1, s.bad("more than %d items and sequences in each other", s.lim.Depth)
	}
	if err := s.add(e); err != nil {
		return -1, err
	}
	return len(s.doc.entries) - 1, nil
}

// leave closes the entry that enter opened at i, also after an error, so that
// what was read can be used.
func (s *scanner) leave(i int) {
	s.depth--
	if i >= 0 {
		s.doc.entries[i].end = uint32(len(s.doc.entries))
	}
}

// sequenceImplicit reads a sequence in implicit VR little endian and turns back
// to the object's own syntax.
func (s *scanner) sequenceImplicit(h elementHead, end int64) error {
	implicit, big := s.implicit, s.big
	s.implicit, s.big = true, false
	err := s.sequence(h, end)
	s.implicit, s.big = implicit, big
	return err
}

// sequence reads items, PS3.5 §7.5. end is where the item around it ends, or -1.
func (s *scanner) sequence(h elementHead, end int64) error {
	i, err := s.enter(entry{tag: h.tag, vr: vrSQ, n: h.length, off: s.in.off, flags: flagSequence})
	defer s.leave(i)
	if err != nil {
		return err
	}
	delimited := h.length == undefined
	if !delimited {
		end = s.in.off + int64(h.length)
	}
	for {
		if end >= 0 && s.in.off >= end {
			if delimited {
				return s.bad("%v runs to the end of its item without a delimiter", h.tag)
			}
			return nil
		}
		tag, length, err := s.itemHeader()
		switch {
		case err != nil:
			return err
		case tag == SequenceDelimitationItem && delimited:
			return nil
		case tag != itemStart:
			return s.bad("%v in place of an item of %v", tag, h.tag)
		}
		if err := s.item(length, end); err != nil {
			return err
		}
		s.doc.entries[i].val++
	}
}

// itemHeader reads the eight bytes of an item or of a delimiter.
func (s *scanner) itemHeader() (Tag, uint32, error) {
	p := s.in.peek(8)
	if len(p) < 8 {
		return 0, 0, errEnd
	}
	order := s.order()
	t := Tag(order.Uint16(p))<<16 | Tag(order.Uint16(p[2:]))
	n := order.Uint32(p[4:])
	s.in.take(8)
	return t, n, nil
}

// item reads one item of a sequence that ends at end, or -1.
func (s *scanner) item(length uint32, end int64) error {
	if length != undefined {
		stop := s.in.off + int64(length)
		if end >= 0 && stop > end {
			return s.bad("an item of %d bytes runs over the end of its sequence", length)
		}
		end = stop
	}
	i, err := s.enter(entry{tag: itemStart, n: length, off: s.in.off, flags: flagItem})
	defer s.leave(i)
	if err != nil {
		return err
	}
	return s.elements(end, length == undefined, false)
}
