package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A house is a receiver over a real folder and a real ledger.
type house struct {
	*ingest.Receiver
	objects *objects.Dir
	ledger  *store.Ledger
	log     *bytes.Buffer
	traffic *ingest.Traffic
}

func newHouse(t testing.TB) *house {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	h := &house{objects: objects, ledger: ledger, log: &bytes.Buffer{}, traffic: &ingest.Traffic{}}
	h.Receiver = &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: h.traffic, MinFree: 1,
		Log: slog.New(slog.NewTextHandler(&locked{w: h.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	return h
}

// locked lets goroutines share a buffer.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (h *house) keys(t testing.TB) []string {
	t.Helper()
	var out []string
	for key, err := range h.objects.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, key)
	}
	return out
}

func (h *house) bytes(t testing.TB, key string) []byte {
	t.Helper()
	r, err := h.objects.Range(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var stow = ingest.Source{Kind: "stow", Remote: "127.0.0.1:1"}

func (h *house) file(t testing.TB, b []byte) (ingest.Kept, error) {
	t.Helper()
	return h.Receive(t.Context(), stow, ingest.Object{Data: bytes.NewReader(b)})
}

// slice draws one CT slice of size pixels a side; its file is longer than 1 MiB
// from 724 on.
func drawSlice(t testing.TB, size int) studytest.Object {
	t.Helper()
	d, err := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 2, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return d.Objects[0]
}

// sizes are an object that fits into the head which is read first, and one that
// does not.
var sizes = map[string]int{"short": 64, "long": 800}

func TestAnObjectIsKeptAsItCame(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			h, o := newHouse(t), drawSlice(t, size)
			kept, err := h.file(t, o.File)
			if err != nil || kept.Outcome != study.Stored {
				t.Fatalf("%s, %v", kept.Outcome, err)
			}
			in, err := h.ledger.Instance(t.Context(), o.Instance)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.bytes(t, in.Key); !bytes.Equal(got, o.File) {
				t.Errorf("%d bytes kept of %d sent, or others", len(got), len(o.File))
			}
			if in.Bytes != int64(len(o.File)) || in.SHA256 != sha256.Sum256(o.File) || in.Image.Rows != size || in.TransferSyntax != dicom.ExplicitLE {
				t.Errorf("recorded as %+v", in)
			}
			frames, err := h.ledger.Frames(t.Context(), o.Instance)
			if err != nil || frames.Len() != 1 || frames.Spans[0].Len != int64(2*size*size) {
				t.Errorf("frames %v, %v", frames, err)
			}
			if s, err := h.ledger.Study(t.Context(), kept.Study); err != nil || s.Sender != "stow" || s.Instances != 1 || s.Status != study.Receiving {
				t.Errorf("study %+v, %v", s, err)
			}
		})
	}
}

func (h *house) cstore(t testing.TB, o studytest.Object, ae string) dimse.Status {
	t.Helper()
	return h.Store(t.Context(), dimse.StoreRequest{Calling: ae, Remote: "127.0.0.1:2", Class: o.Class, Instance: o.Instance,
		TransferSyntax: o.Syntax, Data: bytes.NewReader(o.DataSet)})
}

func TestADataSetIsKeptBehindOurHeader(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			h, o := newHouse(t), drawSlice(t, size)
			if s := h.cstore(t, o, "CT1"); s != dimse.Success {
				t.Fatal(s)
			}
			in, err := h.ledger.Instance(t.Context(), o.Instance)
			if err != nil {
				t.Fatal(err)
			}
			got := h.bytes(t, in.Key)
			if !bytes.HasSuffix(got, o.DataSet) || string(got[128:132]) != "DICM" {
				t.Error("the data set is not kept bit for bit")
			}
			frames, err := h.ledger.Frames(t.Context(), o.Instance)
			if err != nil {
				t.Fatal(err)
			}
			if off := frames.Spans[0].Off; !bytes.Equal(got[off:off+frames.Spans[0].Len], o.DataSet[len(o.DataSet)-2*size*size:]) {
				t.Error("the frame index does not point at the pixels of the stored object")
			}
		})
	}
}

