package codec_test

import (
	"bytes"
	"image"
	imagecolor "image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

// tile draws a tile of n×n pixels that compresses like stained tissue: smooth
// ground, round nuclei, a little noise.
func tile(n int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, n, n))
	rng := rand.New(rand.NewPCG(7, 8))
	for y := range n {
		for x := range n {
			v := 20 * math.Sin(float64(x)/17) * math.Cos(float64(y)/23)
			dx, dy := float64(x%31-15), float64(y%37-18)
			r, g, b := 220+v, 150+v, 195+v
			if dx*dx+dy*dy < 70 {
				r, g, b = 110+v, 70+v, 150+v
			}
			e := float64(rng.IntN(13) - 6)
			img.SetRGBA(x, y, rgba(r+e, g+e, b+e))
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func rgba(r, g, b float64) imagecolor.RGBA {
	f := func(v float64) uint8 { return uint8(min(max(v, 0), 255)) }
	return imagecolor.RGBA{f(r), f(g), f(b), 255}
}

func BenchmarkTile(b *testing.B) {
	for _, decoder := range []string{"turbo", "go"} {
		b.Run(decoder, func(b *testing.B) {
			data := tile(256)
			img := color(256, 8, 0, "YBR_FULL_422")
			img.Rows = 256
			b.SetBytes(256 * 256 * 3)
			for b.Loop() {
				if _, err := codec.DecodeWith(codec.Options{Decoder: decoder, RGB: true}, img, jpegBaseline, [][]byte{data}); err != nil {
					b.Skip(err)
				}
			}
			b.ReportMetric(float64(len(data)), "bytes/frame")
		})
	}
}

func BenchmarkSlice(b *testing.B) {
	img := gray(512, 16, 12, true)
	img.Rows = 512
	rng := rand.New(rand.NewPCG(1, 2))
	data := noise(512*512*2, rng)
	rle := packRLE(data, 1, 2, rng)
	b.Run("native", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := codec.Decode(img, explicitLE, [][]byte{data}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rle", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := codec.Decode(img, rleLossless, [][]byte{rle}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDeepJPEG(b *testing.B) {
	d := differences{width: 512, height: 512, components: 1, precision: 12, predictor: 1}
	rng := newRNG(3)
	smooth := make([]uint16, 512*512)
	for i := range smooth {
		x, y := float64(i%512), float64(i/512)
		smooth[i] = uint16(2000 + 900*math.Sin(x/40)*math.Cos(y/50) + float64(rng.IntN(30)))
	}
	lossless := d.encode(smooth)
	dct := drawing{width: 512, height: 512, sampling: samplings["gray"], ids: "\x01", adobe: -1}
	img := dct.image("MONOCHROME2")
	img.BitsAllocated, img.BitsStored, img.HighBit = 16, 12, 11
	for _, tt := range []struct {
		name string
		ts   study.UID
		img  study.Image
		b    []byte
	}{{"lossless", jpegLossless, d.image(), lossless}, {"extended", jpegExtended, img, extended(dct.encode())}} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(512 * 512 * 2)
			for b.Loop() {
				if _, err := codec.Decode(tt.img, tt.ts, [][]byte{tt.b}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLibraries decodes a CT slice and a mammogram in a child.
func BenchmarkLibraries(b *testing.B) {
	for _, tt := range []struct {
		name          string
		width, height int
	}{{"CT", 512, 512}, {"MG", 4096, 3328}} {
		p := paint(tt.width, tt.height, 1, 12, false, newRNG(4))
		for i, v := range p.values { // as little noise as a picture has
			p.values[i] = v &^ 0xff
		}
		for ts, data := range map[study.UID][]byte{jpegLS: encodeJLS(b, p, byPlane, 0), j2kLossless: encodeJ2K(b, p, j2kOptions{})} {
			b.Run(tt.name+"/"+string(ts[len("1.2.840.10008.1.2"):]), func(b *testing.B) {
				b.SetBytes(int64(2 * tt.width * tt.height))
				for b.Loop() {
					if _, err := codec.Decode(p.image(), ts, [][]byte{data}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
