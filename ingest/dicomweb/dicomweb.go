// Package dicomweb is the DICOMweb service, PS3.18 §10: objects come in by
// STOW-RS, are searched by QIDO-RS, and go out by WADO-RS as they are stored, our
// own reports among them.
//
//	Service.Handler      the routes, relative to the service's base
//	store, parts         STOW-RS (stow.go): each part of the request is one object of ingest
//	search               QIDO-RS: queries of the ledger
//	seen, visible        what of it whoever asks may see (mask.go)
//	retrieve, metadata   WADO-RS: whole objects, their attributes, frames, bulk data
//	rendered             WADO-RS: pictures for a browser
//	media                what clients write in Content-Type and Accept
//
// Objects stream through: no answer is held in memory, and of a request only a
// few short objects at once.
package dicomweb

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"

	"varde/ingest"
	"varde/study"
)

// A Receiver keeps one object; [ingest.Receiver] is the one that there is.
type Receiver interface {
	Receive(ctx context.Context, src ingest.Source, o ingest.Object) (ingest.Kept, error)
}

// A Finder searches the ledger. Our own reports are found too.
type Finder interface {
	FindStudies(ctx context.Context, q study.Query) ([]study.Match, error)
	FindSeries(ctx context.Context, q study.Query) ([]study.Match, error)
	FindInstances(ctx context.Context, q study.Query) ([]study.Match, error)
}

// A Catalog tells which objects there are and where their frames lie.
type Catalog interface {
	// ObjectsOf gives the objects of a study, or of one of its series when
	// series is not empty; none when there is no such thing.
	ObjectsOf(ctx context.Context, study, series study.UID) ([]study.Instance, error)
	// Instance gives one object, or an error that wraps study.ErrNotFound.
	Instance(ctx context.Context, uid study.UID) (study.Instance, error)
	// Frames gives where the frames of an object lie; it is empty for an object
	// whose frames can't be addressed.
	Frames(ctx context.Context, uid study.UID) (study.Frames, error)
}

// Objects gives the bytes of stored objects.
type Objects interface {
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// A Service answers DICOMweb requests.
type Service struct {
	Receiver Receiver
	Finder   Finder
	Catalog  Catalog
	Objects  Objects
	// Base is the path under which the handler is mounted, without a slash at
	// its end. It stands in the URLs of answers.
	Base string
	// Mask gives which objects of a study whoever asks may see, when not all: those
	// that we wrote are kept from readers who are to answer first. nil keeps nothing
	// back.
	Mask func(ctx context.Context, study study.UID) (seen map[study.UID]bool, all bool, err error)
	// Ended is told the studies of each STOW request when it is over. nil is
	// told nothing.
	Ended func(studies ...study.UID)
	// Charset reads the text of objects that name no character set.
	Charset string
	Log     *slog.Logger

	begin   sync.Once
	drawing chan struct{} // held by whoever decodes pixels
	short   chan struct{} // held for each part of a STOW request that is in memory
	buffers sync.Pool     // of *[]byte, shortPart long
}

// Handler gives the routes, relative to Base.
func (s *Service) Handler() http.Handler {
	s.begin.Do(func() {
		s.drawing = make(chan struct{}, runtime.GOMAXPROCS(0))
		s.short = make(chan struct{}, shortParts)
	})
	m := http.NewServeMux()
	m.HandleFunc("POST /studies", s.store)
	m.HandleFunc("POST /studies/{study}", s.store)
	for path, level := range map[string]level{
		"/studies": studies, "/series": series, "/instances": instances,
		"/studies/{study}/series": series, "/studies/{study}/instances": instances,
		"/studies/{study}/series/{series}/instances": instances,
	} {
		m.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { s.search(w, r, level) })
	}
	for _, path := range []string{
		"/studies/{study}", "/studies/{study}/series/{series}", "/studies/{study}/series/{series}/instances/{instance}",
	} {
		m.HandleFunc("GET "+path, s.retrieve)
		m.HandleFunc("GET "+path+"/metadata", s.metadata)
		m.HandleFunc("GET "+path+"/rendered", s.rendered)
		m.HandleFunc("GET "+path+"/thumbnail", s.thumbnail)
	}
	const instance = "GET /studies/{study}/series/{series}/instances/{instance}"
	m.HandleFunc(instance+"/frames/{frames}", s.frames)
	m.HandleFunc(instance+"/frames/{frames}/rendered", s.rendered)
	m.HandleFunc(instance+"/frames/{frames}/thumbnail", s.thumbnail)
	m.HandleFunc(instance+"/bulkdata/{path...}", s.bulkdata)
	return m
}

// answers is the one place where our errors become HTTP status codes. The first
// that fits counts.
var answers = []struct {
	err  error
	code int
}{
	{errNotAcceptable, http.StatusNotAcceptable},
	{study.ErrNotFound, http.StatusNotFound},
	{study.ErrBusy, http.StatusServiceUnavailable},
	{study.ErrRefused, http.StatusForbidden},
	{study.ErrInvalid, http.StatusBadRequest},
	{study.ErrUnsupported, http.StatusNotAcceptable},
}

// fail answers with an error that came before any byte of the answer.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	for _, a := range answers {
		if errors.Is(err, a.err) {
			code = a.code
			break
		}
	}
	if r.Context().Err() != nil {
		return // nobody listens
	}
	text := err.Error()
	switch code {
	case http.StatusInternalServerError:
		s.Log.ErrorContext(r.Context(), "DICOMweb request failed", "method", r.Method, "route", r.Pattern, "err", err)
		text = "internal error"
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "10")
		text = "busy: try again later"
	}
	http.Error(w, text, code)
}

// abort cuts the connection, so that a client takes no half of an answer for a
// whole one.
func (s *Service) abort(r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Log.WarnContext(r.Context(), "DICOMweb answer broken off", "route", r.Pattern, "err", err)
	}
	panic(http.ErrAbortHandler) // net/http's own way to say so
}

// base is the absolute URL of the service, as the client came to it.
func (s *Service) base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host + s.Base
}

func writeJSON(w http.ResponseWriter, code int, v any) error {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(code)
	return json.NewEncoder(w).Encode(v)
}

// instanceURL is where an instance is retrieved.
func instanceURL(base string, study, series, instance study.UID) string {
	return base + "/studies/" + string(study) + "/series/" + string(series) + "/instances/" + string(instance)
}
