package objects

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	digest "hash" // the ledger has a function of that name
	"io"

	"varde/study"
)

// within gives a reader that ends with ctx's error once ctx has ended.
func within(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// A source reads what is to be put, and hashes and counts it. It turns a body
// that broke off into an error that nobody takes for its end: minio-go, like
// [io.ReadFull]'s users, takes [io.ErrUnexpectedEOF] for a short last piece, and
// would keep half an object as a whole one.
type source struct {
	r    io.Reader
	h    digest.Hash
	n    int64
	want int64 // −1 when unknown
	key  string
	err  error
}

func newSource(ctx context.Context, key string, r io.Reader, size int64) *source {
	return &source{r: within(ctx, r), h: sha256.New(), want: size, key: key}
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.h.Write(p[:n])
	s.n += int64(n)
	switch {
	case s.want >= 0 && s.n > s.want, err == io.EOF && s.want >= 0 && s.n != s.want:
		s.err = wrongSize(s.key, s.want, s.n)
	case err == io.EOF:
		s.err = io.EOF
	case err != nil:
		s.err = &brokenError{s.key, err}
	}
	return n, s.err
}

func (s *source) sum() study.Hash { return study.Hash(s.h.Sum(nil)) }

// A brokenError is the error of the reader that was to be put. It hides
// [io.EOF] and [io.ErrUnexpectedEOF] from callers that compare with ==.
type brokenError struct {
	key string
	err error
}

func (b *brokenError) Error() string {
	return fmt.Sprintf("put %s: its source broke: %v", b.key, b.err)
}
func (b *brokenError) Unwrap() error { return b.err }

// exact gives left bytes of r and then EOF; it fails when r ends before.
type exact struct {
	r    io.Reader
	key  string
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	switch {
	case e.left == 0 && (err == nil || err == io.EOF):
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
		fallthrough
	case err != nil:
		return n, fmt.Errorf("read %s: %d bytes are missing: %w: %w", e.key, e.left, study.ErrBusy, err)
	}
	return n, nil
}

// part is the body of a range.
type part struct {
	exact
	io.Closer
}

// checked gives r and, at its end, compares what it gave with sum.
type checked struct {
	io.ReadCloser
	h   digest.Hash
	sum study.Hash
	key string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.h.Write(p[:n])
	if err == io.EOF && study.Hash(c.h.Sum(nil)) != c.sum {
		return n, fmt.Errorf("read %s: its bytes are not those that were put, sha256 %s: %w", c.key, c.sum.Short(), errChanged)
	}
	return n, err
}

// errChanged is of no kind: it may be a fault of the wire, and another try may
// help; if it does not, an operator must hear of it.
var errChanged = errors.New("checksum differs")

// HashOf reads what lies under key and hashes it.
func HashOf(ctx context.Context, o Store, key string) (study.Hash, error) {
	r, err := o.Range(ctx, key, 0, -1)
	if err != nil {
		return study.Hash{}, err
	}
	h := sha256.New()
	_, err = io.Copy(h, within(ctx, r))
	if err = errors.Join(err, r.Close()); err != nil {
		return study.Hash{}, fmt.Errorf("hash %s: %w", key, err)
	}
	return study.Hash(h.Sum(nil)), nil
}
