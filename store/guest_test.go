package store_test

import (
	"errors"
	"path/filepath"
	"testing"

	"varde/store"
	"varde/study"
)

// TestGuestWorksBesideTheServingProcess: a verb of the command line changes a
// model while the service has the ledger open, and both see it.
func TestGuestWorksBesideTheServingProcess(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "ledger.db")
	if _, err := store.OpenLedger(ctx, path, store.LedgerOptions{Guest: true}); !errors.Is(err, study.ErrNotFound) {
		t.Fatalf("a guest of no ledger: %v", err)
	}
	host, err := store.OpenLedger(ctx, path, store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := store.OpenLedger(ctx, path, store.LedgerOptions{}); !errors.Is(err, study.ErrBusy) {
		t.Fatalf("a second host: %v", err)
	}
	guest, err := store.OpenLedger(ctx, path, store.LedgerOptions{Guest: true})
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	m := study.ModelChange{Model: study.ModelRef{ID: "m", Version: "1"}, State: study.ModelWithdrawn, By: "ops", Reason: "test"}
	if err := guest.SetModel(ctx, m); err != nil {
		t.Fatal(err)
	}
	if err := host.Audit(ctx, "host", "looked", "model m@1"); err != nil {
		t.Fatal(err)
	}
	seen, err := host.Models(ctx)
	if err != nil || len(seen) != 1 || seen[0].State != study.ModelWithdrawn {
		t.Fatalf("the host sees %+v, %v", seen, err)
	}
	if _, err := host.VerifyAudit(ctx); err != nil {
		t.Errorf("the audit chain of two writers: %v", err)
	}
}
