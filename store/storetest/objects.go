package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"varde/store/objects"
	"varde/study"
)

// longObject is longer than an S3 store sends in one piece, and threePieces
// longer than it sends in two.
const (
	longObject  = 16<<20 + 12345
	threePieces = 33<<20 + 12345
)

// TestObjects holds the store that open makes to what [objects.Store] says. Each
// call of open must make an empty one.
func TestObjects(t *testing.T, open func(*testing.T) objects.Store) {
	promises := []struct {
		name string
		test func(*testing.T, objects.Store)
	}{
		{"what is put can be read, whole and in ranges", putAndRange},
		{"ranges beyond the end are refused or short", rangesAtTheEnd},
		{"a taken key is told with the hash of what holds it", takenKey},
		{"one of many writers of a key wins", oneWins},
		{"an overwritten key is never read torn", neverTorn},
		{"a long object is kept whole", longObjects},
		{"a source that breaks leaves nothing", brokenSources},
		{"a source of another length than announced leaves nothing", wrongLengths},
		{"keys that are no paths are refused", badKeys},
		{"what is deleted is gone, and deleting it again is no error", deletes},
		{"keys are listed in order by prefix", lists},
		{"an ended context ends a put", endedContext},
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			o := open(t)
			defer func() {
				if err := o.Close(); err != nil {
					t.Error(err)
				}
			}()
			p.test(t, o)
		})
	}
}

// Bytes gives n bytes that are always the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(b)
	return b
}

func put(t *testing.T, o objects.Store, key string, b []byte) {
	t.Helper()
	sum, err := o.PutOnce(t.Context(), key, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if sum != sha256.Sum256(b) {
		t.Fatalf("put %s: hash %s is not of what was put", key, sum.Short())
	}
}

func read(t *testing.T, o objects.Store, key string, off, n int64) []byte {
	t.Helper()
	r, err := o.Range(t.Context(), key, off, n)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// Absent fails the test when there is anything under key.
func Absent(t *testing.T, o objects.Store, key string) {
	t.Helper()
	if n, err := o.Stat(t.Context(), key); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("%s: %d bytes, %v; want nothing there", key, n, err)
	}
}

func putAndRange(t *testing.T, o objects.Store) {
	for _, size := range []int{0, 1, 100_000} {
		key := fmt.Sprintf("dicom/1.2/3.4/%d.dcm", size)
		want := Bytes(uint64(size), size)
		put(t, o, key, want)
		if n, err := o.Stat(t.Context(), key); err != nil || n != int64(size) {
			t.Errorf("size of %s is %d, %v", key, n, err)
		}
		if got := read(t, o, key, 0, -1); !bytes.Equal(got, want) {
			t.Errorf("%d bytes come back changed", size)
		}
	}
	want := Bytes(100_000, 100_000)
	for _, r := range [][2]int64{{0, 10}, {5, 1}, {99_990, 10}, {40_000, 20_000}, {70_000, -1}, {10, 0}} {
		end := r[0] + r[1]
		if r[1] < 0 {
			end = 100_000
		}
		if got := read(t, o, "dicom/1.2/3.4/100000.dcm", r[0], r[1]); !bytes.Equal(got, want[r[0]:end]) {
			t.Errorf("range %v: %d bytes that differ", r, len(got))
		}
	}
	if _, err := o.Range(t.Context(), "dicom/1.2/3.4", 0, -1); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("the folder of a key reads as %v", err)
	}
	if _, err := o.Range(t.Context(), "not/there", 0, -1); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a missing key reads as %v", err)
	}
	if _, err := o.Stat(t.Context(), "not/there"); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a missing key has the size %v", err)
	}
}

