package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"

	"varde/study"
)

// A Dated store can say when the bytes under a key came. Both of ours can.
type Dated interface {
	// At gives the time, and [study.ErrInvalid] for what is no object at all.
	At(ctx context.Context, key string) (time.Time, error)
}

var (
	_ Dated = (*Dir)(nil)
	_ Dated = (*S3)(nil)
)

// At gives when the bytes under a key came. A pipe, a link or a folder under a key
// is [study.ErrInvalid].
func (d *Dir) At(_ context.Context, key string) (time.Time, error) {
	if err := CheckKey(key); err != nil {
		return time.Time{}, fmt.Errorf("look at: %w", err)
	}
	info, err := os.Lstat(d.path(key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return time.Time{}, fmt.Errorf("look at %s: %w", key, study.ErrNotFound)
	}
	if err != nil {
		return time.Time{}, diskError("look at", key, err)
	}
	if !info.Mode().IsRegular() {
		return time.Time{}, fmt.Errorf("look at %s: it is no file but %s: %w", key, info.Mode(), study.ErrInvalid)
	}
	return info.ModTime().UTC(), nil
}

// At gives when the bytes under a key came.
func (s *S3) At(ctx context.Context, key string) (time.Time, error) {
	if err := CheckKey(key); err != nil {
		return time.Time{}, fmt.Errorf("look at: %w", err)
	}
	info, err := s.client.StatObject(ctx, s.o.Bucket, s.prefix+key, minio.StatObjectOptions{})
	return info.LastModified.UTC(), s3Error("look at", key, err)
}
