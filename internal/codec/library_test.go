package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

const (
	jpegLS      = study.UID("1.2.840.10008.1.2.4.80")
	jpegLSNear  = study.UID("1.2.840.10008.1.2.4.81")
	j2kLossless = study.UID("1.2.840.10008.1.2.4.90")
	j2k         = study.UID("1.2.840.10008.1.2.4.91")
	htLossless  = study.UID("1.2.840.10008.1.2.4.201")
)

func TestJPEG2000ComesBackAsItWas(t *testing.T) {
	rng := newRNG(31)
	for _, precision := range []int{1, 2, 7, 8, 10, 12, 13, 16} {
		for _, signed := range []bool{false, true} {
			for _, components := range []int{1, 3} {
				for _, o := range []j2kOptions{{}, {tile: 40}, {transform: components == 3}} {
					if signed && precision < 2 {
						continue
					}
					p := paint(71, 53, components, precision, signed, rng)
					f, err := codec.Decode(p.image(), j2kLossless, [][]byte{encodeJ2K(t, p, o)})
					if err != nil {
						t.Errorf("%d bits, signed %v, %d components, %+v: %v", precision, signed, components, o, err)
					} else if !bytes.Equal(f.Data, p.stand()) {
						t.Errorf("%d bits, signed %v, %d components, %+v: %s", precision, signed, components, o, distance(f.Data, p.stand()))
					}
				}
			}
		}
	}
}

func TestJPEGLSComesBackAsItWas(t *testing.T) {
	rng := newRNG(32)
	for _, precision := range []int{2, 7, 8, 10, 12, 15, 16} {
		for _, signed := range []bool{false, true} {
			for _, components := range []int{1, 3} {
				for mode := range 3 {
					if mode > 0 && components == 1 {
						continue
					}
					p := paint(71, 53, components, precision, false, rng)
					img := p.image()
					img.Signed = signed
					want := p.stand()
					if signed {
						extend(want, precision)
					}
					f, err := codec.Decode(img, jpegLS, [][]byte{encodeJLS(t, p, mode, 0)})
					if err != nil {
						t.Errorf("%d bits, %d components, mode %d: %v", precision, components, mode, err)
					} else if !bytes.Equal(f.Data, want) {
						t.Errorf("%d bits, %d components, mode %d: %s", precision, components, mode, distance(f.Data, want))
					}
				}
			}
		}
	}
}

// extend gives samples the sign that their uppermost stored bit means.
func extend(b []byte, precision int) {
	if precision <= 8 {
		for i, v := range b {
			b[i] = byte(int8(v<<(8-precision)) >> (8 - precision))
		}
		return
	}
	for i := 0; i < len(b); i += 2 {
		v := int16(binary.LittleEndian.Uint16(b[i:])<<(16-precision)) >> (16 - precision)
		binary.LittleEndian.PutUint16(b[i:], uint16(v))
	}
}

func TestNearLosslessStaysNear(t *testing.T) {
	p := paint(90, 60, 3, 8, false, newRNG(33))
	for near := range 5 {
		for mode := range 3 {
			f, err := codec.Decode(p.image(), jpegLSNear, [][]byte{encodeJLS(t, p, mode, near)})
			if err != nil {
				t.Errorf("near %d, mode %d: %v", near, mode, err)
				continue
			}
			worst := 0
			for i, v := range f.Data {
				d := int(v) - int(p.values[i])
				worst = max(worst, d, -d)
			}
			if worst > near {
				t.Errorf("near %d, mode %d: off by %d", near, mode, worst)
			}
		}
	}
}

func TestSamplesOfEightBitsFillSixteen(t *testing.T) {
	p := paint(20, 10, 1, 8, false, newRNG(34))
	img := p.image()
	img.BitsAllocated = 16
	want := stand(narrow(p), 16)
	for ts, b := range map[study.UID][]byte{jpegLS: encodeJLS(t, p, 0, 0), j2kLossless: encodeJ2K(t, p, j2kOptions{})} {
		f, err := codec.Decode(img, ts, [][]byte{b})
		if err != nil || !bytes.Equal(f.Data, want) {
			t.Errorf("%s: %v", ts, err)
		}
	}
}

