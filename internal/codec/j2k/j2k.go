// Package j2k reads the headers of JPEG 2000, ITU-T T.800, and of its
// High-Throughput kind, T.814: what a codestream says of itself before its first
// tile, and a JP2 file around it. It decodes nothing.
//
//	Header.Unwrap  the codestream, out of the JP2 file if there is one
//	Header.Read    its main header
//
// No length that is read is believed before it is held against the bytes. Errors
// wrap [study.ErrInvalid] or [study.ErrUnsupported].
package j2k

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// The markers of a JPEG 2000 codestream that are looked at, ITU-T T.800 table
// A.2 and T.814 §A.3.
const (
	jSOC = 0xff4f
	jSIZ = 0xff51
	jCOD = 0xff52
	jSOT = 0xff90
)

// A Space is what a JP2 file says of its color, T.800 table I.10; 0 is nothing, or
// a space that is not looked at.
type Space uint32

// The enumerated color spaces that are looked at.
const (
	RGB Space = 16
	YBR Space = 18
)

// A Header is what the main header of a codestream says, and what a JP2 file
// around it adds.
type Header struct {
	Width, Height int
	Components    int
	Precision     int
	Signed        bool
	StepX, StepY  int  // every how many pixels the color differences have a sample
	Transform     bool // the multiple component transform: what comes out is RGB
	Reversible    bool // the 5-3 wavelet
	Space         Space
	Order         []int // where JP2 says so: for each sample its component
}

var errJ2K = fmt.Errorf("JPEG 2000 codestream is cut off: %w", study.ErrInvalid)

// Read reads the main header up to the first tile, T.800 §A.
func (h *Header) Read(b []byte) error {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != jSOC<<16|jSIZ {
		return fmt.Errorf("frame does not begin as a JPEG 2000 codestream: %w", study.ErrInvalid)
	}
	for at := 2; ; {
		if at+4 > len(b) {
			return errJ2K
		}
		marker, n := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		if marker < 0xff00 || n < 2 || at+2+n > len(b) {
			return errJ2K
		}
		payload := b[at+4 : at+2+n]
		at += 2 + n
		switch marker {
		case jSIZ:
			if h.Width > 0 {
				return fmt.Errorf("JPEG 2000 of two sizes: %w", study.ErrInvalid)
			}
			if err := h.readSize(payload); err != nil {
				return err
			}
		case jCOD:
			if len(payload) < 5 {
				return errJ2K
			}
			if h.Transform = payload[4] == 1; h.Transform && h.Subsampled() {
				return fmt.Errorf("JPEG 2000 of a component transform over components that differ: %w", study.ErrInvalid)
			}
			h.Reversible = len(payload) > 9 && payload[9] == 1
		case jSOT:
			return nil
		}
	}
}

// readSize reads the image and tile size, T.800 §A.5.1.
func (h *Header) readSize(p []byte) error {
	if len(p) < 36 || len(p) != 36+3*int(binary.BigEndian.Uint16(p[34:])) {
		return fmt.Errorf("JPEG 2000 size of %d bytes: %w", len(p), study.ErrInvalid)
	}
	var v [8]int64 // width, height, offset; tile width, height, offset
	for i := range v {
		v[i] = int64(binary.BigEndian.Uint32(p[2+4*i:]))
	}
	w, hgt := v[0]-v[2], v[1]-v[3]
	if w <= 0 || hgt <= 0 || w > 1<<16 || hgt > 1<<16 {
		return fmt.Errorf("JPEG 2000 of %d×%d pixels: %w", w, hgt, study.ErrInvalid)
	}
	if v[4] == 0 || v[5] == 0 || v[6] > v[2] || v[7] > v[3] || v[6]+v[4] <= v[2] || v[7]+v[5] <= v[3] {
		return fmt.Errorf("JPEG 2000 of %d×%d pixels a tile: %w", v[4], v[5], study.ErrInvalid)
	}
	h.Width, h.Height = int(w), int(hgt)
	h.Components = int(binary.BigEndian.Uint16(p[34:]))
	h.StepX, h.StepY = 1, 1
	for i := range h.Components {
		c := p[36+3*i:]
		precision, signed := int(c[0]&0x7f)+1, c[0]&0x80 != 0
		x, y := int(c[1]), int(c[2])
		if i == 1 && h.Components == 3 && x >= 1 && x <= 2 && y >= 1 && y <= 2 {
			h.StepX, h.StepY = x, y
		}
		alike := x == 1 && y == 1
		if i > 0 {
			alike = x == h.StepX && y == h.StepY && precision == h.Precision && signed == h.Signed
		}
		if !alike {
			return fmt.Errorf("JPEG 2000 of components that differ: %w", study.ErrUnsupported)
		}
		h.Precision, h.Signed = precision, signed
	}
	if h.Subsampled() && (v[2]|v[3]) != 0 {
		return fmt.Errorf("JPEG 2000 of fewer color differences, off the corner of its grid: %w", study.ErrUnsupported)
	}
	return nil
}

// Subsampled reports whether the color differences have fewer samples.
func (h *Header) Subsampled() bool { return h.StepX*h.StepY > 1 }
