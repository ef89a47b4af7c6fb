package watch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/ingest"
	"varde/ingest/watch"
	"varde/internal/studytest"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A place is a watched folder over a real store and ledger.
type place struct {
	*watch.Watcher
	ledger  *store.Ledger
	objects *objects.Dir
	stop    func()

	mu    sync.Mutex
	ended []study.UID // guarded by mu
}

func newPlace(t *testing.T) *place {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	p := &place{ledger: ledger, objects: objects}
	p.Watcher = &watch.Watcher{Folder: filepath.Join(t.TempDir(), "in"), Log: log,
		Receiver: &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: &ingest.Traffic{}, MinFree: 1, Log: log},
		Every:    5 * time.Millisecond, Quiet: 60 * time.Millisecond, Patience: 400 * time.Millisecond,
		Ended: func(uids ...study.UID) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended = append(p.ended, uids...)
		}}
	if err := os.MkdirAll(p.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	p.start(t)
	return p
}

func (p *place) start(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- p.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		p.stop = func() {}
	}
}

func (p *place) put(t *testing.T, name string, b []byte) {
	t.Helper()
	full := filepath.Join(p.Folder, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// await waits until a file is there.
func (p *place) await(t *testing.T, name string) []byte {
	t.Helper()
	for range 2000 {
		if b, err := os.ReadFile(filepath.Join(p.Folder, filepath.FromSlash(name))); err == nil {
			return b
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s does not come", name)
	return nil
}

func (p *place) has(name string) bool {
	_, err := os.Stat(filepath.Join(p.Folder, filepath.FromSlash(name)))
	return err == nil
}

func draw(t *testing.T, n int) studytest.Drawn {
	t.Helper()
	d, err := studytest.ChestCT(studytest.CT{Seed: 9, Slices: n, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFilesAreTakenInAndPutAway(t *testing.T) {
	p := newPlace(t)
	d := draw(t, 3)
	p.put(t, "a.dcm", d.Objects[0].File)
	p.put(t, "disc/b", d.Objects[1].File)
	p.put(t, "later.dcm.part", d.Objects[2].File)
	p.put(t, "letter.txt", []byte("Dear colleague"))
	for n, name := range []string{"done/a.dcm", "done/disc/b"} {
		if !bytes.Equal(p.await(t, name), d.Objects[n].File) {
			t.Errorf("%s is another file", name)
		}
		if _, err := p.ledger.Instance(t.Context(), d.Objects[n].Instance); err != nil {
			t.Error(err)
		}
	}
	if reason := p.await(t, "refused/letter.txt.reason.txt"); !strings.Contains(string(reason), "no DICOM file") {
		t.Errorf("refused for %q", reason)
	}
	p.await(t, "refused/letter.txt")
	if !p.has("later.dcm.part") || p.has("a.dcm") || p.has("letter.txt") {
		t.Error("a file lies in another place than it should")
	}
	p.mu.Lock()
	ended := len(p.ended) > 0 && p.ended[0] == d.Study
	p.mu.Unlock()
	if !ended {
		t.Error("nobody was told that the study has come")
	}
	p.put(t, "a.dcm", d.Objects[0].File) // a second time: a duplicate
	p.await(t, "done/a.dcm.2")
}

func TestAFileThatIsBeingWrittenIsNotTakenInHalf(t *testing.T) {
	p := newPlace(t)
	o := draw(t, 1).Objects[0]
	f, err := os.Create(filepath.Join(p.Folder, "slow.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(o.File); at += len(o.File)/3 + 1 {
		if _, err := f.Write(o.File[at:min(len(o.File), at+len(o.File)/3+1)]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(120 * time.Millisecond) // longer than quiet, and shorter than patience
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p.await(t, "done/slow.dcm")
	in, err := p.ledger.Instance(t.Context(), o.Instance)
	if err != nil || in.Bytes != int64(len(o.File)) {
		t.Errorf("%d bytes were kept of %d, %v", in.Bytes, len(o.File), err)
	}
	p.put(t, "half.dcm", o.File[:len(o.File)/2])
	p.await(t, "refused/half.dcm.reason.txt")
}

func TestAWatcherThatComesBackGoesOn(t *testing.T) {
	p := newPlace(t)
	p.stop()
	o := draw(t, 1).Objects[0]
	p.put(t, "a.dcm", o.File)
	p.start(t)
	p.await(t, "done/a.dcm")
}

func TestALinkLeadsNowhere(t *testing.T) {
	p := newPlace(t)
	outside := filepath.Join(t.TempDir(), "x.dcm")
	o := draw(t, 2)
	if err := os.WriteFile(outside, o.Objects[0].File, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(p.Folder, "x.dcm")); err != nil {
		t.Skip(err)
	}
	p.put(t, "b.dcm", o.Objects[1].File)
	p.await(t, "done/b.dcm")
	if _, err := p.ledger.Instance(t.Context(), o.Objects[0].Instance); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("what lies outside was taken in: %v", err)
	}
}

// A full receiver has no room.
type full struct{ watch.Receiver }

// Receive refuses until there is room.
func (full) Receive(context.Context, ingest.Source, ingest.Object) (ingest.Kept, error) {
	return ingest.Kept{}, study.ErrBusy
}

func TestWhatCannotBeTakenNowStays(t *testing.T) {
	p := newPlace(t)
	p.stop()
	p.Watcher.Receiver = full{}
	p.put(t, "a.dcm", draw(t, 1).Objects[0].File)
	p.start(t)
	time.Sleep(600 * time.Millisecond)
	if !p.has("a.dcm") {
		t.Error("a file that could not be taken in has gone")
	}
}
