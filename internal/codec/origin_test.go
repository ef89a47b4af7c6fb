package codec_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

const native = study.UID("1.2.840.10008.1.2.1")

// square is an RGB tile of a slide file.
func square(side int, o study.Origin) study.Image {
	return study.Image{
		Rows: side, Columns: side, Frames: 1, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7,
		Photometric: "RGB", Slide: &study.SlideLevel{}, Origin: &o,
	}
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// apart gives the difference of each sample from its left neighbor.
func apart(b []byte, row int) []byte {
	out := bytes.Clone(b)
	for at := 0; at < len(out); at += row {
		for i := row - 1; i >= 3; i-- {
			out[at+i] -= out[at+i-3]
		}
	}
	return out
}

func TestDeflatedTilesComeBack(t *testing.T) {
	const side = 40
	pix := make([]byte, 3*side*side)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range pix {
		pix[i] = byte(i/7 + r.IntN(3))
	}
	for _, tt := range []struct {
		name   string
		origin study.Origin
		stored []byte
	}{
		{"deflate", study.Origin{Coding: "deflate"}, zipped(t, pix)},
		{"deflate of differences", study.Origin{Coding: "deflate", Predictor: 2}, zipped(t, apart(pix, 3*side))},
		{"differences", study.Origin{Predictor: 2}, apart(pix, 3*side)},
		{"plain", study.Origin{}, pix},
		{"more than a tile", study.Origin{Coding: "deflate"}, zipped(t, append(bytes.Clone(pix), 1, 2, 3))},
	} {
		img, before := square(side, tt.origin), bytes.Clone(tt.stored)
		f, err := codec.Decode(img, native, [][]byte{tt.stored})
		if err != nil || !bytes.Equal(f.Data, pix) || f.Color != codec.RGB {
			t.Errorf("%s: %v", tt.name, err)
		}
		out, err := codec.Encoded(img, native, [][]byte{tt.stored})
		if err != nil || !bytes.Equal(out, pix) {
			t.Errorf("%s, handed on: %v", tt.name, err)
		}
		if !bytes.Equal(tt.stored, before) {
			t.Errorf("%s: what was fetched is changed", tt.name)
		}
	}
}

// packLZW writes TIFF's LZW with a table of strings.
func packLZW(b []byte) []byte {
	w := &bitWriter{}
	codes, width := map[string]uint32{}, uint(9)
	clear := func() {
		w.put(256, width)
		codes, width = map[string]uint32{}, 9
	}
	code := func(s string) uint32 {
		if len(s) == 1 {
			return uint32(s[0])
		}
		return codes[s]
	}
	clear()
	at := ""
	for _, v := range b {
		longer := at + string([]byte{v})
		if _, ok := codes[longer]; ok || at == "" {
			at = longer
			continue
		}
		w.put(code(at), width)
		codes[longer] = uint32(258 + len(codes))
		at = string([]byte{v})
		if len(codes)+258 == 1<<width && width < 12 {
			width++
		}
		if len(codes)+258 >= 4094 {
			w.put(code(at), width)
			clear()
			at = ""
		}
	}
	if at != "" {
		w.put(code(at), width)
	}
	w.put(257, width)
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
	return unstuffed(w.b)
}

// unstuffed takes out what bitWriter puts behind a byte of ones for JPEG's sake.
func unstuffed(b []byte) []byte { return bytes.ReplaceAll(b, []byte{0xff, 0}, []byte{0xff}) }

// TestLZWTilesComeBack reads tiles of noise,
// which fills the table again and again, and one color, which makes long codes.
func TestLZWTilesComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for _, side := range []int{1, 2, 16, 64, 200} {
		for noise := range 4 {
			pix := make([]byte, 3*side*side)
			for i := range pix {
				pix[i] = byte(200 + r.IntN([]int{1, 2, 16, 200}[noise]))
			}
			packed := packLZW(pix)
			f, err := codec.Decode(square(side, study.Origin{Coding: "lzw"}), native, [][]byte{packed})
			if err != nil || !bytes.Equal(f.Data, pix) {
				t.Errorf("%d pixels, noise %d: %v", side, noise, err)
			}
			if side > 2 {
				for _, n := range []int{0, 1, 2, len(packed) / 2, len(packed) - 4} {
					if _, err := codec.Decode(square(side, study.Origin{Coding: "lzw"}), native, [][]byte{packed[:n:n], {}}); n > 0 && !errors.Is(err, study.ErrInvalid) {
						t.Errorf("%d of %d bytes: %v", n, len(packed), err)
					}
				}
			}
		}
	}
}

