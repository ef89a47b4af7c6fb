package codec_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"varde/internal/codec"
	"varde/study"
)

// counter counts what is asked of a stored object.
type counter struct {
	blob
	ranges, bytes int64
}

func (c *counter) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	c.ranges++
	c.bytes += n
	return c.blob.Range(ctx, key, off, n)
}

// stored is an instance whose frames are the given spans, each one frame.
func stored(img study.Image, ts study.UID, spans ...study.Span) (study.Instance, study.Frames) {
	f := study.Frames{Spans: spans, First: []int32{0}}
	for i := range spans {
		f.First = append(f.First, int32(i+1))
	}
	img.Frames = len(spans)
	return study.Instance{UID: "1.2.3", TransferSyntax: ts, Image: &img}, f
}

func TestOnlyTheFrameIsRead(t *testing.T) {
	c := &counter{blob: bytes.Repeat([]byte{9}, 10000)}
	copy(c.blob[4000:], []byte{1, 2, 3, 4})
	in, frames := stored(gray(4, 8, 8, false), explicitLE, study.Span{Off: 100, Len: 4}, study.Span{Off: 4000, Len: 4})
	f, err := codec.ReadFrame(t.Context(), c, in, frames, 1)
	if err != nil || !bytes.Equal(f.Data, []byte{1, 2, 3, 4}) || f.Decoder == "" {
		t.Errorf("%v, %q, %v", f.Data, f.Decoder, err)
	}
	if c.ranges != 1 || c.bytes != 4 {
		t.Errorf("%d ranges of %d bytes", c.ranges, c.bytes)
	}
}

func TestFragmentsAreReadInOneRange(t *testing.T) {
	d := drawing{width: 64, height: 64, sampling: samplings["420"], ids: "\x01\x02\x03", adobe: -1}
	data := d.encode()
	c := &counter{blob: make([]byte, 200)}
	f := study.Frames{First: []int32{0}}
	for from := 0; from < len(data); from += 300 {
		c.blob = append(c.blob, make([]byte, 8)...) // an item header
		part := data[from:min(from+300, len(data))]
		f.Spans = append(f.Spans, study.Span{Off: int64(len(c.blob)), Len: int64(len(part))})
		c.blob = append(c.blob, part...)
	}
	f.First = append(f.First, int32(len(f.Spans)))
	img := d.image("YBR_FULL_422")
	in := study.Instance{UID: "1.2.3", TransferSyntax: jpegBaseline, Image: &img}
	got, err := codec.ReadFrame(t.Context(), c, in, f, 0)
	if err != nil {
		t.Fatal(err)
	}
	want, err := codec.Decode(img, jpegBaseline, [][]byte{data})
	if err != nil || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("other samples than in one fragment: %v", err)
	}
	if len(f.Spans) < 4 || c.ranges != 1 {
		t.Errorf("%d fragments in %d ranges", len(f.Spans), c.ranges)
	}
}

func TestFramesOfSingleBitsRunOn(t *testing.T) {
	// Three frames of five bits: 10110 01011 11101.
	object := blob{0xff, 0b1100_1101, 0b1010_1111 & 0b0101_1110, 0, 0}
	bits := []byte{1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 0, 1}
	object[1], object[2] = 0, 0
	for i, b := range bits {
		object[1+i/8] |= b << (i % 8)
	}
	in, frames := stored(gray(5, 1, 1, false), explicitLE,
		study.Span{Off: 1, Len: 1}, study.Span{Off: 1, Len: 2}, study.Span{Off: 2, Len: 1})
	for n := range 3 {
		f, err := codec.ReadFrame(t.Context(), object, in, frames, n)
		if err != nil || !bytes.Equal(f.Data, bits[5*n:5*n+5]) {
			t.Errorf("frame %d: %v, %v", n+1, f.Data, err)
		}
	}
}

func TestBigEndianWordsAreSwappedAndBytesAreNot(t *testing.T) {
	img := gray(3, 8, 8, false)
	head := []byte{0x7f, 0xe0, 0, 0x10, 'O', 'W', 0, 0, 0, 0, 0, 6}
	in, frames := stored(img, explicitBE, study.Span{Off: 12, Len: 3}, study.Span{Off: 15, Len: 3})
	words := append(blob(bytes.Clone(head)), 2, 1, 4, 3, 6, 5)
	head[5] = 'B'
	plain := append(blob(bytes.Clone(head)), 1, 2, 3, 4, 5, 6)
	for name, object := range map[string]blob{"OW": words, "OB": plain} {
		for n, want := range [][]byte{{1, 2, 3}, {4, 5, 6}} {
			f, err := codec.ReadFrame(t.Context(), object, in, frames, n)
			if err != nil || !bytes.Equal(f.Data, want) {
				t.Errorf("%s, frame %d: %v, %v", name, n+1, f.Data, err)
			}
		}
	}
}

func TestDeflatedObjectIsInflated(t *testing.T) {
	object := make(blob, 128, 1000)
	object = append(object, "DICM\x02\x00\x00\x00UL\x04\x00\x06\x00\x00\x00abcdef"...)
	meta := int64(len(object))
	var z bytes.Buffer
	w, err := flate.NewWriter(&z, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	data := append(bytes.Repeat([]byte{7}, 5000), 1, 2, 3, 4)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	object = append(object, z.Bytes()...)
	in, frames := stored(gray(4, 8, 8, false), deflated, study.Span{Off: meta + 5000, Len: 4})
	f, err := codec.ReadFrame(t.Context(), object, in, frames, 0)
	if err != nil || !bytes.Equal(f.Data, []byte{1, 2, 3, 4}) {
		t.Errorf("%v, %v", f.Data, err)
	}
	for n := range object {
		if _, err := codec.ReadFrame(t.Context(), object[:n], in, frames, 0); !errors.Is(err, study.ErrInvalid) && n < len(object)-8 {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(object), err)
		}
	}
}

func TestMissingBytesAreAnError(t *testing.T) {
	in, frames := stored(gray(4, 8, 8, false), explicitLE, study.Span{Off: 2, Len: 4})
	if _, err := codec.ReadFrame(t.Context(), blob{1, 2, 3, 4, 5}, in, frames, 0); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("truncated object: %v", err)
	}
	if _, err := codec.ReadFrame(t.Context(), blob{1, 2, 3, 4, 5, 6}, in, frames, 1); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a frame that is not there: %v", err)
	}
	in.Image = nil
	if _, err := codec.ReadFrame(t.Context(), blob{1}, in, frames, 0); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("no image: %v", err)
	}
	in, frames = stored(gray(4, 8, 8, false), "1.2.840.10008.1.2.4.112", study.Span{Off: 0, Len: 4})
	c := &counter{blob: blob{1, 2, 3, 4}}
	if _, err := codec.ReadFrame(t.Context(), c, in, frames, 0); !errors.Is(err, study.ErrUnsupported) || c.ranges != 0 {
		t.Errorf("JPEG XL: %v after %d ranges", err, c.ranges)
	}
	in, frames = stored(gray(4, 8, 8, false), explicitLE, study.Span{Off: 0, Len: 1 << 40})
	if _, err := codec.ReadFrame(t.Context(), c, in, frames, 0); err == nil {
		t.Error("a terabyte was read")
	}
}

func TestDecodersAreNamed(t *testing.T) {
	names := codec.Decoders()
	if len(names) < 3 {
		t.Errorf("decoders %q", names)
	}
	t.Log(names)
	f, err := codec.Decode(gray(1, 8, 8, false), explicitLE, [][]byte{{1}})
	if err != nil || !bytes.Contains([]byte(f.Decoder), []byte("native")) {
		t.Errorf("decoder %q, %v", f.Decoder, err)
	}
}

