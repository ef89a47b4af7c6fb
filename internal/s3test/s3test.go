// Package s3test is an S3 server in memory for tests: as much of S3 as our store
// uses, strict where real servers are strict, and misbehaving on demand.
//
//	Start            a server on a free port, gone when the test ends
//	Server.Break     the next requests of a kind meet a fault
//	Server.Object    what is really kept, past all faults
//	Server.Count     how many requests of a kind there were
//
// It checks signatures (Signature Version 4), the hashes and signatures of
// bodies and of their chunks, and checksums before and behind a body. It is for
// tests alone: no binary of ours imports it.
package s3test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The credentials that a server takes.
const (
	AccessKey = "varde-test"
	SecretKey = "not a secret, a test"
)

// A Server keeps buckets of objects in memory.
type Server struct {
	http *httptest.Server
	quit chan struct{} // closed when the server ends, so that hanging requests do

	mu      sync.Mutex                    // held for map work only
	buckets map[string]map[string]*object // guarded by mu
	uploads map[string]*upload            // guarded by mu
	seq     int                           // of objects and uploads; guarded by mu
	counts  map[Op]int                    // guarded by mu
	faults  map[Op][]Fault                // those still to come; guarded by mu
}

type object struct {
	bytes []byte
	etag  string
	meta  http.Header // content type and x-amz-meta-…
	seq   int         // the newest object has the greatest
	at    time.Time
}

type upload struct {
	bucket, key string
	meta        http.Header
	parts       map[int]*object
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	s := &Server{
		quit:    make(chan struct{}),
		buckets: map[string]map[string]*object{},
		uploads: map[string]*upload{},
		counts:  map[Op]int{},
		faults:  map[Op][]Fault{},
	}
	s.http = httptest.NewServer(s)
	t.Cleanup(func() {
		close(s.quit)
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// Endpoint gives host:port.
func (s *Server) Endpoint() string { return s.http.Listener.Addr().String() }

// Object gives the bytes that are kept under key, whatever faults are set.
func (s *Server) Object(bucket, key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.buckets[bucket][key]
	if !ok {
		return nil, false
	}
	return slices.Clone(o.bytes), true
}

// Spoil flips a bit of a kept object, as a failing disk does.
func (s *Server) Spoil(bucket, key string, at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][key]
	o.bytes = slices.Clone(o.bytes) // a reader may hold the old ones
	o.bytes[at] ^= 1
}

// Uploads gives how many uploads in parts are open: after a failed put there
// should be none.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Count gives how many requests of a kind came, those that met a fault included.
func (s *Server) Count(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[op]
}

// An apiError is what S3 answers instead.
type apiError struct {
	status int
	code   string
	text   string
}

func (e *apiError) Error() string { return e.code + ": " + e.text }

func refuse(status int, code, format string, a ...any) *apiError {
	return &apiError{status, code, fmt.Sprintf(format, a...)}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	op := opOf(r, key)
	f := s.next(op)
	w.Header().Set("X-Amz-Request-Id", strconv.FormatInt(time.Now().UnixNano(), 36))
	if f.before(s, w, r) {
		return
	}
	w = f.writer(w)
	handlers := map[Op]func(http.ResponseWriter, *http.Request, string, string, Fault) *apiError{
		PutObject: s.putObject, GetObject: s.getObject, HeadObject: s.getObject, DeleteObject: s.deleteObject,
		HeadBucket: s.headBucket, MakeBucket: s.makeBucket, ListObjects: s.listObjects,
		CreateUpload: s.createUpload, UploadPart: s.uploadPart, CompleteUpload: s.completeUpload, AbortUpload: s.abortUpload,
	}
	handle := handlers[op]
	if handle == nil {
		fail(w, r, refuse(http.StatusNotImplemented, "NotImplemented", "%s %s", r.Method, r.URL))
		return
	}
	if err := handle(w, r, bucket, key, f); err != nil {
		fail(w, r, err)
	}
}

func fail(w http.ResponseWriter, r *http.Request, e *apiError) {
	w.Header().Set("Content-Type", "application/xml")
	if r.Method == http.MethodHead {
		w.WriteHeader(e.status) // the error of a HEAD has no body
		return
	}
	w.WriteHeader(e.status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", e.code, e.text)
}

func (s *Server) headBucket(_ http.ResponseWriter, r *http.Request, bucket, _ string, _ Fault) *apiError {
	if _, err := authorize(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[bucket] == nil {
		return refuse(http.StatusNotFound, "NoSuchBucket", "no bucket %s", bucket)
	}
	return nil
}

func (s *Server) makeBucket(_ http.ResponseWriter, r *http.Request, bucket, _ string, _ Fault) *apiError {
	if _, err := readBody(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[bucket] != nil {
		return refuse(http.StatusConflict, "BucketAlreadyOwnedByYou", "bucket %s is there", bucket)
	}
	s.buckets[bucket] = map[string]*object{}
	return nil
}

func newObject(b []byte, meta http.Header) *object {
	sum := md5.Sum(b)
	return &object{bytes: b, etag: hex.EncodeToString(sum[:]), meta: meta, at: time.Now()}
}

func metaOf(r *http.Request) http.Header {
	kept := http.Header{}
	for name, v := range r.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amz-Meta-") {
			kept[name] = v
		}
	}
	return kept
}

// commit keeps o, and holds the condition against what is there in the same
// step. The caller holds mu.
func (s *Server) commit(r *http.Request, bucket, key string, o *object) *apiError {
	keys := s.buckets[bucket]
	if keys == nil {
		return refuse(http.StatusNotFound, "NoSuchBucket", "no bucket %s", bucket)
	}
	if keys[key] != nil && r.Header.Get("If-None-Match") == "*" {
		return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "%s is taken", key)
	}
	s.seq++
	o.seq = s.seq
	keys[key] = o
	return nil
}

// reset ends the connection as a crash does: the other side sees no end of the
// body but an error.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
