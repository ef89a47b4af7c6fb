package codec

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// The markers of a JPEG codestream, ITU-T T.81 table B.1, and of its two common
// wrappers.
const (
	mSOF0  = 0xc0 // baseline
	mSOF1  = 0xc1 // extended sequential, Huffman
	mSOF3  = 0xc3 // lossless, Huffman
	mDHT   = 0xc4
	mRST0  = 0xd0
	mRST7  = 0xd7
	mSOI   = 0xd8
	mEOI   = 0xd9
	mSOS   = 0xda
	mDQT   = 0xdb
	mDNL   = 0xdc
	mDRI   = 0xdd
	mAPP0  = 0xe0 // JFIF
	mAPP14 = 0xee // Adobe
)

// A component as the frame header describes it.
type component struct {
	id     byte
	h, v   int // sampling factors
	table  int // quantization
	width  int // samples that count
	height int
}

// A jpegHeader is what stands before the first scan.
type jpegHeader struct {
	process       byte // SOF0, SOF1 or SOF3
	precision     int  // bits of a sample
	width, height int
	components    []component
	hMax, vMax    int
	jfif          bool
	adobe         bool
	transform     byte
	wrappers      [][2]int // where APP0 and APP14 stand, from their FF to their end
	frame         int      // offset of the frame header's FF
}

// segment gives the marker at b[at], which may be preceded by fill bytes, the
// segment's payload, and the offset behind it.
func segment(b []byte, at int) (marker byte, payload []byte, next int, err error) {
	cut := func() (byte, []byte, int, error) {
		return 0, nil, 0, fmt.Errorf("JPEG codestream cut off at byte %d: %w", at, study.ErrInvalid)
	}
	if at+1 >= len(b) {
		return cut()
	}
	if b[at] != 0xff {
		return 0, nil, 0, fmt.Errorf("JPEG codestream without a marker at byte %d: %w", at, study.ErrInvalid)
	}
	for at+1 < len(b) && b[at+1] == 0xff {
		at++
	}
	if at+1 >= len(b) {
		return cut()
	}
	marker, at = b[at+1], at+2
	if marker == mSOI || marker == mEOI || marker >= mRST0 && marker <= mRST7 || marker <= 1 {
		return marker, nil, at, nil
	}
	if at+2 > len(b) {
		return cut()
	}
	n := int(binary.BigEndian.Uint16(b[at:]))
	if n < 2 || at+n > len(b) {
		return cut()
	}
	return marker, b[at+2 : at+n], at + n, nil
}

// readHeader reads a codestream up to its first scan.
func readHeader(b []byte) (*jpegHeader, error) {
	if len(b) < 4 || b[0] != 0xff || b[1] != mSOI {
		return nil, fmt.Errorf("frame does not begin as a JPEG codestream: %w", study.ErrInvalid)
	}
	h := &jpegHeader{}
	for at := 2; ; {
		marker, payload, next, err := segment(b, at)
		if err != nil {
			return nil, err
		}
		switch {
		case marker == mSOS && h.components == nil:
			return nil, fmt.Errorf("JPEG scan without a frame header: %w", study.ErrInvalid)
		case marker == mSOS:
			return h, nil
		case marker == mEOI || marker == mSOI || marker == mDNL:
			return nil, fmt.Errorf("JPEG marker %02x before the first scan: %w", marker, study.ErrInvalid)
		case marker == mAPP0:
			h.jfif = h.jfif || len(payload) >= 12 && string(payload[:5]) == "JFIF\x00"
			h.wrappers = append(h.wrappers, [2]int{at, next})
		case marker == mAPP14:
			if len(payload) >= 12 && string(payload[:5]) == "Adobe" {
				h.adobe, h.transform = true, payload[11]
			}
			h.wrappers = append(h.wrappers, [2]int{at, next})
		case marker >= mSOF0 && marker <= 0xcf && marker != mDHT && marker != 0xc8 && marker != 0xcc:
			if h.components != nil {
				return nil, fmt.Errorf("JPEG codestream of two frames: %w", study.ErrInvalid)
			}
			h.frame = at
			if err := h.readFrame(marker, payload); err != nil {
				return nil, err
			}
		}
		at = next
	}
}

