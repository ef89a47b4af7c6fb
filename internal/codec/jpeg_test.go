package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

func isAbsent(err error) bool { return errors.Is(err, study.ErrUnsupported) }

// missing skips a test for want of a peer; on CI, where all peers are installed,
// it fails.
func missing(t testing.TB, peer string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", peer)
	}
	t.Skipf("%s is missing", peer)
}

var samplings = map[string][][2]int{
	"gray":         {{1, 1}},
	"gray tagged":  {{2, 2}},
	"444":          {{1, 1}, {1, 1}, {1, 1}},
	"444 doubled":  {{1, 2}, {1, 2}, {1, 2}},
	"422":          {{2, 1}, {1, 1}, {1, 1}},
	"422 tall":     {{2, 2}, {1, 2}, {1, 2}},
	"420":          {{2, 2}, {1, 1}, {1, 1}},
	"440":          {{1, 2}, {1, 1}, {1, 1}},
	"411":          {{4, 1}, {1, 1}, {1, 1}},
	"410":          {{4, 2}, {1, 1}, {1, 1}},
	"mixed":        {{2, 2}, {2, 1}, {1, 2}},
	"luma smaller": {{1, 1}, {2, 1}, {1, 1}},
}

// TestBothJPEGDecodersAgree decodes every kind of baseline codestream with
// libjpeg-turbo and with our own decoder and expects the same samples, bit for
// bit, and the same colors after conversion.
func TestBothJPEGDecodersAgree(t *testing.T) {
	turboOrSkip(t)
	seed := uint64(0)
	for name, s := range samplings {
		for _, size := range [][2]int{{64, 48}, {1, 1}, {3, 3}, {5, 2}, {17, 33}, {8, 100}, {255, 9}, {2, 2}, {4, 4}} {
			for _, how := range []drawing{{}, {restart: 1}, {restart: 3, fill: true}, {apart: true}, {apart: true, restart: 5}} {
				seed++
				how.width, how.height, how.sampling, how.ids, how.adobe, how.seed = size[0], size[1], s, "\x01\x02\x03", -1, seed
				same(t, fmt.Sprintf("%s %+v", name, how), how)
			}
		}
	}
}

func same(t *testing.T, name string, d drawing) {
	t.Helper()
	img, data := d.image("YBR_FULL"), d.encode()
	got, err := codec.DecodeWith(codec.Options{Decoder: "go"}, img, jpegBaseline, [][]byte{data})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	want, err := codec.DecodeWith(codec.Options{Decoder: "turbo"}, img, jpegBaseline, [][]byte{data})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Errorf("%s: samples differ: %s", name, distance(got.Data, want.Data))
	}
	if len(d.sampling) != 3 {
		return
	}
	rgb, err := got.RGB()
	if err != nil {
		t.Fatal(err)
	}
	fast, err := codec.DecodeWith(codec.Options{Decoder: "turbo", RGB: true}, img, jpegBaseline, [][]byte{data})
	if err != nil || fast.Color != codec.RGB || !bytes.Equal(rgb, fast.Data) {
		t.Errorf("%s: colors differ: %v %v %s", name, fast.Color, err, distance(rgb, fast.Data))
	}
}

func distance(a, b []byte) string {
	worst, sum, n := 0, 0, 0
	for i := range min(len(a), len(b)) {
		d := max(int(a[i])-int(b[i]), int(b[i])-int(a[i]))
		worst, sum = max(worst, d), sum+d
		if d > 0 {
			n++
		}
	}
	return fmt.Sprintf("%d and %d samples, %d differ, max %d, sum %d", len(a), len(b), n, worst, sum)
}

// TestJPEGAgainstTheStandardLibrary holds the samples of our decoder against
// those of image/jpeg, whose transform rounds differently: off by one at most
// where chroma is not upsampled.
func TestJPEGAgainstTheStandardLibrary(t *testing.T) {
	rgba := image.NewRGBA(image.Rect(0, 0, 203, 101))
	for i := range rgba.Pix {
		rgba.Pix[i] = byte(i*i/997 + i%4*60)
	}
	for q := range 4 {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, rgba, &jpeg.Options{Quality: 40 + 19*q}); err != nil {
			t.Fatal(err)
		}
		theirs, err := jpeg.Decode(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		img := color(203, 8, 0, "YBR_FULL_422")
		img.Rows = 101
		f, err := codec.DecodeWith(codec.Options{Decoder: "go"}, img, jpegBaseline, [][]byte{b.Bytes()})
		if err != nil {
			t.Fatal(err)
		}
		y := theirs.(*image.YCbCr)
		for i := range 203 * 101 {
			a, b := int(f.Data[3*i]), int(y.Y[i/203*y.YStride+i%203])
			if a-b > 1 || b-a > 1 {
				t.Fatalf("quality %d, pixel %d: %d and %d", 40+19*q, i, a, b)
			}
		}
	}
}

