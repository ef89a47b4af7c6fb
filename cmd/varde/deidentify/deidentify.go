// Package deidentify writes whole folders of DICOM files again without the patient: an
// [Export] takes each file, has the profile of internal/dicom/deid work on it, and counts
// what was written, what was refused and what is no DICOM. [ReadKey] and [AddPlaces] read
// what a site says of its key and of the places where its devices write text.
package deidentify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"varde/internal/dicom/deid"
	"varde/study"
)

// AddPlaces reads where text is burned into pixels: boxes x,y,width,height, and a file
// of regions by device, which may be empty. Who names a place wants it covered.
func AddPlaces(o *deid.Options, boxes []string, regions string) error {
	for _, text := range boxes {
		b, err := deid.ParseBox(text)
		if err != nil {
			return err
		}
		o.Boxes = append(o.Boxes, b)
	}
	if regions != "" {
		f, err := os.Open(regions)
		if err != nil {
			return err
		}
		defer f.Close()
		if o.Regions, err = deid.ParseRegions(f); err != nil {
			return fmt.Errorf("%s: %w", regions, err)
		}
	}
	o.CleanPixels = o.CleanPixels || len(o.Boxes) > 0 || len(o.Regions) > 0
	return nil
}

// ReadKey reads a key, which others than its owner should not be able to.
func ReadKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w; make one with: head -c 32 /dev/urandom > %s && chmod 600 %s", err, path, path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("key %s can be read by everyone; run: chmod 600 %s: %w", path, path, study.ErrRefused)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return b, nil
}

// An Export writes files de-identified and counts them.
type Export struct {
	Profile *deid.Profile
	Folder  string    // to write to; it is made if it is missing
	Told    io.Writer // gets a line for each file that was not exported

	Written, Refused, Unread int
}

// All exports the files below the arguments. A file that is refused or cannot be read
// is counted and keeps the others from nothing.
func (e *Export) All(ctx context.Context, args []string) error {
	if err := os.MkdirAll(e.Folder, 0o700); err != nil {
		return err
	}
	out, err := filepath.Abs(e.Folder)
	if err != nil {
		return err
	}
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				if full, _ := filepath.Abs(p); full == out {
					return filepath.SkipDir // what was written is not to be read
				}
			}
			if err != nil || d.IsDir() {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return e.count(p, e.one(p))
		})
		if err != nil {
			return fmt.Errorf("de-identify %s: %w", arg, err)
		}
	}
	return nil
}

// count tells what became of a file. It gives back an error that would meet the
// next file too.
func (e *Export) count(path string, err error) error {
	switch {
	case err == nil:
		e.Written++
		return nil
	case errors.Is(err, study.ErrRefused):
		e.Refused++
	case errors.Is(err, study.ErrInvalid), errors.Is(err, study.ErrUnsupported):
		e.Unread++
	default:
		return err
	}
	fmt.Fprintf(e.Told, "%s: %v\n", path, err)
	if refused, ok := errors.AsType[*deid.RefusedError](err); ok && refused.BurnedIn {
		fmt.Fprintln(e.Told, "  (--allow-burned-in writes it all the same)")
	}
	return nil
}

// one exports a file, under a name that its new UIDs give.
func (e *Export) one(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	aside, err := os.CreateTemp(e.Folder, ".incoming-*")
	if err != nil {
		return err
	}
	defer os.Remove(aside.Name()) // after the rename there is nothing to remove
	defer aside.Close()
	sum := sha256.New()
	r, err := e.Profile.Rewrite(io.MultiWriter(aside, sum), in, info.Size())
	if err != nil {
		return err
	}
	if r.Study == "" || r.Series == "" {
		return fmt.Errorf("no study or series UID: %w", study.ErrInvalid)
	}
	if err := aside.Close(); err != nil {
		return err
	}
	final := filepath.Join(e.Folder, string(r.Study), string(r.Series), string(r.Instance)+".dcm")
	if held, err := hashFile(final); err == nil && !bytes.Equal(held, sum.Sum(nil)) {
		return fmt.Errorf("%s is there already with other content; two objects bear one UID, or the options have changed: export to an empty folder: %w", final, study.ErrRefused)
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	return os.Rename(aside.Name(), final)
}

func hashFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}
