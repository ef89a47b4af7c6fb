package s3test

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// An Op is a kind of request.
type Op string

// The kinds.
const (
	PutObject      Op = "PutObject"
	GetObject      Op = "GetObject"
	HeadObject     Op = "HeadObject"
	DeleteObject   Op = "DeleteObject"
	ListObjects    Op = "ListObjects"
	HeadBucket     Op = "HeadBucket"
	MakeBucket     Op = "MakeBucket"
	CreateUpload   Op = "CreateMultipartUpload"
	UploadPart     Op = "UploadPart"
	CompleteUpload Op = "CompleteMultipartUpload"
	AbortUpload    Op = "AbortMultipartUpload"
)

func opOf(r *http.Request, key string) Op {
	q := r.URL.Query()
	onBucket := map[string]Op{http.MethodHead: HeadBucket, http.MethodPut: MakeBucket, http.MethodGet: ListObjects}
	onKey := map[string]Op{http.MethodHead: HeadObject, http.MethodPut: PutObject, http.MethodGet: GetObject, http.MethodDelete: DeleteObject}
	onUpload := map[string]Op{http.MethodPut: UploadPart, http.MethodPost: CompleteUpload, http.MethodDelete: AbortUpload}
	switch {
	case key == "":
		return onBucket[r.Method]
	case q.Has("uploads") && r.Method == http.MethodPost:
		return CreateUpload
	case q.Has("uploadId"):
		return onUpload[r.Method]
	}
	return onKey[r.Method]
}

// A Fault is a misbehavior of one request. Its fields may be combined; the zero
// value is none.
type Fault struct {
	Wait       time.Duration // before anything else
	Hang       bool          // no answer until the client leaves or the server ends
	CutRequest int64         // reset after this many bytes of the request's body; 0 = not
	Status     int           // answer this instead of doing the work, unless Done
	Code       string        // beside Status
	RetryAfter int           // seconds; 0 = none said
	Done       bool          // do the work, then answer Status: the acknowledgment is lost
	CutAnswer  int64         // reset after this many bytes of the answer's body; 0 = not
	Corrupt    bool          // flip a bit of the bytes that are given
	WholeRange bool          // ignore the range that was asked for
	Stale      int           // a list lacks this many of the newest objects
}

// Break lets the next n requests of a kind meet f. Faults of a kind queue up.
func (s *Server) Break(op Op, n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults[op] = append(s.faults[op], f)
	}
}

func (s *Server) next(op Op) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[op]++
	if len(s.faults[op]) == 0 {
		return Fault{}
	}
	f := s.faults[op][0]
	s.faults[op] = s.faults[op][1:]
	return f
}

// before does what a fault does before the work, and reports whether there is
// nothing left to do.
func (f Fault) before(s *Server, w http.ResponseWriter, r *http.Request) bool {
	if f.Wait > 0 {
		select {
		case <-time.After(f.Wait):
		case <-s.quit:
		}
	}
	if f.Hang {
		_, _ = io.Copy(io.Discard, r.Body) // else the client's leaving is not seen
		select {
		case <-r.Context().Done():
		case <-s.quit:
		}
		panic(http.ErrAbortHandler)
	}
	if f.CutRequest > 0 {
		_, _ = io.CopyN(io.Discard, r.Body, f.CutRequest)
		reset(w)
		return true
	}
	if f.Status != 0 && !f.Done {
		_, _ = io.Copy(io.Discard, r.Body)
		f.answer(w, r)
		return true
	}
	return false
}

func (f Fault) answer(w http.ResponseWriter, r *http.Request) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	fail(w, r, refuse(f.Status, f.Code, "a fault that was asked for"))
}

// writer gives the answer's faults: lost, cut or corrupted.
func (f Fault) writer(w http.ResponseWriter) http.ResponseWriter {
	if f.Status == 0 && f.CutAnswer == 0 && !f.Corrupt {
		return w
	}
	return &faultyWriter{ResponseWriter: w, f: f, left: f.CutAnswer}
}

type faultyWriter struct {
	http.ResponseWriter
	f    Fault
	left int64
	lost bool
}

// WriteHeader turns a success into the fault's status.
func (w *faultyWriter) WriteHeader(status int) {
	if w.f.Status != 0 && status < 300 {
		w.lost = true
		status = w.f.Status
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write gives p as the fault will have it.
func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.lost {
		return len(p), nil
	}
	if w.f.Corrupt && len(p) > 0 {
		p = append([]byte(nil), p...)
		p[len(p)/2] ^= 1
	}
	if w.f.CutAnswer == 0 {
		return w.ResponseWriter.Write(p)
	}
	n := min(w.left, int64(len(p)))
	_, _ = w.ResponseWriter.Write(p[:n])
	if w.left -= n; w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		time.Sleep(10 * time.Millisecond) // so that what was flushed goes ahead of the reset
		reset(w.ResponseWriter)
		return int(n), http.ErrAbortHandler
	}
	return int(n), nil
}
