package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

// Rescan reads an object that is kept already, whole, and gives all that the
// ledger was told of it when it came, but who had sent it. What is no whole object
// is [study.ErrInvalid]; whoever wrote it, no more of it is held in memory than of
// an object that comes in.
func Rescan(ctx context.Context, objects codec.Ranger, key, charset string) (study.Arrival, error) {
	body, err := objects.Range(ctx, key, 0, -1)
	if err != nil {
		return study.Arrival{}, fmt.Errorf("read object again: %w", err)
	}
	defer func() { _ = body.Close() }()
	c := &counted{r: body, sum: sha256.New()}
	h, err := dicom.Scan(c, dicom.ScanOptions{Charset: charset})
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		return study.Arrival{}, fmt.Errorf("read object again: %w", c.err) // the store's fault, and not the object's
	}
	if err == nil && h.Truncated {
		err = fmt.Errorf("the object ends early: %w", study.ErrInvalid)
	}
	if err != nil {
		return study.Arrival{}, fmt.Errorf("read object again: %w", err)
	}
	s, i, err := h.Describe()
	if err != nil {
		return study.Arrival{}, fmt.Errorf("describe object: %w", err)
	}
	at := time.Now().UTC()
	i.Key, i.Bytes, i.SHA256, i.ReceivedAt = key, c.n, study.Hash(c.sum.Sum(nil)), at
	s.Sender, s.ReceivedAt, s.LastInstanceAt = "rebuild", at, at
	return study.Arrival{Study: s, Instance: i, Frames: h.Frames}, nil
}

// counted counts and hashes what is read, and keeps the error that ended it.
type counted struct {
	r   io.Reader
	n   int64
	sum hash.Hash
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	_, _ = c.sum.Write(p[:n]) // a hash takes everything
	if err != nil {
		c.err = err
	}
	return n, err
}

// Put tells of an object's pixels as [Receiver.Receive] does; see [Elsewhere].
func (e *Elsewhere) Put(a *study.Arrival) { e.put(a) }
