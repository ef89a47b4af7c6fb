package deid_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/deid"
	"varde/study"
)

// TestDamagedObjectsAreRefusedCalmly changes bytes of small real objects. What
// comes of them may be an error, and never a panic; what is written can be read.
// VARDE_MUTATIONS says how many.
func TestDamagedObjectsAreRefusedCalmly(t *testing.T) {
	dir, paths := samples(t)
	var seeds [][]byte
	for _, path := range paths {
		if b, err := os.ReadFile(filepath.Join(dir, path)); err == nil && len(b) < 12<<10 {
			seeds = append(seeds, b)
		}
	}
	profiles := []*deid.Profile{
		profile(t, deid.Options{AllowBurnedIn: true, CleanDescriptors: true, Dates: deid.ShiftDates}),
		profile(t, deid.Options{AllowBurnedIn: true, CleanPixels: true, CleanGraphics: true, Boxes: []deid.Box{{X: 1, Y: 1, Width: 9, Height: 9}}}),
	}
	random := rand.New(rand.NewPCG(1, 2))
	n := 20_000
	if testing.Short() {
		n = 2_000
	}
	if set, err := strconv.Atoi(os.Getenv("VARDE_MUTATIONS")); err == nil {
		n = set
	}
	written := 0
	for i := range n {
		p := profiles[random.IntN(len(profiles))]
		b := bytes.Clone(seeds[i%len(seeds)])
		for range 1 + random.IntN(4) {
			at := random.IntN(len(b))
			switch random.IntN(4) {
			case 0:
				b[at] = byte(random.Uint32())
			case 1:
				b[at] ^= 1 << random.IntN(8)
			case 2:
				b = b[:max(at, 1)]
			case 3:
				copy(b[at:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
			}
		}
		var out bytes.Buffer
		if _, err := p.Rewrite(&out, bytes.NewReader(b), int64(len(b))); err != nil {
			if !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrRefused) && !errors.Is(err, study.ErrUnsupported) {
				t.Fatalf("run %d: an error of no kind: %v", i, err)
			}
			continue
		}
		written++
		if _, err := dicom.Scan(&out, dicom.ScanOptions{}); err != nil {
			t.Fatalf("run %d: what was written cannot be read: %v", i, err)
		}
	}
	t.Logf("%d of %d written", written, n)
}

// A long object is a header and zeros, as long as it is asked to be.
type longObject struct {
	head []byte
	size int64
}

// ReadAt gives zeros behind the header.
func (l longObject) ReadAt(b []byte, off int64) (n int, err error) {
	if left := l.size - off; left < int64(len(b)) {
		b, err = b[:max(0, left)], io.EOF
	}
	clear(b)
	if off < int64(len(l.head)) {
		copy(b, l.head[off:])
	}
	return len(b), err
}

// TestPixelsAreNeverHeld passes 512 MiB of pixels through and looks at what was
// taken of memory.
func TestPixelsAreNeverHeld(t *testing.T) {
	const frames = 1024
	small := object(t, func(o *dicom.Object) { o.Set(dicom.NumberOfFrames, frames) })
	head := bytes.Clone(small[:len(small)-32]) // behind it lie 32 bytes of pixels
	const pixels = frames << 19
	head[len(head)-4], head[len(head)-3], head[len(head)-2], head[len(head)-1] = 0, 0, 0, pixels>>24
	source := longObject{head, int64(len(head)) + pixels}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var out counter
	if _, err := profile(t, deid.Options{}).Rewrite(&out, source, source.size); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 || out < pixels {
		t.Errorf("%d bytes were taken to write %d", took, out)
	}
}

// A counter counts what is written.
type counter int64

// Write counts.
func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }
