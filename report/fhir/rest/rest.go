// Package rest gives results to whoever asks for FHIR resources: it reads and
// searches, in one version of FHIR, and writes nothing.
//
//	Server.ServeHTTP   read, search, metadata; everything else is refused with an OperationOutcome
//	kinds              which types there are, and by what each can be searched
//
// The resources are made from the ledger as they are asked for, so that they say
// what holds now: a result of a model in shadow is not there, one of a model that
// was stopped is entered-in-error, and one that a reader must not see yet is not
// there for this reader. The CapabilityStatement is made from the same table as the
// handlers.
package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"varde/internal/words"
	"varde/report/fhir"
	"varde/report/identity"
	"varde/study"
)

// Cases are the studies with their results in force.
type Cases interface {
	Case(ctx context.Context, uid study.UID) (study.Case, error)
	// Cases gives studies latest first, those behind the filter's After.
	Cases(ctx context.Context, f study.CaseFilter) ([]study.Case, error)
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
}

// Past is what was said before, and by whom it was read.
type Past interface {
	Readings(ctx context.Context, uid study.UID) ([]study.Reading, error)
	// Steps gives what readers did with a study, in that order.
	Steps(ctx context.Context, uid study.UID) ([]study.ReadingStep, error)
	// ResultsOf gives the results of a revision of a study.
	ResultsOf(ctx context.Context, uid study.UID, rev int) ([]study.Result, error)
}

// A Model is what a Device tells of a model.
type Model struct {
	Ref        study.ModelRef
	Name       string // for people
	Regulatory string // what it is in law, by its card
}

// A Server answers in one version of FHIR. It is safe for concurrent use.
type Server struct {
	Version fhir.Version
	Base    string // its path, such as /fhir/r4
	Cases   Cases
	Past    Past
	Lang    words.Lang // empty stands for English
	// Organization answers for the readers; empty where nobody does.
	Organization string
	Device       identity.Device
	// Installation is whose names the resources bear.
	Installation study.Installation
	// Models gives the models that run here, or ran; nil gives no devices of them.
	Models func(ctx context.Context) ([]Model, error)
	// Allowed says whether a model may speak now; an error of kind
	// [study.ErrWithheld] makes its results entered-in-error. nil lets all of them.
	Allowed func(study.ModelRef) error
	// Mask reports that what the AI said of a study must be hidden from whoever
	// asks: then it is as if it were not there. nil hides nothing.
	Mask     func(ctx context.Context, uid study.UID) (hidden bool, err error)
	DICOMweb string         // the path of our DICOMweb; empty gives no Endpoint
	Location *time.Location // for dates and times; nil is the machine's
	Log      *slog.Logger   // nil discards
}

// Kinds of errors that HTTP has and the ledger has not.
var (
	errMethod        = errors.New("not allowed")
	errNotAcceptable = errors.New("not acceptable")
	errMedia         = errors.New("unsupported media type")
)

// answers is the one table from our errors to HTTP and to the codes of an
// OperationOutcome (value set issue-type). Whatever it does not list is internal.
var answers = []struct {
	err    error
	status int
	code   string
}{
	{errMethod, http.StatusMethodNotAllowed, "not-supported"},
	{errNotAcceptable, http.StatusNotAcceptable, "not-supported"},
	{errMedia, http.StatusUnsupportedMediaType, "not-supported"},
	{study.ErrNotFound, http.StatusNotFound, "not-found"},
	{study.ErrUnsupported, http.StatusBadRequest, "not-supported"},
	{study.ErrInvalid, http.StatusBadRequest, "invalid"},
	{study.ErrBusy, http.StatusServiceUnavailable, "transient"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout"},
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept, Prefer")
	if err := s.serve(w, r); err != nil {
		s.fail(w, r, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, s.Base), "/"), "/")
	post := r.Method == http.MethodPost && len(path) == 2 && path[1] == "_search"
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !post {
		w.Header().Set("Allow", "GET, HEAD")
		return fmt.Errorf("%s: this server is for reading: %w", r.Method, errMethod)
	}
	q, err := parameters(r, post)
	if err != nil {
		return err
	}
	if err := s.acceptable(r, q); err != nil {
		return err
	}
	if path[0] == "metadata" && len(path) == 1 {
		return s.metadata(w, r)
	}
	k, ok := kindOf(path[0])
	if !ok {
		return fmt.Errorf("type %.64q is not served here; see %s/metadata: %w", path[0], s.Base, study.ErrNotFound)
	}
	switch {
	case len(path) == 1, post:
		return s.search(w, r, k, q)
	case len(path) == 2:
		return s.read(w, r, k, path[1])
	}
	return fmt.Errorf("history is not kept: %w", study.ErrNotFound)
}

// acceptable holds what the client wants against what there is: JSON of this
// version.
func (s *Server) acceptable(r *http.Request, q query) error {
	ours := func(format string) bool {
		kind, params, _ := strings.Cut(strings.ToLower(strings.TrimSpace(format)), ";")
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "fhirversion="); ok && !strings.HasPrefix(s.Version.Number(), strings.Trim(v, `"`)) {
				return false
			}
		}
		switch strings.TrimSpace(kind) {
		case "json", "application/json", "application/fhir+json", "application/fhir json", "text/json", "*/*", "application/*", "":
			return true
		}
		return false
	}
	if f, ok := q.last("_format"); ok {
		if !ours(f) {
			return fmt.Errorf("_format %.40q; there is only JSON of FHIR %s: %w", f, s.Version.Number(), errNotAcceptable)
		}
		return nil
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	for one := range strings.SplitSeq(accept, ",") {
		if ours(one) {
			return nil
		}
	}
	return fmt.Errorf("there is only %s of FHIR %s: %w", fhir.MediaType, s.Version.Number(), errNotAcceptable)
}

// read answers with one resource.
func (s *Server) read(w http.ResponseWriter, r *http.Request, k kind, id string) error {
	all, err := s.byID(r.Context(), k, id, s.host(r))
	if err != nil {
		return err
	}
	for _, found := range all {
		if fhir.IDOf(found.resource) != id {
			continue
		}
		b, version, err := s.versioned(found)
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("ETag", `W/"`+version+`"`)
		if !found.at.IsZero() {
			h.Set("Last-Modified", found.at.UTC().Format(http.TimeFormat))
		}
		if match := r.Header.Get("If-None-Match"); match != "" && strings.Contains(match, `"`+version+`"`) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		s.give(w, http.StatusOK, b)
		return nil
	}
	return fmt.Errorf("%s/%.64s: %w", k.name, id, study.ErrNotFound)
}

func (s *Server) give(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", fhir.MediaType+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b) // whoever does not take it is gone
}

// fail answers with an OperationOutcome. Of a fault within it says nothing; the log
// has the cause.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, code, text := http.StatusInternalServerError, "exception", "internal error"
	for _, a := range answers {
		if errors.Is(err, a.err) {
			status, code, text = a.status, a.code, err.Error()
			break
		}
	}
	if status == http.StatusInternalServerError && r.Context().Err() == nil && s.Log != nil {
		s.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "err", err)
	}
	give(w, s.Version, status, code, text)
}

// host gives the address at which this client reaches us.
func (s *Server) host(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
