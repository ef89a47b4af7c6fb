package openslide

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"varde/study"
)

// Bounds of an archive.
const (
	maxEntries  = 20_000
	maxUnpacked = 256 << 30
	// A slide is compressed already: an archive that grows much more is no slide.
	unpackedFactor = 20
	unpackedLeast  = 1 << 30
)

// heads are the endings of the files by which a slide of several files is opened,
// and then those of slides in one file.
var heads = [...]string{".mrxs", ".vms", ".vmu", ".ndpi", ".bif", ".scn", ".svs", ".svslide", ".tif", ".tiff"}

// unpack brings what is in an archive into a folder, takes the archive away, and
// gives the file by which the slide in it is opened and how much there is. No
// entry gets out of the folder, and none is a link.
func unpack(archive, dir string) (path string, size int64, err error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return "", 0, fmt.Errorf("read the zip archive: %w: %w", err, study.ErrInvalid)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	info, err := os.Stat(archive)
	if err != nil {
		return "", 0, err
	}
	left := min(int64(maxUnpacked), max(unpackedLeast, unpackedFactor*info.Size()))
	if len(z.File) > maxEntries {
		return "", 0, fmt.Errorf("zip archive of %d files: %w", len(z.File), study.ErrInvalid)
	}
	best := len(heads)
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		local := filepath.FromSlash(f.Name)
		if !f.Mode().IsRegular() || !filepath.IsLocal(local) {
			return "", 0, fmt.Errorf("zip archive with an entry that would lie elsewhere: %w", study.ErrInvalid)
		}
		to := filepath.Join(dir, "in", local)
		n, err := unpackOne(f, to, left)
		if err != nil {
			return "", 0, err
		}
		left -= n
		size += n
		if rank := slices.Index(heads[:], strings.ToLower(filepath.Ext(to))); rank >= 0 && rank < best {
			best, path = rank, to
		}
	}
	if path == "" {
		return "", 0, fmt.Errorf("zip archive without a slide in it: %w: it must hold the .mrxs or other slide file and the folder that belongs to it", study.ErrUnsupported)
	}
	return path, size, os.Remove(archive)
}

// unpackOne writes one entry of at most left bytes.
func unpackOne(f *zip.File, to string, left int64) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return 0, fmt.Errorf("unpack the slide: %w", err)
	}
	r, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("read the zip archive: %w: %w", err, study.ErrInvalid)
	}
	defer r.Close()
	n, err := save(to, io.LimitReader(r, left+1))
	if err == nil && n > left {
		err = fmt.Errorf("zip archive that unpacks to more than a slide has: %w", study.ErrInvalid)
	}
	if errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("read the zip archive: %w: %w", err, study.ErrInvalid)
	}
	return n, err
}
