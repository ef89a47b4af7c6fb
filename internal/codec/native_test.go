package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

const (
	implicitLE     = study.UID("1.2.840.10008.1.2")
	explicitLE     = study.UID("1.2.840.10008.1.2.1")
	uncompressed   = study.UID("1.2.840.10008.1.2.1.98")
	deflated       = study.UID("1.2.840.10008.1.2.1.99")
	explicitBE     = study.UID("1.2.840.10008.1.2.2")
	jpegExtended   = study.UID("1.2.840.10008.1.2.4.51")
	jpegLossless   = study.UID("1.2.840.10008.1.2.4.57")
	jpegFirstOrder = study.UID("1.2.840.10008.1.2.4.70")
	rleLossless    = study.UID("1.2.840.10008.1.2.5")
	jpegBaseline   = study.UID("1.2.840.10008.1.2.4.50")
)

// gray describes one row of n samples.
func gray(n, allocated, stored int, signed bool) study.Image {
	return study.Image{
		Rows: 1, Columns: n, Frames: 1, Samples: 1, BitsAllocated: allocated, BitsStored: stored,
		HighBit: stored - 1, Signed: signed, Photometric: "MONOCHROME2",
	}
}

// color describes one row of n pixels.
func color(n, allocated, planar int, photometric string) study.Image {
	i := gray(n, allocated, allocated, false)
	i.Samples, i.Planar, i.Photometric = 3, planar, photometric
	return i
}

func TestNativeSamples(t *testing.T) {
	high := gray(2, 16, 12, false)
	high.HighBit = 15
	float := gray(1, 0, 0, false)
	float.Float = true
	for _, tt := range []struct {
		name     string
		img      study.Image
		ts       study.UID
		in, want []byte
	}{
		{"8 bits", gray(3, 8, 8, false), implicitLE, []byte{1, 2, 255}, []byte{1, 2, 255}},
		{"padding behind the frame is left alone", gray(3, 8, 8, false), explicitLE, []byte{1, 2, 3, 0}, []byte{1, 2, 3}},
		{"16 bits", gray(2, 16, 16, true), explicitLE, []byte{1, 2, 254, 255}, []byte{1, 2, 254, 255}},
		{"encapsulated", gray(2, 16, 16, true), uncompressed, []byte{1, 2, 254, 255}, []byte{1, 2, 254, 255}},
		{"16 bits big endian", gray(2, 16, 16, false), explicitBE, []byte{1, 2, 3, 4}, []byte{2, 1, 4, 3}},
		{"32 bits big endian", gray(1, 32, 32, false), explicitBE, []byte{1, 2, 3, 4}, []byte{4, 3, 2, 1}},
		{"bits above the stored ones are masked", gray(2, 16, 12, false), explicitLE, []byte{0xff, 0xff, 1, 0x10}, []byte{0xff, 0x0f, 1, 0}},
		{"the sign is extended from the stored bits", gray(2, 16, 12, true), explicitLE, []byte{0xff, 0x0f, 0xff, 0xf7}, []byte{0xff, 0xff, 0xff, 0x07}},
		{"7 of 8 bits, signed", gray(2, 8, 7, true), explicitLE, []byte{0x40, 0x3f}, []byte{0xc0, 0x3f}},
		{"7 of 8 bits", gray(2, 8, 7, false), explicitLE, []byte{0xff, 0x80}, []byte{0x7f, 0}},
		{"20 of 32 bits, signed", gray(1, 32, 20, true), explicitLE, []byte{0, 0, 8, 0xaa}, []byte{0, 0, 0xf8, 0xff}},
		{"20 of 32 bits", gray(1, 32, 20, false), explicitLE, []byte{0, 0, 0xf8, 0xaa}, []byte{0, 0, 8, 0}},
		{"a value in the upper bits is moved down", high, explicitLE, []byte{0xff, 0x12, 0x01, 0x80}, []byte{0x2f, 1, 0, 8}},
		{"1 bit", gray(10, 1, 1, false), explicitLE, []byte{0b1000_0101, 0b10}, []byte{1, 0, 1, 0, 0, 0, 0, 1, 0, 1}},
		{"pixels stay", color(2, 8, 0, "RGB"), explicitLE, []byte{1, 2, 3, 4, 5, 6}, []byte{1, 2, 3, 4, 5, 6}},
		{"planes are interleaved", color(2, 8, 1, "RGB"), explicitLE, []byte{1, 4, 2, 5, 3, 6}, []byte{1, 2, 3, 4, 5, 6}},
		{"planes of 16 bits", color(2, 16, 1, "RGB"), explicitLE, []byte{1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0}, []byte{1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0}},
		{"chroma of two pixels is repeated", color(2, 8, 0, "YBR_FULL_422"), explicitLE, []byte{1, 2, 3, 4}, []byte{1, 3, 4, 2, 3, 4}},
		{"a tag of 422 over full chroma", color(2, 8, 0, "YBR_FULL_422"), explicitLE, []byte{1, 2, 3, 4, 5, 6}, []byte{1, 2, 3, 4, 5, 6}},
		{"floats", float, explicitLE, []byte{0, 0, 0x80, 0x3f}, []byte{0, 0, 0x80, 0x3f}},
		{"floats big endian", float, explicitBE, []byte{0x3f, 0x80, 0, 0}, []byte{0, 0, 0x80, 0x3f}},
	} {
		f, err := codec.Decode(tt.img, tt.ts, [][]byte{tt.in})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !bytes.Equal(f.Data, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, f.Data, tt.want)
		}
	}
}

