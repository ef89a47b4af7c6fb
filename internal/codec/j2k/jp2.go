package j2k

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// jp2Signature begins a JP2 file, ITU-T T.800 §I.5.1. DICOM allows nothing but
// the bare codestream, and some senders do not know.
const jp2Signature = "\x00\x00\x00\x0cjP  \r\n\x87\n"

// Unwrap gives the codestream, out of the JP2 file if there is one around it.
func (h *Header) Unwrap(b []byte) ([]byte, error) {
	if len(b) < len(jp2Signature) || string(b[:len(jp2Signature)]) != jp2Signature {
		return b, nil
	}
	var stream []byte
	err := boxes(b, func(kind string, payload []byte) error {
		switch kind {
		case "jp2h":
			return boxes(payload, h.readBox)
		case "jp2c":
			if stream != nil {
				return fmt.Errorf("JP2 file of two codestreams: %w", study.ErrUnsupported)
			}
			stream = payload
		}
		return nil
	})
	if err == nil && stream == nil {
		err = fmt.Errorf("JP2 file without a codestream: %w", study.ErrInvalid)
	}
	return stream, err
}

// boxes calls do for each box in b, T.800 §I.4. What is left over at the end and
// is too short for a box pads the frame.
func boxes(b []byte, do func(kind string, payload []byte) error) error {
	for len(b) >= 8 {
		head, n := uint64(8), uint64(binary.BigEndian.Uint32(b))
		switch {
		case n == 1 && len(b) >= 16:
			head, n = 16, binary.BigEndian.Uint64(b[8:])
		case n == 0: // to the end
			n = uint64(len(b))
		}
		if n < head || n > uint64(len(b)) {
			return fmt.Errorf("JP2 box of %d bytes in %d: %w", n, len(b), study.ErrInvalid)
		}
		if err := do(string(b[4:8]), b[head:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// readBox reads the boxes of the JP2 header that say what the components are.
func (h *Header) readBox(kind string, p []byte) error {
	switch kind {
	case "colr":
		if len(p) >= 7 && p[0] == 1 {
			switch s := Space(binary.BigEndian.Uint32(p[3:])); s {
			case RGB, YBR:
				h.Space = s
			}
		}
	case "pclr", "cmap":
		return fmt.Errorf("JP2 file with a palette: %w", study.ErrUnsupported)
	case "cdef":
		return h.readChannels(p)
	}
	return nil
}

// readChannels reads which component is which color, T.800 §I.5.3.6.
func (h *Header) readChannels(p []byte) error {
	if len(p) < 2 || len(p) != 2+6*int(binary.BigEndian.Uint16(p)) {
		return fmt.Errorf("JP2 channel definition of %d bytes: %w", len(p), study.ErrInvalid)
	}
	if n := (len(p) - 2) / 6; n != 3 {
		return nil // one component has no order, and other numbers are refused for themselves
	}
	order, seen := make([]int, 3), 0
	for p = p[2:]; len(p) > 0; p = p[6:] {
		from, kind, color := binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint16(p[4:])
		if from > 2 || kind != 0 || color < 1 || color > 3 {
			return fmt.Errorf("JP2 channel %d of kind %d for color %d: %w", from, kind, color, study.ErrUnsupported)
		}
		order[color-1] = int(from)
		seen |= 1<<from | 8<<color
	}
	if seen != 0x77 {
		return fmt.Errorf("JP2 channels that come twice: %w", study.ErrInvalid)
	}
	h.Order = order
	return nil
}
