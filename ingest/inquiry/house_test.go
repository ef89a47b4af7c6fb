package inquiry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/codec"
	"varde/internal/dimse"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/models"
	"varde/models/modelcard"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A house receives and settles over a real folder and a real ledger.
type house struct {
	*ingest.Receiver
	objects *objects.Dir
	ledger  *store.Ledger
	log     *locked
	traffic *ingest.Traffic
}

func newHouse(t *testing.T) *house {
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
	h := &house{objects: objects, ledger: ledger, log: &locked{}, traffic: &ingest.Traffic{}}
	h.Receiver = &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: h.traffic, MinFree: 1,
		Log: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	return h
}

// locked lets goroutines share a buffer.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *house) bytes(t *testing.T, key string) []byte {
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

func (h *house) keepAll(t *testing.T, objects []studytest.Object) {
	t.Helper()
	for _, o := range objects {
		if _, err := h.Receive(t.Context(), ingest.Source{Kind: "stow"}, ingest.Object{Data: bytes.NewReader(o.File)}); err != nil {
			t.Fatal(err)
		}
	}
}

// shelf is one live model, for chests.
type shelf struct{}

func (shelf) Cards(context.Context) ([]models.Entry, error) {
	return []models.Entry{{State: study.ModelLive, Card: modelcard.Card{ID: "nodules", Version: "1", SHA256: study.Hash{1}, Hash: study.Hash{2},
		Use:   modelcard.Use{Modality: []study.Modality{study.CT}, BodyParts: []string{"CHEST"}, MinImages: 10, MaxStepMM: 3},
		Input: modelcard.Input{Kind: study.Volume, Values: "hu", SpacingMM: [3]float64{1, 1, 1}, HaloPlanes: 8}}}}, nil
}

func (h *house) settler() *ingest.Settler {
	return &ingest.Settler{Ledger: h.ledger, Models: shelf{}, Traffic: h.traffic, Log: h.Log, Told: h.ledger,
		Slides: &slide.Reader{Objects: h.objects, Frames: h.ledger.Frames}, Decodes: codec.Supported}
}

// serve answers peers with the house and services, and gives the address.
func (h *house) serve(t *testing.T, services map[study.UID]dimse.Service) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dimse.Server{AET: "VARDE", Handler: h.Receiver, Services: services, Log: h.Log, Ended: h.traffic.AssociationEnded}
	run(t, func(ctx context.Context) error { return s.Serve(ctx, l) })
	return l.Addr().String()
}

// run runs f until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// await waits until a study is in one of some states.
func (h *house) await(t *testing.T, uid study.UID, want ...study.Status) study.Study {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := h.ledger.Study(t.Context(), uid)
		if err == nil && slices.Contains(want, s.Status) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("study is %s after half a minute (%v), want %s; log:\n%s", s.Status, err, want, h.log)
		}
	}
}
