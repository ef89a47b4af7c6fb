package scu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"varde/internal/dicom"
	"varde/study"
)

// A Found is what lies below some files and folders.
type Found struct {
	Objects []Object
	// NotDICOM counts files that are no object to be sent: other formats, and the
	// directory of a medium (DICOMDIR).
	NotDICOM int
	// Broken are the files that begin as DICOM and can't be sent, those that can't be
	// read, and arguments that are not there.
	Broken []Unsent
}

// Find reads the headers of all files below the arguments, in the order of their names.
// Nothing that is wrong with one file keeps the others from being found. A link is
// followed to a file, and to a folder only where it is an argument.
func Find(args []string) Found {
	var f Found
	for _, arg := range args {
		root := arg
		if to, err := filepath.EvalSymlinks(arg); err == nil {
			root = to
		}
		_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return nil
			}
			if p == root {
				p = arg
			}
			if err != nil {
				f.broken(p, err) // the folder's own; the walk goes on beside it
				return nil
			}
			f.look(p)
			return nil
		})
	}
	return f
}

func (f *Found) broken(path string, err error) {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the path is told beside it
	}
	f.Broken = append(f.Broken, Unsent{Name: path, Why: err.Error()})
}

// look tells one file.
func (f *Found) look(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.broken(path, err)
		return
	case !info.Mode().IsRegular():
		f.NotDICOM++
		return
	}
	o, err := fromFile(path)
	switch {
	case err == nil:
		f.Objects = append(f.Objects, o)
	case errors.Is(err, errNotDICOM):
		f.NotDICOM++
	default:
		f.broken(path, err)
	}
}

// errNotDICOM is about a file that claims to be no object.
var errNotDICOM = errors.New("not DICOM")

// A dataSet is the rest of an open file behind its meta information.
type dataSet struct {
	io.Reader
	io.Closer
}

func fromFile(path string) (Object, error) {
	file, err := os.Open(path)
	if err != nil {
		return Object{}, err
	}
	defer file.Close()
	claims := claimsDICOM(file)
	info, err := file.Stat()
	if err != nil {
		return Object{}, err
	}
	h, err := dicom.Open(file, info.Size())
	if err != nil && !claims && errors.Is(err, study.ErrInvalid) {
		return Object{}, errNotDICOM
	}
	if err != nil {
		return Object{}, err
	}
	if h.Meta.Text(dicom.MediaStorageSOPClassUID) == string(dicom.DirectoryStorage) {
		return Object{}, errNotDICOM
	}
	_, in, err := h.Describe()
	if err != nil && !claims {
		return Object{}, errNotDICOM
	}
	if err != nil {
		return Object{}, fmt.Errorf("its header can't be used: %w", err)
	}
	return Object{Name: path, Class: in.Class, UID: in.UID, Syntax: h.TransferSyntax, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		_, rest, err := dicom.DataSet(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return dataSet{rest, f}, nil
	}}, nil
}

// claimsDICOM reports whether a file bears the four letters behind its preamble,
// PS3.10 §7.1.
func claimsDICOM(f io.ReaderAt) bool {
	var letters [4]byte
	n, _ := f.ReadAt(letters[:], 128)
	return string(letters[:n]) == "DICM"
}
