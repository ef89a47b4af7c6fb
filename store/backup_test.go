package store_test

import (
	"errors"
	"path/filepath"
	"testing"

	"varde/store"
	"varde/study"
)

func TestBackupIsALedgerOfItsOwn(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	l, err := store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Audit(ctx, "ops", "looked", "study 1.2"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "copy.db")
	if err := l.Backup(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := l.Backup(ctx, file); !errors.Is(err, study.ErrRefused) {
		t.Errorf("over an existing file: %v", err)
	}
	copied, err := store.OpenLedger(ctx, file, store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if rows, err := copied.AuditRows(ctx, 0, 10); err != nil || len(rows) != 1 {
		t.Errorf("the copy holds %v, %v", rows, err)
	}
}
