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
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("back up ledger to %s: the file is there already: %w", file, study.ErrRefused)
	}
	// A reader's connection sees one moment of the ledger and holds up nobody.
	if _, err := l.reader.db.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return fmt.Errorf("back up ledger to %s: %w", file, refine(err))
	}
	return nil
}
