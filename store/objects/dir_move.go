package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"varde/study"
)

// Move gives what lies under one key another one, unless that is taken: then the
// error is an [*ExistsError], and what lies under from stays. After nil, and after
// an ExistsError, the bytes under to are durable. No byte is written, so that a
// slide whose name is known only when its last byte is here costs one write.
func (d *Dir) Move(ctx context.Context, from, to string) error {
	for _, key := range []string{from, to} {
		if err := CheckKey(key); err != nil {
			return fmt.Errorf("move: %w", err)
		}
	}
	full := d.path(to)
	if err := d.branch(filepath.Dir(full)); err != nil {
		return diskError("move", to, err)
	}
	err := os.Link(d.path(from), full) // a rename would overwrite
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("move %s: %w", from, study.ErrNotFound)
	case errors.Is(err, fs.ErrExist):
		held, err := HashOf(ctx, d, to)
		if err != nil {
			return err
		}
		if err := d.syncs.Sync(filepath.Dir(full)); err != nil {
			return diskError("move", to, err)
		}
		return &ExistsError{Key: to, Hash: held}
	case err != nil:
		d.rooted.clear() // perhaps a folder was taken away
		return diskError("move", to, err)
	}
	if err := d.syncs.Sync(filepath.Dir(full)); err != nil {
		return diskError("move", to, err)
	}
	return d.Delete(ctx, from)
}