// TestDamagedTilesAreRefused gives each coding bytes that are not of it.
func TestDamagedTilesAreRefused(t *testing.T) {
	good := zipped(t, make([]byte, 3*16*16))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1 // the checksum
	for _, tt := range []struct {
		name   string
		origin study.Origin
		frame  []byte
		want   error
	}{
		{"a deflated tile cut off", study.Origin{Coding: "deflate"}, good[:len(good)-9], study.ErrInvalid},
		{"a wrong checksum", study.Origin{Coding: "deflate"}, flipped, study.ErrInvalid},
		{"no zlib", study.Origin{Coding: "deflate"}, []byte("plain text"), study.ErrInvalid},
		{"too few samples", study.Origin{Coding: "deflate"}, zipped(t, make([]byte, 100)), study.ErrInvalid},
		{"a code from nowhere", study.Origin{Coding: "lzw"}, []byte{0x80, 0x7f, 0xff, 0xff, 0xff}, study.ErrInvalid},
		{"LZW of the old kind", study.Origin{Coding: "lzw"}, []byte{0, 1, 0, 0}, study.ErrUnsupported},
		{"too few native samples", study.Origin{Predictor: 2}, make([]byte, 10), study.ErrInvalid},
		{"zstd", study.Origin{Coding: "zstd"}, make([]byte, 10), study.ErrUnsupported},
		{"predictor 3", study.Origin{Coding: "deflate", Predictor: 3}, good, study.ErrUnsupported},
	} {
		if _, err := codec.Decode(square(16, tt.origin), native, [][]byte{tt.frame}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	r := rand.New(rand.NewPCG(3, 1))
	for range 3000 {
		b := make([]byte, 2+r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0], b[1] = 0x80, b[1]&0x3f
		if _, err := codec.Decode(square(64, study.Origin{Coding: "lzw"}), native, [][]byte{b}); err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Fatal(err)
		}
	}
}

// TestOneMarkerSaysTheColor hands on tiles whose markers contradict each other,
// or that have none: whoever decodes them sees what we see.
func TestOneMarkerSaysTheColor(t *testing.T) {
	for _, tt := range []struct {
		name string
		d    drawing
		head []byte
		want codec.Color
	}{
		{"JFIF and Adobe RGB", drawing{jfif: true, adobe: 0}, nil, codec.RGB},
		{"JFIF and Adobe YCC", drawing{jfif: true, adobe: 1}, nil, codec.YBR},
		{"JFIF", drawing{jfif: true, adobe: -1}, nil, codec.YBR},
		{"nothing, as tagged", drawing{adobe: -1}, nil, codec.RGB},
		{"a head that says YCC", drawing{adobe: -1}, []byte{0xff, 0xd8, 0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 1}, codec.YBR},
	} {
		d := tt.d
		d.width, d.height, d.sampling, d.ids, d.seed = 32, 32, samplings["444"], "\x01\x02\x03", 5
		img := square(32, study.Origin{Head: tt.head})
		b, err := codec.Encoded(img, jpegBaselineUID, [][]byte{d.encode()})
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if n := bytes.Count(b, []byte("Adobe")) + bytes.Count(b, []byte("JFIF")); n != 1 {
			t.Errorf("%s: %d markers", tt.name, n)
		}
		ours, err := codec.DecodeWith(codec.Options{RGB: true, Decoder: "go"}, img, jpegBaselineUID, [][]byte{d.encode()})
		if err != nil {
			t.Fatal(tt.name, err)
		}
		look, err := codec.Inspect(jpegBaselineUID, "RGB", b)
		if err != nil || look.Color != tt.want || !look.Marked {
			t.Errorf("%s: %+v, %v", tt.name, look, err)
		}
		// The standard library stands for every other decoder.
		theirs, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(tt.name, err)
		}
		worst := 0
		for i := range 32 * 32 {
			r, g, bl, _ := theirs.At(i%32, i/32).RGBA()
			for c, v := range []uint32{r, g, bl} {
				diff := int(ours.Data[3*i+c]) - int(v>>8)
				worst = max(worst, diff, -diff)
			}
		}
		if worst > 3 {
			t.Errorf("%s: another decoder differs by %d", tt.name, worst)
		}
	}
}

const jpegBaselineUID = study.UID("1.2.840.10008.1.2.4.50")

// oneObject gives ranges of one object under one key.
type oneObject struct {
	key string
	b   []byte
}

func (o oneObject) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if key != o.key {
		return nil, study.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(o.b[off:][:n])), nil
}

// TestFramesOfASlideFileAreReadWhereTheyLie reads tiles out of the file and not
// out of the instance's own object, and white where the file has none.
func TestFramesOfASlideFileAreReadWhereTheyLie(t *testing.T) {
	pix := bytes.Repeat([]byte{10, 20, 30}, 16*16)
	img := square(16, study.Origin{Key: "slide", Coding: "deflate"})
	z := zipped(t, pix)
	in := study.Instance{UID: "1.2", Key: "own", TransferSyntax: native, Image: &img}
	frames := study.Frames{Spans: []study.Span{{Off: 3, Len: int64(len(z))}, {}}, First: []int32{0, 1, 2, 2}}
	r := oneObject{"slide", append([]byte("abc"), z...)}
	f, err := codec.ReadFrame(t.Context(), r, in, frames, 0)
	if err != nil || !bytes.Equal(f.Data, pix) {
		t.Errorf("%v", err)
	}
	white := bytes.Repeat([]byte{255}, len(pix))
	for _, n := range []int{1, 2} {
		f, err = codec.ReadFrame(t.Context(), r, in, frames, n)
		if err != nil || !bytes.Equal(f.Data, white) || f.Decoder != "" || f.Color != codec.RGB {
			t.Errorf("frame %d: %v", n, err)
		}
	}
	if b, err := codec.Encoded(img, native, nil); err != nil || !bytes.Equal(b, white) {
		t.Errorf("handed on: %v", err)
	}
	img.Origin.Blank = []byte("background")
	if b, err := codec.Encoded(img, jpegBaselineUID, [][]byte{{}}); err != nil || string(b) != "background" {
		t.Errorf("handed on: %q, %v", b, err)
	}
	img.Origin.Blank = nil
	if _, err := codec.Encoded(img, "1.2.840.10008.1.2.4.91", nil); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("JPEG 2000 background: %v", err)
	}
	img.Origin = nil
	if _, err := codec.Encoded(img, native, nil); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a DICOM frame without bytes: %v", err)
	}
	if b, err := codec.Encoded(img, native, [][]byte{{1}, {2, 3}}); err != nil || string(b) != "\x01\x02\x03" {
		t.Errorf("a DICOM frame: %v, %v", b, err)
	}
}
