package sqldb

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"varde/store/migrations"
	"varde/study"
)

// beginWrite takes the write lock at once: a transaction that begins by reading
// could lose the race to its first write.
const beginWrite = `BEGIN IMMEDIATE`

// readers is how many connections read at once: pages, workers and metrics
// seldom ask at the same moment, and each has its own page cache.
const readers = 6

// openSQLite opens the one connection that writes and those that read.
// synchronous=FULL means that a commit is an fsync of the log: what was
// acknowledged outlives the power.
func openSQLite(path string) (*engine, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// The file holds names of patients. SQLite gives its log the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	pragmas := url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)",
		"foreign_keys(1)", "cache_size(-32768)", "temp_store(MEMORY)",
	}}
	open := func(v url.Values, n int) (*sql.DB, error) {
		name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: v.Encode()}
		db, err := sql.Open("sqlite", name.String())
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(n)
		db.SetMaxIdleConns(n)
		return db, nil
	}
	e := &engine{name: "SQLite", begin: []string{beginWrite}, steps: migrations.SQLite(), snapshot: &sql.TxOptions{ReadOnly: true}}
	if e.write, err = open(pragmas, 1); err != nil {
		return nil, err
	}
	pragmas.Add("_pragma", "query_only(1)")
	if e.read, err = open(pragmas, readers); err != nil {
		return nil, errors.Join(err, e.write.Close())
	}
	return e, nil
}

// Refine adds to an error of the driver the kind that it is of: a disk that is
// full or a file that can't be had is a matter of trying again.
func Refine(err error) error {
	if err == nil {
		return nil
	}
	var s *sqlite.Error
	if errors.As(err, &s) {
		switch s.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
			return fmt.Errorf("%w: %w", study.ErrBusy, err)
		}
	}
	if kind := refinePostgres(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("%w: %w", study.ErrBusy, err)
	}
	return err
}
