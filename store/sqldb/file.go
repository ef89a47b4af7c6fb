package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"varde/study"
)

// Sound reports with [study.ErrInvalid] a file that is no ledger, or one whose
// pages are damaged.
func Sound(ctx context.Context, file string) error {
	db, err := openSQLite(file)
	if err != nil {
		return err
	}
	var verdict string
	var tables int
	err = db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE name IN ('study', 'audit_end', 'migration')`).Scan(&tables)
	if err == nil {
		err = db.read.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict)
	}
	if closed := db.close(); err != nil || tables != 3 || verdict != "ok" {
		return fmt.Errorf("it is no sound ledger (%s): %w", verdict, errors.Join(study.ErrInvalid, err, closed))
	}
	return nil
}

// ReplaceFile has build write a ledger file under another name, and then gives it
// its own. Nobody else may have the ledger open meanwhile.
func ReplaceFile(location string, force bool, build func(temp string) error) (err error) {
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
	return errors.Join(removeLedger(temp), os.Remove(temp+".lock"), syncFolder(filepath.Dir(location)))
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

// CopyFile writes a copy of a file, readable by its owner only, that outlives the
// power.
func CopyFile(from, to string) (err error) {
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

// syncFolder makes durable what names a folder holds.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
