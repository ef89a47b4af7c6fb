package dicom

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"varde/study"
)

// An Item is a data set of ours under construction: an object's own, or an item
// of one of its sequences. Faults are kept and come out at [Object.Encode], so
// that calls can be chained.
type Item struct {
	attributes []attribute // sorted by tag
	errs       []error
}

// An attribute is one element to be written: text, whole numbers, fractions,
// bytes or items.
type attribute struct {
	tag   Tag
	vr    vr
	value any // []string, []int, []float64, []byte or []*Item
}

// NewItem makes an empty one.
func NewItem() *Item { return &Item{} }

// Set gives an attribute its values, in the VR of PS3.6; with no values it is
// written empty. A value is a string (or a type of strings, such as study.UID),
// an int, a float64, a time.Time for DA, TM and DT, a Tag for AT, or a []byte
// for OB, OW and UN. Setting it again replaces it.
func (i *Item) Set(t Tag, values ...any) *Item {
	vrs := t.VRs()
	if len(vrs) == 0 {
		return i.fail(t, "not in the dictionary; use SetVR")
	}
	v := vrs[0]
	if slices.Contains(vrs, "SS") && slices.ContainsFunc(values, negative) {
		v = "SS"
	}
	return i.SetVR(t, v, values...)
}

func negative(v any) bool { n, ok := v.(int); return ok && n < 0 }

// SetVR is Set with the VR said, for a private attribute or where PS3.6 leaves a
// choice.
func (i *Item) SetVR(t Tag, valueRepresentation string, values ...any) *Item {
	if len(valueRepresentation) != 2 || !makeVR(valueRepresentation).known() {
		return i.fail(t, "no such VR")
	}
	v := makeVR(valueRepresentation)
	if v == vrSQ {
		if len(values) > 0 {
			return i.fail(t, "a sequence; use Seq")
		}
		return i.Seq(t)
	}
	value, err := convert(v, values)
	if err != nil {
		return i.fail(t, err.Error())
	}
	return i.put(attribute{t, v, value})
}

// Seq gives a sequence its items; without items it is written empty.
func (i *Item) Seq(t Tag, items ...*Item) *Item {
	if vrs := t.VRs(); len(vrs) > 0 && vrs[0] != "SQ" {
		return i.fail(t, "not a sequence")
	}
	if slices.Contains(items, nil) {
		return i.fail(t, "a nil item")
	}
	return i.put(attribute{t, vrSQ, slices.Clone(items)})
}

// Append adds items at the end of a sequence.
func (i *Item) Append(t Tag, items ...*Item) *Item {
	if a, ok := i.get(t); ok {
		old, _ := a.value.([]*Item)
		items = append(slices.Clone(old), items...)
	}
	return i.Seq(t, items...)
}

// Has reports whether an attribute is set, be it empty.
func (i *Item) Has(t Tag) bool {
	_, ok := i.get(t)
	return ok
}

// CodeItem makes the item of a code sequence, PS3.3 §8. A value of more than 16
// characters goes where PS3.3 §8.1 wants it.
func CodeItem(c study.Code) *Item {
	i := NewItem().Set(CodingSchemeDesignator, c.Scheme).Set(CodeMeaning, c.Meaning)
	if len(c.Value) > 16 {
		return i.Set(LongCodeValue, c.Value)
	}
	return i.Set(CodeValue, c.Value)
}

func (i *Item) get(t Tag) (attribute, bool) {
	k, ok := slices.BinarySearchFunc(i.attributes, t, byTag)
	if !ok {
		return attribute{}, false
	}
	return i.attributes[k], true
}

func byTag(a attribute, t Tag) int { return cmp.Compare(a.tag, t) }

func (i *Item) put(a attribute) *Item {
	k, ok := slices.BinarySearchFunc(i.attributes, a.tag, byTag)
	if ok {
		i.attributes[k] = a
	} else {
		i.attributes = slices.Insert(i.attributes, k, a)
	}
	return i
}

// fail keeps a fault. It names the tag and the rule, never the value, which may
// be a patient's.
func (i *Item) fail(t Tag, why string) *Item {
	i.errs = append(i.errs, fmt.Errorf("%v %s: %s: %w", t, t.Keyword(), why, study.ErrInvalid))
	return i
}

