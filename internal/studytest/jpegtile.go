package studytest

import (
	"encoding/binary"
	"math"
)

// A tileJPEG writes tiles in baseline JPEG as scanners do: RGB or YCbCr, with or
// without fewer color differences, and with the tables in each tile or apart. The
// standard library's encoder can do none of this.
type tileJPEG struct {
	rgb   bool // components as they are, numbered from 0, and nothing says so
	half  bool // color differences at half the size in both directions (4:2:0)
	apart bool // tables are kept apart
	quant [2][64]int
}

// The tables of ITU-T T.81 annex K, in natural order and as counts and symbols.
var (
	lumaSteps = [64]int{
		16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
	}
	chromaSteps = [64]int{
		17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
	}
	zigzagOrder = [64]int{
		0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
		35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
	}
)

// tileHuffman gives a table: means (class 0) have 12 symbols in 4 bits each, the
// rest (class 1) the commonest in few bits and all others in 9. It makes longer
// files than the tables of annex K, with much less to copy from there.
func tileHuffman(class byte) (counts [16]byte, symbols []byte) {
	if class == 0 {
		for s := range byte(12) {
			symbols = append(symbols, s)
		}
		counts[3] = 12
		return counts, symbols
	}
	symbols = append(symbols, 0x00, 0xf0)
	for run := range byte(16) {
		for size := range byte(10) {
			symbols = append(symbols, run<<4|(size+1))
		}
	}
	// The commonest in few bits: the end of a block, and lone small values.
	common := []byte{0x00, 0x01, 0x02, 0x11, 0x03, 0x21, 0x12}
	rest := symbols[:0:0]
	for _, s := range symbols {
		known := false
		for _, c := range common {
			known = known || c == s
		}
		if !known {
			rest = append(rest, s)
		}
	}
	counts[1], counts[2], counts[3], counts[4] = 1, 2, 2, 2 // 00; 010 011; 1000 1001; 10100 10101
	counts[8] = byte(len(rest))                             // of the 320 nine-bit codes from 101100000 on
	return counts, append(common, rest...)
}

// huffmanCodes gives the code and the length of each symbol.
func huffmanCodes(counts [16]byte, symbols []byte) (codes [256]uint32, bits [256]uint) {
	code, k := uint32(0), 0
	for length, n := range counts {
		for range n {
			codes[symbols[k]], bits[symbols[k]] = code, uint(length+1)
			code++
			k++
		}
		code <<= 1
	}
	return codes, bits
}

func newTileJPEG(rgb, half, apart bool, quality int) *tileJPEG {
	j := &tileJPEG{rgb: rgb, half: half && !rgb, apart: apart}
	scale := 200 - 2*quality
	if quality < 50 {
		scale = 5000 / quality
	}
	for i := range 64 {
		j.quant[0][i] = min(max((lumaSteps[i]*scale+50)/100, 1), 255)
		j.quant[1][i] = min(max((chromaSteps[i]*scale+50)/100, 1), 255)
	}
	return j
}

func marker(m byte, payload ...byte) []byte {
	n := len(payload) + 2
	return append([]byte{0xff, m, byte(n >> 8), byte(n)}, payload...)
}

// tables gives the segments that all tiles share.
func (j *tileJPEG) tables() []byte {
	var b []byte
	for id := range j.quant {
		p := []byte{byte(id)}
		for _, k := range zigzagOrder {
			p = append(p, byte(j.quant[id][k]))
		}
		b = append(b, marker(0xdb, p...)...)
	}
	for class := range byte(2) {
		counts, symbols := tileHuffman(class)
		p := append([]byte{class << 4}, counts[:]...)
		b = append(b, marker(0xc4, append(p, symbols...)...)...)
	}
	return b
}

// shared gives the tables as TIFF keeps them apart (tag 347), or nil.
func (j *tileJPEG) shared() []byte {
	if !j.apart {
		return nil
	}
	return append(append([]byte{0xff, 0xd8}, j.tables()...), 0xff, 0xd9)
}

// encode writes a square of pixels, whose side is a multiple of 16.
func (j *tileJPEG) encode(rgb []byte, side int) []byte {
	b := []byte{0xff, 0xd8}
	if !j.apart {
		b = append(b, j.tables()...)
	}
	first, sampling := byte(1), byte(0x11)
	if j.rgb {
		first = 0
	}
	if j.half {
		sampling = 0x22
	}
	table := byte(1)
	if j.rgb {
		table = 0
	}
	frame := binary.BigEndian.AppendUint16([]byte{8}, uint16(side))
	frame = binary.BigEndian.AppendUint16(frame, uint16(side))
	frame = append(frame, 3, first, sampling, 0, first+1, 0x11, table, first+2, 0x11, table)
	b = append(b, marker(0xc0, frame...)...)
	b = append(b, marker(0xda, 3, first, 0, first+1, 0, first+2, 0, 0, 63, 0)...)
	s := &tileScan{b: b}
	s.codes[0], s.bits[0] = huffmanCodes(tileHuffman(0))
	s.codes[1], s.bits[1] = huffmanCodes(tileHuffman(1))
	for u := range s.cos {
		for x := range s.cos[u] {
			s.cos[u][x] = math.Cos(float64(2*x+1) * float64(u) * math.Pi / 16)
		}
	}
	j.scan(s, j.planes(rgb, side), side)
	if s.n > 0 {
		s.put(1<<(8-s.n)-1, 8-s.n)
	}
	return append(s.b, 0xff, 0xd9)
}

