package codec

import (
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"varde/study"
)

// maxInflated is how far into an inflated object a frame may lie: 2 GiB, which
// bounds the time that a few stored bytes can cost.
const maxInflated = 2 << 30

// An inflater gives ranges of a deflated object as if its data set lay there
// inflated, behind the file meta information: that is how its frames are
// addressed. Each range inflates the object from its start.
type inflater struct{ r Ranger }

// Range gives n bytes from offset off on, which lies in the data set.
func (i inflater) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if n < 0 || off+n > maxInflated {
		return nil, fmt.Errorf("range of %d bytes at %d of a deflated object: %w", n, off, study.ErrUnsupported)
	}
	body, err := i.r.Range(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	at, err := skipMeta(body)
	if err == nil && off < at {
		err = fmt.Errorf("pixels before the data set: %w", study.ErrInvalid)
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	in := &inflated{Reader: flate.NewReader(body), body: body}
	if _, err := io.CopyN(io.Discard, in, off-at); err != nil {
		_ = body.Close()
		return nil, fmt.Errorf("inflate: %w: %w", err, study.ErrInvalid)
	}
	return in, nil
}

// skipMeta reads preamble and file meta information, PS3.10 §7.1, and gives
// their length. The group length is needed: a deflated data set does not show
// where it begins.
func skipMeta(r io.Reader) (int64, error) {
	const known = 128 + 4 + 12 // preamble, prefix and the element of the group length
	var h [known]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, fmt.Errorf("file meta information: %w: %w", err, study.ErrInvalid)
	}
	if string(h[128:140]) != "DICM\x02\x00\x00\x00UL\x04\x00" {
		return 0, fmt.Errorf("file meta information without a group length: %w", study.ErrInvalid)
	}
	n := int64(binary.LittleEndian.Uint32(h[140:]))
	if m, err := io.CopyN(io.Discard, r, n); err != nil {
		return 0, fmt.Errorf("file meta information ends after %d of %d bytes: %w", m, n, study.ErrInvalid)
	}
	return known + n, nil
}

// inflated closes the stored object.
type inflated struct {
	io.Reader
	body io.Closer
}

// Read gives inflated bytes. Damage is an error of kind ErrInvalid.
func (i *inflated) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("inflate: %w: %w", err, study.ErrInvalid)
	}
	return n, err
}

// Close closes the stored object.
func (i *inflated) Close() error { return i.body.Close() }
