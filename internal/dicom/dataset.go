package dicom

import (
	"encoding/binary"
	"iter"
	"math"
	"strconv"
	"strings"
)

// An entry is one element or item as a document holds it: 32 bytes, so that the
// positions of a hundred thousand tiles stay small.
type entry struct {
	tag   Tag
	vr    vr
	flags uint8
	val   uint32 // where the value begins in document.bytes; of a sequence, its number of items
	n     uint32 // bytes of the value, or undefined
	end   uint32 // index of the first entry after this one and all within it
	off   int64  // of the value in the object
}

const (
	flagKept      uint8 = 1 << iota // the value is in document.bytes
	flagBig                         // big endian
	flagSequence                    // items follow
	flagItem                        // elements follow
	flagFragments                   // encapsulated pixel data
)

// A document holds the elements of one object, a tree laid flat.
type document struct {
	bytes    []byte
	entries  []entry
	fallback string // character set of an object that names none
}

func (d *document) root() *Dataset { return &Dataset{doc: d} }

// A Dataset is the elements of an object, or of one item of a sequence, in the
// order in which they were read. It may be read from many goroutines.
type Dataset struct {
	doc      *document
	from, to uint32
	outer    *Dataset // for the character set, which an item inherits
}

// An Element is one attribute as it was read.
type Element struct {
	Tag    Tag
	VR     string // as declared, or from the dictionary in implicit VR
	Length int64  // bytes of the value; -1 when a delimiter ends it
	Offset int64  // of the value in the object
	// Value is the bytes as read, in the byte order of the object. It is nil for
	// a sequence, for pixels, and for a value over Limits.Value. It must not be
	// changed.
	Value []byte
	// BigEndian tells the byte order of Value.
	BigEndian bool

	index uint32
	vr    vr
	flags uint8
}

func (d *Dataset) element(i uint32) Element {
	e := &d.doc.entries[i]
	x := Element{Tag: e.tag, VR: e.vr.String(), Length: int64(e.n), Offset: e.off,
		BigEndian: e.flags&flagBig != 0, index: i, vr: e.vr, flags: e.flags}
	if e.n == undefined && e.flags&flagKept == 0 {
		x.Length = -1
	}
	if e.flags&flagKept != 0 {
		x.Value = d.doc.bytes[e.val : e.val+e.n : e.val+e.n]
	}
	return x
}

// find gives the index of the first entry with a tag.
func (d *Dataset) find(t Tag) (uint32, bool) {
	for i := d.from; i < d.to; i = d.doc.entries[i].end {
		if d.doc.entries[i].tag == t {
			return i, true
		}
	}
	return 0, false
}

// Find gives the element with a tag; the first, if a sender wrote it twice.
func (d *Dataset) Find(t Tag) (Element, bool) {
	i, ok := d.find(t)
	if !ok {
		return Element{}, false
	}
	return d.element(i), true
}

// Has reports whether there is an element with a tag, be it empty.
func (d *Dataset) Has(t Tag) bool {
	_, ok := d.find(t)
	return ok
}

// Len is the number of elements.
func (d *Dataset) Len() int {
	n := 0
	for i := d.from; i < d.to; i = d.doc.entries[i].end {
		n++
	}
	return n
}

// All gives the elements in order.
func (d *Dataset) All() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for i := d.from; i < d.to; i = d.doc.entries[i].end {
			if !yield(d.element(i)) {
				return
			}
		}
	}
}

// Each gives the items of a sequence in order, without holding them all. It gives
// none when there is no such sequence.
func (d *Dataset) Each(t Tag) iter.Seq[*Dataset] {
	return func(yield func(*Dataset) bool) {
		if i, ok := d.find(t); ok {
			d.items(i)(yield)
		}
	}
}

// items gives the items of the sequence at index i.
func (d *Dataset) items(i uint32) iter.Seq[*Dataset] {
	return func(yield func(*Dataset) bool) {
		if d.doc.entries[i].flags&flagSequence == 0 {
			return
		}
		stop := d.doc.entries[i].end
		for i := i + 1; i < stop; i = d.doc.entries[i].end {
			if !yield(&Dataset{doc: d.doc, from: i + 1, to: d.doc.entries[i].end, outer: d}) {
				return
			}
		}
	}
}

// Items gives the items of a sequence.
func (d *Dataset) Items(t Tag) []*Dataset {
	i, ok := d.find(t)
	if !ok || d.doc.entries[i].flags&flagSequence == 0 {
		return nil
	}
	items := make([]*Dataset, 0, d.doc.entries[i].val)
	for item := range d.items(i) {
		items = append(items, item)
	}
	return items
}