func TestTheSameObjectAgainIsADuplicate(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			h, o := newHouse(t), drawSlice(t, size)
			if s := h.cstore(t, o, "CT1"); s != dimse.Success {
				t.Fatal(s)
			}
			for _, ae := range []string{"CT1", "PACS"} { // another sender's header is no other object
				if s := h.cstore(t, o, ae); s != dimse.Success {
					t.Fatal(s)
				}
			}
			kept, err := h.file(t, o.File) // nor is the file that it came from
			if err != nil || kept.Outcome != study.Duplicate {
				t.Errorf("%s, %v", kept.Outcome, err)
			}
			if keys := h.keys(t); len(keys) != 1 {
				t.Errorf("kept %q", keys)
			}
			if s, err := h.ledger.Study(t.Context(), kept.Study); err != nil || s.Instances != 1 || s.Conflicts != 0 {
				t.Errorf("%d instances, %d conflicts, %v", s.Instances, s.Conflicts, err)
			}
		})
	}
}

func TestBytesWithoutARecordAreRecordedOnTheNextTry(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			h, o := newHouse(t), drawSlice(t, size)
			ledger := h.Register
			h.Register = broken{}
			if s := h.cstore(t, o, "CT1"); s != dimse.OutOfResources {
				t.Fatalf("%v, want out of resources: the sender must try again", s)
			}
			h.Register = ledger
			if s := h.cstore(t, o, "CT1"); s != dimse.Success {
				t.Fatal(s)
			}
			if in, err := h.ledger.Instance(t.Context(), o.Instance); err != nil || in.SHA256 != sha256.Sum256(h.bytes(t, in.Key)) {
				t.Errorf("%+v, %v", in, err)
			}
		})
	}
}

type broken struct{}

func (broken) Receive(context.Context, study.Arrival) (study.Receipt, error) {
	return study.Receipt{}, errors.New("the ledger's disk is gone")
}

func TestOtherBytesUnderAKnownUIDAreKeptApart(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			h, o := newHouse(t), drawSlice(t, size)
			if _, err := h.file(t, o.File); err != nil {
				t.Fatal(err)
			}
			other := slices.Clone(o.File)
			other[len(other)-3] ^= 1
			for range 2 { // a conflict that comes again is the same conflict
				kept, err := h.file(t, other)
				if err != nil || kept.Outcome != study.Conflicted {
					t.Fatalf("%s, %v", kept.Outcome, err)
				}
			}
			conflict := fmt.Sprintf("conflict/%s/%x.dcm", o.Instance, sha256.Sum256(other))
			if keys := h.keys(t); len(keys) != 2 || keys[0] != conflict {
				t.Fatalf("kept %q", keys)
			}
			if !bytes.Equal(h.bytes(t, conflict), other) {
				t.Error("the conflicting object is not kept as it came")
			}
			in, err := h.ledger.Instance(t.Context(), o.Instance)
			if err != nil || !bytes.Equal(h.bytes(t, in.Key), o.File) {
				t.Errorf("the first object is not in use any more: %v", err)
			}
			if s, err := h.ledger.Study(t.Context(), in.Study); err != nil || s.Conflicts != 1 {
				t.Errorf("%d conflicts, %v", s.Conflicts, err)
			}
		})
	}
}

