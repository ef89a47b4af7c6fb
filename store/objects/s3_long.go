package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"varde/study"
)

// abortLimit is how long we try to take back the parts of a put that failed,
// also when the put failed because its context ended.
const abortLimit = 30 * time.Second

// putLong sends head and then the rest of src in parts. It does so step by step,
// because minio-go's own way for a stream forgets the condition (If-None-Match)
// at the last step, the one at which a server holds it against what is there.
func (s *S3) putLong(ctx context.Context, key string, head *bytes.Buffer, src *source, o minio.PutObjectOptions) (study.Hash, error) {
	select {
	case s.long <- struct{}{}:
		defer func() { <-s.long }()
	case <-ctx.Done():
		return src.sum(), ctx.Err()
	}
	err := s.upload(ctx, key, head, src, o)
	if responseTo(err).Code == "PreconditionFailed" { // perhaps at once: the hash is still of all of r
		if _, broke := io.Copy(io.Discard, src); broke != nil {
			err = broke
		}
	}
	return src.sum(), err
}

func (s *S3) upload(ctx context.Context, key string, head *bytes.Buffer, src *source, o minio.PutObjectOptions) error {
	name := s.prefix + key
	id, err := s.core.NewMultipartUpload(ctx, s.o.Bucket, name, o)
	if err != nil {
		return s3Error("begin to put", key, err)
	}
	parts, err := s.sendParts(ctx, name, id, head, src)
	if err == nil {
		_, err = s.core.CompleteMultipartUpload(ctx, s.o.Bucket, name, id, parts, o)
		if responseTo(err).Code == "NoSuchUpload" && s.isThere(ctx, key, src) {
			return nil
		}
	}
	if err == nil {
		return nil
	}
	late, stop := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer stop()
	if gone := s.core.AbortMultipartUpload(late, s.o.Bucket, name, id); gone != nil && responseTo(gone).Code != "NoSuchUpload" {
		err = errors.Join(err, fmt.Errorf("take back the parts of %s: %w", key, gone))
	}
	if src.err != nil && src.err != io.EOF {
		return src.err
	}
	return s3Error("put", key, err)
}

// isThere reports whether key holds what src gave. It is asked when the store
// knows nothing of an upload that it has just taken: an earlier try to complete
// it went through, and its answer was lost.
func (s *S3) isThere(ctx context.Context, key string, src *source) bool {
	size, err := s.Stat(ctx, key)
	if err != nil || size != src.n {
		return false
	}
	held, err := HashOf(ctx, s, key)
	return err == nil && held == src.sum()
}

// sendParts sends a part while the next is read.
func (s *S3) sendParts(ctx context.Context, name, id string, head *bytes.Buffer, src *source) ([]minio.CompletePart, error) {
	var parts []minio.CompletePart
	group, ctx := errgroup.WithContext(ctx)
	full := make(chan []byte)
	empty := make(chan []byte, 2)
	empty <- make([]byte, 0, partSize)
	group.Go(func() error {
		defer close(full)
		return cutParts(ctx, head.Bytes(), src, full, empty)
	})
	group.Go(func() error {
		for b := range full {
			n := len(parts) + 1
			p, err := s.core.PutObjectPart(ctx, s.o.Bucket, name, id, n, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{})
			if err != nil {
				return fmt.Errorf("part %d: %w", n, err)
			}
			parts = append(parts, minio.CompletePart{PartNumber: n, ETag: p.ETag})
			empty <- b[:0]
		}
		return nil
	})
	err := group.Wait()
	return parts, err
}

// cutParts gives head and then src in parts to full, and takes buffers back from
// empty. All parts but the last are as long as head, partSize.
func cutParts(ctx context.Context, head []byte, src io.Reader, full chan<- []byte, empty <-chan []byte) error {
	b := head
	for n := 1; ; n++ {
		if n > maxParts {
			return fmt.Errorf("more than %d parts of %d bytes: %w", maxParts, partSize, study.ErrInvalid)
		}
		select {
		case full <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		if len(b) < partSize {
			return nil
		}
		select {
		case b = <-empty:
		case <-ctx.Done():
			return ctx.Err()
		}
		got, err := io.ReadFull(src, b[:partSize])
		b = b[:got]
		// src never gives io.ErrUnexpectedEOF itself, so here it means that a
		// sound source came to its end.
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		if got == 0 {
			return nil
		}
	}
}