func narrow(p picture) []uint16 {
	var s []uint16
	for _, v := range p.values {
		s = append(s, uint16(v))
	}
	return s
}

// TestSignOfJPEG2000 is about codestreams and data sets that disagree: the bits
// stored tell where the sign is, and a value below zero is never made large.
func TestSignOfJPEG2000(t *testing.T) {
	p := picture{width: 6, height: 1, components: 1, precision: 13, values: []int32{0, 1, 4095, 4096, 8190, 8191}}
	img := p.image()
	img.Signed = true
	f, err := codec.Decode(img, j2kLossless, [][]byte{encodeJ2K(t, p, j2kOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int16{0, 1, 4095, -4096, -2, -1} {
		if got := int16(binary.LittleEndian.Uint16(f.Data[2*i:])); got != want {
			t.Errorf("unsigned codestream, signed image: %d, want %d", got, want)
		}
	}
	img.BitsStored, img.HighBit = 14, 13
	if _, err := codec.Decode(img, j2kLossless, [][]byte{encodeJ2K(t, p, j2kOptions{})}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("the sign bit is not there: %v", err)
	}
	p.signed, p.values = true, []int32{0, 1, 2, 3, 4, 5}
	if f, err = codec.Decode(gray(6, 16, 13, false), j2kLossless, [][]byte{encodeJ2K(t, p, j2kOptions{})}); err != nil || f.Data[10] != 5 {
		t.Errorf("signed codestream, unsigned image: %v", err)
	}
	p.values[3] = -1
	if _, err := codec.Decode(gray(6, 16, 13, false), j2kLossless, [][]byte{encodeJ2K(t, p, j2kOptions{})}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a value below zero in an unsigned image: %v", err)
	}
}

func TestColorOfLibraryFrames(t *testing.T) {
	p := paint(30, 20, 3, 8, false, newRNG(35))
	bare, transformed := encodeJ2K(t, p, j2kOptions{}), encodeJ2K(t, p, j2kOptions{transform: true})
	ls := encodeJLS(t, p, bySample, 0)
	for _, tt := range []struct {
		name string
		ts   study.UID
		tag  string
		b    []byte
		want codec.Color
	}{
		{"the transform outweighs the tag", j2kLossless, "YBR_FULL", transformed, codec.RGB},
		{"the tag means the transform", j2kLossless, "YBR_RCT", transformed, codec.RGB},
		{"lossy", j2k, "YBR_ICT", transformed, codec.RGB},
		{"the tag means a transform that is not there", j2kLossless, "YBR_RCT", bare, codec.RGB},
		{"no transform, the tag is believed", j2kLossless, "YBR_FULL", bare, codec.YBR},
		{"no transform, RGB", j2kLossless, "RGB", bare, codec.RGB},
		{"no transform, nothing said", j2kLossless, "", bare, codec.Unknown},
		{"the file says RGB", j2kLossless, "YBR_FULL", jp2(bare, 16), codec.RGB},
		{"the file says YCC", j2kLossless, "RGB", jp2(transformed, 18), codec.YBR},
		{"the file says gray", j2kLossless, "RGB", jp2(bare, 17), codec.RGB},
		{"JPEG-LS goes by the tag", jpegLS, "RGB", ls, codec.RGB},
		{"JPEG-LS goes by the tag", jpegLS, "YBR_FULL", ls, codec.YBR},
	} {
		img := p.image()
		img.Photometric = tt.tag
		f, err := codec.Decode(img, tt.ts, [][]byte{tt.b})
		if err != nil || f.Color != tt.want || !bytes.Equal(f.Data, p.stand()) {
			t.Errorf("%s: %v, %v, want %v", tt.name, f.Color, err, tt.want)
		}
	}
}

// TestChannelsAreReordered decodes JP2 files whose components come in another
// order than red, green, blue.
// TestColorDifferencesOfFewerSamples decodes JPEG 2000 as older slide scanners
// write it: every sample of a color difference stands for two pixels or four.
func TestColorDifferencesOfFewerSamples(t *testing.T) {
	for _, step := range [][2]int{{2, 1}, {2, 2}, {1, 2}} {
		for _, size := range [][2]int{{64, 48}, {33, 17}} {
			p := paint(size[0], size[1], 3, 8, false, newRNG(4))
			stream := encodeJ2K(t, p, j2kOptions{step: step})
			f, err := codec.Decode(p.image(), "1.2.840.10008.1.2.4.91", [][]byte{stream})
			if err != nil {
				t.Fatal(step, size, err)
			}
			want := make([]byte, 0, 3*size[0]*size[1])
			for y := range size[1] {
				for x := range size[0] {
					at := 3 * (y/step[1]*step[1]*size[0] + x/step[0]*step[0])
					want = append(want, byte(p.values[3*(y*size[0]+x)]), byte(p.values[at+1]), byte(p.values[at+2]))
				}
			}
			if f.Color != codec.YBR || !bytes.Equal(f.Data, want) {
				t.Errorf("%v of %v: color %s", step, size, f.Color)
			}
		}
	}
}

func TestChannelsAreReordered(t *testing.T) {
	for _, precision := range []int{8, 12} {
		p := paint(30, 20, 3, precision, false, newRNG(36))
		b := encodeJ2K(t, p, j2kOptions{})
		for _, colors := range [][]uint16{{1, 2, 3}, {2, 3, 1}, {3, 2, 1}, {3, 1, 2}} {
			f, err := codec.Decode(p.image(), j2kLossless, [][]byte{jp2(b, 16, colors...)})
			if err != nil {
				t.Errorf("%v: %v", colors, err)
				continue
			}
			want := p
			want.values = make([]int32, len(p.values))
			for i, v := range p.values {
				want.values[i/3*3+int(colors[i%3])-1] = v
			}
			if !bytes.Equal(f.Data, want.stand()) {
				t.Errorf("%v: other samples", colors)
			}
		}
		for _, colors := range [][]uint16{{1, 1, 2}, {0, 1, 2}, {1, 2, 4}} {
			if _, err := codec.Decode(p.image(), j2kLossless, [][]byte{jp2(b, 16, colors...)}); err == nil {
				t.Errorf("%v: accepted", colors)
			}
		}
	}
}

func TestPaddingIsNotData(t *testing.T) {
	p := paint(40, 30, 1, 12, false, newRNG(37))
	for ts, b := range map[study.UID][]byte{
		jpegLS: encodeJLS(t, p, 0, 0), j2kLossless: encodeJ2K(t, p, j2kOptions{}),
		j2k: jp2(encodeJ2K(t, p, j2kOptions{}), 17),
	} {
		for name, pad := range map[string][]byte{"zero": {0}, "ones": {0xff}, "more": {0, 0, 0, 0, 0, 0, 0}} {
			f, err := codec.Decode(p.image(), ts, [][]byte{b[:len(b)/2], b[len(b)/2:], pad})
			if err != nil || !bytes.Equal(f.Data, p.stand()) {
				t.Errorf("%s, %s: %v", ts, name, err)
			}
		}
	}
	// A byte of zeros too many before the end, as one encoder of JPEG-LS has it.
	b := encodeJLS(t, p, 0, 0)
	b = append(b[:len(b)-2:len(b)-2], 0, 0xff, 0xd9)
	if f, err := codec.Decode(p.image(), jpegLS, [][]byte{b}); err != nil || !bytes.Equal(f.Data, p.stand()) {
		t.Errorf("a zero before the end: %v", err)
	}
}

func TestTruncatedLibraryFramesAreRefused(t *testing.T) {
	p := paint(24, 18, 1, 8, false, newRNG(38))
	for ts, good := range map[study.UID][]byte{jpegLS: encodeJLS(t, p, 0, 0), j2kLossless: encodeJ2K(t, p, j2kOptions{})} {
		for n := range good {
			if _, err := codec.Decode(p.image(), ts, [][]byte{good[:n]}); !errors.Is(err, study.ErrInvalid) {
				t.Fatalf("%s: cut after %d of %d bytes: %v", ts, n, len(good), err)
			}
		}
		accepted := 0
		for n := len(good) / 2; n < len(good)-2; n += 7 { // cut, and an end put on
			_, err := codec.Decode(p.image(), ts, [][]byte{good[:n], {0xff, 0xd9}})
			if err == nil {
				accepted++
			} else if !errors.Is(err, study.ErrInvalid) {
				t.Fatalf("%s: cut after %d of %d bytes, and ended: %v", ts, n, len(good), err)
			}
		}
		if accepted > 0 {
			t.Errorf("%s: %d cut codestreams with an end were accepted", ts, accepted)
		}
	}
}

func TestContradictoryLibraryFramesAreRefused(t *testing.T) {
	p := paint(40, 24, 1, 12, false, newRNG(39))
	ls, two := encodeJLS(t, p, 0, 0), encodeJ2K(t, p, j2kOptions{})
	img := p.image()
	with := func(change func(*study.Image)) study.Image {
		i := img
		change(&i)
		return i
	}
	put := func(b []byte, marker byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[bytes.Index(b, []byte{0xff, marker})+at:], v)
		return b
	}
	for _, tt := range []struct {
		name string
		ts   study.UID
		img  study.Image
		b    []byte
	}{
		{"more rows", jpegLS, with(func(i *study.Image) { i.Rows++ }), ls},
		{"more rows", j2k, with(func(i *study.Image) { i.Rows++ }), two},
		{"fewer columns", jpegLS, with(func(i *study.Image) { i.Columns-- }), ls},
		{"fewer columns", j2k, with(func(i *study.Image) { i.Columns-- }), two},
		{"three samples", jpegLS, with(func(i *study.Image) { i.Samples = 3 }), ls},
		{"three samples", j2k, with(func(i *study.Image) { i.Samples = 3 }), two},
		{"eight bits", jpegLS, with(func(i *study.Image) { i.BitsAllocated, i.BitsStored, i.HighBit = 8, 8, 7 }), ls},
		{"eight bits", j2k, with(func(i *study.Image) { i.BitsAllocated, i.BitsStored, i.HighBit = 8, 8, 7 }), two},
		{"floats", jpegLS, with(func(i *study.Image) { i.Float = true }), ls},
		{"floats", j2k, with(func(i *study.Image) { i.Float = true }), two},
		{"larger than a slide's tile", j2k, with(func(i *study.Image) { i.Slide, i.Columns = &study.SlideLevel{}, 39 }), two},
		{"the other one", jpegLS, img, two},
		{"the other one", j2k, img, ls},
		{"baseline", jpegLS, img, tile(40)},
		{"no height", jpegLS, img, put(ls, 0xf7, 5, 0, 0)},
		{"no components", jpegLS, img, put(ls, 0xf7, 9, 0)},
		{"a size of a billion", j2k, img, put(two, 0x51, 6, 0x3b, 0x9a, 0xca, 0, 0x3b, 0x9a, 0xca, 0)},
		{"tiles of nothing", j2k, img, put(two, 0x51, 22, 0, 0, 0, 0)},
		{"a box that is too long", j2k, img, put(jp2(two, 16), 0x4f, -8, 0x7f)},
		{"two codestreams", j2k, img, append(jp2(two, 16), jp2(two, 16)[12:]...)},
		{"no codestream", j2k, img, jp2(two, 16)[:60]},
		{"not a codestream", jpegLS, img, []byte("not a codestream at all\xff\xd9")},
		{"not a codestream", j2k, img, []byte("not a codestream at all\xff\xd9")},
		{"empty", jpegLS, img, nil},
		{"empty", j2k, img, nil},
	} {
		_, err := codec.Decode(tt.img, tt.ts, [][]byte{tt.b})
		if !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrUnsupported) {
			t.Errorf("%s, %s: %v", tt.ts, tt.name, err)
		}
	}
}

func TestSmallerEdgeFrameOfJPEG2000Slide(t *testing.T) {
	p := paint(40, 24, 3, 8, false, newRNG(40))
	img := p.image()
	img.Rows, img.Columns, img.Slide = 64, 64, &study.SlideLevel{TotalColumns: 104, TotalRows: 88}
	f, err := codec.Decode(img, j2kLossless, [][]byte{encodeJ2K(t, p, j2kOptions{transform: true})})
	if err != nil || f.Columns != 40 || f.Rows != 24 || !bytes.Equal(f.Data, p.stand()) {
		t.Errorf("%d×%d, %v", f.Columns, f.Rows, err)
	}
}
