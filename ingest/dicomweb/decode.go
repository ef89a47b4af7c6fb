package dicomweb

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

// decode gives the samples of one frame, counted from 0.
func (s *Service) decode(ctx context.Context, in study.Instance, n int) (codec.Frame, error) {
	if in.Image == nil {
		return codec.Frame{}, fmt.Errorf("no pixels: %w", study.ErrUnsupported)
	}
	index, err := s.Catalog.Frames(ctx, in.UID)
	if err != nil {
		return codec.Frame{}, err
	}
	if index.Len() == 0 {
		return codec.Frame{}, fmt.Errorf("no frames that can be addressed: %w", study.ErrNotFound)
	}
	f, err := codec.ReadFrame(ctx, s.Objects, in, index, n)
	if err != nil {
		return f, err
	}
	if len(f.Data) != f.Rows*f.Columns*f.Samples*f.Bits/8 {
		return f, fmt.Errorf("%d bytes of %d×%d pixels: %w", len(f.Data), f.Columns, f.Rows, study.ErrInvalid)
	}
	return f, nil
}

// decoded opens a frame as native pixels, little-endian, samples by plane where
// the object says so. Of color that a codec keeps as luminance and differences
// it is red, green and blue, as every decompressor gives it.
func (s *Service) decoded(ctx context.Context, in study.Instance, n int) (io.ReadCloser, error) {
	select {
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, err := s.decode(ctx, in, n)
	if err != nil {
		return nil, fmt.Errorf("frame %d of instance %s: %w", n+1, in.UID, err)
	}
	if f.Bits != in.Image.BitsAllocated {
		return nil, fmt.Errorf("frame %d of instance %s: samples of %d bits are kept in %d: %w", n+1, in.UID,
			f.Bits, in.Image.BitsAllocated, study.ErrUnsupported)
	}
	data := f.Data
	if f.Color == codec.YBR && f.Bits == 8 && in.TransferSyntax != dicom.RLE && dicom.Encapsulated(in.TransferSyntax) {
		if data, err = f.RGB(); err != nil {
			return nil, fmt.Errorf("colors of frame %d of instance %s: %w", n+1, in.UID, err)
		}
	}
	if in.Image.Planar == 1 && f.Samples > 1 {
		data = byPlane(data, f.Samples, f.Bits/8)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// byPlane takes interleaved samples of some bytes each apart.
func byPlane(data []byte, samples, size int) []byte {
	out := make([]byte, 0, len(data))
	for plane := range samples {
		for at := plane * size; at+size <= len(data); at += samples * size {
			out = append(out, data[at:at+size]...)
		}
	}
	return out
}

// palette gives the colors of a frame of indices, PS3.3 §C.7.6.3.1.5 and 6. Tables
// in segments are not read.
func (s *Service) palette(ctx context.Context, in study.Instance, f codec.Frame) ([]byte, error) {
	h, err := s.header(ctx, in)
	if err != nil {
		return nil, err
	}
	var tables [3]colorTable
	for i := range tables {
		if tables[i], err = s.colorTable(ctx, in, h, dicom.Tag(i)); err != nil {
			return nil, err
		}
	}
	n := f.Rows * f.Columns
	out := make([]byte, 3*n)
	for i := range n {
		v := 0
		switch {
		case f.Bits == 8 && f.Signed:
			v = int(int8(f.Data[i]))
		case f.Bits == 8:
			v = int(f.Data[i])
		case f.Bits == 16 && f.Signed:
			v = int(int16(binary.LittleEndian.Uint16(f.Data[2*i:])))
		case f.Bits == 16:
			v = int(binary.LittleEndian.Uint16(f.Data[2*i:]))
		default:
			return nil, fmt.Errorf("palette indices of %d bits: %w", f.Bits, study.ErrUnsupported)
		}
		for c, t := range tables {
			out[3*i+c] = t.color[min(max(v-t.first, 0), len(t.color)-1)]
		}
	}
	return out, nil
}

// A colorTable maps indices from first on to 8 bits of one color.
type colorTable struct {
	first int
	color []byte
}

// colorTable reads the table of color 0, 1 or 2.
func (s *Service) colorTable(ctx context.Context, in study.Instance, h *dicom.Header, color dicom.Tag) (colorTable, error) {
	fail := func(why string) (colorTable, error) {
		return colorTable{}, fmt.Errorf("palette of color %d: %s: %w", color, why, study.ErrUnsupported)
	}
	descriptor, ok := h.Data.Find(dicom.RedPaletteColorLookupTableDescriptor + color)
	if !ok || len(descriptor.Value) < 6 {
		return fail("no descriptor")
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if descriptor.BigEndian {
		order = binary.BigEndian
	}
	n, bits := int(order.Uint16(descriptor.Value)), int(order.Uint16(descriptor.Value[4:]))
	if n == 0 {
		n = 1 << 16
	}
	t := colorTable{first: int(order.Uint16(descriptor.Value[2:]))}
	if in.Image.Signed {
		t.first = int(int16(t.first))
	}
	e, ok := h.Data.Find(dicom.RedPaletteColorLookupTableData + color)
	if !ok || e.Length < 0 || e.Length > 4<<16 {
		return fail("no table that is written out")
	}
	data := e.Value
	if data == nil && e.Length > 0 {
		body, err := s.stored(ctx, in, e.Offset, e.Length)
		if err != nil {
			return t, err
		}
		defer body.Close()
		if data, err = io.ReadAll(body); err != nil {
			return t, err
		}
	}
	switch {
	case len(data) >= 2*n:
		shift := 0
		if bits == 16 {
			shift = 8
		}
		t.color = make([]byte, n)
		for i := range t.color {
			t.color[i] = byte(order.Uint16(data[2*i:]) >> shift)
		}
	case bits == 8 && len(data) >= n: // two entries in each word
		t.color = data[:n]
	default:
		return fail("a table that ends early")
	}
	return t, nil
}
