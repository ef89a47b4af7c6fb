package dicomweb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/study"
)

const (
	// bodyBuffer is between the network and the search for boundaries.
	bodyBuffer = 256 << 10
	// maxParts bounds one request, for its answer is held in memory.
	maxParts = 100_000
	// shortPart is how long a part may be that is read into memory, so that the
	// next one can be read while this one is kept. Most slices are shorter.
	shortPart = 2 << 20
	// partsAtOnce is how many short parts of one request are kept at once: enough
	// for one commit of the ledger to hold many.
	partsAtOnce = 8
	// shortParts bounds them over all requests.
	shortParts = 24
)

// An outcome is what became of a STOW request.
type outcome struct {
	results []*result // in the order of the request's parts
	kept    []ingest.Kept
	failed  []failure
	studies map[study.UID]bool
	broken  error // why no more of the request could be read
}

// A result is what became of one object.
type result struct {
	kept ingest.Kept
	err  error
}

type failure struct {
	ingest.Kept
	err error
}

// add makes room for the next part's result. It stays where it is.
func (o *outcome) add() *result {
	r := &result{}
	o.results = append(o.results, r)
	return r
}

// sort parts what was kept from what was not, and notes whether the request broke
// off.
func (o *outcome) sort() {
	o.studies = map[study.UID]bool{}
	for _, r := range o.results {
		if r.err == nil {
			o.kept = append(o.kept, r.kept)
			o.studies[r.kept.Study] = true
			continue
		}
		o.failed = append(o.failed, failure{r.kept, r.err})
		if o.broken == nil && errors.Is(r.err, ingest.ErrBroken) {
			o.broken = r.err
		}
	}
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
	o := outcome{}
	switch {
	case media == typeMultipart && params["boundary"] != "" && covers(strings.ToLower(params["type"]), typeDICOM):
		s.parts(r, into, params["boundary"], &o)
	case media == typeDICOM:
		s.part(r, into, r.Body, max(0, r.ContentLength), o.add())
	default:
		http.Error(w, "the body must be multipart/related; type=\"application/dicom\" with a boundary, or application/dicom", http.StatusUnsupportedMediaType)
		return
	}
	o.sort()
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

// parts keeps each part of a multipart body. The body is one stream, so a part is
// read into memory while the ones before it are still being kept; a long part is
// kept as it comes.
func (s *Service) parts(r *http.Request, into study.UID, boundary string, o *outcome) {
	var keeping errgroup.Group
	keeping.SetLimit(partsAtOnce)
	defer func() { _ = keeping.Wait() }() // what became of a part stands in its result
	m := multipart.NewReader(bufio.NewReaderSize(r.Body, bodyBuffer), boundary)
	for range maxParts {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			o.broken = fmt.Errorf("read part %d: %w", len(o.results)+1, err)
			return
		}
		media, _ := parseMedia(p.Header.Get("Content-Type"))
		to := o.add()
		if media != "" && media != typeDICOM && media != typeOctets {
			to.err = fmt.Errorf("a part of type %.40q: %w", media, study.ErrInvalid)
			continue
		}
		s.onePart(r, into, &filled{r: p}, to, &keeping)
	}
	o.broken = fmt.Errorf("more than %d parts: %w", maxParts, study.ErrInvalid)
}

// onePart keeps a part beside others when it is short and there is memory for it,
// else by itself.
func (s *Service) onePart(r *http.Request, into study.UID, body *filled, to *result, keeping *errgroup.Group) {
	select {
	case s.short <- struct{}{}:
	default: // others hold it all: a slow client must not make this one wait
		s.part(r, into, body, 0, to)
		return
	}
	buf := s.buffer()
	give := func() { s.buffers.Put(buf); <-s.short }
	n, _ := body.Read(*buf)
	if body.err != io.EOF { // longer, or broken off
		defer give()
		s.part(r, into, io.MultiReader(bytes.NewReader((*buf)[:n]), body), 0, to)
		return
	}
	keeping.Go(func() error {
		defer give()
		s.part(r, into, bytes.NewReader((*buf)[:n]), int64(n), to)
		if errors.Is(to.err, study.ErrBusy) {
			// Another part of the same UID was just being kept. It is by now, so
			// that the two can be compared.
			s.part(r, into, bytes.NewReader((*buf)[:n]), int64(n), to)
		}
		return nil
	})
}

func (s *Service) buffer() *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, shortPart)
	return &b
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
func (s *Service) part(r *http.Request, into study.UID, body io.Reader, size int64, to *result) {
	src := ingest.Source{Kind: "stow", Remote: r.RemoteAddr}
	to.kept, to.err = s.Receiver.Receive(r.Context(), src, ingest.Object{Data: body, Size: size, Study: into})
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