// TestColorIsDecidedByTheCodestream is the one rule of the house, step by step.
func TestColorIsDecidedByTheCodestream(t *testing.T) {
	plain, half := samplings["444"], samplings["420"]
	for _, tt := range []struct {
		name string
		d    drawing
		tag  string
		want codec.Color
	}{
		{"Adobe says RGB, the tag YBR", drawing{sampling: plain, ids: "\x00\x01\x02", adobe: 0}, "YBR_FULL_422", codec.RGB},
		{"Adobe says YCC, the tag RGB", drawing{sampling: plain, ids: "RGB", adobe: 1}, "RGB", codec.YBR},
		{"Adobe outweighs JFIF", drawing{sampling: plain, ids: "\x01\x02\x03", adobe: 0, jfif: true}, "YBR_FULL", codec.RGB},
		{"JFIF is YCC, the tag RGB", drawing{sampling: plain, ids: "\x01\x02\x03", adobe: -1, jfif: true}, "RGB", codec.YBR},
		{"names of components", drawing{sampling: plain, ids: "RGB", adobe: -1}, "YBR_FULL", codec.RGB},
		{"subsampling is YCC, the tag RGB", drawing{sampling: half, ids: "\x00\x01\x02", adobe: -1}, "RGB", codec.YBR},
		{"only the tag is left", drawing{sampling: plain, ids: "\x00\x01\x02", adobe: -1}, "RGB", codec.RGB},
		{"nothing at all", drawing{sampling: plain, ids: "\x00\x01\x02", adobe: -1}, "", codec.YBR},
	} {
		tt.d.width, tt.d.height = 40, 24
		data := tt.d.encode()
		for _, decoder := range []string{"go", "turbo"} {
			f, err := codec.DecodeWith(codec.Options{Decoder: decoder}, tt.d.image(tt.tag), jpegBaseline, [][]byte{data})
			if err != nil && decoder == "turbo" && isAbsent(err) {
				continue
			}
			if err != nil || f.Color != tt.want {
				t.Errorf("%s, %s: %v, %v, want %v", tt.name, decoder, f.Color, err, tt.want)
			}
		}
	}
}

func TestContradictoryJPEGIsRefused(t *testing.T) {
	d := drawing{width: 40, height: 24, sampling: samplings["420"], ids: "\x01\x02\x03", adobe: -1}
	good := d.encode()
	img := d.image("YBR_FULL_422")
	with := func(change func(*study.Image)) study.Image {
		i := img
		change(&i)
		return i
	}
	sof := bytes.Index(good, []byte{0xff, 0xc0})
	put := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	for _, tt := range []struct {
		name string
		img  study.Image
		b    []byte
	}{
		{"more rows", with(func(i *study.Image) { i.Rows++ }), good},
		{"fewer columns", with(func(i *study.Image) { i.Columns-- }), good},
		{"one sample", with(func(i *study.Image) { i.Samples = 1 }), good},
		{"16 bits", with(func(i *study.Image) { i.BitsAllocated, i.BitsStored = 16, 12 }), good},
		{"larger than a slide's tile", with(func(i *study.Image) { i.Slide, i.Columns = &study.SlideLevel{}, 39 }), good},
		{"progressive", img, put(sof, 0xff, 0xc2)},
		{"lossless", img, put(sof, 0xff, 0xc3)},
		{"12 bits", img, put(sof+4, 12)},
		{"no height", img, put(sof+5, 0, 0)},
		{"60,000 rows in a few bytes", with(func(i *study.Image) { i.Rows, i.Columns = 60000, 1000 }), put(sof+5, 0xea, 0x60, 3, 0xe8)},
		{"a table that is not there", img, put(sof+12, 3)},
		{"not a JPEG", img, []byte("not a JPEG at all")},
		{"empty", img, nil},
	} {
		for _, decoder := range []string{"go", "turbo"} {
			_, err := codec.DecodeWith(codec.Options{Decoder: decoder}, tt.img, jpegBaseline, [][]byte{tt.b})
			if err != nil && decoder == "turbo" && isAbsent(err) {
				continue
			}
			if !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%s, %s: %v", tt.name, decoder, err)
			}
		}
	}
}

func TestTruncatedJPEGIsRefused(t *testing.T) {
	for _, restart := range []int{0, 2} {
		d := drawing{width: 50, height: 30, sampling: samplings["420"], ids: "\x01\x02\x03", adobe: -1, restart: restart}
		good, img := d.encode(), d.image("YBR_FULL_422")
		for _, decoder := range []string{"go", "turbo"} {
			for n := range good {
				_, err := codec.DecodeWith(codec.Options{Decoder: decoder}, img, jpegBaseline, [][]byte{good[:n]})
				if err != nil && decoder == "turbo" && isAbsent(err) {
					break
				}
				if !errors.Is(err, study.ErrInvalid) {
					t.Fatalf("%s: cut after %d of %d bytes: %v", decoder, n, len(good), err)
				}
			}
		}
	}
}

func TestEdgeFrameOfASlideKeepsItsOwnSize(t *testing.T) {
	d := drawing{width: 40, height: 24, sampling: samplings["420"], ids: "\x01\x02\x03", adobe: -1}
	img := d.image("YBR_FULL_422")
	img.Rows, img.Columns = 64, 64
	if _, err := codec.Decode(img, jpegBaseline, [][]byte{d.encode()}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a small frame of an image that is no slide: %v", err)
	}
	img.Slide = &study.SlideLevel{TotalColumns: 104, TotalRows: 88}
	f, err := codec.Decode(img, jpegBaseline, [][]byte{d.encode()})
	if err != nil || f.Columns != 40 || f.Rows != 24 || len(f.Data) != 40*24*3 {
		t.Errorf("edge frame: %d×%d, %d bytes, %v", f.Columns, f.Rows, len(f.Data), err)
	}
}