// readFrame reads the frame header, T.81 §B.2.2.
func (h *jpegHeader) readFrame(marker byte, p []byte) error {
	if marker != mSOF0 && marker != mSOF1 && marker != mSOF3 {
		return fmt.Errorf("JPEG process SOF%d, which no transfer syntax in use allows: %w", marker-mSOF0, study.ErrInvalid)
	}
	if len(p) < 6 || len(p) != 6+3*int(p[5]) {
		return fmt.Errorf("JPEG frame header of %d bytes: %w", len(p), study.ErrInvalid)
	}
	h.process, h.precision = marker, int(p[0])
	h.height, h.width = int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:]))
	if n := p[5]; n != 1 && n != 3 {
		return fmt.Errorf("JPEG of %d components: %w", n, study.ErrUnsupported)
	}
	if h.width == 0 || h.height == 0 {
		return fmt.Errorf("JPEG of %d×%d pixels: %w", h.width, h.height, study.ErrInvalid)
	}
	h.hMax, h.vMax = 1, 1
	for p := p[6:]; len(p) >= 3; p = p[3:] {
		c := component{id: p[0], h: int(p[1] >> 4), v: int(p[1] & 15), table: int(p[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 {
			return fmt.Errorf("JPEG component of sampling %d×%d and table %d: %w", c.h, c.v, c.table, study.ErrInvalid)
		}
		h.hMax, h.vMax = max(h.hMax, c.h), max(h.vMax, c.v)
		h.components = append(h.components, c)
	}
	if len(h.components) == 1 { // a single component is never subsampled
		h.components[0].h, h.components[0].v, h.hMax, h.vMax = 1, 1, 1, 1
	}
	for i := range h.components {
		c := &h.components[i]
		if h.hMax%c.h != 0 || h.vMax%c.v != 0 {
			return fmt.Errorf("JPEG component of sampling %d×%d of %d×%d: %w", c.h, c.v, h.hMax, h.vMax, study.ErrUnsupported)
		}
		c.width, c.height = ceil(h.width*c.h, h.hMax), ceil(h.height*c.v, h.vMax)
	}
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// color decides what the three components are. Tags lie in both directions, and
// so do absent markers; this is the one rule of the house. The most trustworthy
// witness is heard first.
func (h *jpegHeader) color(img study.Image) Color {
	c := h.components
	switch {
	case len(c) == 1:
		return tagged(img)
	case h.adobe && h.transform == 0:
		return RGB
	case h.adobe || h.jfif:
		return YBR
	case c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return RGB
	case h.hMax > 1 || h.vMax > 1:
		return YBR
	case img.Photometric == "RGB":
		return RGB
	}
	return YBR
}

// baseline reads the header of a codestream and holds it against the data set
// and against the codestream's own length. Nothing is allocated before.
func baseline(img study.Image, b []byte) (*jpegHeader, error) {
	h, err := readHeader(b)
	if err != nil {
		return nil, err
	}
	if h.process == mSOF3 || h.precision != 8 {
		return nil, fmt.Errorf("JPEG process SOF%d of %d bits in a baseline transfer syntax: %w", h.process-mSOF0, h.precision, study.ErrInvalid)
	}
	if img.BitsAllocated != 8 || img.Float {
		return nil, fmt.Errorf("JPEG of 8 bits where %d are allocated: %w", img.BitsAllocated, study.ErrInvalid)
	}
	if err := matches("JPEG", img, h.width, h.height, len(h.components)); err != nil {
		return nil, err
	}
	return h, h.dense(b)
}

// dense refuses a codestream that is too short for its blocks: each takes at
// least two bits.
func (h *jpegHeader) dense(b []byte) error {
	if blocks := ceil(h.width, 8*h.hMax) * ceil(h.height, 8*h.vMax); blocks > 4*len(b) {
		return fmt.Errorf("JPEG of %d bytes for %d×%d pixels: %w", len(b), h.width, h.height, study.ErrInvalid)
	}
	return nil
}

// matches holds the size of a codestream against the data set. The frames at the
// right and lower edge of a slide may be smaller.
func matches(what string, img study.Image, width, height, components int) error {
	if components != img.Samples {
		return fmt.Errorf("%s of %d components where there are %d samples: %w", what, components, img.Samples, study.ErrInvalid)
	}
	same := width == img.Columns && height == img.Rows
	edge := img.Slide != nil && width <= img.Columns && height <= img.Rows
	if !same && !edge {
		return fmt.Errorf("%s of %d×%d pixels where there are %d×%d: %w", what, width, height, img.Columns, img.Rows, study.ErrInvalid)
	}
	return nil
}

// shell is the frame that the header describes, without data.
func (h *jpegHeader) shell(img study.Image) Frame {
	f := plain(img)
	f.Rows, f.Columns, f.Color = h.height, h.width, h.color(img)
	return f
}
