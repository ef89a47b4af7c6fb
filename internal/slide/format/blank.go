package format

import "encoding/binary"

// flatJPEG is a white tile in baseline JPEG: what stands for a tile that a file
// leaves out. Every block is its mean and nothing else, in the shortest of codes.
func flatJPEG(w, h int, rgb bool) []byte {
	transform := byte(1)
	if rgb {
		transform = 0
	}
	b := []byte{0xff, 0xd8, 0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform}
	b = append(b, 0xff, 0xdb, 0, 67, 0) // one table: a step of the mean is a shade, 8 units
	for i := range 64 {
		b = append(b, map[bool]byte{true: 8, false: 1}[i == 0])
	}
	b = append(b, 0xff, 0xc0, 0, 17, 8)
	b = binary.BigEndian.AppendUint16(b, uint16(h))
	b = binary.BigEndian.AppendUint16(b, uint16(w))
	b = append(b, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)
	// Huffman tables, T.81 §B.2.4.2. Of means: 0 is no difference, 10 is seven
	// bits of one. Of the rest of a block: 0 ends it.
	b = append(b, 0xff, 0xc4, 0, 21, 0x00, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7)
	b = append(b, 0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, 0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0)
	// White is 127 shades above the middle in each component of RGB, and in the
	// luminance of YCbCr alone.
	o := &bitWriter{b: b}
	for i := range 3 {
		if i == 0 || rgb {
			o.put(0b10_1111111_0, 10)
		} else {
			o.put(0, 2)
		}
	}
	for range 3 * (ceil(w, 8)*ceil(h, 8) - 1) {
		o.put(0, 2)
	}
	return append(o.flush(), 0xff, 0xd9)
}

// A bitWriter packs codes, the first bit highest, and keeps a byte of ones from
// looking like a marker.
type bitWriter struct {
	b    []byte
	acc  uint32
	bits uint
}

func (o *bitWriter) put(code uint32, n uint) {
	o.acc, o.bits = o.acc<<n|code, o.bits+n
	for o.bits >= 8 {
		o.bits -= 8
		v := byte(o.acc >> o.bits)
		if o.b = append(o.b, v); v == 0xff {
			o.b = append(o.b, 0)
		}
	}
}

// flush fills the last byte with ones.
func (o *bitWriter) flush() []byte {
	if o.bits > 0 {
		o.put(1<<(8-o.bits)-1, 8-o.bits)
	}
	return o.b
}
