package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"

	"varde/study"
)

var errTooLong = errors.New("inflates to more than the limit")

// inflate puts an inflater between the stored bytes and the scanner, PS3.5 §A.5.
func (s *scanner) inflate() {
	s.head.Inflated = true
	s.in = newSource(&capped{r: flate.NewReader(sourceReader{s.raw}), left: s.lim.Inflated}, s.raw.off, 0)
}

// sourceReader lets an inflater read from a source byte by byte, so that it
// takes no more than it needs.
type sourceReader struct{ s *source }

func (r sourceReader) Read(p []byte) (int, error) {
	b := r.s.peek(1)
	if len(b) == 0 {
		return 0, r.s.err
	}
	n := copy(p, r.s.buf[r.s.start:r.s.end])
	r.s.take(n)
	return n, nil
}

func (r sourceReader) ReadByte() (byte, error) {
	b := r.s.peek(1)
	if len(b) == 0 {
		return 0, r.s.err
	}
	c := b[0]
	r.s.take(1)
	return c, nil
}

// capped ends in an error where io.LimitReader would end quietly.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Inflate gives a stored object in the deflated syntax as if its data set lay
// there inflated: the bytes up to the end of the file meta information as they
// are, then the data set. The offsets of [Header.Frames] count in this stream.
// An object in another syntax comes through as it is.
func Inflate(r io.Reader) (io.Reader, error) {
	ts, meta, rest, err := splitPart10(r)
	if err != nil {
		return nil, err
	}
	if ts != Deflated {
		return io.MultiReader(bytes.NewReader(meta), rest), nil
	}
	limit := Limits{}.withDefaults().Inflated
	return io.MultiReader(bytes.NewReader(meta), &capped{r: flate.NewReader(rest), left: limit}), nil
}

// DataSet passes over preamble and file meta information and gives the transfer
// syntax and the bare data set, as a C-STORE sends it. A file without file meta
// information is refused.
func DataSet(r io.Reader) (study.UID, io.Reader, error) {
	ts, _, rest, err := splitPart10(r)
	return ts, rest, err
}

// maxMeta bounds the file meta information that is held in memory.
const maxMeta = 1 << 20

// splitPart10 reads a Part 10 file up to its data set.
func splitPart10(r io.Reader) (study.UID, []byte, io.Reader, error) {
	var read bytes.Buffer
	s := newScanner(io.TeeReader(r, &read), ScanOptions{Limits: Limits{Kept: maxMeta}})
	if err := s.prefix(); err != nil {
		return "", nil, nil, err
	}
	ts, err := study.ParseUID(s.head.Meta.Text(TransferSyntaxUID))
	if err != nil {
		return "", nil, nil, fmt.Errorf("file meta information: transfer syntax: %w", err)
	}
	all := read.Bytes()
	return ts, all[:s.raw.off], io.MultiReader(bytes.NewReader(all[s.raw.off:]), r), nil
}
