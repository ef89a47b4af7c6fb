package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

// differences is a lossless JPEG codestream to be written, T.81 §H.
type differences struct {
	width, height, components int
	precision, shift          int
	predictor                 int
	restart                   int // lines between restarts
	apart                     bool
}

// image is the data set that goes with the codestream.
func (d differences) image() study.Image {
	img := gray(d.width, 16, d.precision, false)
	if d.precision <= 8 {
		img = gray(d.width, 8, d.precision, false)
	}
	img.Rows, img.Samples, img.HighBit = d.height, d.components, d.precision-1
	if d.components == 3 {
		img.Photometric = "RGB"
	}
	return img
}

// samples are random: smooth, noisy, or at the ends of the range. The lowest
// bits, which the point transform drops, are zero.
func (d differences) samples(rng *rand.Rand) []uint16 {
	s := make([]uint16, d.width*d.height*d.components)
	for i := range s {
		switch rng.IntN(4) {
		case 0:
			s[i] = uint16(rng.Uint32())
		case 1:
			s[i] = uint16(rng.IntN(2)) * 0xffff
		case 2:
			s[i] = s[max(i-d.components, 0)] + 1
		case 3:
			s[i] = s[max(i-d.components*d.width, 0)]
		}
		s[i] = s[i] & (1<<d.precision - 1) >> d.shift << d.shift
	}
	return s
}

// encode writes the codestream.
func (d differences) encode(s []uint16) []byte {
	var w drawing
	b := w.marker([]byte{0xff, 0xd8}, 0xee, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0)
	frame := []byte{byte(d.precision), byte(d.height >> 8), byte(d.height), byte(d.width >> 8), byte(d.width), byte(d.components)}
	for i := range d.components {
		frame = append(frame, byte(i+1), 0x11, 0)
	}
	b = w.marker(b, 0xc3, frame...)
	var symbols []byte
	for i := range 17 {
		symbols = append(symbols, byte(i))
	}
	table := newCodes(symbols, 3, 13, 6)
	b = w.marker(b, 0xc4, append(append([]byte{0}, table.counts[:]...), table.symbols...)...)
	if d.restart > 0 {
		b = w.marker(b, 0xdd, byte(d.restart*d.width>>8), byte(d.restart*d.width))
	}
	if !d.apart {
		b = d.scan(b, s, 0, d.components, table)
	} else {
		for c := range d.components {
			b = d.scan(b, s, c, 1, table)
		}
	}
	return w.marker(b, 0xd9)
}

// scan writes n components from the given one on.
func (d differences) scan(b []byte, s []uint16, from, n int, table codes) []byte {
	head := []byte{byte(n)}
	for c := range n {
		head = append(head, byte(from+c+1), 0)
	}
	b = drawing{}.marker(b, 0xda, append(head, byte(d.predictor), 0, byte(d.shift))...)
	w := &bitWriter{}
	at := func(x, y, c int) int { return int(s[(y*d.width+x)*d.components+c]) >> d.shift }
	for y := range d.height {
		first := y == 0
		if d.restart > 0 && y > 0 && y%d.restart == 0 {
			w.flush()
			b = drawing{}.marker(append(b, w.b...), 0xd0+byte((y/d.restart-1)%8))
			w, first = &bitWriter{}, true
		}
		for x := range d.width {
			for c := from; c < from+n; c++ {
				p := 1 << (d.precision - d.shift - 1)
				switch {
				case first && x > 0:
					p = at(x-1, y, c)
				case !first && x == 0:
					p = at(x, y-1, c)
				case !first:
					left, up, corner := at(x-1, y, c), at(x, y-1, c), at(x-1, y-1, c)
					p = []int{0, left, up, corner, left + up - corner, left + (up-corner)>>1, up + (left-corner)>>1, (left + up) >> 1}[d.predictor]
				}
				diff := int(int16(at(x, y, c) - p))
				if diff == -32768 {
					w.symbol(table, 16)
					continue
				}
				w.symbol(table, byte(sizeOf(diff)))
				w.value(diff, sizeOf(diff))
			}
		}
	}
	w.flush()
	return append(b, w.b...)
}

