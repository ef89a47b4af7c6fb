// Package tiff unpacks tiles as TIFF packs them, which slide files do and DICOM
// does not.
//
//	LZW            TIFF 6.0, section 13
//	Inflate        deflate in a zlib stream, with its checksum
//	UndoPredictor  samples from their differences, in place
//
// Who unpacks says how many bytes must come out; whatever gives fewer wraps
// [study.ErrInvalid].
package tiff

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"

	"varde/study"
)

// Inflate undoes TIFF's deflate, a zlib stream of size bytes; what follows
// them is left unread.
func Inflate(b []byte, size int) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("deflated tile: %w: %w", err, study.ErrInvalid)
	}
	defer func() { _ = z.Close() }()
	out := make([]byte, size)
	if n, err := io.ReadFull(z, out); err != nil {
		return nil, fmt.Errorf("deflated tile ends after %d of %d bytes: %w: %w", n, size, err, study.ErrInvalid)
	}
	// The checksum stands behind the last byte, and only reading on looks at it.
	if _, err := z.Read(make([]byte, 1)); err != nil && err != io.EOF {
		return nil, fmt.Errorf("deflated tile: %w: %w", err, study.ErrInvalid)
	}
	return out, nil
}

// UndoPredictor adds each sample's left neighbor to it, row by row, TIFF 6.0
// section 14.
func UndoPredictor(b []byte, row, samples int) {
	for ; len(b) >= row; b = b[row:] {
		for i := samples; i < row; i++ {
			b[i] += b[i-samples]
		}
	}
}
