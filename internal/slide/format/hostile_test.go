package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/slide/format"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/study"
)

const (
	// mutations is how many damaged slides TestDamagedSlidesNeverPanic opens.
	// VARDE_MUTATIONS sets another number.
	mutations = 20_000
	// mostMemory is what opening a damaged slide may take, and longest how long
	// it may take on a busy machine.
	mostMemory = 64 << 20
	longest    = 5 * time.Second
)

// use opens a file and looks at all that it says.
func use(t testing.TB, b []byte, key string) error {
	f, err := memory(b).open(t, key)
	if err != nil {
		if !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrUnsupported) {
			return fmt.Errorf("an error of no kind: %w", err)
		}
		return nil
	}
	return sound(f, int64(len(b)))
}

// sound holds a slide against the rules that others trust.
func sound(f *format.Slide, size int64) error {
	if len(f.Levels) == 0 {
		return errors.New("no levels")
	}
	for i, l := range f.Levels {
		if l.Columns <= 0 || l.Rows <= 0 || l.TileW <= 0 || l.TileH <= 0 || l.Image.Origin == nil || l.Image.Slide == nil {
			return fmt.Errorf("level %d: %+v", i, l)
		}
		tiles := ((l.Columns + l.TileW - 1) / l.TileW) * ((l.Rows + l.TileH - 1) / l.TileH)
		if l.Frames.Len() != tiles || l.Image.Frames != tiles || len(l.Frames.Spans) != tiles {
			return fmt.Errorf("level %d: %d frames for %d tiles", i, l.Frames.Len(), tiles)
		}
		for _, s := range l.Frames.Spans {
			if s.Off < 0 || s.Len < 0 || s.Off+s.Len > size || s.Len == 0 && s.Off != 0 {
				return fmt.Errorf("level %d: tile of %d bytes at %d of %d", i, s.Len, s.Off, size)
			}
		}
		if i > 0 && l.Columns >= f.Levels[i-1].Columns {
			return fmt.Errorf("level %d is not coarser", i)
		}
	}
	return nil
}

// bounded runs use within limits of time and memory.
func bounded(t *testing.T, name string, b []byte, key string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	if err := use(t, b, key); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > mostMemory || took > longest {
		t.Errorf("%s: %d bytes, %s", name, n, took)
	}
}

// TestHostileTIFFsAreSurvived opens the crash inputs of another decoder, and sound
// TIFF files that are no slides.
func TestHostileTIFFsAreSurvived(t *testing.T) {
	dir, entries := shared.Manifest(t)
	n := map[string]int{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "tiff-seeds/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		n[e.Behaviour]++
		bounded(t, e.Path, b, "a.tif")
	}
	if n["hostile"] != 65 || n["tiff"] != 13 {
		t.Errorf("%v", n)
	}
}

// TestTruncatedSlidesAreRefused cuts every drawn slide, and the real one, at many
// places.
func TestTruncatedSlidesAreRefused(t *testing.T) {
	for name, b := range slides(t) {
		step := max(len(b)/60, 1)
		for n := 0; n < len(b); n += step {
			if _, err := memory(b[:n]).open(t, "a.svs"); err == nil {
				t.Errorf("%s cut at %d of %d bytes is opened", name, n, len(b))
			}
			bounded(t, fmt.Sprintf("%s cut at %d", name, n), b[:n:n], "a.svs")
		}
	}
}

// slides gives one file of every kind and coding.
func slides(t *testing.T) map[string][]byte {
	out := map[string][]byte{}
	for name, d := range drawn {
		out[name] = write(t, small(d))
	}
	return out
}