// TestDecodingAtTheSameTime decodes with every decoder from many goroutines.
func TestDecodingAtTheSameTime(t *testing.T) {
	d := drawing{width: 100, height: 70, sampling: samplings["420"], ids: "\x01\x02\x03", adobe: -1}
	data, img := d.encode(), d.image("YBR_FULL_422")
	want, err := codec.DecodeWith(codec.Options{Decoder: "go", RGB: true}, img, jpegBaseline, [][]byte{data})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			b := data
			if i%5 == 0 { // a failure in between must not spoil the others
				b = data[:len(data)/2]
			}
			f, err := codec.DecodeWith(codec.Options{RGB: true}, img, jpegBaseline, [][]byte{b})
			if i%5 == 0 != (err != nil) || err == nil && !bytes.Equal(f.Data, want.Data) {
				t.Errorf("decoding %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// TestMutatedFramesAreDecodedOrRefused damages good frames at random. Whatever
// comes must be a frame of the promised size or an error of a kind; a decoder
// may not panic, nor take long, nor take memory that the data cannot justify.
func TestMutatedFramesAreDecodedOrRefused(t *testing.T) {
	rng := newRNG(11)
	type seed struct {
		img     study.Image
		ts      study.UID
		decoder string
		frame   []byte
	}
	var seeds []seed
	for name, s := range samplings {
		d := drawing{width: 33, height: 21, sampling: s, ids: "\x01\x02\x03", adobe: -1, restart: len(name) % 4, apart: len(name)%3 == 0, seed: uint64(len(name))}
		seeds = append(seeds, seed{d.image("YBR_FULL"), jpegBaseline, "go", d.encode()})
		seeds = append(seeds, seed{d.image("YBR_FULL"), jpegBaseline, "turbo", d.encode()})
	}
	for _, img := range []study.Image{gray(99, 16, 12, true), color(40, 8, 1, "RGB"), gray(20, 32, 32, false)} {
		data := noise(img.Columns*img.Samples*img.BitsAllocated/8, rng)
		seeds = append(seeds, seed{img, rleLossless, "rle", packRLE(data, img.Samples, img.BitsAllocated/8, rng)})
		seeds = append(seeds, seed{img, explicitBE, "native", data})
	}
	sortSeeds := func(n int) seed { return seeds[n%len(seeds)] }
	accepted, refused := 0, 0
	for n := range 60000 {
		s := sortSeeds(n)
		f, err := codec.DecodeWith(codec.Options{Decoder: s.decoder}, mutateImage(s.img, rng), s.ts, [][]byte{mutate(s.frame, rng)})
		switch {
		case err == nil:
			accepted++
			if len(f.Data) != f.Rows*f.Columns*f.Samples*f.Bits/8 {
				t.Fatalf("%s: %d bytes for %d×%d×%d samples of %d bits", s.decoder, len(f.Data), f.Columns, f.Rows, f.Samples, f.Bits)
			}
		case errors.Is(err, study.ErrInvalid), errors.Is(err, study.ErrUnsupported):
			refused++
		default:
			t.Fatalf("%s: %v is of no kind", s.decoder, err)
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
}

// TestOwnDecoderAcceptsNoMoreThanTheLibrary damages entropy-coded data and
// expects our decoder to refuse whatever libjpeg-turbo refuses, and to give the
// same samples where both are content.
func TestOwnDecoderAcceptsNoMoreThanTheLibrary(t *testing.T) {
	turboOrSkip(t)
	rng := newRNG(12)
	both, ours, theirs := 0, 0, 0
	for n := range 4000 {
		d := drawing{width: 40, height: 30, sampling: samplings["420"], ids: "\x01\x02\x03", adobe: -1, restart: n % 3, seed: uint64(n)}
		data, img := d.encode(), d.image("YBR_FULL")
		from := bytes.LastIndex(data, []byte{0xff, 0xda})
		at := from + 14 + rng.IntN(len(data)-from-16)
		data[at] ^= 1 << rng.IntN(8)
		a, errA := codec.DecodeWith(codec.Options{Decoder: "go"}, img, jpegBaseline, [][]byte{data})
		b, errB := codec.DecodeWith(codec.Options{Decoder: "turbo"}, img, jpegBaseline, [][]byte{data})
		switch {
		case errA == nil && errB == nil:
			both++
			// Coefficients out of all range saturate differently.
			if !bytes.Equal(a.Data, b.Data) && !wild(a.Data) {
				t.Errorf("seed %d: %s", n, distance(a.Data, b.Data))
			}
		case errA == nil:
			ours++
			t.Errorf("seed %d, byte %d: only our decoder accepts it: %v", n, at, errB)
		case errB == nil:
			theirs++
		}
	}
	t.Logf("%d accepted by both, %d by ours alone, %d by the library alone", both, ours, theirs)
}

// wild reports whether more samples are clipped than in any sound drawing.
func wild(b []byte) bool {
	n := 0
	for _, v := range b {
		if v == 0 || v == 255 {
			n++
		}
	}
	return n > len(b)/300
}

// mutate changes, drops, repeats or inserts bytes.
func mutate(b []byte, rng source) []byte {
	b = bytes.Clone(b)
	for range 1 + rng.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := rng.IntN(len(b))
		switch rng.IntN(7) {
		case 0:
			b[at] = byte(rng.IntN(256))
		case 1:
			b[at] ^= 1 << rng.IntN(8)
		case 2:
			b = b[:at]
		case 3:
			b = append(b[:at:at], b[min(at+1+rng.IntN(8), len(b)):]...)
		case 4:
			b = append(b[:at:at], append([]byte{0xff, byte(0xc0 + rng.IntN(64))}, b[at:]...)...)
		case 5:
			if at+4 <= len(b) {
				binary.LittleEndian.PutUint32(b[at:], []uint32{0, 0xffffffff, 0x7fffffff, 0x80}[rng.IntN(4)])
			}
		case 6:
			n := min(16, len(b)-at)
			b = append(b, b[at:at+n]...)
		}
	}
	return b
}

// mutateImage sometimes lets the data set lie.
func mutateImage(i study.Image, rng source) study.Image {
	if rng.IntN(4) > 0 {
		return i
	}
	switch rng.IntN(8) {
	case 0:
		i.Rows = rng.IntN(1 << 17)
	case 1:
		i.Columns = rng.IntN(3) - 1
	case 2:
		i.Samples = rng.IntN(5)
	case 3:
		i.BitsAllocated = []int{0, 1, 8, 12, 16, 24, 32, 64}[rng.IntN(8)]
	case 4:
		i.BitsStored = rng.IntN(40) - 2
	case 5:
		i.HighBit = rng.IntN(70) - 3
	case 6:
		i.Float = true
	case 7:
		i.Slide = &study.SlideLevel{}
		i.Rows, i.Columns = i.Rows*2, i.Columns*2
	}
	return i
}
