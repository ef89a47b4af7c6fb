package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"varde/study"
)

const (
	// partSize is how much of a long object goes in one request. Ten thousand
	// parts make 156 GiB, more than any slide.
	partSize = 16 << 20
	maxParts = 10_000 // of an object, the limit of S3
	// longPuts is how many objects longer than partSize may go at once: each
	// holds two parts in memory.
	longPuts = 8
	// s3Tries is how often one request is tried. The queue and the sender try
	// again themselves, later: more tries here would be a storm.
	s3Tries = 3
	// answerLimit is how long a server may take to begin its answer. Longer
	// than any healthy completion of a multipart object takes.
	answerLimit = 60 * time.Second
	// sumHeader is the user metadata under which an object's SHA-256 lies.
	sumHeader = "Sha256"
)

// S3Options say where an S3 store is and how to speak to it.
type S3Options struct {
	Endpoint string // host:port
	Bucket   string // made when it is missing
	Region   string // empty = us-east-1
	Prefix   string // of all keys in the bucket; empty = none
	Secure   bool   // TLS
	// Trailing sends each body's checksum behind it. MinIO takes that, and so
	// does Amazon; several other servers break.
	Trailing bool
	Credentials
	// AnswerLimit is how long the server may take to begin an answer; 0 = one
	// minute.
	AnswerLimit time.Duration
}

// An S3 keeps objects in a bucket of MinIO or any other S3 store.
type S3 struct {
	client *minio.Client
	core   minio.Core
	o      S3Options
	prefix string
	long   chan struct{} // a slot for each long put
	wire   *http.Transport
}

// OpenS3 connects to the store and makes its bucket when it is missing. A store
// that does not answer is [study.ErrBusy].
func OpenS3(ctx context.Context, o S3Options) (*S3, error) {
	if o.Region == "" {
		o.Region = "us-east-1" // else each client asks the server first
	}
	if o.AnswerLimit == 0 {
		o.AnswerLimit = answerLimit
	}
	wire := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: 10 * time.Second,
		ResponseHeaderTimeout: o.AnswerLimit,
		DisableCompression:    true, // else a compressed object would be unpacked on its way
	}
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.Token), Secure: o.Secure, Region: o.Region,
		MaxRetries: s3Tries, TrailingHeaders: o.Trailing, Transport: wire,
	})
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w: %w", o.Endpoint, study.ErrInvalid, err)
	}
	s := &S3{client: client, core: minio.Core{Client: client}, o: o, long: make(chan struct{}, longPuts), wire: wire}
	if o.Prefix != "" {
		if err := CheckKey(o.Prefix); err != nil {
			return nil, fmt.Errorf("open store %s: prefix: %w", s, err)
		}
		s.prefix = o.Prefix + "/"
	}
	ok, err := client.BucketExists(ctx, o.Bucket)
	if err == nil && !ok {
		err = client.MakeBucket(ctx, o.Bucket, minio.MakeBucketOptions{Region: o.Region})
		if code := responseTo(err).Code; code == "BucketAlreadyOwnedByYou" || code == "BucketAlreadyExists" {
			err = nil // another of us was quicker
		}
	}
	if err != nil {
		return nil, s3Error("open store", s.String(), err)
	}
	return s, nil
}

// String gives the address and the bucket.
func (s *S3) String() string {
	scheme := "http"
	if s.o.Secure {
		scheme = "https"
	}
	return scheme + "://" + s.o.Endpoint + "/" + s.o.Bucket + "/" + s.prefix
}

// Close lets idle connections go.
func (s *S3) Close() error {
	s.wire.CloseIdleConnections()
	return nil
}

// Free is not known of an S3 store.
func (s *S3) Free(context.Context) (int64, bool) { return 0, false }

// PutOnce is described at [Store].
func (s *S3) PutOnce(ctx context.Context, key string, r io.Reader, size int64) (study.Hash, error) {
	sum, err := s.put(ctx, key, r, size, true)
	if responseTo(err).Code != "PreconditionFailed" {
		return sum, err
	}
	held, err := s.held(ctx, key)
	if err != nil {
		return sum, err
	}
	return sum, &ExistsError{Key: key, Hash: held}
}

// Put is described at [Store].
func (s *S3) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	_, err := s.put(ctx, key, r, size, false)
	return err
}

// put sends an object shorter than partSize in one request with its hash as
// metadata, and a longer one in parts, whose hash is known only when they are
// gone.
func (s *S3) put(ctx context.Context, key string, r io.Reader, size int64, once bool) (study.Hash, error) {
	if err := CheckKey(key); err != nil {
		return study.Hash{}, fmt.Errorf("put: %w", err)
	}
	o := minio.PutObjectOptions{ContentType: "application/octet-stream"}
	if once {
		o.SetMatchETagExcept("*")
	}
	src := newSource(ctx, key, r, size)
	var head bytes.Buffer
	if size >= 0 {
		head.Grow(int(min(size, partSize)) + bytes.MinRead) // ReadFrom wants room beyond the end
	}
	if _, err := head.ReadFrom(io.LimitReader(src, partSize)); err != nil {
		return src.sum(), err
	}
	if head.Len() == partSize {
		// It may be longer, or end here: the source knows.
		return s.putLong(ctx, key, &head, src, o)
	}
	sum := src.sum()
	o.UserMetadata = map[string]string{sumHeader: sum.String()}
	_, err := s.client.PutObject(ctx, s.o.Bucket, s.prefix+key, bytes.NewReader(head.Bytes()), int64(head.Len()), o)
	return sum, s3Error("put", key, err)
}

