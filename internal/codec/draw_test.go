package codec_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

// A drawing is a baseline JPEG codestream to be written: random blocks under any
// sampling, with or without restarts, in one scan or one for each component.
type drawing struct {
	width, height int
	sampling      [][2]int // horizontal and vertical factor per component
	ids           string
	jfif          bool
	adobe         int // transform, −1 for none
	restart       int
	apart         bool // a scan for each component
	fill          bool // fill bytes before markers
	seed          uint64
}

// image is the data set that goes with the drawing.
func (d drawing) image(photometric string) study.Image {
	i := color(d.width, 8, 0, photometric)
	i.Rows, i.Samples = d.height, len(d.sampling)
	return i
}

// bitWriter writes entropy-coded data.
type bitWriter struct {
	b   []byte
	acc uint64
	n   uint
}

func (w *bitWriter) put(v uint32, n uint) {
	w.acc, w.n = w.acc<<n|uint64(v), w.n+n
	for w.n >= 8 {
		c := byte(w.acc >> (w.n - 8))
		if w.b = append(w.b, c); c == 0xff {
			w.b = append(w.b, 0)
		}
		w.n -= 8
	}
}

// flush fills the last byte with ones.
func (w *bitWriter) flush() {
	if w.n > 0 {
		w.put(1<<(8-w.n)-1, 8-w.n)
	}
}

// codes is a table of Huffman codes: code and length per symbol.
type codes struct {
	counts  [16]byte
	symbols []byte
	code    map[byte][2]uint32
}

// newCodes gives the first symbols short codes and the rest long ones.
func newCodes(symbols []byte, short, long int, many int) codes {
	c := codes{symbols: symbols, code: map[byte][2]uint32{}}
	next, length := uint32(0), uint32(short)
	for i, s := range symbols {
		if i == many {
			next <<= uint32(long) - length
			length = uint32(long)
		}
		c.code[s] = [2]uint32{next, length}
		c.counts[length-1]++
		next++
	}
	return c
}

func (w *bitWriter) symbol(c codes, s byte) {
	e := c.code[s]
	w.put(e[0], uint(e[1]))
}

// value writes a number of size bits after its size.
func (w *bitWriter) value(v int, size uint) {
	if v < 0 {
		v += 1<<size - 1
	}
	w.put(uint32(v), size)
}

func sizeOf(v int) uint {
	n := uint(0)
	for v = max(v, -v); v > 0; v >>= 1 {
		n++
	}
	return n
}

func dcCodes() codes {
	var s []byte
	for i := range 12 {
		s = append(s, byte(i))
	}
	return newCodes(s, 3, 12, 5)
}

func acCodes() codes {
	s := []byte{0x00, 0xf0}
	for size := 1; size <= 10; size++ {
		for run := range 16 {
			s = append(s, byte(run<<4|size))
		}
	}
	return newCodes(s, 6, 16, 40)
}

// block writes one random block.
func (d drawing) block(w *bitWriter, rng *rand.Rand, pred *int, dc, ac codes) {
	v := rng.IntN(120) - 60
	if rng.IntN(10) == 0 {
		v = 0
	}
	size := sizeOf(v - *pred)
	w.symbol(dc, byte(size))
	w.value(v-*pred, size)
	*pred = v
	if rng.IntN(4) == 0 { // nothing else
		w.symbol(ac, 0)
		return
	}
	k := 1
	for k < 64 && rng.IntN(12) > 0 {
		run := rng.IntN(20)
		if k+run > 63 {
			break
		}
		for k += run; run > 15; run -= 16 {
			w.symbol(ac, 0xf0)
		}
		v := rng.IntN(15) - 7
		if rng.IntN(6) == 0 {
			v *= 6
		}
		if v == 0 {
			v = 1
		}
		w.symbol(ac, byte(run<<4)|byte(sizeOf(v)))
		w.value(v, sizeOf(v))
		k++
	}
	if k < 64 {
		w.symbol(ac, 0)
	}
}