// faults gives all that was kept, here and below.
func (i *Item) faults() error {
	errs := slices.Clone(i.errs)
	for _, a := range i.attributes {
		items, _ := a.value.([]*Item)
		for _, x := range items {
			if err := x.faults(); err != nil {
				errs = append(errs, fmt.Errorf("in %v %s: %w", a.tag, a.tag.Keyword(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// An Object is a DICOM object of ours under construction. It is written in
// Explicit VR Little Endian and ISO_IR 192 (UTF-8), whatever is set, unless
// Encapsulated gives it another transfer syntax.
type Object struct {
	*Item
	class, instance study.UID
	syntax          study.UID
	pixels          []byte   // native, as they will lie in the file
	frames          [][]byte // encapsulated
}

// NewObject begins an object of a SOP class.
func NewObject(class, instance study.UID) *Object {
	o := &Object{Item: NewItem(), class: class, instance: instance, syntax: ExplicitLE}
	o.Set(SOPClassUID, class).Set(SOPInstanceUID, instance)
	return o
}

// Native gives the object its frames uncompressed: rows × columns pixels of
// samples interleaved, of so many bits stored each in 8, 16 or 32 allocated,
// little endian. With one bit a frame has one byte of 0 or 1 a pixel here, and
// is packed as PS3.5 §8.1.1 wants it: frames run on without padding. Rows,
// Columns, the bit fields, NumberOfFrames (when there is not exactly one frame)
// and, if it is not set yet, PhotometricInterpretation follow from it.
func (o *Object) Native(rows, columns, samples, bits int, signed bool, frames ...[]byte) {
	if rows < 1 || rows > 0xFFFF || columns < 1 || columns > 0xFFFF || samples < 1 || bits < 1 || bits > 32 || len(frames) == 0 {
		o.fail(PixelData, fmt.Sprintf("%d frames of %d × %d pixels of %d samples of %d bits", len(frames), columns, rows, samples, bits))
		return
	}
	allocated := 8
	switch {
	case bits == 1:
		allocated = 1
	case bits > 16:
		allocated = 32
	case bits > 8:
		allocated = 16
	}
	want := rows * columns * samples * max(1, allocated/8)
	o.frames, o.syntax, o.pixels = nil, ExplicitLE, nil
	for n, f := range frames {
		if len(f) != want {
			o.fail(PixelData, fmt.Sprintf("frame %d has %d bytes in place of %d", n+1, len(f), want))
			return
		}
	}
	if allocated == 1 {
		o.pixels = packBits(frames)
	} else {
		o.pixels = slices.Concat(frames...)
	}
	if len(o.pixels)%2 == 1 {
		o.pixels = append(o.pixels, 0)
	}
	o.Set(Rows, rows).Set(Columns, columns).Set(SamplesPerPixel, samples)
	o.Set(BitsAllocated, allocated).Set(BitsStored, bits).Set(HighBit, bits-1)
	representation := 0
	if signed {
		representation = 1
	}
	o.Set(PixelRepresentation, representation)
	if samples > 1 {
		o.Set(PlanarConfiguration, 0)
	}
	if !o.Has(PhotometricInterpretation) {
		o.Set(PhotometricInterpretation, map[bool]string{true: "RGB", false: "MONOCHROME2"}[samples == 3])
	}
	o.countFrames(len(frames))
}

// Packed gives the object frames of one bit a pixel that are packed already, as
// PS3.5 §8.1.1 wants them: the first pixel in the lowest bit, frames running on
// without padding. The attributes follow as in Native.
func (o *Object) Packed(rows, columns, frames int, bits []byte) {
	if rows < 1 || rows > 0xFFFF || columns < 1 || columns > 0xFFFF || frames < 1 || len(bits) != (rows*columns*frames+7)/8 {
		o.fail(PixelData, fmt.Sprintf("%d frames of %d × %d bits in %d bytes", frames, columns, rows, len(bits)))
		return
	}
	o.frames, o.syntax, o.pixels = nil, ExplicitLE, slices.Clone(bits)
	if len(o.pixels)%2 == 1 {
		o.pixels = append(o.pixels, 0)
	}
	o.Set(Rows, rows).Set(Columns, columns).Set(SamplesPerPixel, 1)
	o.Set(BitsAllocated, 1).Set(BitsStored, 1).Set(HighBit, 0).Set(PixelRepresentation, 0)
	if !o.Has(PhotometricInterpretation) {
		o.Set(PhotometricInterpretation, "MONOCHROME2")
	}
	o.countFrames(frames)
}

func (o *Object) countFrames(n int) {
	if n != 1 || o.Has(NumberOfFrames) {
		o.Set(NumberOfFrames, n)
	}
}

// packBits packs pixels of one bit, the first into the lowest bit.
func packBits(frames [][]byte) []byte {
	n := 0
	for _, f := range frames {
		n += len(f)
	}
	out := make([]byte, (n+7)/8)
	k := 0
	for _, f := range frames {
		for _, b := range f {
			if b != 0 {
				out[k/8] |= 1 << (k % 8)
			}
			k++
		}
	}
	return out
}

// Encapsulated gives the object compressed frames in a transfer syntax, one
// fragment each, with a Basic Offset Table (PS3.5 §A.4). The attributes that
// describe the pixels are the caller's; NumberOfFrames follows as in Native.
func (o *Object) Encapsulated(ts study.UID, frames [][]byte) {
	total := 0
	for _, f := range frames {
		total += len(f) + 9
	}
	if native(ts) || len(frames) == 0 || total > 0xFFFFFFFE {
		o.fail(PixelData, fmt.Sprintf("%d frames of %d bytes in %s", len(frames), total, TransferSyntaxName(ts)))
		return
	}
	o.pixels, o.syntax, o.frames = nil, ts, make([][]byte, len(frames))
	for i, f := range frames {
		if len(f)%2 == 1 {
			f = append(slices.Clone(f), 0)
		}
		o.frames[i] = f
	}
	o.countFrames(len(frames))
}

// floats gives fractions as the bytes of OF or OD.
func floats(v vr, values []float64) []byte {
	var b []byte
	for _, f := range values {
		if v.width() == 4 {
			b = binary.LittleEndian.AppendUint32(b, float32bits(f))
		} else {
			b = binary.LittleEndian.AppendUint64(b, float64bits(f))
		}
	}
	return b
}
