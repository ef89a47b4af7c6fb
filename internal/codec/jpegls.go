package codec

import (
	"encoding/binary"
	"fmt"

	"varde/internal/codec/jpeg"
	"varde/study"
)

// The markers of a JPEG-LS codestream beside those of JPEG, ITU-T T.87 table C.1,
// and that of a color transform which HP's encoder and its heirs write.
const (
	lSOF  = 0xf7
	lAPP8 = 0xe8
)

// A jlsHeader is what stands before the first scan.
type jlsHeader struct {
	width, height int
	components    int
	precision     int
	transform     bool // the library undoes it: what comes out is RGB
}

// decodeJLS has CharLS decode JPEG-LS, lossless or not.
func decodeJLS(_ Options, img study.Image, frame []byte) (Frame, error) {
	stream, err := ended("JPEG-LS", frame)
	if err != nil {
		return Frame{}, err
	}
	h, err := readJLS(stream)
	if err != nil {
		return Frame{}, err
	}
	if err := depth("JPEG-LS", img, h.precision); err != nil {
		return Frame{}, err
	}
	if err := matches("JPEG-LS", img, h.width, h.height, h.components); err != nil {
		return Frame{}, err
	}
	// A line of a component takes at least one bit.
	if h.height*h.components > 8*len(stream) {
		return Frame{}, fmt.Errorf("JPEG-LS of %d bytes for %d lines: %w", len(stream), h.height, study.ErrInvalid)
	}
	if err := plausible("JPEG-LS", h.width*h.height*h.components, len(stream)); err != nil {
		return Frame{}, err
	}
	f := plain(img)
	f.Rows, f.Columns = h.height, h.width
	if h.transform {
		f.Color = RGB
	}
	q := request{
		Library: libCharLS, Columns: uint32(h.width), Rows: uint32(h.height), Components: uint32(h.components),
		Precision: uint32(h.precision), Bits: 8, MemoryMiB: jlsFixedMiB,
	}
	if h.precision > 8 {
		q.Bits = 16
	}
	q.MemoryMiB += uint32((q.size() + int64(len(stream))) >> 20)
	data, planes, name, err := children().decode(q, stream)
	if err != nil {
		return Frame{}, err
	}
	width := int(q.Bits / 8)
	if planes {
		pixels := make([]byte, len(data))
		interleave(pixels, data, h.width*h.height, h.components, width)
		data = pixels
	}
	if width < f.Bits/8 {
		data = widen(data)
	}
	clean(data, img)
	f.Data, f.Decoder = data, name
	return f, nil
}

// jlsFixedMiB is what CharLS allocates beside the samples: a few lines of them.
const jlsFixedMiB = 32

// widen makes 16 bits of 8.
func widen(b []byte) []byte {
	out := make([]byte, 2*len(b))
	for i, v := range b {
		out[2*i] = v
	}
	return out
}

// readJLS reads a codestream up to its first scan, T.87 §C.
func readJLS(b []byte) (*jlsHeader, error) {
	if len(b) < 4 || b[0] != 0xff || b[1] != jpeg.SOI {
		return nil, fmt.Errorf("frame does not begin as a JPEG-LS codestream: %w", study.ErrInvalid)
	}
	h := &jlsHeader{}
	for at := 2; ; {
		marker, p, next, err := jpeg.Segment(b, at)
		if err != nil {
			return nil, err
		}
		switch {
		case marker == jpeg.SOS && h.width == 0:
			return nil, fmt.Errorf("JPEG-LS scan without a frame header: %w", study.ErrInvalid)
		case marker == jpeg.SOS:
			return h, nil
		case marker == lSOF && h.width > 0:
			return nil, fmt.Errorf("JPEG-LS codestream of two frames: %w", study.ErrInvalid)
		case marker == lSOF:
			if err := h.readFrame(p); err != nil {
				return nil, err
			}
		case marker == lAPP8:
			h.transform = h.transform || len(p) == 5 && string(p[:4]) == "mrfx" && p[4] != 0
		case marker >= jpeg.SOF0 && marker <= 0xcf && marker != jpeg.DHT:
			return nil, fmt.Errorf("JPEG process SOF%d in a JPEG-LS transfer syntax: %w", marker-jpeg.SOF0, study.ErrInvalid)
		case marker <= 1, marker >= jpeg.RST0 && marker <= jpeg.EOI:
			return nil, fmt.Errorf("JPEG-LS marker %02x before the first scan: %w", marker, study.ErrInvalid)
		}
		at = next
	}
}

// readFrame reads the frame header, T.87 §C.2.2.
func (h *jlsHeader) readFrame(p []byte) error {
	if len(p) < 6 || len(p) != 6+3*int(p[5]) {
		return fmt.Errorf("JPEG-LS frame header of %d bytes: %w", len(p), study.ErrInvalid)
	}
	h.precision, h.components = int(p[0]), int(p[5])
	h.height, h.width = int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:]))
	if h.width == 0 || h.height == 0 || h.precision < 2 || h.precision > 16 || h.components == 0 {
		return fmt.Errorf("JPEG-LS of %d×%d pixels in %d components of %d bits: %w", h.width, h.height, h.components, h.precision, study.ErrInvalid)
	}
	for c := p[6:]; len(c) > 0; c = c[3:] {
		if c[1] != 0x11 {
			return fmt.Errorf("JPEG-LS component of sampling %02x: %w", c[1], study.ErrUnsupported)
		}
	}
	return nil
}