func TestARefusedObjectLeavesNothing(t *testing.T) {
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	for name, size := range sizes {
		o := drawSlice(t, size)
		changed := func(find string, off int, to string) []byte {
			b := slices.Clone(o.File)
			copy(b[bytes.Index(b, []byte(find))+off:], to)
			return b
		}
		for _, tt := range []struct {
			name   string
			object ingest.Object
			keeper ingest.Housekeeper
			status dimse.Status
			kind   error
		}{
			{"no bytes", ingest.Object{Data: strings.NewReader("")}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"a web page", ingest.Object{Data: strings.NewReader(strings.Repeat("<html>", size*size))}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"cut in the pixels", ingest.Object{Data: bytes.NewReader(cut(o.File, 100))}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"cut in the header", ingest.Object{Data: bytes.NewReader(o.File[:700])}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"shorter than announced", ingest.Object{Data: bytes.NewReader(o.File), Size: int64(len(o.File)) + 10}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"no study", ingest.Object{Data: bytes.NewReader(changed("\x20\x00\x0d\x00UI", 2, "\x0c"))}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"a study that is no UID", ingest.Object{Data: bytes.NewReader(changed("\x20\x00\x0d\x00UI", 8, "Kari^"))}, nil, dimse.CannotUnderstand, study.ErrInvalid},
			{"another study than announced", ingest.Object{Data: bytes.NewReader(o.File), Study: "1.2.3"}, nil, dimse.MismatchSOPClass, ingest.ErrMismatch},
			{"another instance than announced", ingest.Object{Data: bytes.NewReader(o.DataSet), TransferSyntax: o.Syntax, Class: o.Class, Instance: "1.2.3"}, nil, dimse.MismatchSOPClass, ingest.ErrMismatch},
			{"another class than announced", ingest.Object{Data: bytes.NewReader(o.DataSet), TransferSyntax: o.Syntax, Class: dicom.MGImagePresentation, Instance: o.Instance}, nil, dimse.MismatchSOPClass, ingest.ErrMismatch},
			{"a sender that breaks off", ingest.Object{Data: io.MultiReader(bytes.NewReader(cut(o.File, 50)), failing{})}, nil, dimse.OutOfResources, ingest.ErrBroken},
			{"a sender that breaks off as multipart does", ingest.Object{Data: io.MultiReader(bytes.NewReader(cut(o.File, 50)), failing{io.ErrUnexpectedEOF})}, nil, dimse.OutOfResources, ingest.ErrBroken},
			{"a full disk", ingest.Object{Data: bytes.NewReader(o.File)}, full{}, dimse.OutOfResources, study.ErrBusy},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				h := newHouse(t)
				if tt.keeper != nil {
					h.Keeper = tt.keeper
				}
				_, err := h.Receive(t.Context(), stow, tt.object)
				if !errors.Is(err, tt.kind) || ingest.StatusOf(err) != tt.status {
					t.Errorf("%v is answered %v, want %v", err, ingest.StatusOf(err), tt.status)
				}
				if keys := h.keys(t); len(keys) != 0 {
					t.Errorf("kept %q", keys)
				}
				if open, err := h.ledger.Unsettled(t.Context()); err != nil || len(open) != 0 {
					t.Errorf("recorded %v, %v", open, err)
				}
				if log := h.log.String(); !strings.Contains(log, "instance refused") || strings.Contains(log, "Kari") || strings.Contains(log, "SYN") {
					t.Errorf("logged %s", log)
				}
			})
		}
	}
}

// failing is a connection that breaks.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, syscall.ECONNRESET
}

// full is a disk without room.
type full struct{}

func (full) Delete(context.Context, string) error { return nil }
func (full) Free(context.Context) (int64, bool)   { return 0, true }

// filling is a disk that fills up while it is written to.
type filling struct{ left *int64 }

func (filling) Delete(context.Context, string) error { return nil }
func (f filling) Free(context.Context) (int64, bool) {
	*f.left -= 1 << 20
	return *f.left, true
}

func TestTheDiskIsWatchedWhileALongObjectComes(t *testing.T) {
	h := newHouse(t)
	left := int64(3<<20 + 1)
	h.Keeper, h.MinFree = filling{&left}, 1<<20
	o := drawSlice(t, 64)
	head, _ := bytes.CutSuffix(o.DataSet, o.DataSet[len(o.DataSet)-2*64*64-12:])
	_, err := h.Receive(t.Context(), stow, ingest.Object{Data: endless(head, 400<<20), TransferSyntax: o.Syntax, Class: o.Class, Instance: o.Instance})
	if !errors.Is(err, study.ErrBusy) {
		t.Errorf("%v, want busy", err)
	}
	if keys := h.keys(t); len(keys) != 0 {
		t.Errorf("kept %q", keys)
	}
}

