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
	if l.db.Shared() {
		return fmt.Errorf("back up ledger: it lies in PostgreSQL, whose own pg_dump copies it while work goes on; pg_restore puts it back: %w", study.ErrUnsupported)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("back up ledger to %s: the file is there already: %w", file, study.ErrRefused)
	}
	if err := l.db.CopyTo(ctx, file); err != nil {
		return fmt.Errorf("back up ledger to %s: %w", file, err)
	}
	return nil
}
