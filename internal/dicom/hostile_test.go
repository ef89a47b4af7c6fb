package dicom_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest/shared"
	"varde/study"
)

// mutations is how many damaged objects TestDamagedObjectsNeverPanic reads.
// VARDE_MUTATIONS sets another number.
const mutations = 240_000

// seeds gives small whole objects: ours, hand-made ones, and those of the shared
// set that are below 12 kB.
func seeds(t *testing.T) [][]byte {
	out := [][]byte{
		part10(dicom.ImplicitLE, small(implicit)), part10(dicom.ExplicitBE, small(bigEndian)), small(explicit),
		part10(dicom.JPEGBaseline, append(module("2 "), append(extended(0, 10), fragmented([]uint32{0, 20}, "aa", "bb", "\xFF\xD8c")...)...)),
		encode(t, enhanced()), encode(t, slide([2]int{0, 0}, [2]int{2, 0})), encode(t, complete()),
	}
	dir, told := os.LookupEnv("VARDE_TESTDATA")
	if !told {
		dir = filepath.Join(shared.ModuleRoot(t), "..", "shared", "testdata")
	}
	for _, pattern := range []string{"dicom/odd/*", "dicom/fragments/*", "dicom/charset/*", "dicom/object/*", "dicom/derived/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && len(b) < 12<<10 {
				out = append(out, b)
			}
		}
	}
	return out
}

// damage changes one to four things in a copy of b.
func damage(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) < 8 {
			return b
		}
		i := r.IntN(len(b) - 4)
		switch r.IntN(6) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b[i] ^= 1 << r.IntN(8)
		case 2:
			b = b[:i]
		case 3:
			binary.LittleEndian.PutUint32(b[i:], 0xFFFFFFFF)
		case 4:
			binary.LittleEndian.PutUint32(b[i:], r.Uint32()>>r.IntN(32))
		case 5:
			copy(b[i:], [][]byte{{0xFE, 0xFF, 0x00, 0xE0}, {0xFE, 0xFF, 0xDD, 0xE0}, {0xFE, 0xFF, 0x0D, 0xE0}, []byte("SQ\x00\x00"), {0xE0, 0x7F, 0x10, 0x00}}[r.IntN(5)])
		}
	}
	return b
}

// use does with an object all that this package offers; the text of it, which
// takes longest, only when asked.
func use(b []byte, text bool) error {
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil && !errors.Is(err, study.ErrInvalid) {
		return fmt.Errorf("an error of no kind: %w", err)
	}
	if _, _, err := h.Describe(); err != nil && !errors.Is(err, study.ErrInvalid) {
		return fmt.Errorf("an error of no kind: %w", err)
	}
	if text {
		if j, err := dicom.JSON(h.Data, nil); err != nil || !json.Valid(j) {
			return fmt.Errorf("no JSON: %v", err)
		}
	}
	for i := range h.Frames.Len() {
		spans, err := h.Frames.Frame(i)
		if err != nil {
			return err
		}
		for _, s := range spans {
			if s.Off < h.End || s.Len < 0 || !h.Inflated && s.Off+s.Len > int64(len(b)) {
				return fmt.Errorf("frame %d lies at %d+%d of %d bytes", i+1, s.Off, s.Len, len(b))
			}
		}
	}
	return nil
}

