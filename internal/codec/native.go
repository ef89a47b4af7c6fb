package codec

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// native decodes uncompressed samples in little-endian order, PS3.5 §8.1.1.
func native(_ Options, img study.Image, frame []byte) (Frame, error) {
	return samples(img, frame, false, 0)
}

// nativeBig decodes uncompressed samples of the retired big-endian syntax.
func nativeBig(_ Options, img study.Image, frame []byte) (Frame, error) {
	return samples(img, frame, true, 0)
}

// plain is the frame that img describes, without data.
func plain(img study.Image) Frame {
	return Frame{
		Rows: img.Rows, Columns: img.Columns, Samples: img.Samples,
		Bits: max(img.BitsAllocated, 8), Stored: img.BitsStored,
		Signed: img.Signed, Float: img.Float, Color: tagged(img),
	}
}

// samples unpacks the frame that begins at bit first of b.
func samples(img study.Image, b []byte, big bool, first int) (Frame, error) {
	f := plain(img)
	pixels := img.Rows * img.Columns
	n := pixels * img.Samples
	if img.BitsAllocated == 1 {
		if len(b) < (first+n+7)/8 {
			return f, short(len(b), (first+n+7)/8)
		}
		f.Signed, f.Stored = false, 1
		f.Data = unpackBits(b, first, n)
		return f, nil
	}
	width := img.BitsAllocated / 8
	if len(b) < n*width && subsampled(img) {
		return chroma422(f, b)
	}
	if len(b) < n*width {
		return f, short(len(b), n*width)
	}
	b = b[:n*width]
	f.Data = make([]byte, len(b))
	if img.Samples > 1 && img.Planar == 1 {
		interleave(f.Data, b, pixels, img.Samples, width)
	} else {
		copy(f.Data, b)
	}
	if big {
		swap(f.Data, width)
	}
	if !img.Float {
		clean(f.Data, img)
	}
	return f, nil
}

func short(have, want int) error {
	return fmt.Errorf("frame of %d bytes where %d are needed: %w", have, want, study.ErrInvalid)
}

// unpackBits gives a byte for each of the n bits from bit first on, the least
// significant bit of a byte being the first, PS3.5 §8.1.1.
func unpackBits(b []byte, first, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		at := first + i
		out[i] = b[at>>3] >> (at & 7) & 1
	}
	return out
}

// interleave turns planes into pixels.
func interleave(dst, src []byte, pixels, samples, width int) {
	for c := range samples {
		plane := src[c*pixels*width:]
		for i := range pixels {
			copy(dst[(i*samples+c)*width:][:width], plane[i*width:])
		}
	}
}

// swap turns the byte order of each sample.
func swap(b []byte, width int) {
	switch width {
	case 2:
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	case 4:
		for i := 0; i+3 < len(b); i += 4 {
			binary.LittleEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
		}
	}
}

// subsampled reports whether the image may hold one pair of color differences
// for two pixels, PS3.3 §C.7.6.3.1.2.
func subsampled(img study.Image) bool {
	return img.Photometric == "YBR_FULL_422" && img.Samples == 3 && img.BitsAllocated == 8 && img.Columns%2 == 0
}

// chroma422 repeats the color differences of a native YBR_FULL_422 frame, which
// come as Y1 Y2 Cb Cr for two pixels.
func chroma422(f Frame, b []byte) (Frame, error) {
	pixels := f.Rows * f.Columns
	if len(b) < 2*pixels {
		return f, short(len(b), 2*pixels)
	}
	f.Data = make([]byte, 3*pixels)
	for i, o := 0, 0; i < 2*pixels; i, o = i+4, o+6 {
		s, d := b[i:i+4:i+4], f.Data[o:o+6:o+6]
		d[0], d[1], d[2] = s[0], s[2], s[3]
		d[3], d[4], d[5] = s[1], s[2], s[3]
	}
	return f, nil
}

// clean masks the bits above the stored ones, which once held overlays, or
// extends the sign over them; a value that does not end at bit 0 is moved there.
func clean(b []byte, img study.Image) {
	low := uint(img.HighBit + 1 - img.BitsStored)
	up := uint(img.BitsAllocated - img.BitsStored)
	if up == 0 {
		return
	}
	// Up against the top of the sample, then down again: the shift of a signed
	// number brings the sign along.
	left := up - low
	switch {
	case img.BitsAllocated == 8 && img.Signed:
		for i, v := range b {
			b[i] = byte(int8(v<<left) >> up)
		}
	case img.BitsAllocated == 8:
		for i, v := range b {
			b[i] = v << left >> up
		}
	case img.BitsAllocated == 16 && img.Signed:
		for i := 0; i+1 < len(b); i += 2 {
			v := binary.LittleEndian.Uint16(b[i:])
			binary.LittleEndian.PutUint16(b[i:], uint16(int16(v<<left)>>up))
		}
	case img.BitsAllocated == 16:
		for i := 0; i+1 < len(b); i += 2 {
			v := binary.LittleEndian.Uint16(b[i:])
			binary.LittleEndian.PutUint16(b[i:], v<<left>>up)
		}
	case img.Signed:
		for i := 0; i+3 < len(b); i += 4 {
			v := binary.LittleEndian.Uint32(b[i:])
			binary.LittleEndian.PutUint32(b[i:], uint32(int32(v<<left)>>up))
		}
	default:
		for i := 0; i+3 < len(b); i += 4 {
			v := binary.LittleEndian.Uint32(b[i:])
			binary.LittleEndian.PutUint32(b[i:], v<<left>>up)
		}
	}
}
