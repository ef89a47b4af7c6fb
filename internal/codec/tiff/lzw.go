package tiff

import (
	"fmt"

	"varde/study"
)

// TIFF's LZW, TIFF 6.0 section 13: codes of 9 to 12 bits, the most significant
// bit first, which grow one code earlier than they must.
const (
	lzwClear = 256
	lzwEnd   = 257
	lzwFirst = 258
	lzwCodes = 4096
)

// An lzwTable holds the strings by their codes. A string is another one and a
// last byte.
type lzwTable struct {
	prefix [lzwCodes]uint16
	last   [lzwCodes]byte
	length [lzwCodes]uint16
	next   int
	width  uint
}

func (t *lzwTable) clear() { t.next, t.width = lzwFirst, 9 }

// add gives the next code to the string of code with one byte more.
func (t *lzwTable) add(code int, b byte) {
	if t.next >= lzwCodes {
		return // the encoder is about to clear
	}
	t.prefix[t.next], t.last[t.next] = uint16(code), b
	t.length[t.next] = t.size(code) + 1
	t.next++
	if t.next >= 1<<t.width-1 && t.width < 12 {
		t.width++
	}
}

func (t *lzwTable) size(code int) uint16 {
	if code < lzwClear {
		return 1
	}
	return t.length[code]
}

// put writes the string of code to the start of to, as far as there is room, and
// gives its first byte and its length.
func (t *lzwTable) put(to []byte, code int) (byte, int) {
	n := int(t.size(code))
	for i := n - 1; i > 0; i-- {
		if i < len(to) {
			to[i] = t.last[code]
		}
		code = int(t.prefix[code])
	}
	if len(to) > 0 {
		to[0] = byte(code)
	}
	return byte(code), n
}

// LZW gives the size bytes that b stands for.
func LZW(b []byte, size int) ([]byte, error) {
	if len(b) >= 2 && b[0] == 0 && b[1]&1 == 1 {
		return nil, fmt.Errorf("LZW of the old order of bits: %w", study.ErrUnsupported)
	}
	t := &lzwTable{}
	t.clear()
	out := make([]byte, size)
	at, before := 0, -1
	acc, bits := uint32(0), uint(0)
	for at < size {
		for bits < t.width {
			if len(b) == 0 {
				return nil, fmt.Errorf("LZW tile ends after %d of %d bytes: %w", at, size, study.ErrInvalid)
			}
			acc, bits, b = acc<<8|uint32(b[0]), bits+8, b[1:]
		}
		bits -= t.width
		code := int(acc >> bits & (1<<t.width - 1))
		switch {
		case code == lzwClear:
			t.clear()
			before = -1
			continue
		case code == lzwEnd:
			return nil, fmt.Errorf("LZW tile ends after %d of %d bytes: %w", at, size, study.ErrInvalid)
		case code > t.next, code >= lzwFirst && before < 0, code == t.next && before < 0:
			return nil, fmt.Errorf("LZW code %d of %d: %w", code, t.next, study.ErrInvalid)
		}
		if code == t.next { // the string before, and its own first byte again
			first, n := t.put(out[at:], before)
			if at+n < size {
				out[at+n] = first
			}
			t.add(before, first)
			at += n + 1
		} else {
			first, n := t.put(out[at:], code)
			if before >= 0 {
				t.add(before, first)
			}
			at += n
		}
		before = code
	}
	return out, nil
}
