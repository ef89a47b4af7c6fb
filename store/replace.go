package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"varde/store/objects"
	"varde/study"
)

// FillLedger makes a new ledger and has fill put into it what belongs there. Of a
// file nothing is seen under its name before fill has done; a ledger that is there
// already, or that a service has open, is refused.
func FillLedger(ctx context.Context, location string, o LedgerOptions, fill func(*Ledger) error) error {
	if IsPostgres(location) {
		l, err := OpenLedger(ctx, location, o)
		if err != nil {
			return err
		}
		return errors.Join(fill(l), l.Close())
	}
	return replaceFile(location, false, func(temp string) error {
		l, err := OpenLedger(ctx, temp, o)
		if err != nil {
			return err
		}
		return errors.Join(fill(l), l.Close())
	})
}

// RestoreLedger puts a ledger that [Ledger.Backup] has written in its place, once
// its pages and its audit are found sound, and then has then do what is left to
// do. A ledger that is there already is refused with [study.ErrRefused], unless it
// is forced: then it is kept beside it, under a name that begins with its own. One
// that a service has open is [study.ErrBusy].
func RestoreLedger(ctx context.Context, file, location string, o LedgerOptions, force bool, then func(*Ledger) error) error {
	if IsPostgres(location) {
		return fmt.Errorf("restore ledger: it lies in PostgreSQL; stop every varde process and use pg_restore on what pg_dump wrote: %w", study.ErrUnsupported)
	}
	err := replaceFile(location, force, func(temp string) error {
		if err := copyFile(file, temp); err != nil {
			return err
		}
		l, err := openBackup(ctx, temp, o)
		if err != nil {
			return err
		}
		return errors.Join(then(l), l.Close())
	})
	if err != nil {
		return fmt.Errorf("restore ledger from %s: %w", file, err)
	}
	return nil
}

// openBackup opens a copy of a backup and checks it.
func openBackup(ctx context.Context, temp string, o LedgerOptions) (*Ledger, error) {
	db, err := openSQLite(temp)
	if err != nil {
		return nil, err
	}
	var verdict string
	var tables int
	err = db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE name IN ('study', 'audit_end', 'migration')`).Scan(&tables)
	if err == nil {
		err = db.read.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict)
	}
	if closed := db.close(); err != nil || tables != 3 || verdict != "ok" {
		return nil, fmt.Errorf("it is no sound ledger (%s): %w", verdict, errors.Join(study.ErrInvalid, err, closed))
	}
	l, err := OpenLedger(ctx, temp, o)
	if err != nil {
		return nil, err
	}
	if _, err := l.VerifyAudit(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// replaceFile has make write a ledger file under another name, and then gives it
// its own. Nobody else may have the ledger open meanwhile.
func replaceFile(location string, force bool, build func(temp string) error) (err error) {
	lock, err := lockFile(location + ".lock")
	if err != nil {
		return fmt.Errorf("a service has the ledger %s open, stop it first: %w", location, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	_, err = os.Stat(location)
	there := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case there && !force:
		return fmt.Errorf("ledger %s is there; move it away first: %w", location, study.ErrRefused)
	}
	temp := location + ".new"
	if err := removeLedger(temp); err != nil {
		return err
	}
	if err := build(temp); err != nil {
		return errors.Join(err, removeLedger(temp))
	}
	if there {
		if err := moveLedger(location, fmt.Sprintf("%s.%s", location, time.Now().UTC().Format("20060102-150405"))); err != nil {
			return err
		}
	}
	// A log without its ledger would be taken for that of the new one.
	if err := removeLedger(location); err != nil {
		return err
	}
	if err := os.Rename(temp, location); err != nil {
		return err
	}
	return errors.Join(removeLedger(temp), os.Remove(temp+".lock"), objects.SyncFolder(filepath.Dir(location)))
}

// The files of a ledger, by what is added to its name.
var ledgerFiles = [...]string{"-wal", "-shm", ""}

func removeLedger(path string) error {
	for _, end := range ledgerFiles {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func moveLedger(from, to string) error {
	for _, end := range ledgerFiles {
		if err := os.Rename(from+end, to+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