// stand gives samples as they stand in a frame.
func stand(s []uint16, bits int) []byte {
	var b []byte
	for _, v := range s {
		if bits <= 8 {
			b = append(b, byte(v))
		} else {
			b = binary.LittleEndian.AppendUint16(b, v)
		}
	}
	return b
}

// every gives codestreams of every predictor, depth, order and interval.
func every() []differences {
	var all []differences
	for predictor := 1; predictor <= 7; predictor++ {
		for _, precision := range []int{2, 7, 8, 10, 12, 15, 16} {
			for _, components := range []int{1, 3} {
				for restart := range 3 {
					d := differences{width: 23, height: 17, components: components, precision: precision, predictor: predictor, restart: restart}
					d.apart = precision%2 == 1
					if precision > 8 {
						d.shift = restart
					}
					all = append(all, d)
				}
			}
		}
	}
	return all
}

func TestLosslessJPEGComesBackAsItWas(t *testing.T) {
	rng := newRNG(21)
	for _, d := range every() {
		s := d.samples(rng)
		for _, ts := range []study.UID{jpegLossless, jpegFirstOrder} {
			f, err := codec.Decode(d.image(), ts, [][]byte{d.encode(s)})
			if err != nil {
				t.Errorf("%+v: %v", d, err)
			} else if !bytes.Equal(f.Data, stand(s, d.precision)) {
				t.Errorf("%+v: other samples", d)
			}
		}
	}
}

// TestSignedSamplesKeepTheirSign decodes values below zero that were encoded
// with just the bits stored, and with all bits allocated.
func TestSignedSamplesKeepTheirSign(t *testing.T) {
	values := []int16{-2048, -1000, -1, 0, 1, 2047}
	for _, precision := range []int{12, 16} {
		d := differences{width: len(values), height: 1, components: 1, precision: precision, predictor: 1}
		var s []uint16
		for _, v := range values {
			s = append(s, uint16(v)&(1<<precision-1))
		}
		img := gray(len(values), 16, 12, true)
		img.HighBit = 11
		f, err := codec.Decode(img, jpegFirstOrder, [][]byte{d.encode(s)})
		if err != nil {
			t.Errorf("%d bits: %v", precision, err)
			continue
		}
		for i, v := range values {
			if got := int16(binary.LittleEndian.Uint16(f.Data[2*i:])); got != v {
				t.Errorf("%d bits: %d, want %d", precision, got, v)
			}
		}
	}
}

func TestContradictoryLosslessJPEGIsRefused(t *testing.T) {
	d := differences{width: 20, height: 9, components: 1, precision: 12, predictor: 4, restart: 2}
	good, img := d.encode(d.samples(newRNG(22))), d.image()
	with := func(change func(*study.Image)) study.Image {
		i := img
		change(&i)
		return i
	}
	put := func(marker byte, at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[bytes.Index(b, []byte{0xff, marker})+at:], v)
		return b
	}
	baseline := drawing{width: 20, height: 9, sampling: samplings["gray"], ids: "\x01", adobe: -1}
	for _, tt := range []struct {
		name string
		img  study.Image
		b    []byte
	}{
		{"more rows", with(func(i *study.Image) { i.Rows++ }), good},
		{"fewer columns", with(func(i *study.Image) { i.Columns-- }), good},
		{"three samples", with(func(i *study.Image) { i.Samples = 3 }), good},
		{"fewer bits than are stored", with(func(i *study.Image) { i.BitsStored, i.HighBit = 13, 12 }), good},
		{"more bits than are allocated", with(func(i *study.Image) { i.BitsAllocated, i.BitsStored, i.HighBit = 8, 8, 7 }), good},
		{"predictor 0", img, put(0xda, 7, 0)},
		{"predictor 8", img, put(0xda, 7, 8)},
		{"the point transform takes all bits", img, put(0xda, 9, 12)},
		{"a table that is not there", img, put(0xda, 6, 0x20)},
		{"17 bits", img, put(0xc3, 4, 17)},
		{"a restart amid a line", img, put(0xdd, 4, 0, 21)},
		{"baseline", with(func(i *study.Image) { i.BitsAllocated, i.BitsStored, i.HighBit = 8, 8, 7 }), baseline.encode()},
		{"60,000 rows in a few bytes", with(func(i *study.Image) { i.Rows, i.Columns = 60000, 1000 }), put(0xc3, 5, 0xea, 0x60, 3, 0xe8)},
		{"not a JPEG", img, []byte("not a JPEG at all")},
		{"empty", img, nil},
	} {
		if _, err := codec.Decode(tt.img, jpegLossless, [][]byte{tt.b}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for n := range good {
		if _, err := codec.Decode(img, jpegLossless, [][]byte{good[:n]}); !errors.Is(err, study.ErrInvalid) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(good), err)
		}
	}
}

