// Package housetest runs whole houses inside tests: [Start] one, [Push] studies through
// it, and wait with [Eventually] for what is to come of them.
package housetest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

// Start runs a house in this process until the test ends.
func Start(t testing.TB, s settings.Settings) *house.House {
	t.Helper()
	h, _ := StartAndStop(t, s)
	return h
}

// StartAndStop runs a house until stop is called, or the test ends.
func StartAndStop(t testing.TB, s settings.Settings) (h *house.House, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h, err := house.Open(ctx, s, slog.New(slog.DiscardHandler), true)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return h, stop
}

// Push sends studies, each over an association of its own, and waits until all are
// reported.
func Push(t testing.TB, h *house.House, drawn ...studytest.Drawn) {
	t.Helper()
	var g errgroup.Group
	for _, d := range drawn {
		g.Go(func() error {
			_, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: h.AET}, h.DICOM.Addr().String(), scu.FromStudy(d), nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(100 * time.Second); len(drawn) > 0; time.Sleep(50 * time.Millisecond) {
		c, err := h.Ledger.Case(t.Context(), drawn[0].Study)
		switch {
		case err == nil && c.Study.Status == study.Reported:
			drawn = drawn[1:]
		case err == nil && c.Study.Note != "":
			t.Fatalf("no model is for %s: %s", drawn[0].Name, c.Study.Note)
		case time.Now().After(deadline):
			t.Fatalf("%s is not reported: %s, %v", drawn[0].Name, c.Study.Status, err)
		}
	}
}

// AwaitReported waits until a study of n instances has its report, and no more.
func AwaitReported(t testing.TB, h *house.House, uid study.UID, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := h.Ledger.Case(t.Context(), uid)
		if err == nil && c.Study.Status == study.Reported && c.Study.Instances == n && len(c.Reports) == 1 && c.Reports[0].Class == dicom.Comprehensive3DSR {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("study %s is not reported: %+v, %v", uid, c.Study.Status, err)
		}
	}
}

// Eventually waits until something is so, at most half a minute.
func Eventually(t testing.TB, otherwise string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}
