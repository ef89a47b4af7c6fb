package studytest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"unsafe"

	"varde/study"
)

// A tiffPage is one directory and the pixels that go with it.
type tiffPage struct {
	tags   []tiffTag
	tiles  [][]byte // nil = left out; or one strip
	strips bool
	subs   []*tiffPage
	at     uint64 // of the directory, once placed
}

// A tiffTag is one entry. Its value is a text, some numbers, bytes, or fractions.
type tiffTag struct {
	id       uint16
	text     string
	raw      []byte
	numbers  []uint64
	wide     bool // numbers of 32 bits, else of 16
	offset   bool // numbers of 32 or, in BigTIFF, of 64 bits
	fraction [2]uint32
}

// The types of TIFF's values.
const (
	tiffByte, tiffASCII, tiffShort, tiffLong, tiffRational, tiffUndefined, tiffLong8 = 1, 2, 3, 4, 5, 7, 16
)

// A tiffWriter writes pages as libtiff does: the pixels of a page, then its
// directory.
type tiffWriter struct {
	big, bigEndian, share bool
	gap                   int64
	w                     io.Writer // nil while everything is being placed
	at                    uint64
	err                   error
	shared                map[*byte]uint64
}

func (t *tiffWriter) order() binary.AppendByteOrder {
	if t.bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// write places everything first, for the header says where the first directory
// is, and then writes it in the same order.
func (t *tiffWriter) write(w io.Writer, pages []*tiffPage) (int64, error) {
	t.all(pages)
	if !t.big && t.at > math.MaxUint32 {
		return 0, fmt.Errorf("TIFF of %d bytes, which needs BigTIFF: %w", t.at, study.ErrInvalid)
	}
	t.w = w
	t.all(pages)
	return int64(t.at), t.err
}

// all goes through the file once.
func (t *tiffWriter) all(pages []*tiffPage) {
	t.at, t.shared = 0, map[*byte]uint64{}
	o := t.order()
	mark := "II"
	if t.bigEndian {
		mark = "MM"
	}
	head := []byte(mark)
	if t.big {
		head = o.AppendUint16(o.AppendUint16(o.AppendUint16(head, 43), 8), 0)
		head = o.AppendUint64(head, pages[0].at)
	} else {
		head = o.AppendUint32(o.AppendUint16(head, 42), uint32(pages[0].at))
	}
	t.put(head)
	t.skip(t.gap)
	for i, p := range pages {
		next := uint64(0)
		if i+1 < len(pages) {
			next = pages[i+1].at
		}
		var subs []uint64
		for _, s := range p.subs {
			t.page(s, nil, 0)
			subs = append(subs, s.at)
		}
		t.page(p, subs, next)
	}
}

func (t *tiffWriter) put(b []byte) {
	t.at += uint64(len(b))
	if t.w != nil && t.err == nil {
		_, t.err = t.w.Write(b)
	}
}

// skip leaves a hole, or writes zeros where the writer cannot seek.
func (t *tiffWriter) skip(n int64) {
	t.at += uint64(n)
	if t.w == nil || t.err != nil || n == 0 {
		return
	}
	if s, ok := t.w.(io.Seeker); ok {
		_, t.err = s.Seek(n, io.SeekCurrent)
		return
	}
	for b := make([]byte, 1<<20); n > 0 && t.err == nil; n -= int64(len(b)) {
		_, t.err = t.w.Write(b[:min(n, int64(len(b)))])
	}
}

// even keeps values on word boundaries.
func (t *tiffWriter) even() {
	if t.at%2 == 1 {
		t.put([]byte{0})
	}
}

// page writes pixels and directory.
func (t *tiffWriter) page(p *tiffPage, subs []uint64, next uint64) {
	offsets, counts := make([]uint64, len(p.tiles)), make([]uint64, len(p.tiles))
	for i, b := range p.tiles {
		if len(b) == 0 {
			continue
		}
		counts[i] = uint64(len(b))
		at, known := t.shared[unsafe.SliceData(b)]
		if !known || !t.share {
			t.even()
			at = t.at
			t.shared[unsafe.SliceData(b)] = at
			t.put(b)
		}
		offsets[i] = at
	}
	first := uint16(324)
	if p.strips {
		first = 273
	}
	second := first + 1
	if p.strips {
		second = 279
	}
	tags := append(slices.Clone(p.tags), tiffTag{id: first, numbers: offsets, offset: true}, tiffTag{id: second, numbers: counts, wide: true})
	if subs != nil {
		tags = append(tags, tiffTag{id: 330, numbers: subs, offset: true})
	}
	slices.SortFunc(tags, func(a, b tiffTag) int { return int(a.id) - int(b.id) })
	t.directory(p, tags, next)
}

// directory writes the values that do not fit into entries, then the entries.
func (t *tiffWriter) directory(p *tiffPage, tags []tiffTag, next uint64) {
	o := t.order()
	inline := 4
	if t.big {
		inline = 8
	}
	var entries []byte
	for _, tag := range tags {
		kind, count, value := t.value(tag)
		entries = o.AppendUint16(o.AppendUint16(entries, tag.id), kind)
		entries = t.word(entries, count)
		if len(value) <= inline {
			entries = append(entries, value...)
			entries = append(entries, make([]byte, inline-len(value))...)
			continue
		}
		t.even()
		entries = t.word(entries, t.at)
		t.put(value)
	}
	t.even()
	p.at = t.at
	var count []byte
	if t.big {
		count = o.AppendUint64(nil, uint64(len(tags)))
	} else {
		count = o.AppendUint16(nil, uint16(len(tags)))
	}
	t.put(t.word(append(count, entries...), next))
}

// word appends an offset or a count.
func (t *tiffWriter) word(b []byte, v uint64) []byte {
	if t.big {
		return t.order().AppendUint64(b, v)
	}
	return t.order().AppendUint32(b, uint32(v))
}

// value gives type, count and bytes of a tag.
func (t *tiffWriter) value(tag tiffTag) (kind uint16, count uint64, b []byte) {
	o := t.order()
	switch {
	case tag.text != "":
		return tiffASCII, uint64(len(tag.text) + 1), append([]byte(tag.text), 0)
	case tag.raw != nil:
		kind = tiffUndefined
		if tag.id == 700 {
			kind = tiffByte
		}
		return kind, uint64(len(tag.raw)), tag.raw
	case tag.fraction != [2]uint32{}:
		return tiffRational, 1, o.AppendUint32(o.AppendUint32(nil, tag.fraction[0]), tag.fraction[1])
	}
	for _, v := range tag.numbers {
		switch {
		case tag.offset && t.big:
			kind, b = tiffLong8, o.AppendUint64(b, v)
		case tag.offset || tag.wide:
			kind, b = tiffLong, o.AppendUint32(b, uint32(v))
		default:
			kind, b = tiffShort, o.AppendUint16(b, uint16(v))
		}
	}
	return kind, uint64(len(tag.numbers)), b
}
