package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

// packRLE writes samples as an RLE frame, PS3.5 §G. It mixes literals, runs and
// the code that does nothing.
func packRLE(data []byte, samples, width int, rng *rand.Rand) []byte {
	frame := make([]byte, 64)
	step := samples * width
	binary.LittleEndian.PutUint32(frame, uint32(step))
	for s := range step {
		binary.LittleEndian.PutUint32(frame[4+4*s:], uint32(len(frame)))
		var plane []byte
		for i := s/width*width + width - 1 - s%width; i < len(data); i += step {
			plane = append(plane, data[i])
		}
		for len(plane) > 0 {
			n := 1
			for n < len(plane) && n < 128 && plane[n] == plane[0] {
				n++
			}
			switch {
			case n > 1:
				frame = append(frame, byte(1-n), plane[0])
			case rng.IntN(8) == 0:
				frame = append(frame, 0x80)
				n = 0
			default:
				n = 1 + rng.IntN(min(128, len(plane)))
				frame = append(append(frame, byte(n-1)), plane[:n]...)
			}
			plane = plane[n:]
		}
		if len(frame)%2 == 1 {
			frame = append(frame, 0)
		}
	}
	return frame
}

func noise(n int, rng *rand.Rand) []byte {
	b := make([]byte, n)
	for i := range b {
		if i > 0 && rng.IntN(3) > 0 {
			b[i] = b[i-1]
		} else {
			b[i] = byte(rng.Uint32())
		}
	}
	return b
}

func TestRLEComesBackAsItWas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, img := range []study.Image{
		gray(501, 8, 8, false), gray(501, 16, 16, true), gray(77, 32, 32, false),
		color(100, 8, 0, "RGB"), color(33, 16, 1, "RGB"), color(9, 32, 0, "RGB"), color(1, 8, 0, "YBR_FULL"),
	} {
		img.Rows = 7
		data := noise(img.Rows*img.Columns*img.Samples*img.BitsAllocated/8, rng)
		frame := packRLE(data, img.Samples, img.BitsAllocated/8, rng)
		half := len(frame) / 4 * 2
		f, err := codec.Decode(img, rleLossless, [][]byte{frame[:half], frame[half:]})
		if err != nil {
			t.Errorf("%d × %d bits: %v", img.Samples, img.BitsAllocated, err)
		} else if !bytes.Equal(f.Data, data) {
			t.Errorf("%d × %d bits: other samples", img.Samples, img.BitsAllocated)
		}
	}
}

func TestDamagedRLEIsRefused(t *testing.T) {
	img := gray(300, 16, 16, false)
	good := packRLE(noise(600, rand.New(rand.NewPCG(3, 4))), 1, 2, rand.New(rand.NewPCG(5, 6)))
	if _, err := codec.Decode(img, rleLossless, [][]byte{good}); err != nil {
		t.Fatal(err)
	}
	for n := range good[:len(good)-1] { // the last byte may be padding
		if _, err := codec.Decode(img, rleLossless, [][]byte{good[:n]}); !errors.Is(err, study.ErrInvalid) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(good), err)
		}
	}
	wrong := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for name, frame := range map[string][]byte{
		"three segments":             wrong(0, 3),
		"a segment in the header":    wrong(8, 32),
		"a segment behind the end":   wrong(8, uint32(len(good)+1)),
		"segments out of order":      wrong(4, uint32(len(good))),
		"a segment of four billions": wrong(8, 0xffffffff),
	} {
		if _, err := codec.Decode(img, rleLossless, [][]byte{frame}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
