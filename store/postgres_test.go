package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/internal/studytest/peers"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// pair opens one ledger twice, as two processes would.
func pair(t *testing.T, location string) (a, b *store.Ledger) {
	t.Helper()
	open := func() *store.Ledger {
		l, err := store.OpenLedger(context.Background(), location, store.LedgerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	return open(), open()
}

func TestProcessesShareALedger(t *testing.T) {
	server := peers.StartPostgres(t)
	t.Run("what one changes wakes the other", func(t *testing.T) {
		a, b := pair(t, server.Schema(t))
		deadline := time.After(20 * time.Second)
		for n := 0; ; n++ { // the other ear may not be open yet
			shown := b.Changed()
			if _, err := a.Receive(t.Context(), storetest.Arrival("1.2", n+1, fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
			select {
			case <-shown:
				return
			case <-time.After(100 * time.Millisecond):
			case <-deadline:
				t.Fatal("nothing was heard")
			}
		}
	})
	t.Run("no job is claimed twice, and the last part is never missed", func(t *testing.T) {
		a, b := pair(t, server.Schema(t))
		bench := storetest.NewBench(t, func(testing.TB, store.LedgerOptions) *store.Ledger { return a }, nil)
		const studies = 20
		for n := range studies {
			uid := study.UID(fmt.Sprintf("1.2.%d", 1000+n))
			bench.Settle(uid, storetest.Asked("m", 2))
		}
		var g errgroup.Group
		for _, l := range []*store.Ledger{a, b, a, b} {
			g.Go(func() error {
				for {
					jobs, err := l.Claim(context.Background(), study.PoolCPU, 3, study.Backfill)
					if err != nil || len(jobs) == 0 {
						return err
					}
					for _, j := range jobs {
						if err := l.FinishPart(context.Background(), j, "parts/"+j.ID, 1, 1, 0.1); err != nil {
							return fmt.Errorf("part of %s: %w", j.ID, err) // fenced: it was claimed twice
						}
					}
				}
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		jobs, err := b.Claim(t.Context(), study.PoolReport, 10*studies, study.Backfill)
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs) != studies {
			t.Errorf("%d conclusions are to be drawn, %d studies have all their parts", len(jobs), studies)
		}
	})
	t.Run("one leads, and another when that is gone or gives it up", func(t *testing.T) {
		a, b := pair(t, server.Schema(t))
		lead := func(l *store.Ledger, who string, hold time.Duration, want bool) {
			t.Helper()
			got, err := l.Lead(t.Context(), "parade", who, hold)
			if err != nil || got != want {
				t.Errorf("%s leads: %t, %v", who, got, err)
			}
		}
		lead(a, "ann", time.Minute, true)
		lead(b, "bo", time.Minute, false)
		lead(b, "bo", 0, false) // it isn't bo's to give up
		lead(a, "ann", time.Minute, true)
		lead(a, "ann", 0, false)
		lead(b, "bo", 20*time.Millisecond, true)
		time.Sleep(25 * time.Millisecond)
		lead(a, "ann", time.Minute, true)
		lead(b, "bo", time.Minute, false)
	})
	t.Run("both may open an empty one at once", func(t *testing.T) {
		location := server.Schema(t)
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				l, err := store.OpenLedger(context.Background(), location, store.LedgerOptions{})
				if err != nil {
					return err
				}
				return l.Close()
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLedgerSurvivesItsServer kills PostgreSQL under many writers: what was
// acknowledged is there, and work goes on with the connections that come after.
func TestLedgerSurvivesItsServer(t *testing.T) {
	server := peers.StartPostgres(t)
	l, err := store.OpenLedger(t.Context(), server.Schema(t), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const writers, each = 8, 60
	var g errgroup.Group
	for w := range writers {
		g.Go(func() error {
			uid := study.UID(fmt.Sprintf("1.3.%d", w+1))
			for n := range each {
				for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
					_, err := l.Receive(context.Background(), storetest.Arrival(uid, n+1, "bytes"))
					if err == nil {
						break
					}
					if !errors.Is(err, study.ErrBusy) || time.Since(began) > time.Minute {
						return err
					}
				}
			}
			return nil
		})
	}
	for range 3 {
		time.Sleep(100 * time.Millisecond)
		server.Kill()
		server.Start(t)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		in, err := l.Instances(t.Context(), study.UID(fmt.Sprintf("1.3.%d", w+1)))
		if err != nil || len(in) != each {
			t.Errorf("writer %d: %d instances, %v", w+1, len(in), err)
		}
	}
}

func TestAddressOfALedgerIsCheckedAndItsPasswordHidden(t *testing.T) {
	const secret = "hemmelig"
	for _, location := range []string{
		"postgres://varde:" + secret + "@127.0.0.1:1/varde?connect_timeout=2", // nobody there
		"postgres://varde:" + secret + "@127.0.0.1:port/varde",
	} {
		_, err := store.OpenLedger(t.Context(), location, store.LedgerOptions{})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
		if shown := store.HideSecret(location); strings.Contains(shown, secret) {
			t.Error(shown)
		}
	}
	if got := store.HideSecret("/data/ledger.db"); got != "/data/ledger.db" {
		t.Error(got)
	}
}