// Item gives the first item of a sequence, or an empty data set, so that paths
// can be walked without a test at each step.
func (d *Dataset) Item(t Tag) *Dataset {
	for item := range d.Each(t) {
		return item
	}
	return &Dataset{doc: d.doc, outer: d}
}

// meaning is the VR to read a value by: UN gives way to the dictionary.
func (e Element) meaning(signed bool) vr {
	if e.vr == vrUN {
		return implicitVR(e.Tag, signed)
	}
	return e.vr
}

// Texts gives the values of a text element in UTF-8, without padding. Values of
// another kind are written as text, so that what a device wrote under a wrong VR
// can still be read.
func (d *Dataset) Texts(t Tag) []string {
	e, ok := d.Find(t)
	if !ok || len(e.Value) == 0 {
		return nil
	}
	return d.texts(e)
}

func (d *Dataset) texts(e Element) []string {
	v := e.meaning(false)
	if !v.text() && v.width() > 0 && v != vrOW {
		var out []string
		for _, n := range d.numbers(e, -1) {
			out = append(out, strconv.FormatFloat(n, 'g', -1, 64))
		}
		return out
	}
	var s string
	if v.localized() || v == vrUN {
		s = d.charset().Decode(e.Value, v.ends())
	} else {
		s = ascii(e.Value)
	}
	if v.single() {
		return []string{strings.TrimRight(s, " \x00")}
	}
	values := strings.Split(s, `\`)
	for i, x := range values {
		values[i] = strings.Trim(x, " \x00\r\n\t")
	}
	return values
}

// Text gives the first value of a text element in UTF-8 without padding, or the
// empty string.
func (d *Dataset) Text(t Tag) string {
	if v := d.Texts(t); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Int gives the first value of a number element when it is a whole number,
// written in digits or in binary.
func (d *Dataset) Int(t Tag) (int, bool) {
	f, ok := d.Float(t)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int(f), true
}

// Ints gives all values of a number element; none when one is not whole.
func (d *Dataset) Ints(t Tag) []int {
	var out []int
	for _, f := range d.Floats(t) {
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil
		}
		out = append(out, int(f))
	}
	return out
}

// Float gives the first value of a number element, which is finite.
func (d *Dataset) Float(t Tag) (float64, bool) {
	e, ok := d.Find(t)
	if !ok || len(e.Value) == 0 {
		return 0, false
	}
	if v := d.numbers(e, 1); len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// Floats gives all values of a number element; none when one of them is no
// finite number.
func (d *Dataset) Floats(t Tag) []float64 {
	e, ok := d.Find(t)
	if !ok || len(e.Value) == 0 {
		return nil
	}
	return d.numbers(e, -1)
}

// numbers reads the first values of an element, or all when most is negative.
func (d *Dataset) numbers(e Element, most int) []float64 {
	v := e.meaning(false)
	if v.text() {
		return decimals(ascii(e.Value), most)
	}
	w := v.width()
	if w == 0 {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if e.BigEndian {
		order = binary.BigEndian
	}
	out := make([]float64, 0, min(len(e.Value)/w, max(most, 16)))
	for b := e.Value; len(b) >= w && len(out) != most; b = b[w:] {
		f := number(b, v, order)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
		out = append(out, f)
	}
	return out
}

// number reads one binary value.
func number(b []byte, v vr, order binary.ByteOrder) float64 {
	switch v {
	case vrSS:
		return float64(int16(order.Uint16(b)))
	case vrSL:
		return float64(int32(order.Uint32(b)))
	case vrUL, vrOL, vrAT:
		return float64(order.Uint32(b))
	case vrFL, vrOF:
		return float64(math.Float32frombits(order.Uint32(b)))
	case vrFD, vrOD:
		return math.Float64frombits(order.Uint64(b))
	case vrSV:
		return float64(int64(order.Uint64(b)))
	case vrUV, vrOV:
		return float64(order.Uint64(b))
	}
	return float64(order.Uint16(b)) // US, OW
}

// decimals reads the first values of IS and DS text, or all when most is
// negative; none when one of them is no finite number.
func decimals(s string, most int) []float64 {
	var out []float64
	for x := range strings.SplitSeq(s, `\`) {
		if len(out) == most {
			break
		}
		x = strings.Trim(x, " \x00\r\n\t")
		if strings.ContainsFunc(x, func(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) }) {
			return nil
		}
		f, err := strconv.ParseFloat(x, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil
		}
		out = append(out, f)
	}
	return out
}

// ascii reads text that has no character set. A byte above 127 has no meaning
// there and becomes U+FFFD.
func ascii(b []byte) string {
	for _, c := range b {
		if c >= 0x80 {
			return strings.ToValidUTF8(string(b), "\uFFFD")
		}
	}
	return string(b)
}
