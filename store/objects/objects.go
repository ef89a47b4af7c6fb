// Package objects keeps the bytes of studies under keys: immutable, durable, and
// the truth for bytes. It knows no study and no table.
//
//	Open      the store at a location: a folder, or an S3 bucket
//	PutOnce   an object is kept for good; a key that is taken tells what holds it
//	Range     a part of it is read, a tile of a slide for instance
//	List      all keys, from which a lost ledger is read back
//
// [Dir] acknowledges after the bytes and the names of their folders are flushed,
// [S3] after the server's answer. storetest.TestObjects is the test of both.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"path/filepath"
	"strings"

	"varde/study"
)

// A Store keeps bytes under keys. [Dir] and [S3] are the two that there are, and
// storetest.TestObjects holds both to what is said here. All methods may be
// called by many goroutines at once.
//
// A key is a path of segments parted by slashes, see [CheckKey]. Errors wrap
// [study.ErrNotFound] when nothing lies under a key, [study.ErrInvalid] for a key
// or a range that can't be, and [study.ErrBusy] when the store is full, slow or
// not there: try again later.
type Store interface {
	// PutOnce keeps r under key, unless the key is taken: then the error is an
	// [*ExistsError]. After nil, and after an ExistsError, the bytes under key are
	// durable. After any other error the key holds all of r, because the answer
	// was lost, or nothing of it: put again. The hash is of what r held, also
	// beside an ExistsError. Size is how many bytes r holds, or −1; a reader that
	// holds another number is refused with [study.ErrInvalid], and one that fails
	// leaves nothing behind.
	PutOnce(ctx context.Context, key string, r io.Reader, size int64) (study.Hash, error)
	// Put keeps r under key in place of what was there. A reader of the key sees
	// all of the old bytes or all of the new.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Range gives n bytes from offset off, or all to the end when n is negative.
	// A range that runs past the end gives what there is; one that begins past it
	// is invalid. A body that ends early fails with an error and never with EOF.
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Stat gives the size.
	Stat(ctx context.Context, key string) (bytes int64, err error)
	// Delete removes a key. To delete what is not there is no error.
	Delete(ctx context.Context, key string) error
	// List gives the keys that begin with prefix, in the order of their bytes.
	// After an error it ends.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Free gives the room that is left; ok is false where a store can't say.
	Free(ctx context.Context) (bytes int64, ok bool)
	// Close gives up what the store holds of the machine. The bytes stay.
	Close() error
	// String says where the bytes lie, without secrets.
	String() string
}

// ErrExists is the error of a [Store.PutOnce] whose key is taken. It wraps
// [fs.ErrExist], by which a stage that may not import this package knows it.
var ErrExists = fmt.Errorf("key is taken: %w", fs.ErrExist)

// An ExistsError says what holds the key: the same bytes, which makes the new
// ones a duplicate, or others.
type ExistsError struct {
	Key  string
	Hash study.Hash // of the bytes that lie under Key
}

// Error names the key.
func (e *ExistsError) Error() string {
	return fmt.Sprintf("put %s: %v, sha256 %s", e.Key, ErrExists, e.Hash.Short())
}

// Unwrap gives [ErrExists].
func (e *ExistsError) Unwrap() error { return ErrExists }

// Held gives the hash of the bytes that lie under the key. An interface of this
// one method finds it through [errors.As] without importing this package.
func (e *ExistsError) Held() study.Hash { return e.Hash }

// Credentials open an S3 store. A folder needs none.
type Credentials struct {
	AccessKey string
	SecretKey string
	Token     string // of a session; mostly empty
}

// Open opens the store at location: a folder, which is made when it is
// missing, or
//
//	s3://bucket?endpoint=host:port&secure=0|1&region=us-east-1&trailing=0|1&prefix=a/b
//
// Only endpoint must be given. Secure is 1 unless told otherwise. Trailing
// sends checksums behind the body, which MinIO takes and some other servers do
// not; it is 1 unless told otherwise. A bucket that is missing is made.
func Open(ctx context.Context, location string, c Credentials) (Store, error) {
	if strings.HasPrefix(location, "s3://") {
		o, err := parseS3(location)
		if err != nil {
			return nil, err
		}
		o.Credentials = c
		return OpenS3(ctx, o)
	}
	if scheme, _, ok := strings.Cut(location, "://"); ok {
		return nil, fmt.Errorf("open store %s: scheme %q is neither a folder nor s3: %w", location, scheme, study.ErrInvalid)
	}
	dir, err := filepath.Abs(location)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", location, err)
	}
	return OpenDir(dir)
}

func parseS3(location string) (S3Options, error) {
	u, err := url.Parse(location)
	if err != nil {
		return S3Options{}, fmt.Errorf("store location %s: %w: %w", location, study.ErrInvalid, err)
	}
	o := S3Options{Bucket: u.Host, Secure: true, Trailing: true}
	var faults []error
	fault := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	flag := func(name, v string) bool {
		if v != "0" && v != "1" {
			fault("%s=%s is neither 0 nor 1", name, v)
		}
		return v == "1"
	}
	for name, vs := range u.Query() {
		v := vs[len(vs)-1]
		switch name {
		case "endpoint":
			o.Endpoint = v
		case "region":
			o.Region = v
		case "prefix":
			o.Prefix = strings.Trim(v, "/")
		case "secure":
			o.Secure = flag(name, v)
		case "trailing":
			o.Trailing = flag(name, v)
		default:
			fault("unknown setting %q", name)
		}
	}
	if o.Bucket == "" || u.Path != "" && u.Path != "/" || u.User != nil {
		fault("it must begin with s3://bucket? and name neither folder nor user")
	}
	if o.Endpoint == "" {
		fault("endpoint=host:port is missing")
	}
	if len(faults) > 0 {
		return o, fmt.Errorf("store location %s: %w: %w", u.Redacted(), study.ErrInvalid, errors.Join(faults...))
	}
	return o, nil
}

const (
	maxKey     = 900 // what MinIO takes in short segments, with room for a prefix
	maxSegment = 255 // the longest name in a folder, and the longest segment MinIO takes
)

// CheckKey reports with [study.ErrInvalid] a key that is no safe path: parts of
// keys come from strangers' UIDs. A key is at most 900 bytes in segments of 1 to
// 255 letters, digits, and . _ - @ +, and no segment begins with a dot.
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("key of %d bytes: %w", len(key), study.ErrInvalid)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || len(segment) > maxSegment || segment[0] == '.' {
			return fmt.Errorf("key %q has the segment %.40q: %w", key, segment, study.ErrInvalid)
		}
		for i := range len(segment) {
			if !keyByte(segment[i]) {
				return fmt.Errorf("key %q holds %q: %w", key, segment[i], study.ErrInvalid)
			}
		}
	}
	return nil
}

func keyByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
		c == '.' || c == '_' || c == '-' || c == '@' || c == '+'
}

// checkRange reports a range that no object can have.
func checkRange(key string, off int64) error {
	if off < 0 {
		return fmt.Errorf("read %s from %d: %w", key, off, study.ErrInvalid)
	}
	return nil
}

// pastEnd is the error of a range that begins beyond the object.
func pastEnd(key string, off, size int64) error {
	return fmt.Errorf("read %s from %d, it ends at %d: %w", key, off, size, study.ErrInvalid)
}

// wrongSize is the error of a body that is not as long as was said.
func wrongSize(key string, want, got int64) error {
	return fmt.Errorf("put %s: %d bytes announced, %d came: %w", key, want, got, study.ErrInvalid)
}
