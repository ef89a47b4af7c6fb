package codec

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// rleHeader is the length of the header of an RLE frame, PS3.5 §G.5.
const rleHeader = 64

// decodeRLE decodes a frame of RLE Lossless, PS3.5 §G: a segment for each byte
// of each sample, the most significant byte first.
func decodeRLE(_ Options, img study.Image, frame []byte) (Frame, error) {
	f := plain(img)
	width := img.BitsAllocated / 8
	if width == 0 {
		return f, fmt.Errorf("RLE frame of %d bits allocated: %w", img.BitsAllocated, study.ErrInvalid)
	}
	segments, err := rleSegments(frame, img.Samples*width)
	if err != nil {
		return f, err
	}
	pixels, step := img.Rows*img.Columns, img.Samples*width
	for i, s := range segments {
		// A pair of bytes repeats one byte at most 128 times.
		if int64(pixels) > 64*int64(len(s)) {
			return f, fmt.Errorf("RLE segment %d of %d bytes for %d pixels: %w", i+1, len(s), pixels, study.ErrInvalid)
		}
	}
	f.Data = make([]byte, pixels*step)
	for i, s := range segments {
		at := i/width*width + width - 1 - i%width
		if n := unpackRun(f.Data[at:], s, pixels, step); n < pixels {
			return f, fmt.Errorf("RLE segment %d ends after %d of %d pixels: %w", i+1, n, pixels, study.ErrInvalid)
		}
	}
	clean(f.Data, img)
	return f, nil
}

// rleSegments cuts a frame into the want segments that its header names.
func rleSegments(frame []byte, want int) ([][]byte, error) {
	if len(frame) < rleHeader {
		return nil, fmt.Errorf("RLE frame of %d bytes: %w", len(frame), study.ErrInvalid)
	}
	if n := binary.LittleEndian.Uint32(frame); n != uint32(want) {
		return nil, fmt.Errorf("RLE frame of %d segments where %d are needed: %w", n, want, study.ErrInvalid)
	}
	segments := make([][]byte, want)
	end := uint32(len(frame))
	for i := want - 1; i >= 0; i-- {
		at := binary.LittleEndian.Uint32(frame[4+4*i:])
		if at < rleHeader || at > end {
			return nil, fmt.Errorf("RLE segment %d begins at byte %d of %d: %w", i+1, at, end, study.ErrInvalid)
		}
		segments[i], end = frame[at:end], at
	}
	return segments, nil
}

// unpackRun writes the bytes of one segment to every step-th byte of dst, at
// most want of them, and gives how many there were.
func unpackRun(dst, src []byte, want, step int) int {
	n := 0
	for o := 0; n < want && len(src) > 0; {
		switch c := int(int8(src[0])); {
		case c >= 0:
			run := min(c+1, want-n, len(src)-1)
			for _, v := range src[1 : 1+run] {
				dst[o] = v
				o += step
			}
			n += run
			src = src[min(c+2, len(src)):]
		case c == -128:
			src = src[1:]
		default:
			if len(src) < 2 {
				return n
			}
			run := min(1-c, want-n)
			for range run {
				dst[o] = src[1]
				o += step
			}
			n += run
			src = src[2:]
		}
	}
	return n
}
