package dicom

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"varde/study"
)

func float32bits(f float64) uint32 { return math.Float32bits(float32(f)) }
func float64bits(f float64) uint64 { return math.Float64bits(f) }

// itemStart begins an item. Like its end it has no VR, PS3.5 §7.5.
const itemStart Tag = 0xFFFEE000

// Encode writes the object as a Part 10 file (PS3.10 §7), tags in order. The same
// object gives the same bytes. All faults that its making met come out together.
func (o *Object) Encode() ([]byte, error) {
	if err := o.faults(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", ClassName(o.class), err)
	}
	for _, u := range []study.UID{o.class, o.instance, o.syntax} {
		if _, err := study.ParseUID(string(u)); err != nil {
			return nil, fmt.Errorf("encode %s: %w", ClassName(o.class), err)
		}
	}
	o.Set(SpecificCharacterSet, "ISO_IR 192")
	w := writer{b: Prefix(o.class, o.instance, o.syntax, "")}
	pixels := o.pixels == nil && o.frames == nil // written, or there are none
	for _, a := range o.attributes {
		if !pixels && a.tag > PixelData {
			o.appendPixels(&w)
			pixels = true
		}
		w.element(a)
	}
	if !pixels {
		o.appendPixels(&w)
	}
	if w.err != nil {
		return nil, fmt.Errorf("encode %s: %w", ClassName(o.class), w.err)
	}
	return w.b, nil
}

// DataSet writes the item as a bare data set, tags in order, in Explicit or
// Implicit VR Little Endian: an identifier, or what goes with an N-service. Its
// character set is what the caller has set. All faults come out together.
func (i *Item) DataSet(ts study.UID) ([]byte, error) {
	if ts != ExplicitLE && ts != ImplicitLE {
		return nil, fmt.Errorf("write data set in %s: %w", TransferSyntaxName(ts), study.ErrUnsupported)
	}
	if err := i.faults(); err != nil {
		return nil, fmt.Errorf("write data set: %w", err)
	}
	w := writer{implicit: ts == ImplicitLE}
	w.item(i)
	if w.err != nil {
		return nil, fmt.Errorf("write data set: %w", w.err)
	}
	return w.b, nil
}

// A writer appends elements in little endian. Values were judged, and padded,
// when they were set.
type writer struct {
	b        []byte
	implicit bool
	err      error // the first fault
}

func (w *writer) item(i *Item) {
	for _, a := range i.attributes {
		w.element(a)
	}
}

func (w *writer) element(a attribute) {
	if a.vr == vrSQ {
		items, _ := a.value.([]*Item)
		w.header(a.tag, a.vr, undefined)
		for _, i := range items {
			w.delimiter(itemStart, undefined)
			w.item(i)
			w.delimiter(ItemDelimitationItem, 0)
		}
		w.delimiter(SequenceDelimitationItem, 0)
		return
	}
	value, err := a.bytes()
	if err == nil && (!a.vr.long() && len(value) > maxShort || len(value) > math.MaxUint32-1) {
		err = fmt.Errorf("%d bytes in VR %v: %w", len(value), a.vr, study.ErrInvalid)
	}
	if err != nil {
		if w.err == nil {
			w.err = fmt.Errorf("%v %s: %w", a.tag, a.tag.Keyword(), err)
		}
		return
	}
	w.header(a.tag, a.vr, uint32(len(value)))
	w.b = append(w.b, value...)
}

// bytes gives the value as it lies in the file, of even length.
func (a attribute) bytes() ([]byte, error) {
	var b []byte
	switch x := a.value.(type) {
	case nil:
	case []string:
		for i, s := range x {
			if i > 0 {
				b = append(b, '\\')
			}
			b = append(b, s...)
		}
	case []int:
		for _, n := range x {
			if a.vr.width() == 4 && a.vr != vrAT {
				b = binary.LittleEndian.AppendUint32(b, uint32(n))
			} else { // AT has its group and its element
				b = binary.LittleEndian.AppendUint16(b, uint16(n))
			}
		}
	case []float64:
		b = floats(a.vr, x)
	case []byte:
		b = slices.Clip(x)
	default:
		return nil, fmt.Errorf("%T in VR %v: %w", x, a.vr, study.ErrInvalid)
	}
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	return b, nil
}

func (w *writer) tag(t Tag) {
	w.b = binary.LittleEndian.AppendUint16(w.b, t.Group())
	w.b = binary.LittleEndian.AppendUint16(w.b, t.Element())
}

// header writes tag, VR and length, PS3.5 §7.1.
func (w *writer) header(t Tag, v vr, length uint32) {
	w.tag(t)
	switch {
	case w.implicit:
	case v.long():
		w.b = append(w.b, byte(v>>8), byte(v), 0, 0)
	default:
		w.b = append(w.b, byte(v>>8), byte(v))
		w.b = binary.LittleEndian.AppendUint16(w.b, uint16(length))
		return
	}
	w.b = binary.LittleEndian.AppendUint32(w.b, length)
}

func (w *writer) delimiter(t Tag, length uint32) {
	w.tag(t)
	w.b = binary.LittleEndian.AppendUint32(w.b, length)
}

// appendPixels writes the pixel data: native, or encapsulated with a Basic
// Offset Table, PS3.5 §A.4.
func (o *Object) appendPixels(w *writer) {
	allocated, _ := o.get(BitsAllocated)
	v := vrOW
	if bits, _ := allocated.value.([]int); o.frames != nil || len(bits) == 1 && bits[0] <= 8 {
		v = vrOB // PS3.5 §A.2 and §A.4
	}
	if o.frames == nil {
		w.element(attribute{PixelData, v, o.pixels})
		return
	}
	w.header(PixelData, v, undefined)
	w.delimiter(itemStart, uint32(4*len(o.frames)))
	at := uint32(0)
	for _, f := range o.frames {
		w.b = binary.LittleEndian.AppendUint32(w.b, at)
		at += 8 + uint32(len(f))
	}
	for _, f := range o.frames {
		w.delimiter(itemStart, uint32(len(f)))
		w.b = append(w.b, f...)
	}
	w.delimiter(SequenceDelimitationItem, 0)
}
