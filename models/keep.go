package models

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keep makes a folder with some files appear at once and for good: the files are
// written and synced under another name, the folder is renamed, and the folder
// above is synced. After a power failure it is there whole or not at all; what
// was left half-written begins with a dot and is no model.
func keep(folder string, files map[string][]byte) error {
	above := filepath.Dir(folder)
	draft, err := os.MkdirTemp(above, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft) // nothing is left of it once it was renamed
	for name, b := range files {
		if err := writeSynced(filepath.Join(draft, name), b); err != nil {
			return err
		}
	}
	if err := os.Chmod(draft, 0o750); err != nil {
		return err
	}
	if err := syncFolder(draft); err != nil {
		return err
	}
	if err := os.Rename(draft, folder); err != nil {
		return err
	}
	return syncFolder(above)
}

// mend writes a file again if its bytes are not these.
func mend(path string, b []byte) error {
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, b) {
		return nil
	}
	draft := filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path))
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(draft, b); err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