// damage changes one to four things in a slide: most often in what is read when
// it is opened, its directories and texts.
func damage(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		i := place(r, b)
		switch r.IntN(8) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b[i] ^= 1 << r.IntN(8)
		case 2:
			binary.LittleEndian.PutUint32(b[i:], 0xFFFFFFFF)
		case 3:
			binary.LittleEndian.PutUint32(b[i:], r.Uint32()>>r.IntN(32))
		case 4:
			binary.LittleEndian.PutUint64(b[i:], r.Uint64()>>r.IntN(64))
		case 5: // one entry over another
			copy(b[i:], b[place(r, b):][:8])
		case 6:
			copy(b[i:], [][]byte{{0xff, 0xd8, 0xff, 0xc0}, []byte("<!--"), []byte("</"), []byte(`="`), {0, 0, 0, 0}, []byte("999999")}[r.IntN(6)])
		case 7:
			if r.IntN(8) == 0 && i > 64 {
				b = append(b[:i], make([]byte, 64)...)
			}
		}
	}
	return b
}

// place picks a byte with 64 more behind it: mostly near a directory's start, or
// in its text.
func place(r *rand.Rand, b []byte) int {
	most := len(b) - 64
	at := 0
	switch k := bytes.IndexByte(b[:most], '<'); r.IntN(5) {
	case 0:
		at = r.IntN(16)
	case 1:
		at = r.IntN(most)
	case 2:
		if at = most - r.IntN(min(most, 4096)); k > 0 {
			at = k + r.IntN(min(most-k, 2048))
		}
	default:
		o := binary.ByteOrder(binary.LittleEndian)
		if b[0] == 'M' {
			o = binary.BigEndian
		}
		first := uint64(o.Uint32(b[4:]))
		if o.Uint16(b[2:]) == 43 {
			first = o.Uint64(b[8:])
		}
		at = int(min(first, uint64(most))) + r.IntN(400)
	}
	return min(max(at, 0), most-1)
}

func TestDamagedSlidesNeverPanic(t *testing.T) {
	n := mutations
	if s := os.Getenv("VARDE_MUTATIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("VARDE_MUTATIONS=%s: %v", s, err)
		}
	}
	if testing.Short() {
		n /= 10
	}
	var seeds [][]byte
	var names []string
	for name, b := range slides(t) {
		seeds, names = append(seeds, b), append(names, name)
	}
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	opened := 0
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range n / workers {
				k := r.IntN(len(seeds))
				b := damage(r, seeds[k])
				began := time.Now()
				fault := attempt(t, b, &mu, &opened)
				if took := time.Since(began); fault != "" || took > longest {
					t.Errorf("%s, damaged: %s (%s)", names[k], fault, took)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d damaged slides, of which %d were opened all the same", n, opened)
}

// attempt opens a damaged slide and reads a part of its coarsest level.
func attempt(t *testing.T, b []byte, mu *sync.Mutex, opened *int) (fault string) {
	defer func() {
		if p := recover(); p != nil {
			fault = fmt.Sprint("panic: ", p)
		}
	}()
	if err := use(t, b, "a.svs"); err != nil {
		return err.Error()
	}
	f, err := memory(b).open(t, "a.svs")
	if err != nil {
		return ""
	}
	mu.Lock()
	*opened++
	mu.Unlock()
	if err := decodeOne(memory(b), f); err != nil && !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrUnsupported) {
		return err.Error()
	}
	return ""
}

func TestTextsWithoutEndAreRefused(t *testing.T) {
	b := write(t, small(studytest.SlideFile{Kind: studytest.PhilipsTIFF, Sparse: true}))
	for _, tt := range []struct{ old, with string }{
		{"</DataObject>", "<DataObjec/>>"},
		{`<?xml version="1.0" encoding="UTF-8" ?>`, `<?xml version="1.0" encoding="UTF-16"?>`},
		{"<Array>", "<Arra<>"},
	} {
		bad := bytes.Replace(b, []byte(tt.old), []byte(tt.with[:len(tt.old)]), 1)
		if bytes.Equal(bad, b) {
			t.Fatal("nothing was changed")
		}
		if err := use(t, bad, "a"); err != nil {
			t.Errorf("%s: %v", tt.with, err)
		}
	}
}
