package ingest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"varde/study"
)

// A comparison reads a kept object and a new one side by side. It compares the
// data sets, and not the headers before them: the same object comes with another
// header from each archive that passes it on.
type comparison struct {
	oldFile io.Reader // hashes what passes
	hash    hash.Hash
	old     *bufio.Reader
	rest    *bufio.Reader // of the new object

	oldMeta int64  // bytes before the kept data set
	newMeta []byte // what stands before the new one
	equal   int64  // bytes of the data sets that are the same
	differs []byte // bytes of the new one, read, the first of which differ
}

const compareBytes = 256 << 10

func newComparison(old, in io.Reader) *comparison {
	c := &comparison{hash: sha256.New()}
	c.oldFile = io.TeeReader(old, c.hash)
	c.old = bufio.NewReaderSize(c.oldFile, compareBytes)
	c.rest = bufio.NewReaderSize(in, compareBytes)
	return c
}

// run reads until the objects differ or both end.
func (c *comparison) run() (same bool, err error) {
	meta, err := readMeta(c.old)
	if err != nil {
		return false, err
	}
	c.oldMeta = int64(len(meta))
	if c.newMeta, err = readMeta(c.rest); err != nil {
		return false, err
	}
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, inEnd := fill(c.rest, a, 0)
		if inEnd != nil && inEnd != io.EOF {
			return false, inEnd
		}
		m, oldEnd := fill(c.old, b[:n], 0)
		if oldEnd != nil && oldEnd != io.EOF {
			return false, oldEnd
		}
		if !bytes.Equal(a[:n], b[:m]) {
			c.differs = a[:n]
			return false, nil
		}
		c.equal += int64(n)
		if inEnd == io.EOF {
			_, more := c.old.Peek(1)
			return more == io.EOF, nil
		}
	}
}

// held is the hash of the kept object, after run found the two the same.
func (c *comparison) held() study.Hash { return study.Hash(c.hash.Sum(nil)) }

// maxMeta is the longest file meta information that is told from the data set.
const maxMeta = 64 << 10

// readMeta reads the preamble and the file meta information, PS3.10 §7.1, when
// the bytes begin with them, by the group's own length.
func readMeta(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(144)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(head) < 144 || string(head[128:132]) != "DICM" || string(head[132:138]) != "\x02\x00\x00\x00UL" {
		return nil, nil
	}
	n := binary.LittleEndian.Uint32(head[140:])
	if n > maxMeta {
		return nil, nil
	}
	meta := make([]byte, 144+n)
	if _, err := io.ReadFull(r, meta); err != nil {
		return nil, fmt.Errorf("file meta information of %d bytes: %w: %w", n, study.ErrInvalid, err)
	}
	return meta, nil
}
