package store

import (
	"context"
	"errors"
	"fmt"

	"varde/store/sqldb"
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
	return sqldb.ReplaceFile(location, false, func(temp string) error {
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
	err := sqldb.ReplaceFile(location, force, func(temp string) error {
		if err := sqldb.CopyFile(file, temp); err != nil {
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
	if err := sqldb.Sound(ctx, temp); err != nil {
		return nil, err
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
