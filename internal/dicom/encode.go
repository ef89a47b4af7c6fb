package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/frame"
	"github.com/suyashkumar/dicom/pkg/tag"

	"varde/study"
)

func float32bits(f float64) uint32 { return math.Float32bits(float32(f)) }
func float64bits(f float64) uint64 { return math.Float64bits(f) }

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
	all, err := o.elements()
	if err == nil {
		all, err = o.withPixels(all)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", ClassName(o.class), err)
	}
	// The library judges VRs and kinds by its dictionary; here they were judged
	// when they were set. Its own file meta information knows no transfer syntax
	// of the last ten years, so ours goes before.
	b := bytes.NewBuffer(Prefix(o.class, o.instance, o.syntax, ""))
	w, err := lib.NewWriter(b, lib.SkipVRVerification(), lib.SkipValueTypeVerification())
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", ClassName(o.class), err)
	}
	w.SetTransferSyntax(binary.LittleEndian, false)
	for _, e := range all {
		if err := w.WriteElement(e); err != nil {
			return nil, fmt.Errorf("encode %s: %w", ClassName(o.class), err)
		}
	}
	return b.Bytes(), nil
}

// elements turns a data set into the library's.
func (i *Item) elements() ([]*lib.Element, error) {
	out := make([]*lib.Element, 0, len(i.attributes))
	for _, a := range i.attributes {
		e, err := a.element()
		if err != nil {
			return nil, fmt.Errorf("%v %s: %w", a.tag, a.tag.Keyword(), err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (a attribute) element() (*lib.Element, error) {
	value := a.value
	switch x := value.(type) {
	case []*Item:
		items := make([][]*lib.Element, len(x))
		for k, i := range x {
			var err error
			if items[k], err = i.elements(); err != nil {
				return nil, fmt.Errorf("item %d: %w", k+1, err)
			}
		}
		value = items
	case []byte:
		// The one way past the library's judgment that takes bytes as they are.
		value = lib.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: x}
	}
	return element(a.tag, a.vr, value, 0)
}

func element(t Tag, v vr, value any, length uint32) (*lib.Element, error) {
	x, err := lib.NewValue(value)
	if err != nil {
		return nil, err
	}
	lt := tag.Tag{Group: t.Group(), Element: t.Element()}
	return &lib.Element{Tag: lt, ValueRepresentation: tag.GetVRKind(lt, v.String()),
		RawValueRepresentation: v.String(), ValueLength: length, Value: x}, nil
}

// withPixels adds the pixel data, which belongs after group 7FDF and before FFFA.
func (o *Object) withPixels(all []*lib.Element) ([]*lib.Element, error) {
	if o.pixels == nil && o.frames == nil {
		return all, nil
	}
	v, length := vrOW, uint32(0)
	if o.pixels != nil && len(o.pixels) > math.MaxInt32 {
		return nil, fmt.Errorf("%d bytes of native pixel data: %w", len(o.pixels), study.ErrInvalid)
	}
	allocated, _ := o.get(BitsAllocated)
	if bits, _ := allocated.value.([]int); o.frames != nil || len(bits) == 1 && bits[0] <= 8 {
		v = vrOB // PS3.5 §A.2 and §A.4
	}
	info := lib.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: o.pixels}
	if o.frames != nil {
		length = tag.VLUndefinedLength
		info = lib.PixelDataInfo{IsEncapsulated: true}
		at := uint32(0)
		for _, f := range o.frames {
			info.Offsets = append(info.Offsets, at)
			info.Frames = append(info.Frames, &frame.Frame{Encapsulated: true, EncapsulatedData: frame.EncapsulatedFrame{Data: f}})
			at += 8 + uint32(len(f))
		}
	}
	e, err := element(PixelData, v, info, length)
	if err != nil {
		return nil, err
	}
	for k := range all {
		if all[k].Tag.Uint32() > uint32(PixelData) {
			return append(all[:k:k], append([]*lib.Element{e}, all[k:]...)...), nil
		}
	}
	return append(all, e), nil
}
