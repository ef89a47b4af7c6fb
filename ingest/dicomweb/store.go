package dicomweb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/study"
)

const (
	// bodyBuffer is between the network and the search for boundaries.
	bodyBuffer = 256 << 10
	// maxParts bounds one request, for its answer is held in memory.
	maxParts = 100_000
)

// An outcome is what became of a STOW request.
type outcome struct {
	kept    []ingest.Kept
	failed  []failure
	studies map[study.UID]bool
	broken  error // why no more of the request could be read
}

type failure struct {
	ingest.Kept
	err error
}

// store keeps the objects of a STOW-RS request, PS3.18 §10.5: multipart/related,
// or one object as the body.
func (s *Service) store(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	into := study.UID("")
	if text := r.PathValue("study"); text != "" {
		uid, err := study.ParseUID(text)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		into = uid
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		http.Error(w, "a compressed body is not taken", http.StatusUnsupportedMediaType)
		return
	}
	media, params := parseMedia(r.Header.Get("Content-Type"))
	o := outcome{studies: map[study.UID]bool{}}
	switch {
	case media == typeMultipart && params["boundary"] != "" && covers(strings.ToLower(params["type"]), typeDICOM):
		s.parts(r, into, params["boundary"], &o)
	case media == typeDICOM:
		s.part(r, into, r.Body, max(0, r.ContentLength), &o)
	default:
		http.Error(w, "the body must be multipart/related; type=\"application/dicom\" with a boundary, or application/dicom", http.StatusUnsupportedMediaType)
		return
	}
	if s.Ended != nil {
		uids := make([]study.UID, 0, len(o.studies))
		for uid := range o.studies {
			uids = append(uids, uid)
		}
		slices.Sort(uids)
		s.Ended(uids...)
	}
	s.Log.InfoContext(r.Context(), "STOW request taken", "remote", r.RemoteAddr, "stored", len(o.kept), "refused", len(o.failed),
		"took", time.Since(began).Round(time.Millisecond))
	s.answer(w, r, into, &o)
}

// parts keeps each part of a multipart body.
func (s *Service) parts(r *http.Request, into study.UID, boundary string, o *outcome) {
	m := multipart.NewReader(bufio.NewReaderSize(r.Body, bodyBuffer), boundary)
	for range maxParts {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			o.broken = fmt.Errorf("read part %d: %w", len(o.kept)+len(o.failed)+1, err)
			return
		}
		media, _ := parseMedia(p.Header.Get("Content-Type"))
		if media != "" && media != typeDICOM && media != typeOctets {
			o.failed = append(o.failed, failure{err: fmt.Errorf("a part of type %.40q: %w", media, study.ErrInvalid)})
			continue
		}
		if s.part(r, into, &filled{r: p}, 0, o); o.broken != nil {
			return
		}
	}
	o.broken = fmt.Errorf("more than %d parts: %w", maxParts, study.ErrInvalid)
}

// filled fills what it is given. A part of a multipart body comes in pieces of
// 4 KiB, and each would wake all who read along.
type filled struct {
	r   io.Reader
	err error
}

// Read gives less than len(p) only at the end.
func (f *filled) Read(p []byte) (n int, err error) {
	for n < len(p) && f.err == nil {
		m, err := f.r.Read(p[n:])
		n, f.err = n+m, err
	}
	if n == 0 {
		return 0, f.err
	}
	return n, nil
}

// part keeps one object.
func (s *Service) part(r *http.Request, into study.UID, body io.Reader, size int64, o *outcome) {
	src := ingest.Source{Kind: "stow", Remote: r.RemoteAddr}
	kept, err := s.Receiver.Receive(r.Context(), src, ingest.Object{Data: body, Size: size, Study: into})
	if err != nil {
		o.failed = append(o.failed, failure{kept, err})
		if errors.Is(err, ingest.ErrBroken) {
			o.broken = err
		}
		return
	}
	o.kept = append(o.kept, kept)
	o.studies[kept.Study] = true
}

// answer tells what became of each object, PS3.18 §10.5.3 and §I.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, into study.UID, o *outcome) {
	base := s.base(r)
	var stored, failed, others []record
	for _, k := range o.kept {
		item := record{}
		item.set(dicom.ReferencedSOPClassUID, "UI", k.Class)
		item.set(dicom.ReferencedSOPInstanceUID, "UI", k.Instance)
		item.set(dicom.RetrieveURL, "UR", instanceURL(base, k.Study, k.Series, k.Instance))
		stored = append(stored, item)
	}
	busy := len(o.failed) > 0
	for _, f := range o.failed {
		item := record{}
		item.set(dicom.FailureReason, "US", int(ingest.StatusOf(f.err)))
		busy = busy && errors.Is(f.err, study.ErrBusy)
		if f.Instance == "" || f.Class == "" {
			others = append(others, item)
			continue
		}
		item.set(dicom.ReferencedSOPClassUID, "UI", f.Class)
		item.set(dicom.ReferencedSOPInstanceUID, "UI", f.Instance)
		failed = append(failed, item)
	}
	all := record{}
	switch {
	case into != "":
		all.set(dicom.RetrieveURL, "UR", base+"/studies/"+string(into))
	case len(o.studies) == 1:
		all.set(dicom.RetrieveURL, "UR", base+"/studies/"+string(o.kept[0].Study))
	}
	all.items(dicom.FailedSOPSequence, failed)
	all.items(dicom.ReferencedSOPSequence, stored)
	all.items(otherFailuresSequence, others)
	code := http.StatusOK
	switch {
	case o.broken != nil, len(o.kept)+len(o.failed) == 0:
		code = http.StatusBadRequest
	case len(o.kept) == 0 && busy:
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "10")
	case len(o.kept) == 0:
		code = http.StatusConflict
	case len(o.failed) > 0:
		code = http.StatusAccepted
	}
	_ = writeJSON(w, code, all) // when the client is gone, it will ask again
}
