package webui

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"varde/study"
)

const (
	langCookie    = "varde_lang"
	themeCookie   = "varde_theme"
	keysCookie    = "varde_keys"
	densityCookie = "varde_density"
)

// headers are those of every answer. The policy allows our own origin and
// nothing else; script may be made from no text at all.
func (s *Site) headers(h http.Header) {
	ancestors := "'none'"
	if len(s.o.Embed) > 0 {
		ancestors = strings.Join(s.o.Embed, " ")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
		"img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "+
		"form-action 'self'; frame-ancestors "+ancestors+"; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	if s.o.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// ServeHTTP answers every request, and logs it without its query, which may hold
// a person.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.o.Now()
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	s.headers(w.Header())
	visit := s.visit(r, study.Preference{})
	r = r.WithContext(withVisit(r.Context(), visit))
	s.guarded(rec, r, visit)
	log := s.o.Log.DebugContext
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		log = s.o.Log.InfoContext
	}
	log(r.Context(), "request answered", "method", r.Method, "path", r.URL.Path,
		"status", rec.status, "took", s.o.Now().Sub(began).Round(time.Microsecond))
}

// guarded keeps a fault in one page from being more than that. What the fault
// says stays out of the log, for it may say it with a patient's name.
func (s *Site) guarded(w *recorder, r *http.Request, visit Visit) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault == http.ErrAbortHandler {
			panic(fault)
		}
		s.o.Log.ErrorContext(r.Context(), "request broke", "path", r.URL.Path, "err", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
		if !w.wrote {
			s.problem(w, r, http.StatusInternalServerError, "internal error")
		}
	}()
	s.answer(w, r, visit)
}

func (s *Site) answer(w http.ResponseWriter, r *http.Request, visit Visit) {
	if err := s.csrf.Check(r); err != nil {
		s.problem(w, r, http.StatusForbidden, "the request comes from another site")
		return
	}
	handler, pattern := s.mux.Handler(r)
	who, likes, err := s.identify(r)
	visit = s.visit(r, likes)
	if err != nil && !s.open[pattern] {
		s.Fail(w, r, err)
		return
	}
	visit.Who = who
	r = r.WithContext(withVisit(r.Context(), visit))
	if k := r.URL.Query().Get("k"); k != "" && r.URL.Path == "/" && r.Method == http.MethodGet {
		s.welcome(w, r, k)
		return
	}
	if who.Role == "" && !s.open[pattern] {
		s.Fail(w, r, errUnauthorized)
		return
	}
	if pattern == "" {
		s.nothing(w, r, handler)
		return
	}
	if !legible(r) {
		s.problem(w, r, http.StatusBadRequest, "the address holds bytes that are no text; write it anew, in UTF-8 and without NUL")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// legible tells whether an address is text throughout: PostgreSQL takes neither NUL
// nor bytes that are no UTF-8, and nothing that we know is called so.
func legible(r *http.Request) bool {
	text := func(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
	if !text(r.URL.Path) {
		return false
	}
	for key, values := range r.URL.Query() {
		if !text(key) || slices.ContainsFunc(values, func(v string) bool { return !text(v) }) {
			return false
		}
	}
	return true
}

// nothing answers where no handler is: as the mux would, in our own form.
func (s *Site) nothing(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	probe := &recorder{ResponseWriter: discard{http.Header{}}, status: http.StatusOK}
	handler.ServeHTTP(probe, r)
	if allow := probe.Header().Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
	}
	s.problem(w, r, probe.status, http.StatusText(probe.status))
}

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write notes that the answer has begun.
func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard swallows an answer.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
