package s3test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) putObject(w http.ResponseWriter, r *http.Request, bucket, key string, _ Fault) *apiError {
	b, err := readBody(r)
	if err != nil {
		return err
	}
	o := newObject(b, metaOf(r))
	s.mu.Lock()
	err = s.commit(r, bucket, key, o)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) getObject(w http.ResponseWriter, r *http.Request, bucket, key string, f Fault) *apiError {
	if _, err := authorize(r); err != nil {
		return err
	}
	s.mu.Lock()
	o := s.buckets[bucket][key]
	s.mu.Unlock()
	if o == nil {
		return refuse(http.StatusNotFound, "NoSuchKey", "no %s", key)
	}
	for name, v := range o.meta {
		w.Header()[name] = v
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.Header().Set("Last-Modified", o.at.UTC().Format(http.TimeFormat))
	w.Header().Set("Accept-Ranges", "bytes")
	from, to, status := 0, len(o.bytes), http.StatusOK
	if text := r.Header.Get("Range"); text != "" && !f.WholeRange {
		var ok bool
		if from, to, ok = parseRange(text, len(o.bytes)); !ok {
			return refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "%s of %d bytes", text, len(o.bytes))
		}
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(o.bytes)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(o.bytes[from:to]) // a client that left is its own affair
	}
	return nil
}

// parseRange reads one range (RFC 9110 §14.1.2): from–to exclusive.
func parseRange(text string, size int) (from, to int, ok bool) {
	a, b, found := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	if !found {
		return 0, 0, false
	}
	if a == "" {
		n, err := strconv.Atoi(b)
		return max(0, size-n), size, err == nil && n > 0
	}
	from, err := strconv.Atoi(a)
	to = size
	if err == nil && b != "" {
		to, err = strconv.Atoi(b)
		to = min(to+1, size)
	}
	return from, to, err == nil && from < size && from < to
}

func (s *Server) deleteObject(w http.ResponseWriter, r *http.Request, bucket, key string, _ Fault) *apiError {
	if _, err := authorize(r); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.buckets[bucket], key)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pageSize is how many keys one answer lists: few, so that tests turn pages.
const pageSize = 100

func (s *Server) listObjects(w http.ResponseWriter, r *http.Request, bucket, _ string, f Fault) *apiError {
	if _, err := authorize(r); err != nil {
		return err
	}
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[bucket] == nil {
		return refuse(http.StatusNotFound, "NoSuchBucket", "no bucket %s", bucket)
	}
	newest := s.seq
	var keys []string
	for k, o := range s.buckets[bucket] {
		if strings.HasPrefix(k, q.Get("prefix")) && k > q.Get("continuation-token") && k > q.Get("start-after") && o.seq <= newest-f.Stale {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	type content struct {
		Key, LastModified, ETag string
		Size                    int
	}
	answer := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name, Prefix          string
		KeyCount, MaxKeys     int
		IsTruncated           bool
		EncodingType          string
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
	}{Name: bucket, MaxKeys: pageSize, EncodingType: "url", Prefix: url.QueryEscape(q.Get("prefix"))}
	if len(keys) > pageSize {
		keys = keys[:pageSize]
		answer.IsTruncated = true
		answer.NextContinuationToken = keys[pageSize-1]
	}
	for _, k := range keys {
		o := s.buckets[bucket][k]
		answer.Contents = append(answer.Contents, content{url.QueryEscape(k), o.at.UTC().Format(time.RFC3339), `"` + o.etag + `"`, len(o.bytes)})
	}
	answer.KeyCount = len(keys)
	return writeXML(w, answer)
}

func writeXML(w http.ResponseWriter, v any) *apiError {
	b, err := xml.Marshal(v)
	if err != nil {
		return refuse(http.StatusInternalServerError, "InternalError", "%v", err)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b) // a client that left is its own affair
	return nil
}

func (s *Server) createUpload(w http.ResponseWriter, r *http.Request, bucket, key string, _ Fault) *apiError {
	if _, err := readBody(r); err != nil {
		return err
	}
	s.mu.Lock()
	s.seq++
	id := fmt.Sprintf("upload-%d", s.seq)
	s.uploads[id] = &upload{bucket, key, metaOf(r), map[int]*object{}}
	s.mu.Unlock()
	return writeXML(w, struct {
		XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket, Key, UploadId string
	}{Bucket: bucket, Key: key, UploadId: id})
}

// upload gives the open upload that r names. The caller holds mu.
func (s *Server) upload(r *http.Request, bucket, key string) (string, *upload, *apiError) {
	id := r.URL.Query().Get("uploadId")
	u := s.uploads[id]
	if u == nil || u.bucket != bucket || u.key != key {
		return id, nil, refuse(http.StatusNotFound, "NoSuchUpload", "no upload %s", id)
	}
	return id, u, nil
}

func (s *Server) uploadPart(w http.ResponseWriter, r *http.Request, bucket, key string, _ Fault) *apiError {
	b, err := readBody(r)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if n < 1 || n > 10_000 {
		return refuse(http.StatusBadRequest, "InvalidArgument", "part %d", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, u, err := s.upload(r, bucket, key)
	if err != nil {
		return err
	}
	u.parts[n] = newObject(b, nil)
	w.Header().Set("ETag", `"`+u.parts[n].etag+`"`)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request, bucket, key string, _ Fault) *apiError {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil || len(asked.Part) == 0 {
		return refuse(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, u, err := s.upload(r, bucket, key)
	if err != nil {
		return err
	}
	var whole bytes.Buffer
	sums := md5.New()
	for i, p := range asked.Part {
		o := u.parts[p.PartNumber]
		if o == nil || strings.Trim(p.ETag, `"`) != o.etag || i > 0 && p.PartNumber <= asked.Part[i-1].PartNumber {
			return refuse(http.StatusBadRequest, "InvalidPart", "part %d", p.PartNumber)
		}
		if i < len(asked.Part)-1 && len(o.bytes) < 5<<20 {
			return refuse(http.StatusBadRequest, "EntityTooSmall", "part %d has %d bytes", p.PartNumber, len(o.bytes))
		}
		whole.Write(o.bytes)
		sum, _ := hex.DecodeString(o.etag)
		sums.Write(sum)
	}
	o := newObject(whole.Bytes(), u.meta)
	o.etag = fmt.Sprintf("%x-%d", sums.Sum(nil), len(asked.Part))
	if err := s.commit(r, bucket, key, o); err != nil {
		return err
	}
	delete(s.uploads, id)
	return writeXML(w, struct {
		XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket, Key, ETag string
	}{Bucket: bucket, Key: key, ETag: `"` + o.etag + `"`})
}

func (s *Server) abortUpload(w http.ResponseWriter, r *http.Request, bucket, key string, _ Fault) *apiError {
	if _, err := authorize(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _, err := s.upload(r, bucket, key)
	if err != nil {
		return err
	}
	delete(s.uploads, id)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