func rangesAtTheEnd(t *testing.T, o objects.Store) {
	want := Bytes(1, 1000)
	put(t, o, "a", want)
	put(t, o, "empty", nil)
	if got := read(t, o, "a", 900, 500); !bytes.Equal(got, want[900:]) {
		t.Errorf("a range past the end gives %d bytes, want 100", len(got))
	}
	if got := read(t, o, "a", 10, 1<<62); !bytes.Equal(got, want[10:]) {
		t.Errorf("a huge range gives %d bytes, want 990", len(got))
	}
	if got := read(t, o, "empty", 0, 10); len(got) != 0 {
		t.Errorf("an empty object gives %d bytes", len(got))
	}
	for _, off := range []int64{-1, 1000, 1001} {
		if _, err := o.Range(t.Context(), "a", off, 10); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("a range from %d: %v, want invalid", off, err)
		}
	}
}

func takenKey(t *testing.T, o objects.Store) {
	for _, size := range []int{300, longObject} {
		key := fmt.Sprintf("taken/%d", size)
		first, other := Bytes(1, size), Bytes(2, size)
		put(t, o, key, first)
		for _, tt := range []struct {
			b     []byte
			again bool
		}{{first, true}, {other, false}} {
			sum, err := o.PutOnce(t.Context(), key, bytes.NewReader(tt.b), int64(size))
			var held interface{ Held() study.Hash }
			if !errors.Is(err, fs.ErrExist) || !errors.Is(err, objects.ErrExists) || !errors.As(err, &held) {
				t.Fatalf("put over %s: %v, want that it exists", key, err)
			}
			if sum != sha256.Sum256(tt.b) || held.Held() != sha256.Sum256(first) || (sum == held.Held()) != tt.again {
				t.Errorf("put over %s: hash %s, held %s", key, sum.Short(), held.Held().Short())
			}
		}
		if got := read(t, o, key, 0, -1); !bytes.Equal(got, first) {
			t.Errorf("%s was overwritten", key)
		}
	}
}

func oneWins(t *testing.T, o objects.Store) {
	const writers = 12
	var wg sync.WaitGroup
	won := make([]bool, writers)
	for i := range writers {
		wg.Go(func() {
			_, err := o.PutOnce(t.Context(), "race/key", bytes.NewReader(Bytes(uint64(i), 5000)), -1)
			won[i] = err == nil
			if err != nil && !errors.Is(err, objects.ErrExists) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	got := read(t, o, "race/key", 0, -1)
	for i, w := range won {
		if w != bytes.Equal(got, Bytes(uint64(i), 5000)) {
			t.Errorf("writer %d was told %v, and that is not what is kept", i, w)
		}
	}
}

func neverTorn(t *testing.T, o objects.Store) {
	a, b := bytes.Repeat([]byte("a"), 300_000), bytes.Repeat([]byte("b"), 200_000)
	overwrite := func(p []byte) {
		if err := o.Put(t.Context(), "r/x", bytes.NewReader(p), int64(len(p))); err != nil {
			t.Error(err)
		}
	}
	overwrite(a)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 20 {
				overwrite([][]byte{a, b}[i%2])
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 25 {
				r, err := o.Range(t.Context(), "r/x", 0, -1)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(r)
				if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
					t.Errorf("a read of %d bytes is neither the old nor the new: %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func longObjects(t *testing.T, o objects.Store) {
	want := Bytes(7, threePieces)
	for key, size := range map[string]int64{"long/unknown": -1, "long/known": threePieces} {
		sum, err := o.PutOnce(t.Context(), key, iotest.HalfReader(bytes.NewReader(want)), size)
		if err != nil {
			t.Fatal(err)
		}
		if sum != sha256.Sum256(want) || sha256.Sum256(read(t, o, key, 0, -1)) != sum {
			t.Errorf("%s comes back changed", key)
		}
		if got := read(t, o, key, 16<<20-5, 10); !bytes.Equal(got, want[16<<20-5:16<<20+5]) {
			t.Errorf("%s: a range across the border of a part differs", key)
		}
	}
}

func brokenSources(t *testing.T, o objects.Store) {
	for _, size := range []int{1000, longObject} {
		for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("the sender is gone")} {
			for _, announced := range []int64{-1, int64(size) + 1} {
				r := io.MultiReader(bytes.NewReader(Bytes(3, size)), iotest.ErrReader(cause))
				if _, err := o.PutOnce(t.Context(), "broken/once", r, announced); !errors.Is(err, cause) {
					t.Errorf("%d bytes and then %v: %v", size, cause, err)
				}
				r = io.MultiReader(bytes.NewReader(Bytes(3, size)), iotest.ErrReader(cause))
				if err := o.Put(t.Context(), "broken/over", r, announced); !errors.Is(err, cause) {
					t.Errorf("%d bytes and then %v: %v", size, cause, err)
				}
			}
		}
	}
	Absent(t, o, "broken/once")
	Absent(t, o, "broken/over")
}

func wrongLengths(t *testing.T, o objects.Store) {
	for _, size := range []int{0, 1000, 16 << 20, longObject} {
		for _, off := range []int64{-1, 1} {
			if int64(size)+off < 0 {
				continue
			}
			_, err := o.PutOnce(t.Context(), "length", bytes.NewReader(Bytes(3, size)), int64(size)+off)
			if !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%d bytes announced as %d: %v", size, int64(size)+off, err)
			}
		}
	}
	Absent(t, o, "length")
}

func badKeys(t *testing.T, o objects.Store) {
	for _, key := range []string{
		"", "/a", "a/", "a//b", "..", "a/../b", "./a", ".put/x", "a b", "a\x00", `a\b`, "æ", "a%2fb",
		strings.Repeat("a", 256), strings.Repeat("a/", 460) + "a",
	} {
		if _, err := o.PutOnce(t.Context(), key, strings.NewReader("x"), 1); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("put once %.20q: %v", key, err)
		}
		if err := o.Put(t.Context(), key, strings.NewReader("x"), 1); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("put %.20q: %v", key, err)
		}
		if _, err := o.Range(t.Context(), key, 0, -1); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("read %.20q: %v", key, err)
		}
		if _, err := o.Stat(t.Context(), key); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("look at %.20q: %v", key, err)
		}
		if err := o.Delete(t.Context(), key); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("delete %.20q: %v", key, err)
		}
	}
	put(t, o, "results/1.2.3/rev-1/nuclei+he@0123456789ab/part-0.json", []byte("{}"))
	put(t, o, strings.Repeat("a", 255), []byte("x"))
	put(t, o, strings.Repeat("segment/", 112)+"end", []byte("x"))
}

