package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/s3test"
	"varde/store/objects"
	"varde/store/storetest"
	"varde/study"
)

var testCredentials = objects.Credentials{AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey}

// openS3 opens the bucket of s; each setting of trailing checksums is a road of
// its own through the client.
func openS3(t *testing.T, s *s3test.Server, trailing bool) *objects.S3 {
	t.Helper()
	o, err := objects.OpenS3(t.Context(), objects.S3Options{
		Endpoint: s.Endpoint(), Bucket: "varde", Trailing: trailing, Credentials: testCredentials, AnswerLimit: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestS3(t *testing.T) {
	for _, trailing := range []bool{false, true} {
		t.Run(fmt.Sprintf("trailing %v", trailing), func(t *testing.T) {
			storetest.TestObjects(t, func(t *testing.T) objects.Store { return openS3(t, s3test.Start(t), trailing) })
		})
	}
}

func TestPrefixIsSeenByTheBucketAlone(t *testing.T) {
	s := s3test.Start(t)
	o, err := objects.Open(t.Context(), "s3://varde?secure=0&prefix=hospital/one&endpoint="+s.Endpoint(), testCredentials)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.PutOnce(t.Context(), "dicom/a", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if _, there := s.Object("varde", "hospital/one/dicom/a"); !there {
		t.Error("the object lies elsewhere")
	}
	for key, err := range o.List(t.Context(), "dicom/") {
		if key != "dicom/a" || err != nil {
			t.Errorf("the list says %s, %v", key, err)
		}
	}
	if n, err := o.Stat(t.Context(), "dicom/a"); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := o.Delete(t.Context(), "dicom/a"); err != nil {
		t.Error(err)
	}
	storetest.Absent(t, o, "dicom/a")
}

func TestWrongSecretIsRefused(t *testing.T) {
	s := s3test.Start(t)
	_, err := objects.Open(t.Context(), "s3://varde?secure=0&endpoint="+s.Endpoint(), objects.Credentials{AccessKey: s3test.AccessKey, SecretKey: "guess"})
	if err == nil || strings.Contains(err.Error(), "guess") {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestRealMinIO runs the promises against a MinIO server: the one in .tools, or
// the one that VARDE_MINIO names.
func TestRealMinIO(t *testing.T) {
	endpoint := startMinIO(t)
	bucket := 0
	for _, trailing := range []bool{false, true} {
		t.Run(fmt.Sprintf("trailing %v", trailing), func(t *testing.T) {
			storetest.TestObjects(t, func(t *testing.T) objects.Store {
				bucket++
				o, err := objects.OpenS3(t.Context(), objects.S3Options{
					Endpoint: endpoint, Bucket: fmt.Sprintf("varde-%d", bucket), Trailing: trailing, Credentials: testCredentials,
				})
				if err != nil {
					t.Fatal(err)
				}
				return o
			})
		})
	}
}

func startMinIO(t *testing.T) (endpoint string) {
	t.Helper()
	binary := os.Getenv("VARDE_MINIO")
	if binary == "" {
		binary = filepath.Join("..", "..", ".tools", "minio")
	}
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("VARDE_MINIO") != "" {
			t.Fatalf("no MinIO: %v; make test installs it", err)
		}
		t.Skipf("no MinIO (%v): make test installs it, VARDE_MINIO names one", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "server", t.TempDir(), "--address", endpoint, "--quiet")
	c.Env = append(os.Environ(), "MINIO_ROOT_USER="+s3test.AccessKey, "MINIO_ROOT_PASSWORD="+s3test.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("MinIO said:\n%s", log.String())
		}
	})
	for range 600 {
		r, err := http.Get("http://" + endpoint + "/minio/health/ready")
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return endpoint
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("MinIO does not become ready")
	return ""
}

const longPut = 20 << 20 // goes in parts

// TestFaultsOfTheStore: whatever the store does, nothing is acknowledged that is
// not stored, nothing is half-written, and there is no storm of tries.
func TestFaultsOfTheStore(t *testing.T) {
	slow := s3test.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
	after := slow
	after.RetryAfter = 1
	broken := s3test.Fault{Status: http.StatusInternalServerError, Code: "InternalError"}
	digest := s3test.Fault{Status: http.StatusBadRequest, Code: "BadDigest"}
	full := s3test.Fault{Status: http.StatusInsufficientStorage, Code: "XMinioStorageFull"}
	lost := broken
	lost.Done = true
	for _, tt := range []struct {
		name  string
		op    s3test.Op
		times int
		fault s3test.Fault
		size  int
		want  error // nil = the put succeeds in spite of it
	}{
		{"slow down once", s3test.PutObject, 1, slow, 1000, nil},
		{"slow down once, with a time", s3test.PutObject, 1, after, 1000, nil},
		{"slow down for good", s3test.PutObject, 99, slow, 1000, study.ErrBusy},
		{"reset in mid-body once", s3test.PutObject, 1, s3test.Fault{CutRequest: 100_000}, 1 << 20, nil},
		{"reset in mid-body for good", s3test.PutObject, 99, s3test.Fault{CutRequest: 100_000}, 1 << 20, study.ErrBusy},
		{"latency", s3test.PutObject, 1, s3test.Fault{Wait: 200 * time.Millisecond}, 1000, nil},
		{"a hang for good", s3test.PutObject, 99, s3test.Fault{Hang: true}, 1000, study.ErrBusy},
		{"damaged on the way", s3test.PutObject, 99, digest, 1000, study.ErrBusy},
		{"full", s3test.PutObject, 99, full, 1000, study.ErrBusy},
		{"a part fails once", s3test.UploadPart, 1, broken, longPut, nil},
		{"a part is reset once", s3test.UploadPart, 1, s3test.Fault{CutRequest: 1 << 20}, longPut, nil},
		{"parts fail for good", s3test.UploadPart, 99, slow, longPut, study.ErrBusy},
		{"no upload begins", s3test.CreateUpload, 99, slow, longPut, study.ErrBusy},
		{"no upload ends", s3test.CompleteUpload, 99, slow, longPut, study.ErrBusy},
		{"a stored part's answer is lost", s3test.UploadPart, 1, lost, longPut, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			s := s3test.Start(t)
			o := openS3(t, s, false)
			want := storetest.Bytes(9, tt.size)
			s.Break(tt.op, tt.times, tt.fault)
			_, err := o.PutOnce(t.Context(), "k", bytes.NewReader(want), -1)
			if !errors.Is(err, tt.want) {
				t.Errorf("the put says %v, want %v", err, tt.want)
			}
			got, there := s.Object("varde", "k")
			if (err == nil) != there || there && !bytes.Equal(got, want) {
				t.Errorf("the put says %v, and there are %d bytes of %d", err, len(got), len(want))
			}
			if n := s.Count(tt.op); n > 6 { // three tries for each of two parts
				t.Errorf("%d requests: a storm", n)
			}
			if n := s.Uploads(); n != 0 {
				t.Errorf("%d uploads are left open", n)
			}
		})
	}
}

// TestLostAcknowledgmentIsKnownByTheHash: the store keeps the object and then
// says 500. The client's next try finds the key taken, and the hash tells that
// the object is ours.
func TestLostAcknowledgmentIsKnownByTheHash(t *testing.T) {
	s := s3test.Start(t)
	o := openS3(t, s, false)
	s.Break(s3test.PutObject, 1, s3test.Fault{Status: 500, Code: "InternalError", Done: true})
	sum, err := o.PutOnce(t.Context(), "k", strings.NewReader("bytes"), -1)
	var held interface{ Held() study.Hash }
	if !errors.As(err, &held) || held.Held() != sum {
		t.Errorf("hash %s, %v; want that the same bytes are there", sum.Short(), err)
	}
	s.Break(s3test.CompleteUpload, 1, s3test.Fault{Status: 500, Code: "InternalError", Done: true})
	long := storetest.Bytes(5, longPut)
	if _, err := o.PutOnce(t.Context(), "long", bytes.NewReader(long), -1); err != nil {
		t.Errorf("a long object whose answer was lost: %v; its bytes are there", err)
	}
	sum, err = o.PutOnce(t.Context(), "long", bytes.NewReader(long), -1) // as a sender sends again
	if !errors.As(err, &held) || held.Held() != sum {
		t.Errorf("the second put of a long object: %v", err)
	}
}

// TestFaultsOfReading: a read gives the right bytes or an error.
func TestFaultsOfReading(t *testing.T) {
	want := storetest.Bytes(6, 1<<20)
	slow := s3test.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
	for _, tt := range []struct {
		name   string
		times  int
		fault  s3test.Fault
		off, n int64
		ok     bool
	}{
		{"slow down once", 1, slow, 0, -1, true},
		{"slow down for good", 99, slow, 0, -1, false},
		{"reset in mid-body", 99, s3test.Fault{CutAnswer: 300_000}, 0, -1, false},
		{"reset in mid-range", 99, s3test.Fault{CutAnswer: 30_000}, 1000, 100_000, false},
		{"another body than was put", 99, s3test.Fault{Corrupt: true}, 0, -1, false},
		{"the whole object for a range", 99, s3test.Fault{WholeRange: true}, 1000, 100_000, false},
		{"a hang", 99, s3test.Fault{Hang: true}, 0, -1, false},
		{"latency", 1, s3test.Fault{Wait: 200 * time.Millisecond}, 1000, 10, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			s := s3test.Start(t)
			o := openS3(t, s, false)
			if _, err := o.PutOnce(t.Context(), "k", bytes.NewReader(want), -1); err != nil {
				t.Fatal(err)
			}
			s.Break(s3test.GetObject, tt.times, tt.fault)
			var got []byte
			r, err := o.Range(t.Context(), "k", tt.off, tt.n)
			if err == nil {
				got, err = io.ReadAll(r)
				err = errors.Join(err, r.Close())
			}
			if (err == nil) != tt.ok {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			end := tt.off + tt.n
			if tt.n < 0 {
				end = int64(len(want))
			}
			if err == nil && !bytes.Equal(got, want[tt.off:end]) {
				t.Error("other bytes, and no error")
			}
			if n := s.Count(s3test.GetObject); n > 3 {
				t.Errorf("%d requests: a storm", n)
			}
		})
	}
}

func TestSpoiledObjectIsNotGivenAsWhole(t *testing.T) {
	s := s3test.Start(t)
	o := openS3(t, s, true)
	if _, err := o.PutOnce(t.Context(), "k", strings.NewReader("some bytes"), -1); err != nil {
		t.Fatal(err)
	}
	s.Spoil("varde", "k", 3)
	r, err := o.Range(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err == nil {
		t.Errorf("%q, and no error", b)
	}
}

// TestStaleListTakesNothingAway: a list may lack what is new; keys that are asked
// for by name are there all the same.
func TestStaleListTakesNothingAway(t *testing.T) {
	s := s3test.Start(t)
	o := openS3(t, s, false)
	for i := range 5 {
		if _, err := o.PutOnce(t.Context(), fmt.Sprintf("k/%d", i), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	s.Break(s3test.ListObjects, 1, s3test.Fault{Stale: 2})
	n := 0
	for _, err := range o.List(t.Context(), "k/") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Fatalf("the stale list has %d keys: the fault does not work", n)
	}
	if _, err := o.PutOnce(t.Context(), "k/4", strings.NewReader("y"), 1); !errors.Is(err, objects.ErrExists) {
		t.Errorf("a key that the list lacks: %v", err)
	}
	s.Break(s3test.ListObjects, 99, s3test.Fault{Status: 503, Code: "SlowDown"})
	for key, err := range o.List(t.Context(), "k/") {
		if !errors.Is(err, study.ErrBusy) {
			t.Errorf("%s, %v from a store that is busy", key, err)
		}
	}
}

func TestDeadStoreIsBusy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = objects.Open(context.Background(), "s3://varde?secure=0&endpoint="+dead, testCredentials)
	if !errors.Is(err, study.ErrBusy) {
		t.Errorf("%v, want busy", err)
	}
}
