package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"varde/study"
)

// Backup writes a sound copy of the ledger into a new file, while work goes on.
// A file that is there already is [study.ErrRefused].
func (l *Ledger) Backup(ctx context.Context, file string) error {
	if l.engine.shared {
		return fmt.Errorf("back up ledger: it lies in PostgreSQL, whose own pg_dump copies it while work goes on; pg_restore puts it back: %w", study.ErrUnsupported)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("back up ledger to %s: the file is there already: %w", file, study.ErrRefused)
	}
	if err := l.copyTo(ctx, file); err != nil {
		return fmt.Errorf("back up ledger to %s: %w", file, refine(err))
	}
	return nil
}

// copyTo copies over a connection that is lent out for this alone: it sees one
// moment of the ledger and holds up nobody. The readers' connections are kept
// from every kind of writing, of which this is one, though into another file.
func (l *Ledger) copyTo(ctx context.Context, file string) error {
	c, err := l.reader.db.Conn(ctx)
	if err != nil {
		return err
	}
	if _, err = c.ExecContext(ctx, `PRAGMA query_only(0)`); err == nil {
		_, err = c.ExecContext(ctx, `VACUUM INTO $1`, file)
	}
	_, back := c.ExecContext(context.WithoutCancel(ctx), `PRAGMA query_only(1)`)
	return errors.Join(err, back, c.Close())
}
