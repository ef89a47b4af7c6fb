package jpeg

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// zigzag gives the natural position of the k-th coefficient, T.81 figure 5.
var zigzag = [64]byte{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// lookBits is how many bits of a code are looked up at once: nearly all codes of
// real tables are no longer, and two tables a component stay in the first cache.
const lookBits = 9

// A huffman is a table of codes, T.81 §C and §F.2.2.3.
type huffman struct {
	look    [1 << lookBits]uint16 // symbol<<4 | length, 0 for a longer code
	limit   [18]int32             // one above the largest code of a length, left-aligned to 16 bits
	offset  [17]int32             // from a code of a length to its index in symbols
	symbols []byte
}

// readHuffman reads tables of codes, T.81 §B.2.4.2.
func (d *scanner) readHuffman(p []byte) error {
	for len(p) > 0 {
		if len(p) < 17 || p[0]>>4 > 1 || p[0]&15 > 3 {
			return fmt.Errorf("JPEG Huffman table of %d bytes: %w", len(p), study.ErrInvalid)
		}
		n := 0
		for _, c := range p[1:17] {
			n += int(c)
		}
		if n > 256 || len(p) < 17+n {
			return fmt.Errorf("JPEG Huffman table of %d codes in %d bytes: %w", n, len(p), study.ErrInvalid)
		}
		t, err := newHuffman(p[1:17], p[17:17+n])
		if err != nil {
			return err
		}
		if p[0]>>4 == 0 {
			d.dc[p[0]&15] = t
		} else {
			d.ac[p[0]&15] = t
		}
		p = p[17+n:]
	}
	return nil
}

func newHuffman(counts, symbols []byte) (*huffman, error) {
	t := &huffman{symbols: symbols}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		t.offset[length] = k - code
		for range counts[length-1] {
			if code >= 1<<length {
				return nil, fmt.Errorf("JPEG Huffman table with too many codes of %d bits: %w", length, study.ErrInvalid)
			}
			if length <= lookBits {
				entry := uint16(symbols[k])<<4 | uint16(length)
				for i := range int32(1) << (lookBits - length) {
					t.look[code<<(lookBits-length)|i] = entry
				}
			}
			code++
			k++
		}
		t.limit[length] = code << (16 - length)
		code <<= 1
	}
	t.limit[17] = 1 << 16
	return t, nil
}

var errCut = fmt.Errorf("entropy-coded data end too early: %w", study.ErrInvalid)

// A bits reads entropy-coded data. Where they end, at a marker, zeros follow,
// and overrun says whether any of them was used.
type bits struct {
	b   []byte
	at  int
	acc uint64 // the lowest n bits are still to be read
	n   int
	pad int // of those, zeros that were made up
}

// fill brings n to at least 32.
func (r *bits) fill() {
	if r.at+8 <= len(r.b) {
		v := binary.BigEndian.Uint64(r.b[r.at:])
		if w := ^v; (w-0x0101010101010101)&^w&0x8080808080808080 == 0 { // no FF among the eight
			k := (64 - r.n) >> 3
			if k == 8 {
				r.acc = v
			} else {
				r.acc = r.acc<<(8*k) | v>>(64-8*k)
			}
			r.at += k
			r.n += 8 * k
			return
		}
	}
	for r.n <= 56 {
		c := byte(0)
		if r.pad == 0 && r.at < len(r.b) {
			c = r.b[r.at]
			if c != 0xff {
				r.at++
			} else if r.at+1 < len(r.b) && r.b[r.at+1] == 0 {
				r.at += 2
			} else {
				c = 0
				r.pad = 8
			}
		} else {
			r.pad += 8
		}
		r.acc = r.acc<<8 | uint64(c)
		r.n += 8
	}
}

// overrun reports whether zeros that were made up have been read.
func (r *bits) overrun() bool { return r.pad > r.n }

// symbol reads one code; −1 says that there is no such code.
func (r *bits) symbol(t *huffman) int {
	if r.n < 32 {
		r.fill()
	}
	if e := t.look[r.acc>>(r.n-lookBits)&(1<<lookBits-1)]; e != 0 {
		r.n -= int(e & 15)
		return int(e >> 4)
	}
	return r.long(t)
}

// long reads a code of more than lookBits bits.
func (r *bits) long(t *huffman) int {
	code := int32(r.acc >> (r.n - 16) & 0xffff)
	length := lookBits + 1
	for code >= t.limit[length] {
		length++
	}
	if length > 16 {
		return -1
	}
	i := code>>(16-length) + t.offset[length]
	if i < 0 || int(i) >= len(t.symbols) {
		return -1
	}
	r.n -= length
	return int(t.symbols[i])
}

// value reads a number of size bits, 1 to 15, T.81 §F.2.2.1. symbol has left at
// least 16 bits in the accumulator.
func (r *bits) value(size uint) int32 {
	r.n -= int(size)
	v := int32(r.acc >> r.n & (1<<size - 1))
	if v < 1<<(size-1) {
		v += -1<<size + 1
	}
	return v
}

// align drops the rest of the byte and moves to the marker that must come next.
func (r *bits) align() error {
	if r.overrun() {
		return errCut
	}
	if r.n-r.pad >= 8 {
		return fmt.Errorf("JPEG data left over before byte %d: %w", r.at, study.ErrInvalid)
	}
	for r.at+1 < len(r.b) && r.b[r.at] == 0xff && r.b[r.at+1] == 0xff {
		r.at++
	}
	if r.at+1 >= len(r.b) || r.b[r.at] != 0xff || r.b[r.at+1] == 0 {
		return fmt.Errorf("JPEG codestream without a marker at byte %d: %w", r.at, study.ErrInvalid)
	}
	return nil
}

// restart reads the restart marker that must come next.
func (r *bits) restart(marker byte) error {
	if err := r.align(); err != nil {
		return err
	}
	if m := r.b[r.at+1]; m != marker {
		return fmt.Errorf("JPEG marker %02x where restart %02x is due: %w", m, marker, study.ErrInvalid)
	}
	*r = bits{b: r.b, at: r.at + 2}
	return nil
}

// end gives the offset of the marker behind the scan.
func (r *bits) end() (int, error) { return r.at, r.align() }
