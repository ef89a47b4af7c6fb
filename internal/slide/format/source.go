package format

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"strings"

	"varde/study"
)

const (
	// blockSize is what one range reads of what is small: directories, texts, the
	// heads of tiles. Directories lie close to each other more often than not.
	blockSize = 64 << 10
	// maxBlocks is how many blocks are kept: 2 MiB.
	maxBlocks = 32
	// headSize is how much of a file's beginning is looked at to tell its format.
	headSize = 4096
	// xmpDirectories is how many directories' XMP is looked at: that of a BIF may
	// stand behind those of label and thumbnail.
	xmpDirectories = 8
)

// A source is a file while it is being opened. It is used by one goroutine, and
// its context is that of Open.
type source struct {
	ctx    context.Context
	file   File
	blocks map[int64][]byte
	oldest []int64 // blocks in the order in which they came

	head  []byte // of the file
	order binary.ByteOrder
	big   bool         // BigTIFF
	dirs  []*directory // empty when the file is no TIFF
	xmp   string       // the beginning of the first directories' XMP, one after the other
	tiles int          // of all levels, so far
}

// newSource reads the beginning of a file and, if it is a TIFF, all directories.
func newSource(ctx context.Context, f File) (*source, error) {
	if f.Objects == nil || f.Size < 8 {
		return nil, damaged("file of %d bytes", f.Size)
	}
	s := &source{ctx: ctx, file: f, blocks: map[int64][]byte{}}
	s.head = make([]byte, min(headSize, f.Size))
	if err := s.readAt(s.head, 0); err != nil {
		return nil, err
	}
	if err := s.walk(); err != nil {
		return nil, err
	}
	for _, d := range s.dirs[:min(len(s.dirs), xmpDirectories)] {
		text, err := s.text(d, tagXMP, headSize)
		if err != nil {
			return nil, err
		}
		s.xmp += text
	}
	return s, nil
}

// extension is that of the key, in lower case.
func (s *source) extension() string { return strings.ToLower(path.Ext(s.file.Key)) }

// within reports whether n bytes at off lie in the file.
func (s *source) within(off, n uint64) bool {
	size := uint64(s.file.Size)
	return off <= size && n <= size-off
}

// readAt fills p with what lies at off, out of blocks that are kept.
func (s *source) readAt(p []byte, off int64) error {
	if off < 0 || !s.within(uint64(off), uint64(len(p))) {
		return damaged("%d bytes at %d of a file of %d", len(p), off, s.file.Size)
	}
	for len(p) > 0 {
		b, err := s.block(off / blockSize)
		if err != nil {
			return err
		}
		n := copy(p, b[off%blockSize:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// block gives one block of the file, the last of which is shorter.
func (s *source) block(i int64) ([]byte, error) {
	if b, ok := s.blocks[i]; ok {
		return b, nil
	}
	b := make([]byte, min(blockSize, s.file.Size-i*blockSize))
	body, err := s.stream(i*blockSize, int64(len(b)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	if err := fill(body, b); err != nil {
		return nil, err
	}
	if len(s.oldest) >= maxBlocks {
		delete(s.blocks, s.oldest[0])
		s.oldest = s.oldest[1:]
	}
	s.blocks[i], s.oldest = b, append(s.oldest, i)
	return b, nil
}

// stream reads a range past the blocks, for what is long and read once. The range
// lies in the file.
func (s *source) stream(off, n int64) (io.ReadCloser, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	body, err := s.file.Objects.Range(s.ctx, s.file.Key, off, n)
	if err != nil {
		return nil, fmt.Errorf("%d bytes at %d: %w", n, off, err)
	}
	return body, nil
}

// fill reads all of b; an object that ends before is damaged.
func fill(r io.Reader, b []byte) error {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("object ends after %d of %d bytes: %w", n, len(b), study.ErrInvalid)
	}
	return err
}