// A jpegPlane is one component, level-shifted.
type jpegPlane struct {
	side int
	pix  []float64
}

// planes separates the components.
func (j *tileJPEG) planes(rgb []byte, side int) [3]jpegPlane {
	var p [3]jpegPlane
	for c := range p {
		p[c] = jpegPlane{side, make([]float64, side*side)}
	}
	for i := range side * side {
		r, g, b := float64(rgb[3*i]), float64(rgb[3*i+1]), float64(rgb[3*i+2])
		if !j.rgb {
			r, g, b = 0.299*r+0.587*g+0.114*b, -0.168736*r-0.331264*g+0.5*b+128, 0.5*r-0.418688*g-0.081312*b+128
		}
		p[0].pix[i], p[1].pix[i], p[2].pix[i] = r-128, g-128, b-128
	}
	if j.half {
		for c := 1; c < 3; c++ {
			small := jpegPlane{side / 2, make([]float64, side*side/4)}
			for y := range side / 2 {
				for x := range side / 2 {
					at := 2*y*side + 2*x
					small.pix[y*side/2+x] = (p[c].pix[at] + p[c].pix[at+1] + p[c].pix[at+side] + p[c].pix[at+side+1]) / 4
				}
			}
			p[c] = small
		}
	}
	return p
}

// scan writes the blocks of all components, interleaved.
func (j *tileJPEG) scan(s *tileScan, p [3]jpegPlane, side int) {
	unit, luma := 8, 1
	if j.half {
		unit, luma = 16, 2
	}
	for y := range side / unit {
		for x := range side / unit {
			for v := range luma {
				for h := range luma {
					s.block(0, p[0], (x*luma+h)*8, (y*luma+v)*8, &j.quant[0])
				}
			}
			for c := 1; c < 3; c++ {
				q := &j.quant[1]
				if j.rgb {
					q = &j.quant[0]
				}
				s.block(c, p[c], x*8, y*8, q)
			}
		}
	}
}

// A tileScan writes entropy-coded data.
type tileScan struct {
	b     []byte
	acc   uint64
	n     uint
	codes [2][256]uint32
	bits  [2][256]uint
	cos   [8][8]float64
	pred  [3]int
}

func (s *tileScan) put(code uint32, n uint) {
	s.acc, s.n = s.acc<<n|uint64(code), s.n+n
	for s.n >= 8 {
		s.n -= 8
		v := byte(s.acc >> s.n)
		if s.b = append(s.b, v); v == 0xff {
			s.b = append(s.b, 0)
		}
	}
}

// value writes a number of a given size, T.81 §F.1.2.
func (s *tileScan) value(v int, size uint) {
	if v < 0 {
		v += 1<<size - 1
	}
	s.put(uint32(v), size)
}

func sizeOf(v int) (n uint) {
	for v = max(v, -v); v > 0; v >>= 1 {
		n++
	}
	return n
}

// block transforms and writes one block.
func (s *tileScan) block(c int, p jpegPlane, x0, y0 int, quant *[64]int) {
	var rows, out [64]float64
	for y := range 8 {
		line := p.pix[(y0+y)*p.side+x0:][:8]
		for u := range 8 {
			for x, v := range line {
				rows[y*8+u] += v * s.cos[u][x]
			}
		}
	}
	for v := range 8 {
		for y := range 8 {
			for u := range 8 {
				out[v*8+u] += rows[y*8+u] * s.cos[v][y]
			}
		}
	}
	var q [64]int
	for i, k := range zigzagOrder {
		f := out[k] / 4
		if k%8 == 0 {
			f /= math.Sqrt2
		}
		if k < 8 {
			f /= math.Sqrt2
		}
		q[i] = int(math.Round(f / float64(quant[k])))
	}
	diff := q[0] - s.pred[c]
	s.pred[c] = q[0]
	size := sizeOf(diff)
	s.put(s.codes[0][size], s.bits[0][size])
	s.value(diff, size)
	run := 0
	for _, v := range q[1:] {
		if v == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			s.put(s.codes[1][0xf0], s.bits[1][0xf0])
		}
		size := sizeOf(v)
		sym := byte(run)<<4 | byte(size)
		s.put(s.codes[1][sym], s.bits[1][sym])
		s.value(v, size)
		run = 0
	}
	if run > 0 {
		s.put(s.codes[1][0], s.bits[1][0])
	}
}
