package store_test

import (
	"context"
	"path/filepath"
	"testing"

	"varde/internal/studytest/peers"
	"varde/store"
	"varde/store/storetest/promises"
)

// openSQLite makes an empty ledger for one test.
func openSQLite(t testing.TB, o store.LedgerOptions) *store.Ledger {
	t.Helper()
	l, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestLedgerOnPostgreSQL holds a ledger on a server to the same promises.
func TestLedgerOnPostgreSQL(t *testing.T) {
	server := peers.StartPostgres(t)
	promises.TestLedger(t, func(t testing.TB, o store.LedgerOptions) *store.Ledger {
		t.Helper()
		l, err := store.OpenLedger(context.Background(), server.Schema(t), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	})
}

func TestLedgerOnSQLite(t *testing.T) { promises.TestLedger(t, openSQLite) }
