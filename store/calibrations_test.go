package store_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"varde/internal/studytest/peers"
	"varde/store"
	"varde/study"
)

func TestCalibrationsAreKeptInOrder(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testCalibrations(t, openSQLite(t, store.LedgerOptions{})) })
	t.Run("PostgreSQL", func(t *testing.T) {
		l, err := store.OpenLedger(t.Context(), peers.StartPostgres(t).Schema(t), store.LedgerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		testCalibrations(t, l)
	})
}

func testCalibrations(t *testing.T, l *store.Ledger) {
	ctx := t.Context()
	m := study.ModelRef{ID: "m", Version: "1", SHA256: study.Hash{1}}
	if _, err := l.Calibration(ctx, m); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a model without one: %v", err)
	}
	kept := func(file string) study.Calibration {
		return study.Calibration{Model: m, SHA256: sha256.Sum256([]byte(file)), File: []byte(file), By: "anna", Reason: "spring"}
	}
	for _, c := range []study.Calibration{kept("one"), kept("two"), {Model: study.ModelRef{ID: "m", Version: "1", SHA256: study.Hash{2}}, SHA256: sha256.Sum256([]byte("x")), File: []byte("x"), By: "b", Reason: "c"}} {
		if err := l.SetCalibration(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	c, err := l.Calibration(ctx, m)
	if err != nil || string(c.File) != "two" || c.Number != 2 || c.By != "anna" || c.At.IsZero() || c.Model != m {
		t.Errorf("%+v, %v", c, err)
	}
	if err := l.SetCalibration(ctx, study.Calibration{Model: m, By: "anna", Reason: "a new scanner"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Calibration(ctx, m); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("after it ended: %v", err)
	}
	all, err := l.Calibrations(ctx, m)
	if err != nil || len(all) != 3 || !all[2].Withdrawn() || all[1].Number != 2 || string(all[0].File) != "one" {
		t.Errorf("%+v, %v", all, err)
	}
	wrong := kept("three")
	wrong.SHA256[0]++
	nobody := kept("three")
	nobody.By = ""
	for _, c := range []study.Calibration{wrong, nobody, {Model: m, By: "anna"}} {
		if err := l.SetCalibration(ctx, c); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := l.VerifyAudit(ctx); err != nil {
		t.Errorf("the audit: %v", err)
	}
}
