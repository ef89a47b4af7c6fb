// Package jpeg decodes JPEG of 8 and 12 bits and lossless JPEG, ITU-T T.81, without
// any library: processes 1, 2, 4 and 14. The samples of the lossy ones are those of
// libjpeg-turbo bit for bit.
//
//	ReadHeader       what a codestream says of itself; nothing is allocated
//	Header.Dense     whether it is long enough for that
//	Header.Narrow    its samples of 8 bits
//	Header.Wide      its samples of more bits, or lossless ones
//	Header.Recolor   the same codestream with another word on its color
//	Segment          the next marker, in JPEG-LS as well
//
// What the header says is to be held against the data set first: that, and what the
// components mean as color, is codec's. Whatever libjpeg would warn of is an error,
// which wraps [study.ErrInvalid] or [study.ErrUnsupported].
package jpeg

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// The markers of a JPEG codestream, ITU-T T.81 table B.1, and of its two common
// wrappers.
const (
	SOF0  = 0xc0 // baseline
	SOF1  = 0xc1 // extended sequential, Huffman
	SOF3  = 0xc3 // lossless, Huffman
	DHT   = 0xc4
	RST0  = 0xd0
	RST7  = 0xd7
	SOI   = 0xd8
	EOI   = 0xd9
	SOS   = 0xda
	DQT   = 0xdb
	DNL   = 0xdc
	DRI   = 0xdd
	APP0  = 0xe0 // JFIF
	APP14 = 0xee // Adobe
)

// A Component as the frame header describes it.
type Component struct {
	ID     byte
	h, v   int // sampling factors
	table  int // quantization
	width  int // samples that count
	height int
}

// A Header is what stands before the first scan.
type Header struct {
	Process       byte // SOF0, SOF1 or SOF3
	Precision     int  // bits of a sample
	Width, Height int
	Components    []Component
	HMax, VMax    int // the largest sampling factors; above 1 some component has fewer samples
	JFIF          bool
	Adobe         bool
	Transform     byte     // what the Adobe marker says: 0 is no transform
	Wrappers      [][2]int // where APP0 and APP14 stand, from their FF to their end
}

// Segment gives the marker at b[at], which may be preceded by fill bytes, the
// segment's payload, and the offset behind it.
func Segment(b []byte, at int) (marker byte, payload []byte, next int, err error) {
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
	if marker == SOI || marker == EOI || marker >= RST0 && marker <= RST7 || marker <= 1 {
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

// ReadHeader reads a codestream up to its first scan.
func ReadHeader(b []byte) (*Header, error) {
	if len(b) < 4 || b[0] != 0xff || b[1] != SOI {
		return nil, fmt.Errorf("frame does not begin as a JPEG codestream: %w", study.ErrInvalid)
	}
	h := &Header{}
	for at := 2; ; {
		marker, payload, next, err := Segment(b, at)
		if err != nil {
			return nil, err
		}
		switch {
		case marker == SOS && h.Components == nil:
			return nil, fmt.Errorf("JPEG scan without a frame header: %w", study.ErrInvalid)
		case marker == SOS:
			return h, nil
		case marker == EOI || marker == SOI || marker == DNL:
			return nil, fmt.Errorf("JPEG marker %02x before the first scan: %w", marker, study.ErrInvalid)
		case marker == APP0:
			h.JFIF = h.JFIF || len(payload) >= 12 && string(payload[:5]) == "JFIF\x00"
			h.Wrappers = append(h.Wrappers, [2]int{at, next})
		case marker == APP14:
			if len(payload) >= 12 && string(payload[:5]) == "Adobe" {
				h.Adobe, h.Transform = true, payload[11]
			}
			h.Wrappers = append(h.Wrappers, [2]int{at, next})
		case marker >= SOF0 && marker <= 0xcf && marker != DHT && marker != 0xc8 && marker != 0xcc:
			if h.Components != nil {
				return nil, fmt.Errorf("JPEG codestream of two frames: %w", study.ErrInvalid)
			}
			if err := h.readFrame(marker, payload); err != nil {
				return nil, err
			}
		}
		at = next
	}
}

// readFrame reads the frame header, T.81 §B.2.2.
func (h *Header) readFrame(marker byte, p []byte) error {
	if marker != SOF0 && marker != SOF1 && marker != SOF3 {
		return fmt.Errorf("JPEG process SOF%d, which no transfer syntax in use allows: %w", marker-SOF0, study.ErrInvalid)
	}
	if len(p) < 6 || len(p) != 6+3*int(p[5]) {
		return fmt.Errorf("JPEG frame header of %d bytes: %w", len(p), study.ErrInvalid)
	}
	h.Process, h.Precision = marker, int(p[0])
	h.Height, h.Width = int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:]))
	if n := p[5]; n != 1 && n != 3 {
		return fmt.Errorf("JPEG of %d components: %w", n, study.ErrUnsupported)
	}
	if h.Width == 0 || h.Height == 0 {
		return fmt.Errorf("JPEG of %d×%d pixels: %w", h.Width, h.Height, study.ErrInvalid)
	}
	h.HMax, h.VMax = 1, 1
	for p := p[6:]; len(p) >= 3; p = p[3:] {
		c := Component{ID: p[0], h: int(p[1] >> 4), v: int(p[1] & 15), table: int(p[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 {
			return fmt.Errorf("JPEG component of sampling %d×%d and table %d: %w", c.h, c.v, c.table, study.ErrInvalid)
		}
		h.HMax, h.VMax = max(h.HMax, c.h), max(h.VMax, c.v)
		h.Components = append(h.Components, c)
	}
	if len(h.Components) == 1 { // a single component is never subsampled
		h.Components[0].h, h.Components[0].v, h.HMax, h.VMax = 1, 1, 1, 1
	}
	for i := range h.Components {
		c := &h.Components[i]
		if h.HMax%c.h != 0 || h.VMax%c.v != 0 {
			return fmt.Errorf("JPEG component of sampling %d×%d of %d×%d: %w", c.h, c.v, h.HMax, h.VMax, study.ErrUnsupported)
		}
		c.width, c.height = ceil(h.Width*c.h, h.HMax), ceil(h.Height*c.v, h.VMax)
	}
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// Dense refuses a codestream that is too short for its blocks: each takes at
// least two bits.
func (h *Header) Dense(b []byte) error {
	if blocks := ceil(h.Width, 8*h.HMax) * ceil(h.Height, 8*h.VMax); blocks > 4*len(b) {
		return fmt.Errorf("JPEG of %d bytes for %d×%d pixels: %w", len(b), h.Width, h.Height, study.ErrInvalid)
	}
	return nil
}

// Recolor replaces what the codestream says of its color: transform tells the
// library that the components are YBR, otherwise that they are RGB.
func (h *Header) Recolor(b []byte, transform bool) []byte {
	adobe := [...]byte{0xff, SOI, 0xff, APP14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0}
	if transform {
		adobe[len(adobe)-1] = 1
	}
	out := make([]byte, 0, len(b)+len(adobe))
	out = append(out, adobe[:]...)
	at := 2
	for _, w := range h.Wrappers {
		out = append(out, b[at:w[0]]...)
		at = w[1]
	}
	return append(out, b[at:]...)
}
