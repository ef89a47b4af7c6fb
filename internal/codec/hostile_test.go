package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"varde/internal/codec"
	"varde/study"
)

// A hostileSeed is a good frame to be damaged.
type hostileSeed struct {
	img  study.Image
	ts   study.UID
	b    []byte
	body int // where the header ends
}

// hostileSeeds are codestreams of all kinds, of which High-Throughput JPEG 2000
// comes from the test data, if there are any: the library does not write it.
func hostileSeeds(t *testing.T) []hostileSeed {
	rng := newRNG(41)
	var seeds []hostileSeed
	add := func(img study.Image, ts study.UID, b []byte, end byte) {
		seeds = append(seeds, hostileSeed{img, ts, b, bytes.Index(b, []byte{0xff, end})})
	}
	for _, precision := range []int{8, 12, 16} {
		gray, rgb := paint(61, 47, 1, precision, precision == 16, rng), paint(50, 40, 3, precision, false, rng)
		add(gray.image(), j2kLossless, encodeJ2K(t, gray, j2kOptions{}), 0x90)
		add(rgb.image(), j2k, encodeJ2K(t, rgb, j2kOptions{lossy: true, transform: true, rate: 6}), 0x90)
		add(rgb.image(), j2kLossless, encodeJ2K(t, rgb, j2kOptions{tile: 16, block: 4}), 0x90)
		add(rgb.image(), j2kLossless, jp2(encodeJ2K(t, rgb, j2kOptions{}), 16, 2, 3, 1), 0x90)
		gray.signed = false
		for i := range gray.values {
			gray.values[i] &= 1<<precision - 1
		}
		add(gray.image(), jpegLS, encodeJLS(t, gray, byPlane, 0), 0xda)
		for mode := range 3 {
			add(rgb.image(), jpegLSNear, encodeJLS(t, rgb, mode, mode), 0xda)
		}
	}
	dir, entries := dataset(t)
	for _, e := range entries {
		if !strings.Contains(e.Path, "htj2k") && !strings.Contains(e.Path, "HTJ2K") {
			continue
		}
		b, in, frames, err := open(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		spans, err := frames.Frame(0)
		if err != nil {
			t.Fatal(err)
		}
		var stream []byte
		for _, s := range spans {
			stream = append(stream, b[s.Off:][:s.Len]...)
		}
		add(*in.Image, htLossless, stream, 0x90)
	}
	return seeds
}

// damage spoils a frame, mostly behind its header, so that it reaches the
// library: single bits, bytes, runs, markers, lengths, and parts of another one.
func (s hostileSeed) damage(rng source, others []hostileSeed) []byte {
	b := bytes.Clone(s.b)
	for range 1 + rng.IntN(6) {
		at := rng.IntN(len(b))
		if rng.IntN(4) > 0 && s.body < len(b) {
			at = s.body + rng.IntN(len(b)-s.body)
		}
		switch rng.IntN(8) {
		case 0:
			b[at] = byte(rng.Uint32())
		case 1:
			b[at] ^= 1 << rng.IntN(8)
		case 2:
			for i := range min(1+rng.IntN(40), len(b)-at) {
				b[at+i] = byte(rng.Uint32())
			}
		case 3:
			copy(b[at:], []byte{0xff, []byte{0x4f, 0x52, 0x53, 0x5c, 0x90, 0x91, 0x93, 0xda, 0xf8, 0xd9, 0x55, 0x58}[rng.IntN(12)]})
		case 4:
			if at+4 <= len(b) {
				binary.BigEndian.PutUint32(b[at:], []uint32{0, 1, 0xffffffff, 0x7fffffff, 0x10000, uint32(len(b))}[rng.IntN(6)])
			}
		case 5:
			n := min(rng.IntN(200), len(b)-at)
			b = append(b[:at:at], b[at+n:]...)
		case 6:
			n := min(rng.IntN(200), len(b)-at)
			b = append(b[:at+n:at+n], b[at:]...)
		case 7:
			o := others[rng.IntN(len(others))].b
			copy(b[at:], o[rng.IntN(len(o)):])
		}
		if len(b) == 0 {
			return b
		}
	}
	if rng.IntN(8) > 0 && len(b) > 2 { // the end is checked before the library is asked
		copy(b[len(b)-2:], []byte{0xff, 0xd9})
	}
	return b
}

// TestHostileFramesAreSurvived damages good frames and has them decoded by real
// children. Whatever becomes of a child, here there is a frame of the promised
// size or an error of a kind, in time, and in bounded memory.
func TestHostileFramesAreSurvived(t *testing.T) {
	const each = 6000
	seeds := hostileSeeds(t)
	var accepted, refused, before, died, next atomic.Int64
	var slowest atomic.Int64
	started := watch.Started()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := next.Add(1); n <= each; n = next.Add(1) {
				rng := newRNG(uint64(1000 + n))
				s := seeds[int(n)%len(seeds)]
				begin := time.Now()
				f, err := codec.Decode(s.img, s.ts, [][]byte{s.damage(rng, seeds)})
				slowest.Store(max(slowest.Load(), int64(time.Since(begin))))
				switch {
				case err == nil && len(f.Data) != f.Rows*f.Columns*f.Samples*f.Bits/8:
					t.Errorf("mutant %d: %d bytes", n, len(f.Data))
				case err == nil:
					accepted.Add(1)
				case strings.Contains(err.Error(), "the decoder died"):
					died.Add(1)
					t.Logf("mutant %d of %s: %v", n, s.ts, err)
					fallthrough
				case strings.Contains(err.Error(), "openjpeg:"), strings.Contains(err.Error(), "charls:"):
					refused.Add(1)
				default:
					before.Add(1)
				}
				if err != nil && !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrUnsupported) {
					t.Errorf("mutant %d: %v is of no kind", n, err)
				}
			}
		})
	}
	wg.Wait()
	most := watch.EndAll()
	t.Logf("%d accepted, %d refused by a library, %d died of it, %d refused before; %d children, the largest of %d MiB; the slowest took %v",
		accepted.Load(), refused.Load()-died.Load(), died.Load(), before.Load(), watch.Started()-started, most>>20, time.Duration(slowest.Load()))
	if n := accepted.Load() + refused.Load(); n < 5000 {
		t.Errorf("only %d mutants reached a library", n)
	}
	if most > 1<<30 {
		t.Errorf("a child took %d MiB", most>>20)
	}
	for _, s := range seeds { // and all is as it was
		if _, err := codec.Decode(s.img, s.ts, [][]byte{s.b}); err != nil {
			t.Errorf("a good frame of %s: %v", s.ts, err)
		}
	}
}