func TestDamagedObjectsNeverPanic(t *testing.T) {
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
	all := seeds(t)
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	var peak uint64
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range n / workers {
				b := damage(r, all[r.IntN(len(all))])
				if fault := attempt(b, i%8 == 0); fault != "" {
					t.Errorf("after %d: %s\n%q", i, fault, b[:min(len(b), 2000)])
					return
				}
				if w == 0 && i%5000 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d damaged objects of %d seeds; heap up to %d MiB", n/workers*workers, len(all), peak>>20)
	if peak > 512<<20 {
		t.Errorf("the heap grew to %d MiB", peak>>20)
	}
}

func attempt(b []byte, text bool) (fault string) {
	defer func() {
		if p := recover(); p != nil {
			fault = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := use(b, text); err != nil {
		return err.Error()
	}
	return ""
}

// TestBombsStaySmall reads objects that promise more than they hold.
func TestBombsStaySmall(t *testing.T) {
	long := func(vr string, tag dicom.Tag, n uint32) []byte {
		return append(header(nil, explicit, tag, vr, n), 1, 2, 3, 4)
	}
	table := header(nil, explicit, dicom.PixelData, "OB", undefined)
	table = append(header(table, explicit, itemTag, "", 0xFFFFFFF0), 1, 2, 3, 4)
	var empty []byte
	for range 3_000_000 {
		empty = header(empty, explicit, itemTag, "", 0)
	}
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"4 GiB of OB", long("OB", dicom.ICCProfile, 0xEFFFFFF0)},
		{"4 GiB of UT", long("UT", dicom.TextValue, 0xEFFFFFF0)},
		{"4 GiB of pixels", append(module("1 "), long("OW", dicom.PixelData, 0xFFFFFFFE)...)},
		{"4 GiB of offset table", append(module("1 "), table...)},
		{"4 GiB of extended offset table", append(module("1 "), long("OV", dicom.ExtendedOffsetTable, 0xFFFFFFF8)...)},
		{"4 GiB of sequence", long("SQ", dicom.ContentSequence, 0xFFFFFFF0)},
		{"two billion frames of 65535 × 65535", elements(explicit,
			element{dicom.NumberOfFrames, "IS", []byte("2147483646")}, element{dicom.Rows, "US", []byte{255, 255}},
			element{dicom.Columns, "US", []byte{255, 255}}, element{dicom.BitsAllocated, "US", []byte{64, 0}},
			element{dicom.PixelData, "OB", []byte{1, 2}})},
		{"three million empty fragments", append(module("1 "), append(header(nil, explicit, dicom.PixelData, "OB", undefined), empty...)...)},
		{"three million empty items", append(header(nil, explicit, dicom.ContentSequence, "SQ", undefined), empty...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := dicom.ExplicitLE
			if strings.Contains(tt.name, "fragments") || strings.Contains(tt.name, "table") {
				ts = dicom.RLE
			}
			b := part10(ts, tt.b)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{})
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20+30*uint64(len(b)) {
				t.Errorf("%d bytes allocated for %d", grown, len(b))
			}
			if err != nil && !errors.Is(err, study.ErrInvalid) {
				t.Error(err)
			}
			runtime.KeepAlive(h)
		})
	}
}

// TestLongObjectsTakeLittleMemory streams a slide of a gigabyte.
func TestLongObjectsTakeLittleMemory(t *testing.T) {
	const tiles, tile = 16_384, 64 << 10
	head := part10(dicom.JPEGBaseline, append(module("16384 "), header(nil, explicit, dicom.PixelData, "OB", undefined)...))
	head = header(head, explicit, itemTag, "", 0)
	s := &stream{head: head, tile: append(header(nil, explicit, itemTag, "", tile), make([]byte, tile)...), tiles: tiles}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	h, err := dicom.Scan(s, dicom.ScanOptions{})
	runtime.ReadMemStats(&after)
	if err != nil || h.Frames.Len() != tiles || h.FramesErr != nil {
		t.Fatalf("%d frames, %v, %v", h.Frames.Len(), err, h.FramesErr)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes allocated in passing", grown)
	}
}

// A stream is an object of many fragments that need not be held.
type stream struct {
	head, tile []byte
	tiles      int
	rest       []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		switch {
		case s.head != nil:
			s.rest, s.head = s.head, nil
		case s.tiles > 0:
			s.rest = s.tile
			s.tiles--
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func TestHeaderIsReadFromManyGoroutines(t *testing.T) {
	h := scan(t, encode(t, enhanced()))
	want, err := dicom.JSON(h.Data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := dicom.JSON(h.Data, nil)
				if _, _, derr := h.Describe(); err != nil || derr != nil || !bytes.Equal(got, want) {
					t.Error("another answer", err, derr)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkScan(b *testing.B) {
	o := identified(dicom.CTImage)
	o.Set(dicom.PatientName, "Ødegård^Bjørn").Set(dicom.ImagePositionPatient, 1, 2, 3)
	o.Native(512, 512, 1, 12, true, make([]byte, 512*512*2))
	ct, err := o.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("CT slice", func(b *testing.B) {
		b.SetBytes(int64(len(ct)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := dicom.Scan(bytes.NewReader(ct), dicom.ScanOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	places := make([][2]int, 20_000)
	for i := range places {
		places[i] = [2]int{i % 200 * 256, i / 200 * 256}
	}
	sparse := slide(places...)
	sparse.Encapsulated(dicom.JPEGBaseline, repeat(make([]byte, 4096), len(places)))
	level, err := sparse.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("sparse slide of 20000 tiles", func(b *testing.B) {
		b.SetBytes(int64(len(level)))
		b.ReportAllocs()
		for b.Loop() {
			h, err := dicom.Scan(bytes.NewReader(level), dicom.ScanOptions{})
			if err != nil || h.Frames.Len() != len(places) {
				b.Fatal(err)
			}
		}
	})
}

func repeat(b []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}