func TestSenselessImagesAreRefused(t *testing.T) {
	huge := gray(1<<16, 32, 32, false)
	huge.Rows = 1 << 16
	four := color(2, 8, 0, "CMYK")
	four.Samples = 4
	for _, tt := range []struct {
		name string
		img  study.Image
		ts   study.UID
		in   []byte
		kind error
	}{
		{"no columns", gray(0, 8, 8, false), explicitLE, []byte{1}, study.ErrInvalid},
		{"negative columns", gray(-5, 8, 8, false), explicitLE, []byte{1}, study.ErrInvalid},
		{"too few bytes", gray(3, 16, 16, false), explicitLE, []byte{1, 2, 3, 4, 5}, study.ErrInvalid},
		{"too few bits", gray(9, 1, 1, false), explicitLE, []byte{1}, study.ErrInvalid},
		{"too few bytes of 422", color(2, 8, 0, "YBR_FULL_422"), explicitLE, []byte{1, 2, 3}, study.ErrInvalid},
		{"422 of odd width", color(3, 8, 0, "YBR_FULL_422"), explicitLE, make([]byte, 6), study.ErrInvalid},
		{"more bits stored than allocated", gray(1, 8, 12, false), explicitLE, []byte{1}, study.ErrInvalid},
		{"12 bits allocated", gray(2, 12, 12, false), explicitLE, []byte{1, 2, 3}, study.ErrUnsupported},
		{"four samples", four, explicitLE, make([]byte, 8), study.ErrUnsupported},
		{"a frame of 16 GB", huge, explicitLE, []byte{1}, study.ErrUnsupported},
		{"JPEG XL", gray(1, 8, 8, false), "1.2.840.10008.1.2.4.112", []byte{1}, study.ErrUnsupported},
		{"no such transfer syntax", gray(1, 8, 8, false), "1.2.3", []byte{1}, study.ErrUnsupported},
	} {
		_, err := codec.Decode(tt.img, tt.ts, [][]byte{tt.in})
		if !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v, want kind %v", tt.name, err, tt.kind)
		}
	}
	if _, err := codec.Decode(gray(1, 8, 8, false), explicitLE, nil); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("no fragments: %v", err)
	}
}

func TestForcedDecoderIsUsedOrMissed(t *testing.T) {
	img := gray(1, 8, 8, false)
	if _, err := codec.DecodeWith(codec.Options{Decoder: "native"}, img, explicitLE, [][]byte{{7}}); err != nil {
		t.Error(err)
	}
	if _, err := codec.DecodeWith(codec.Options{Decoder: "rle"}, img, explicitLE, [][]byte{{7}}); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("RLE decoder for native pixels: %v", err)
	}
}

func TestColorOfNativeFrames(t *testing.T) {
	for _, tt := range []struct {
		img  study.Image
		want codec.Color
	}{
		{gray(2, 8, 8, false), codec.Gray},
		{color(2, 8, 0, "RGB"), codec.RGB},
		{color(2, 8, 0, "YBR_FULL"), codec.YBR},
		{color(2, 8, 0, "YBR_RCT"), codec.Unknown},
	} {
		f, err := codec.Decode(tt.img, explicitLE, [][]byte{make([]byte, 6)})
		if err != nil || f.Color != tt.want {
			t.Errorf("%s: %v, %v, want %v", tt.img.Photometric, f.Color, err, tt.want)
		}
	}
	palette := gray(2, 8, 8, false)
	palette.Photometric = "PALETTE COLOR"
	f, err := codec.Decode(palette, explicitLE, [][]byte{{1, 2}})
	if err != nil || f.Color != codec.Palette {
		t.Errorf("palette: %v, %v", f.Color, err)
	}
	if _, err := f.RGB(); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("palette as RGB: %v", err)
	}
}

// TestColorConversion holds the fixed-point arithmetic against real numbers: no
// sample may be off by more than one.
func TestColorConversion(t *testing.T) {
	var in []byte
	for y := 0; y < 256; y += 5 {
		for cb := 0; cb < 256; cb += 5 {
			for cr := 0; cr < 256; cr += 5 {
				in = append(in, byte(y), byte(cb), byte(cr))
			}
		}
	}
	img := color(52*52, 8, 0, "YBR_FULL")
	img.Rows = 52
	f, err := codec.Decode(img, explicitLE, [][]byte{in})
	if err != nil {
		t.Fatal(err)
	}
	rgb, err := f.RGB()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+2 < len(rgb); i += 3 {
		y, cb, cr := float64(in[i]), float64(in[i+1])-128, float64(in[i+2])-128
		for c, want := range []float64{y + 1.402*cr, y - 0.344136*cb - 0.714136*cr, y + 1.772*cb} {
			if d := float64(rgb[i+c]) - min(max(want, 0), 255); math.Abs(d) > 1 {
				t.Fatalf("component %d of %v: %d, want %.2f", c, in[i:i+3], rgb[i+c], want)
			}
		}
	}
}

func TestWideColorKeepsItsUpperBits(t *testing.T) {
	img := color(1, 16, 0, "RGB")
	img.BitsStored, img.HighBit = 12, 11
	var in []byte
	for _, v := range []uint16{0x0fff, 0x0800, 0x000f} {
		in = binary.LittleEndian.AppendUint16(in, v)
	}
	f, err := codec.Decode(img, explicitLE, [][]byte{in})
	if err != nil {
		t.Fatal(err)
	}
	if rgb, err := f.RGB(); err != nil || !bytes.Equal(rgb, []byte{255, 128, 0}) {
		t.Errorf("%v, %v", rgb, err)
	}
}