// TestMadeUpSizesTakeNoMemory promises large frames, in data set and codestream
// alike, that a few bytes cannot hold.
func TestMadeUpSizesTakeNoMemory(t *testing.T) {
	p := paint(16, 16, 1, 8, false, newRNG(42))
	two, ls := encodeJ2K(t, p, j2kOptions{}), encodeJLS(t, p, byPlane, 0)
	img := p.image()
	img.Rows, img.Columns = 16000, 16000
	at := bytes.Index(two, []byte{0xff, 0x51})
	for _, off := range []int{6, 10, 22, 26} {
		binary.BigEndian.PutUint32(two[at+off:], 16000)
	}
	at = bytes.Index(ls, []byte{0xff, 0xf7})
	binary.BigEndian.PutUint16(ls[at+5:], 16000)
	binary.BigEndian.PutUint16(ls[at+7:], 16000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for ts, b := range map[study.UID][]byte{j2kLossless: two, jpegLS: ls} {
		if _, err := codec.Decode(img, ts, [][]byte{b}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", ts, err)
		}
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 16<<20 {
		t.Errorf("%d bytes were taken", after.TotalAlloc-before.TotalAlloc)
	}
}

// TestKilledChildCostsOneFrame kills real children while they decode a large
// frame: the frame is an error or, where it came too late, the right samples;
// the next frame is right.
func TestKilledChildCostsOneFrame(t *testing.T) {
	p, small := paint(1500, 1200, 1, 12, false, newRNG(43)), paint(50, 40, 1, 12, false, newRNG(44))
	b, after := encodeJ2K(t, p, j2kOptions{}), encodeJ2K(t, small, j2kOptions{})
	want, lost := p.stand(), 0
	for n := range 8 {
		watch.EndAll()
		if _, err := codec.Decode(small.image(), j2k, [][]byte{after}); err != nil {
			t.Fatal(err)
		}
		pids := codec.IdleChildren()
		if len(pids) != 1 {
			t.Fatalf("children %v", pids)
		}
		killed := make(chan error)
		go func() {
			time.Sleep(time.Duration(1+n*7) * time.Millisecond)
			killed <- syscall.Kill(pids[0], syscall.SIGKILL)
		}()
		f, err := codec.Decode(p.image(), j2k, [][]byte{b})
		if e := <-killed; e != nil {
			t.Fatal(e)
		}
		switch {
		case err == nil && !bytes.Equal(f.Data, want):
			t.Error("other samples")
		case err != nil && !errors.Is(err, study.ErrInvalid):
			t.Error(err)
		case err != nil:
			lost++
		}
		if f, err := codec.Decode(small.image(), j2k, [][]byte{after}); err != nil || !bytes.Equal(f.Data, small.stand()) {
			t.Errorf("next frame: %v", err)
		}
	}
	if t.Logf("%d of 8 frames lost", lost); lost == 0 {
		t.Error("no child was killed in time")
	}
}

// TestLibrariesAtTheSameTime decodes good and bad frames from many goroutines.
func TestLibrariesAtTheSameTime(t *testing.T) {
	rng := newRNG(45)
	p, q := paint(120, 90, 3, 8, false, rng), paint(200, 150, 1, 12, false, rng)
	frames := []struct {
		ts   study.UID
		p    picture
		data []byte
	}{
		{j2kLossless, p, encodeJ2K(t, p, j2kOptions{transform: true})}, {jpegLS, p, encodeJLS(t, p, byLine, 0)},
		{j2k, q, encodeJ2K(t, q, j2kOptions{})}, {jpegLSNear, q, encodeJLS(t, q, byPlane, 0)},
	}
	var wg sync.WaitGroup
	for i := range 120 {
		wg.Go(func() {
			if err := oneOf(i, frames[i%4].ts, frames[i%4].p, frames[i%4].data); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// oneOf decodes a frame, of which every tenth is cut in the middle.
func oneOf(i int, ts study.UID, p picture, b []byte) error {
	if i%10 == 9 {
		b = append(b[:len(b)/2:len(b)/2], 0xff, 0xd9)
		if _, err := codec.Decode(p.image(), ts, [][]byte{b}); !errors.Is(err, study.ErrInvalid) {
			return fmt.Errorf("a cut frame: %w", err)
		}
		return nil
	}
	f, err := codec.Decode(p.image(), ts, [][]byte{b})
	if err == nil && !bytes.Equal(f.Data, p.stand()) {
		err = fmt.Errorf("other samples: %s", distance(f.Data, p.stand()))
	}
	return err
}
