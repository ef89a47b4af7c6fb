package slidefile_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/codec"
	"varde/internal/s3test"
	"varde/internal/slide"
	"varde/internal/slide/openslide"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A house has a real ledger and real objects.
type house struct {
	*slidefile.Keeper
	objects objects.Store
	ledger  *store.Ledger
	ended   []study.UID
	log     bytes.Buffer
}

func newHouse(t testing.TB) *house {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	return houseOver(t, objects)
}

// houseOver puts a keeper over objects.
func houseOver(t testing.TB, objects objects.Store) *house {
	t.Helper()
	ledger, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{objects: objects, ledger: ledger}
	log, traffic := slog.New(slog.NewTextHandler(&h.log, nil)), &ingest.Traffic{}
	h.Keeper = &slidefile.Keeper{Archive: objects, Traffic: traffic, Log: log,
		Ended:    func(uids ...study.UID) { h.ended = append(h.ended, uids...) },
		Receiver: &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: traffic, MinFree: 1, Log: log}}
	t.Cleanup(func() {
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// keys gives what lies in the archive under a prefix.
func (h *house) keys(t testing.TB, prefix string) (all []string) {
	t.Helper()
	for key, err := range h.objects.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	return all
}

// someone is whose slides these are.
var someone = slidefile.Identifiers{PatientID: "P-4711", PatientName: "Ødegård^Åse", BirthDate: "1961-02-03", Sex: "F", Accession: "A-17",
	Case: "C26-99", StudyDate: "2026-01-05", Description: "Breast, left", Container: "C26-99;1;A", Specimen: "C26-99;1", Stain: "H&E"}

var folder = ingest.Source{Kind: "folder"}

func (h *house) keep(t testing.TB, name string, b []byte) slidefile.Kept {
	t.Helper()
	k, err := h.Keep(t.Context(), folder, someone, name, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// instances gives the levels that the ledger has of what was kept.
func (h *house) instances(t testing.TB, k slidefile.Kept) []study.Instance {
	t.Helper()
	all, err := h.ledger.ObjectsOf(t.Context(), k.Study, k.Series)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// levels gives them as whoever scores and shows sees them.
func (h *house) levels(t testing.TB, k slidefile.Kept) []slide.Level {
	t.Helper()
	levels, err := slide.Levels(h.instances(t, k))
	if err != nil {
		t.Fatal(err)
	}
	return levels
}

// drawn draws a slide file.
func drawn(t testing.TB, f studytest.SlideFile) []byte {
	t.Helper()
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// small is a slide file of a few levels.
func small(t testing.TB) []byte {
	return drawn(t, studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 1100, Rows: 700, Seed: 4})
}

// sharedSlide reads a real slide.
func sharedSlide(t testing.TB, name string) []byte {
	t.Helper()
	dir, _ := shared.Manifest(t)
	b, err := os.ReadFile(filepath.Join(dir, "wsi", "slides", name))
	if err != nil {
		t.Skip("no such slide: ", err)
	}
	return b
}

const cmu = "wsi-to-dicom-converter__CMU-1-Small-Region.svs"

func TestSlideFileBecomesAStudyAndIsKeptOnce(t *testing.T) {
	h := newHouse(t)
	b := sharedSlide(t, cmu)
	k := h.keep(t, "Ødegård Åse.svs", b)
	if k.Outcome != study.Stored || k.Levels == 0 || k.Format != "aperio" || !k.Held.Zero() {
		t.Fatalf("kept %+v", k)
	}
	levels := h.levels(t, k)
	if levels[0].Columns != 2220 || levels[0].Rows != 2967 {
		t.Errorf("finest level of %d×%d pixels", levels[0].Columns, levels[0].Rows)
	}
	if m := levels[0].MPP[0]; m < 0.498 || m > 0.5 {
		t.Errorf("%g µm a pixel", m)
	}
	if !slices.Contains(h.ended, k.Study) {
		t.Error("nobody was told that the study has come")
	}
	if text := h.log.String(); strings.Contains(text, "degård") || strings.Contains(text, "4711") || !strings.Contains(text, "slide file kept") {
		t.Error("the log names a person, or nothing: ", text)
	}
	if keys := h.keys(t, "slides/"); len(keys) != 1 || !strings.HasSuffix(keys[0], k.SHA256.String()+".svs") {
		t.Error("the file is kept as ", keys)
	}
	studies, err := h.ledger.FindStudies(t.Context(), study.Query{Limit: 10})
	if err != nil || len(studies) != 1 || studies[0].Study.Patient.Reveal().Name != "Ødegård^Åse" || studies[0].Study.Accession != "A-17" {
		t.Errorf("the ledger finds %d studies: %v", len(studies), err)
	}
}

func TestSameFileAgainChangesNothing(t *testing.T) {
	h := newHouse(t)
	b := small(t)
	first := h.keep(t, "a.svs", b)
	before := h.keys(t, "")
	again := h.keep(t, "another name.SVS", b)
	if again.Outcome != study.Duplicate || again.Series != first.Series {
		t.Errorf("again: %+v", again)
	}
	if after := h.keys(t, ""); !slices.Equal(before, after) {
		t.Errorf("%d objects became %d", len(before), len(after))
	}
	other := someone
	other.PatientName = "Hansen^Kari"
	k, err := h.Keep(t.Context(), folder, other, "a.svs", bytes.NewReader(b), 0)
	if err != nil || k.Outcome != study.Conflicted {
		t.Errorf("the same slide of somebody else: %+v, %v", k, err)
	}
	if n := len(h.instances(t, first)); n != first.Levels {
		t.Errorf("%d levels became %d", first.Levels, n)
	}
}

func TestSlidesOfACaseAreOneStudy(t *testing.T) {
	h := newHouse(t)
	a := h.keep(t, "a.svs", small(t))
	b := h.keep(t, "b.tif", drawn(t, studytest.SlideFile{Columns: 600, Rows: 600, Seed: 9}))
	if a.Study != b.Study || a.Series == b.Series {
		t.Errorf("studies %s and %s, series %s and %s", a.Study, b.Study, a.Series, b.Series)
	}
	alone := someone
	alone.Accession, alone.Case = "", ""
	k, err := h.Keep(t.Context(), folder, alone, "a.svs", bytes.NewReader(small(t)), 0)
	if err != nil || k.Study == a.Study {
		t.Errorf("a slide without a case came into study %s: %v", k.Study, err)
	}
	alone.StudyUID = "1.2.3.4"
	if k, err = h.Keep(t.Context(), folder, alone, "a.svs", bytes.NewReader(small(t)), 0); err != nil || k.Study != "1.2.3.4" {
		t.Errorf("a slide of a study that was named came into %s: %v", k.Study, err)
	}
}

func TestRefusedFileLeavesNothing(t *testing.T) {
	whole := small(t)
	for _, tt := range []struct {
		name string
		file func(t *testing.T) io.Reader
		want error
	}{
		{"damaged", func(t *testing.T) io.Reader { return bytes.NewReader(sharedSlide(t, "histolab__broken.svs")) }, study.ErrUnsupported},
		{"in strips", func(t *testing.T) io.Reader { return bytes.NewReader(sharedSlide(t, "histolab__kidney-48-5.tif")) }, study.ErrUnsupported},
		{"cut short", func(*testing.T) io.Reader { return bytes.NewReader(whole[:len(whole)/2]) }, study.ErrInvalid},
		{"no slide", func(*testing.T) io.Reader { return strings.NewReader(strings.Repeat("no slide ", 1000)) }, study.ErrUnsupported},
		{"empty", func(*testing.T) io.Reader { return strings.NewReader("") }, nil},
		{"broken off", func(*testing.T) io.Reader {
			return io.MultiReader(bytes.NewReader(whole[:5000]), iotest.ErrReader(io.ErrUnexpectedEOF))
		}, ingest.ErrBroken},
		{"no zip", func(*testing.T) io.Reader { return strings.NewReader("PK\x03\x04 and no more") }, study.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			k, err := h.Keep(t.Context(), folder, someone, "a.svs", tt.file(t), 0)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("kept %+v: %v", k, err)
			}
			if left := h.keys(t, ""); len(left) > 0 {
				t.Error("left behind: ", left)
			}
			if found, _ := h.ledger.FindStudies(t.Context(), study.Query{Limit: 9}); len(found) > 0 {
				t.Error("the ledger has a study")
			}
		})
	}
}

func TestAnnouncedHashIsHeldAgainstTheFile(t *testing.T) {
	h := newHouse(t)
	id := someone
	id.SHA256 = strings.Repeat("ab", 32)
	if _, err := h.Keep(t.Context(), folder, id, "a.svs", bytes.NewReader(small(t)), 0); !errors.Is(err, ingest.ErrMismatch) {
		t.Error(err)
	}
	if left := h.keys(t, ""); len(left) > 0 {
		t.Error("left behind: ", left)
	}
}

func TestSlideWithoutSpacingIsKeptAndHeld(t *testing.T) {
	h := newHouse(t)
	for mpp, why := range map[float64]string{-1: "no pixel spacing", 50: "50×50 µm"} {
		k := h.keep(t, "a.tif", drawn(t, studytest.SlideFile{Columns: 700, Rows: 500, MPP: mpp}))
		if k.Held.Code != study.ReasonSpacing || !strings.Contains(k.Held.Detail, why) || k.Outcome != study.Stored {
			t.Errorf("kept %+v", k)
		}
		var refused *slide.RefusedError
		if _, err := slide.Levels(h.instances(t, k)); !errors.As(err, &refused) || refused.Reason != k.Held {
			t.Errorf("who scores it is told %v, the sender %v", err, k.Held)
		}
	}
}

func TestSlideThatHasLostTilesIsKeptAndHeld(t *testing.T) {
	h := newHouse(t)
	k := h.keep(t, "a.svs", drawn(t, studytest.SlideFile{Kind: studytest.AperioSVS, Columns: 700, Rows: 500, Tile: 64, Sparse: true}))
	if k.Held.Code != study.ReasonDamaged || k.Outcome != study.Stored {
		t.Errorf("kept %+v", k)
	}
	var refused *slide.RefusedError
	if _, err := slide.Levels(h.instances(t, k)); !errors.As(err, &refused) || refused.Reason != k.Held {
		t.Errorf("who scores it is told %v", err)
	}
}

// faulty fails at the nth call that writes.
type faulty struct {
	objects.Store
	at, n int
}

var errFault = errors.New("the power is gone")

func (f *faulty) PutOnce(ctx context.Context, key string, r io.Reader, size int64) (study.Hash, error) {
	if f.n++; f.n == f.at {
		return study.Hash{}, errFault
	}
	return f.Store.PutOnce(ctx, key, r, size)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if f.at > 0 && f.n >= f.at { // nothing happens after the power is gone
		return errFault
	}
	return f.Store.Delete(ctx, key)
}

func TestWhatBreaksOffIsNotAcknowledgedAndCanBeSentAgain(t *testing.T) {
	b := small(t)
	for step := 1; ; step++ {
		dir, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
		if err != nil {
			t.Fatal(err)
		}
		f := &faulty{Store: dir, at: step}
		h := houseOver(t, f)
		_, err = h.Keep(t.Context(), folder, someone, "a.svs", bytes.NewReader(b), 0)
		if err == nil {
			if step < 5 {
				t.Errorf("only %d steps", step-1)
			}
			return
		}
		if !errors.Is(err, errFault) || len(h.ended) > 0 {
			t.Fatalf("step %d: %v; told of %v", step, err, h.ended)
		}
		f.at = 0
		if k := h.keep(t, "a.svs", b); len(h.levels(t, k)) != k.Levels || k.Outcome != study.Stored {
			t.Errorf("step %d: sent again: %+v", step, k)
		}
	}
}

func TestWhatLiesAsideIsSweptAfterADay(t *testing.T) {
	h := newHouse(t)
	for _, key := range []string{"slides/incoming/1000000000-OLD.svs", "slides/incoming/99999999999-NEW.svs"} {
		if err := h.objects.Put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := h.keys(t, ""); !slices.Equal(left, []string{"slides/incoming/99999999999-NEW.svs"}) {
		t.Error(left)
	}
}

func TestSlideFileOverS3(t *testing.T) {
	s := s3test.Start(t)
	objects, err := objects.Open(t.Context(), "s3://varde?secure=0&endpoint="+s.Endpoint(),
		objects.Credentials{AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	h := houseOver(t, objects)
	k := h.keep(t, "a.svs", small(t))
	samePixels(t, h, k)
}

func TestFormatThatOnlyOpenSlideReads(t *testing.T) {
	h := newHouse(t)
	b := drawn(t, studytest.SlideFile{Kind: studytest.VentanaBIF, Columns: 1100, Rows: 900, Overlap: true})
	_, err := h.Keep(t.Context(), folder, someone, "a.bif", bytes.NewReader(b), 0)
	if !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "libopenslide0") || !strings.Contains(err.Error(), "DICOM") {
		t.Errorf("without OpenSlide: %v", err)
	}
	r := &openslide.Retiler{Folder: t.TempDir()}
	if _, err := r.Version(t.Context()); err != nil {
		t.Skip(err)
	}
	if left := h.keys(t, ""); len(left) > 0 {
		t.Error("left behind: ", left)
	}
	h.Retiler = r
	k := h.keep(t, "a.bif", b)
	if k.Outcome != study.Stored || k.Levels < 2 || k.Format != "ventana" {
		t.Errorf("kept %+v", k)
	}
	if keys := h.keys(t, "slides/"); len(keys) != 2 || !strings.HasSuffix(keys[0], ".bif") || !strings.HasSuffix(keys[1], ".retiled.tif") {
		t.Error("kept as ", keys)
	}
	samePixels(t, h, k)
	for _, in := range h.instances(t, k) {
		validate(t, h.whole(t, in))
	}
	before := h.keys(t, "")
	if again := h.keep(t, "a.bif", b); again.Outcome != study.Duplicate || !slices.Equal(before, h.keys(t, "")) {
		t.Errorf("again: %+v", again)
	}
}

// peak follows how much memory is in use while something runs.
func peak(run func()) uint64 {
	var most atomic.Uint64
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse+m.StackInuse))
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	run()
	close(over)
	<-ended
	return most.Load()
}

// TestSlideLongerThan4GiB writes as much to the disk, so it must be asked for.
func TestSlideLongerThan4GiB(t *testing.T) {
	if os.Getenv("VARDE_LARGE") == "" {
		t.Skip("set VARDE_LARGE to have 5 GiB written to the disk")
	}
	h := newHouse(t)
	f := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 60_000, Rows: 40_000, BigTIFF: true, Share: true, Gap: 9 << 29}
	r, w := io.Pipe()
	go func() {
		_, err := f.WriteTo(w)
		_ = w.CloseWithError(err)
	}()
	var k slidefile.Kept
	began := time.Now()
	used := peak(func() {
		var err error
		if k, err = h.Keep(t.Context(), folder, someone, "a.svs", r, 0); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d bytes in %s, %d MiB in use", k.Bytes, time.Since(began), used>>20)
	if k.Bytes < 9<<29 || k.Levels < 3 {
		t.Errorf("kept %+v", k)
	}
	in := h.levels(t, k)[0].Instances[0]
	index, err := h.ledger.Frames(t.Context(), in.UID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codec.ReadFrame(t.Context(), h.objects, in, index, index.Len()-1); err != nil {
		t.Error(err)
	}
	used = peak(func() {
		body, size, err := slidefile.Objects{Archive: h.objects, Frames: h.ledger.Frames}.Open(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if n, err := io.Copy(io.Discard, body); n != size || err != nil {
			t.Errorf("%d of %d bytes went out: %v", n, size, err)
		}
	})
	t.Logf("went out with %d MiB in use", used>>20)
}
