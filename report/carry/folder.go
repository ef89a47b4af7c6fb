package carry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"varde/internal/hl7"
	"varde/study"
)

// Folder writes files below a folder, each whole or not at all: STUDY/KIND-UID with
// an ending for what it is. The names hold no patient, and are the same each time.
type Folder struct {
	Path string
	// Form is the version and the character set that messages are written in, and
	// Poorer is told how many letters of one that set has not; nil leaves it untold.
	Form   hl7.Form
	Poorer func(p Parcel, loss hl7.Loss)
}

// Carry writes one file. One that is there already with the same bytes is left as it
// is; with others it is replaced. The folder itself must be there: one that is not
// is a disk that is not mounted.
func (f *Folder) Carry(_ context.Context, p Parcel) (err error) {
	if i, err := os.Stat(f.Path); err != nil {
		return down(fmt.Errorf("folder %s: %w", f.Path, cause(err)))
	} else if !i.IsDir() {
		return hopeless(fmt.Errorf("%s is no folder: %w", f.Path, study.ErrInvalid))
	}
	if p.Media == study.MediaHL7 {
		if p.Bytes, err = fitted(p, f.Form, f.Poorer); err != nil {
			return hopeless(err)
		}
	}
	to := f.File(p)
	if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, p.Bytes) {
		return nil
	}
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fault(fmt.Errorf("make folder of study %s: %w", p.Study, cause(err)))
	}
	if err := write(dir, to, p.Bytes); err != nil {
		return fault(fmt.Errorf("write %s %s: %w", p.Kind, p.UID, cause(err)))
	}
	// The file's name lies in its folder, and the folder's name in the one above.
	for _, d := range []string{dir, f.Path} {
		if err := syncFolder(d); err != nil {
			return fault(fmt.Errorf("sync %s %s: %w", p.Kind, p.UID, cause(err)))
		}
	}
	return nil
}

// fault says of a disk that is full, broken or can't be written that nothing else is
// worth a try just now.
func fault(err error) error {
	for _, all := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, fs.ErrPermission} {
		if errors.Is(err, all) {
			return down(fmt.Errorf("%w: see the disk and who may write there", err))
		}
	}
	return &Fault{Err: err}
}

// File is where a parcel lies.
func (f *Folder) File(p Parcel) string {
	return filepath.Join(f.Path, string(p.Study), p.Kind+"-"+string(p.UID)+Extension(p.Media))
}

// Extension is how the name of a file of a media type ends.
func Extension(media string) string {
	switch media {
	case study.MediaHL7:
		return ".hl7"
	case study.MediaFHIR:
		return ".json"
	}
	return ".dcm"
}

func write(dir, to string, b []byte) (err error) {
	t, err := os.CreateTemp(dir, ".varde-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(t.Name()))
		}
	}()
	_, err = t.Write(b)
	if err == nil {
		err = t.Chmod(0o640)
	}
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), to)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause is the error without the path, which we tell ourselves.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
