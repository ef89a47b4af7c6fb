package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/store"
	"varde/study"
)

// ledgerWith makes a ledger file whose audit holds one row.
func ledgerWith(t *testing.T, path, action string) {
	t.Helper()
	l, err := store.OpenLedger(t.Context(), path, store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Audit(t.Context(), "ops", action, "ledger"), l.Close()); err != nil {
		t.Fatal(err)
	}
}

// actions lists what the audit of a ledger file tells, the first deed first.
func actions(t *testing.T, path string) string {
	t.Helper()
	l, err := store.OpenLedger(t.Context(), path, store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := l.AuditRows(t.Context(), 0, 100)
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		all = append([]string{r.Action}, all...)
	}
	return strings.Join(all, " ")
}

func nothingMore(*store.Ledger) error { return nil }

func TestBackupTakesTheLedgersPlaceOnlyWhenItMay(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	place, backup := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db")
	ledgerWith(t, backup, "kept")
	restore := func(file string, force bool, then func(*store.Ledger) error) error {
		return store.RestoreLedger(ctx, file, place, store.LedgerOptions{}, force, then)
	}
	if err := restore(backup, false, func(l *store.Ledger) error { return l.Audit(ctx, "ops", "restored", "ledger") }); err != nil {
		t.Fatal(err)
	}
	if got := actions(t, place); got != "kept restored" {
		t.Errorf("the audit tells %q", got)
	}
	if err := restore(backup, false, nothingMore); !errors.Is(err, study.ErrRefused) {
		t.Errorf("over a ledger: %v", err)
	}
	broken := filepath.Join(dir, "broken.db")
	b, err := os.ReadFile(backup)
	if err == nil {
		for i := range len(b) / 4 { // some pages at least, and not only what is free in one
			b[len(b)/2+i] ^= 0x55
		}
		err = os.WriteFile(broken, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a backup that is damaged":      restore(broken, true, nothingMore),
		"a backup that is not there":    restore(filepath.Join(dir, "none.db"), true, nothingMore),
		"what follows does not go well": restore(backup, true, func(*store.Ledger) error { return study.ErrBusy }),
	} {
		if err == nil {
			t.Errorf("%s: restored", what)
		}
		if got := actions(t, place); got != "kept restored" {
			t.Errorf("%s: the audit tells %q", what, got)
		}
	}
	open, err := store.OpenLedger(ctx, place, store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(backup, true, nothingMore); !errors.Is(err, study.ErrBusy) {
		t.Errorf("beside a service: %v", err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	if err := restore(backup, true, nothingMore); err != nil {
		t.Fatal(err)
	}
	old, err := filepath.Glob(place + ".2*")
	if err != nil || len(old) == 0 || actions(t, place) != "kept" || actions(t, old[0]) != "kept restored" {
		t.Errorf("the old ledger is in %v, %v", old, err)
	}
	left, err := filepath.Glob(place + ".new*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLedgerThatIsFilledIsSeenWhenItIsFull(t *testing.T) {
	ctx, place := t.Context(), filepath.Join(t.TempDir(), "ledger.db")
	if err := store.FillLedger(ctx, place, store.LedgerOptions{}, func(*store.Ledger) error { return study.ErrBusy }); !errors.Is(err, study.ErrBusy) {
		t.Errorf("a fill that fails: %v", err)
	}
	if _, err := os.Stat(place); err == nil {
		t.Error("a ledger that is not full is there")
	}
	fill := func(l *store.Ledger) error { return l.Audit(ctx, "ops", "rebuilt", "ledger") }
	if err := store.FillLedger(ctx, place, store.LedgerOptions{}, fill); err != nil || actions(t, place) != "rebuilt" {
		t.Errorf("filled: %v", err)
	}
	if err := store.FillLedger(ctx, place, store.LedgerOptions{}, fill); !errors.Is(err, study.ErrRefused) {
		t.Errorf("over a ledger: %v", err)
	}
}

func TestServerIsRestoredByItsOwnTools(t *testing.T) {
	err := store.RestoreLedger(context.Background(), "dump", "postgres://varde@127.0.0.1:1/varde", store.LedgerOptions{}, true, nothingMore)
	if !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "pg_restore") {
		t.Errorf("%v", err)
	}
}
