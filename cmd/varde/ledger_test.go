package main_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"
)

// A ledgerCopy is a copy of a ledger's file, to be read past our own code.
type ledgerCopy struct {
	t  testing.TB
	db *sql.DB
}

// copyLedger copies the ledger of a service that does not run. It gives nil when
// there is none yet.
func copyLedger(t testing.TB, dir string) *ledgerCopy {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(to, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &ledgerCopy{t, db}
	if c.counts(`SELECT 'n', COUNT(*) FROM sqlite_master WHERE name = 'audit_end'`)["n"] == 0 {
		return nil
	}
	return c
}

// counts runs a query of two columns, a name and a number.
func (c *ledgerCopy) counts(query string) map[string]int {
	c.t.Helper()
	rows, err := c.db.Query(query)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			c.t.Fatal(err)
		}
		all[name] = n
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	return all
}
