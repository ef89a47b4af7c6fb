package slidefile_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/internal/studytest/shared"
	"varde/store"
	"varde/study"
)

// A house has a real ledger and real objects.
type house struct {
	*slidefile.Keeper
	dir    string
	open   store.Objects
	ledger *store.Ledger
	ended  []study.UID
	log    bytes.Buffer
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{dir: t.TempDir()}
	objects, err := store.OpenDir(filepath.Join(h.dir, "objects"))
	if err != nil {
		t.Fatal(err)
	}
	h.over(t, objects)
	return h
}

// over puts a keeper over objects.
func (h *house) over(t testing.TB, objects store.Objects) {
	t.Helper()
	ledger, err := store.OpenLedger(context.Background(), filepath.Join(h.dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.open, h.ledger = objects, ledger
	log, traffic := slog.New(slog.NewTextHandler(&h.log, nil)), &ingest.Traffic{}
	h.Keeper = &slidefile.Keeper{Archive: objects, Traffic: traffic, Log: log,
		Ended:    func(uids ...study.UID) { h.ended = append(h.ended, uids...) },
		Receiver: &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: traffic, MinFree: 1, Log: log}}
	t.Cleanup(func() {
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
}

// keys gives what lies in the archive.
func (h *house) keys(t testing.TB) (all []string) {
	t.Helper()
	for key, err := range h.open.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	return all
}

// someone is whose slides these are.
var someone = slidefile.Identifiers{PatientID: "P-4711", PatientName: "Ødegård^Åse", BirthDate: "1961-02-03", Sex: "F", Accession: "A-17",
	Case: "C26-99", StudyDate: "2026-01-05", Container: "C26-99;1;A", Specimen: "C26-99;1", Stain: "H&E"}

func (h *house) keep(t testing.TB, name string, b []byte) slidefile.Kept {
	t.Helper()
	k, err := h.Keep(t.Context(), ingest.Source{Kind: "upload"}, someone, name, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// levels gives the levels of what was kept.
func (h *house) levels(t testing.TB, k slidefile.Kept) []slide.Level {
	t.Helper()
	all, err := h.ledger.Instances(t.Context(), k.Study)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(i study.Instance) bool { return i.Series != k.Series })
	levels, err := slide.Levels(all)
	if err != nil {
		t.Fatal(err)
	}
	return levels
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

func TestSlideFileBecomesAStudy(t *testing.T) {
	h := newHouse(t)
	b := sharedSlide(t, "wsi-to-dicom-converter__CMU-1-Small-Region.svs")
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
	if text := h.log.String(); strings.Contains(text, "degård") || strings.Contains(text, "4711") {
		t.Error("the log names a person: ", text)
	}
	n := 0
	for _, key := range h.keys(t) {
		if strings.HasPrefix(key, "slides/") {
			n++
		}
		if strings.HasPrefix(key, "slides/incoming") {
			t.Error("left aside: ", key)
		}
	}
	if n != 1 {
		t.Errorf("the file is kept %d times", n)
	}
	objects := slidefile.Objects{Archive: h.open, Frames: h.ledger.Frames}
	for _, in := range levels[0].Instances {
		body, size, err := objects.Open(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(whole)) != size {
			t.Errorf("%d bytes, announced were %d", len(whole), size)
		}
		if d := os.Getenv("VARDE_TEST_KEEP"); d != "" {
			_ = os.WriteFile(d, whole, 0o600)
		}
		head, err := dicom.Scan(bytes.NewReader(whole), dicom.ScanOptions{Size: size})
		if err != nil || head.FramesErr != nil || head.Frames.Len() != in.Image.Frames {
			t.Fatal(err, head.FramesErr)
		}
	}
}