func deletes(t *testing.T, o objects.Store) {
	put(t, o, "d/x", []byte("x"))
	for range 2 {
		if err := o.Delete(t.Context(), "d/x"); err != nil {
			t.Error(err)
		}
		Absent(t, o, "d/x")
	}
	put(t, o, "d/x", []byte("y")) // a deleted key is free again
}

func lists(t *testing.T, o objects.Store) {
	want := []string{"l-x/1", "l/0.dcm", "l/a-b", "l/a/1", "l/a/2", "l/a.b", "l/b/c/d/e", "m"}
	for i := range 230 { // more than a page
		want = append(want, fmt.Sprintf("l/many/%03d", i))
	}
	var wg sync.WaitGroup
	for part := range slices.Chunk(want, 60) {
		wg.Go(func() {
			for _, key := range part {
				if _, err := o.PutOnce(t.Context(), key, strings.NewReader(key), -1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(want)
	for _, prefix := range []string{"", "l", "l/", "l/a", "l/a/", "l/many/1", "none", "l/a/1/x"} {
		var got, wanted []string
		for key, err := range o.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, key)
		}
		for _, key := range want {
			if strings.HasPrefix(key, prefix) {
				wanted = append(wanted, key)
			}
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("prefix %q: %d keys\n%.300q\nwant %d\n%.300q", prefix, len(got), got, len(wanted), wanted)
		}
	}
	for range o.List(t.Context(), "l/") {
		break // leaving early must be harmless
	}
}

func endedContext(t *testing.T, o objects.Store) {
	ctx, stop := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(Bytes(4, 20<<20)), readerFunc(func([]byte) (int, error) {
		stop()
		return 0, nil
	}))
	if _, err := o.PutOnce(ctx, "ended", r, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("put with an ended context: %v", err)
	}
	Absent(t, o, "ended")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