// held gives the hash of the object that has the key: from its metadata, or by
// reading it.
func (s *S3) held(ctx context.Context, key string) (study.Hash, error) {
	info, err := s.client.StatObject(ctx, s.o.Bucket, s.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return study.Hash{}, s3Error("look at", key, err)
	}
	if sum, ok := sumOf(info); ok {
		return sum, nil
	}
	return HashOf(ctx, s, key)
}

func sumOf(info minio.ObjectInfo) (study.Hash, bool) {
	sum, err := study.ParseHash(info.UserMetadata[sumHeader])
	return sum, err == nil
}

// Range is described at [Store]. A whole object whose hash lies beside it is
// compared with it on the way.
func (s *S3) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := CheckKey(key); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if err := checkRange(key, off); err != nil {
		return nil, err
	}
	if n == 0 {
		size, err := s.Stat(ctx, key)
		if err == nil && (off > size || off == size && off > 0) {
			err = pastEnd(key, off, size)
		}
		return io.NopCloser(strings.NewReader("")), err
	}
	var o minio.GetObjectOptions
	switch {
	case n > 0 && off+n < off, n < 0 && off > 0:
		o.Set("Range", fmt.Sprintf("bytes=%d-", off))
	case n > 0:
		o.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
	body, info, header, err := s.core.GetObject(ctx, s.o.Bucket, s.prefix+key, o)
	if responseTo(err).Code == "InvalidRange" {
		return s.beyond(ctx, key, off)
	}
	if err != nil {
		return nil, s3Error("read", key, err)
	}
	if err := checkAnswer(key, off, n, info.Size, header); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	r := &part{exact{r: body, key: key, left: info.Size}, body}
	if sum, ok := sumOf(info); ok && off == 0 && n < 0 {
		return &checked{r, sha256.New(), sum, key}, nil
	}
	return r, nil
}

// checkAnswer refuses an answer that is not the range that was asked for: a
// proxy that drops the header would else give the wrong pixels.
func checkAnswer(key string, off, n, size int64, header http.Header) error {
	if size < 0 {
		return fmt.Errorf("read %s: the answer does not say how long it is", key)
	}
	if off == 0 && n < 0 {
		return nil
	}
	var from, to int64
	_, err := fmt.Sscanf(header.Get("Content-Range"), "bytes %d-%d/", &from, &to)
	if err != nil || from != off || to-from+1 != size || n > 0 && size > n {
		return fmt.Errorf("read %s: asked for %d bytes from %d, the answer holds %q", key, n, off, header.Get("Content-Range"))
	}
	return nil
}

// beyond answers a range that begins at or past the end. Of an empty object the
// range from 0 is empty, and no fault.
func (s *S3) beyond(ctx context.Context, key string, off int64) (io.ReadCloser, error) {
	size, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if off == 0 && size == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return nil, pastEnd(key, off, size)
}

// Stat is described at [Store].
func (s *S3) Stat(ctx context.Context, key string) (int64, error) {
	if err := CheckKey(key); err != nil {
		return 0, fmt.Errorf("look at: %w", err)
	}
	info, err := s.client.StatObject(ctx, s.o.Bucket, s.prefix+key, minio.StatObjectOptions{})
	return info.Size, s3Error("look at", key, err)
}

// Delete is described at [Store].
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	err := s.client.RemoveObject(ctx, s.o.Bucket, s.prefix+key, minio.RemoveObjectOptions{})
	if responseTo(err).Code == "NoSuchKey" {
		return nil
	}
	return s3Error("delete", key, err)
}

// List is described at [Store].
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop() // ends minio-go's own goroutine when we leave early
		o := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
		for info := range s.client.ListObjects(ctx, s.o.Bucket, o) {
			if info.Err != nil {
				yield("", s3Error("list", prefix, info.Err))
				return
			}
			if !yield(strings.TrimPrefix(info.Key, s.prefix), nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield("", err)
		}
	}
}

// s3Kinds gives the codes of S3 their kind. What is not here is tried again, and
// an operator is told.
var s3Kinds = map[string]error{
	"NoSuchKey": study.ErrNotFound, "NoSuchBucket": study.ErrNotFound,
	"KeyTooLongError": study.ErrInvalid, "XMinioInvalidObjectName": study.ErrInvalid, "EntityTooLarge": study.ErrInvalid,
	"XMinioParentIsObject": study.ErrInvalid, // one key would be the folder of another
	"SlowDown":             study.ErrBusy, "SlowDownRead": study.ErrBusy, "SlowDownWrite": study.ErrBusy,
	"ServiceUnavailable": study.ErrBusy, "InternalError": study.ErrBusy, "RequestTimeout": study.ErrBusy,
	"XMinioStorageFull": study.ErrBusy, "XMinioServerNotInitialized": study.ErrBusy, "OperationAborted": study.ErrBusy,
	"IncompleteBody": study.ErrBusy, "BadDigest": study.ErrBusy, "XAmzContentSHA256Mismatch": study.ErrBusy,
	"XAmzContentChecksumMismatch": study.ErrBusy, "NoSuchUpload": study.ErrBusy,
}

// s3Error gives an error of the store its kind. A [minio.ErrorResponse] stays to
// be seen inside.
func s3Error(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	response := responseTo(err)
	kind, known := s3Kinds[response.Code]
	var wire *url.Error
	var network net.Error
	switch {
	case known:
	case response.StatusCode >= 500, response.StatusCode == http.StatusTooManyRequests:
		kind = study.ErrBusy
	case errors.As(err, &wire), errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		kind = study.ErrBusy
	default:
		return fmt.Errorf("%s %s: %w", verb, key, err)
	}
	return fmt.Errorf("%s %s: %w: %w", verb, key, kind, err)
}

// responseTo gives what the server answered, which is empty when it did not.
func responseTo(err error) minio.ErrorResponse {
	var r minio.ErrorResponse
	errors.As(err, &r)
	return r
}