// endless is a data set whose pixels are n zeros.
func endless(head []byte, n uint32) io.Reader {
	pixels := []byte{0xe0, 0x7f, 0x10, 0x00, 'O', 'W', 0, 0, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	return io.MultiReader(bytes.NewReader(head), bytes.NewReader(pixels), io.LimitReader(zeros{}, int64(n)))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// nowhere counts what is put and keeps nothing.
type nowhere struct{ n int64 }

func (d *nowhere) PutOnce(_ context.Context, _ string, r io.Reader, _ int64) (study.Hash, error) {
	n, err := io.Copy(io.Discard, struct{ io.Reader }{r})
	d.n += n
	return study.Hash{}, err
}
func (*nowhere) Range(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, study.ErrNotFound
}
func (*nowhere) Stat(context.Context, string) (int64, error) { return 0, study.ErrNotFound }

func TestALongObjectCostsLittleMemory(t *testing.T) {
	h := newHouse(t)
	sink := &nowhere{}
	h.Archive = sink
	o := drawSlice(t, 64)
	head, _ := bytes.CutSuffix(o.DataSet, o.DataSet[len(o.DataSet)-2*64*64-12:])
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const size = 1 << 30
	_, err := h.Receive(t.Context(), stow, ingest.Object{Data: endless(head, size), TransferSyntax: o.Syntax, Class: o.Class, Instance: o.Instance})
	runtime.ReadMemStats(&after)
	if err != nil || sink.n < size {
		t.Fatalf("%d bytes kept, %v", sink.n, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("%d MiB were allocated for an object of 1 GiB", took>>20)
	}
}

func TestManySendersOfOneObjectStoreItOnce(t *testing.T) {
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			h, o := newHouse(t), drawSlice(t, size)
			outcomes := make([]study.Outcome, 8)
			var wg sync.WaitGroup
			for i := range outcomes {
				wg.Go(func() {
					kept, err := h.file(t, o.File)
					if err != nil {
						t.Error(err)
					}
					outcomes[i] = kept.Outcome
				})
			}
			wg.Wait()
			stored := 0
			for _, o := range outcomes {
				if o == study.Stored {
					stored++
				}
			}
			if keys := h.keys(t); stored != 1 || len(keys) != 1 {
				t.Errorf("stored %d times under %q: %q", stored, keys, outcomes)
			}
		})
	}
}

// wantKept reports whether a shared file should be kept: it is whole and names
// itself, its series and its study.
func wantKept(t *testing.T, e shared.Entry) bool {
	t.Helper()
	var x map[string]any
	if err := json.Unmarshal(e.Expectation, &x); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"} {
		text, _ := x[key].(string)
		if _, err := study.ParseUID(text); err != nil {
			return false
		}
	}
	return !strings.Contains(e.Path, "truncated")
}

// TestEverySharedObjectIsKeptBitForBit sends every DICOM file of the shared set
// as a file and, where it has file meta information, as a C-STORE.
func TestEverySharedObjectIsKeptBitForBit(t *testing.T) {
	dir, entries := shared.Manifest(t)
	byFile, byStore := newHouse(t), newHouse(t)
	kept, refused := 0, 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "dicom/") && !strings.HasPrefix(e.Path, "wsi/dicom-sm/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		k, err := byFile.file(t, b)
		if (err == nil) != wantKept(t, e) || err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s (%s): %v", e.Path, e.Behaviour, err)
		}
		if err != nil {
			refused++
			continue
		}
		kept++
		ts, data, err := dicom.DataSet(bytes.NewReader(b))
		if k.Outcome != study.Duplicate { // of a duplicate the first one's header stays
			checkKept(t, byFile, e.Path, k, b)
		}
		if err != nil {
			continue // no file meta information: nothing that C-STORE could name
		}
		set, err := io.ReadAll(data)
		if err != nil {
			t.Fatal(err)
		}
		status := byStore.Store(t.Context(), dimse.StoreRequest{Calling: "TEST", Class: k.Class, Instance: k.Instance, TransferSyntax: ts, Data: bytes.NewReader(set)})
		if status != dimse.Success {
			t.Errorf("%s: C-STORE is answered %v", e.Path, status)
			continue
		}
		checkKept(t, byFile, e.Path, k, set)
		checkKept(t, byStore, e.Path, k, set)
	}
	t.Logf("%d kept, %d refused", kept, refused)
}

// checkKept looks for bytes at an object's key or among its conflicts: the set
// holds several objects with one UID.
func checkKept(t *testing.T, h *house, path string, k ingest.Kept, b []byte) {
	t.Helper()
	keys := []string{fmt.Sprintf("dicom/%s/%s/%s.dcm", k.Study, k.Series, k.Instance)}
	for key, err := range h.objects.List(t.Context(), "conflict/"+string(k.Instance)+"/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		if got := h.bytes(t, key); bytes.HasSuffix(got, b) {
			return
		}
	}
	t.Errorf("%s: its bytes lie under none of %q", path, keys)
}