// extended turns a baseline codestream into one of 12 bits with the same
// coefficients.
func extended(b []byte) []byte {
	b = bytes.Clone(b)
	i := bytes.Index(b, []byte{0xff, 0xc0})
	b[i+1], b[i+4] = 0xc1, 12
	return b
}

// faint makes the coefficients of a drawing so small that no sample is clipped.
func faint(b []byte) []byte {
	b = bytes.Clone(b)
	table := bytes.Index(b, []byte{0xff, 0xdb}) + 5
	copy(b[table:], bytes.Repeat([]byte{1}, 64))
	return b
}

// TestTwelveBitsDifferFromEightByRounding decodes the same coefficients as
// samples of 8 and of 12 bits, whose difference is the level shift and, by one
// at most, the rounding.
func TestTwelveBitsDifferFromEightByRounding(t *testing.T) {
	for name, s := range samplings {
		for _, d := range []drawing{{}, {restart: 2}, {apart: true}} {
			d.width, d.height, d.sampling, d.ids, d.adobe, d.seed = 61, 37, s, "\x01\x02\x03", -1, uint64(len(name))
			img, b := d.image("YBR_FULL"), faint(d.encode())
			eight, err := codec.DecodeWith(codec.Options{Decoder: "go"}, img, jpegBaseline, [][]byte{b})
			if err != nil {
				t.Fatal(err)
			}
			again, err := codec.Decode(img, jpegExtended, [][]byte{b})
			if err != nil || !bytes.Equal(again.Data, eight.Data) {
				t.Errorf("%s: 8 bits in the extended syntax: %v", name, err)
			}
			img.BitsAllocated, img.BitsStored, img.HighBit = 16, 12, 11
			twelve, err := codec.Decode(img, jpegExtended, [][]byte{extended(b)})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if err := alike(eight.Data, twelve.Data); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func alike(eight, twelve []byte) error {
	if len(twelve) != 2*len(eight) {
		return fmt.Errorf("%d and %d bytes", len(eight), len(twelve))
	}
	for i, v := range eight {
		if w := int(binary.LittleEndian.Uint16(twelve[2*i:])) - 2048 + 128; max(w-int(v), int(v)-w) > 1 {
			return fmt.Errorf("sample %d: %d and %d", i, v, w)
		}
	}
	return nil
}

func TestRetiredProcessesAreRefusedByName(t *testing.T) {
	for ts, name := range map[study.UID]string{
		"1.2.840.10008.1.2.4.53":  "Spectral Selection",
		"1.2.840.10008.1.2.4.55":  "Full Progression",
		"1.2.840.10008.1.2.4.102": "MPEG-4",
		"1.2.840.10008.1.2.4.110": "JPEG XL",
		"1.2.840.10008.1.2.4.112": "JPEG XL",
	} {
		_, err := codec.Decode(gray(8, 8, 8, false), ts, [][]byte{{1, 2, 3}})
		if !errors.Is(err, study.ErrUnsupported) || !bytes.Contains([]byte(err.Error()), []byte(name)) {
			t.Errorf("%s: %v", ts, err)
		}
	}
}