func (d drawing) marker(b []byte, m byte, payload ...byte) []byte {
	if d.fill {
		b = append(b, 0xff, 0xff)
	}
	b = append(b, 0xff, m)
	if m == 0xd8 || m == 0xd9 || m >= 0xd0 && m <= 0xd7 {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)+2))
	return append(b, payload...)
}

// encode writes the codestream.
func (d drawing) encode() []byte {
	rng := rand.New(rand.NewPCG(d.seed, 9))
	b := []byte{0xff, 0xd8}
	if d.jfif {
		b = d.marker(b, 0xe0, 'J', 'F', 'I', 'F', 0, 1, 2, 0, 0, 1, 0, 1, 0, 0)
	}
	if d.adobe >= 0 {
		b = d.marker(b, 0xee, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, byte(d.adobe))
	}
	quant := []byte{0}
	for i := range 64 {
		quant = append(quant, byte(3+i/4))
	}
	b = d.marker(b, 0xdb, quant...)
	frame := []byte{8, byte(d.height >> 8), byte(d.height), byte(d.width >> 8), byte(d.width), byte(len(d.sampling))}
	for i, s := range d.sampling {
		frame = append(frame, d.ids[i], byte(s[0]<<4|s[1]), 0)
	}
	b = d.marker(b, 0xc0, frame...)
	dc, ac := dcCodes(), acCodes()
	for class, c := range []codes{dc, ac} {
		b = d.marker(b, 0xc4, append(append([]byte{byte(class << 4)}, c.counts[:]...), c.symbols...)...)
	}
	if d.restart > 0 {
		b = d.marker(b, 0xdd, byte(d.restart>>8), byte(d.restart))
	}
	all := []int{0}
	for i := 1; i < len(d.sampling); i++ {
		all = append(all, i)
	}
	if !d.apart {
		b = d.scan(b, rng, all, dc, ac)
	} else {
		for _, i := range all {
			b = d.scan(b, rng, []int{i}, dc, ac)
		}
	}
	return d.marker(b, 0xd9)
}

func (d drawing) scan(b []byte, rng *rand.Rand, which []int, dc, ac codes) []byte {
	head := []byte{byte(len(which))}
	for _, i := range which {
		head = append(head, d.ids[i], 0)
	}
	b = d.marker(b, 0xda, append(head, 0, 63, 0)...)
	hMax, vMax := 1, 1
	for _, s := range d.sampling {
		hMax, vMax = max(hMax, s[0]), max(vMax, s[1])
	}
	up := func(a, b int) int { return (a + b - 1) / b }
	across, down := up(d.width, 8*hMax), up(d.height, 8*vMax)
	if len(which) == 1 {
		s := d.sampling[which[0]]
		if len(d.sampling) == 1 {
			s, hMax, vMax = [2]int{1, 1}, 1, 1
		}
		across, down = up(up(d.width*s[0], hMax), 8), up(up(d.height*s[1], vMax), 8)
	}
	w, pred, rst := &bitWriter{}, make([]int, len(d.sampling)), 0
	for unit := range across * down {
		if d.restart > 0 && unit > 0 && unit%d.restart == 0 {
			w.flush()
			b = append(b, w.b...)
			b = d.marker(b, 0xd0+byte(rst%8))
			w, pred, rst = &bitWriter{}, make([]int, len(d.sampling)), rst+1
		}
		for _, i := range which {
			n := d.sampling[i][0] * d.sampling[i][1]
			if len(which) == 1 {
				n = 1
			}
			for range n {
				d.block(w, rng, &pred[i], dc, ac)
			}
		}
	}
	w.flush()
	return append(b, w.b...)
}

// turboOrSkip skips a test that compares with libjpeg-turbo where it is missing.
func turboOrSkip(t testing.TB) {
	t.Helper()
	_, err := codec.DecodeWith(codec.Options{Decoder: "turbo"}, gray(1, 8, 8, false), jpegBaseline, [][]byte{{0}})
	if err != nil && isAbsent(err) {
		missing(t, "libturbojpeg (package libturbojpeg0)")
	}
}

// source is what the mutators need of a random generator.
type source = *rand.Rand

func newRNG(seed uint64) source { return rand.New(rand.NewPCG(seed, 1)) }
