// Package webui is the ground that pages and API stand on: layout, assets,
// languages, sign-in, rights. It knows no page's content; that belongs to the
// stages, each of which brings its templates and scripts as a [Part].
//
//	Site.ServeHTTP   every request: headers, who asks, the log
//	Site.Page        one page in the layout, behind a right
//	Site.Handle      anything else behind a right
//	Operate          one operation of the JSON API, and its OpenAPI
//	Site.Invite      a link that signs its bearer in, once
//
// Whoever is not signed in sees /healthz, the sign-in page and its stylesheet,
// and nothing else. No page names another host, runs inline script, or makes
// script out of text: the policy in the headers forbids all three.
package webui

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"varde/internal/words"
	"varde/study"
)

// Tokens knows bearer tokens by the SHA-256 of their text, never by the text.
type Tokens interface {
	// TokenRole gives the role and the bearer's name. An unknown token is an
	// error of kind [study.ErrNotFound].
	TokenRole(ctx context.Context, token study.Hash) (role, name string, err error)
}

// Sessions keep the sessions of browsers, by the hash of their keys.
type Sessions interface {
	AddSession(ctx context.Context, t study.Token) error
	// Session gives what AddSession kept, or an error of kind
	// [study.ErrNotFound].
	Session(ctx context.Context, key study.Hash) (study.Token, error)
	DropToken(ctx context.Context, key study.Hash, by string) error
}

// Preferences keep how each person likes the pages.
type Preferences interface {
	// Preference gives what SetPreference kept under a name; what nobody has set is
	// empty.
	Preference(ctx context.Context, name string) (study.Preference, error)
	SetPreference(ctx context.Context, name string, p study.Preference) error
}

// A Part is what one stage brings: its pages' templates (*.html, each of which
// defines "content" and may define "head"; those whose names begin with shared_ are
// shared by its other ones), its scripts and styles, and its places in the
// navigation.
type Part struct {
	Templates fs.FS
	Static    fs.FS
	Nav       []Nav
}

// A Nav is a place in the navigation, shown to whoever has the right.
type Nav struct {
	Path  string
	Label string // locale key
	Right Right
}

// Options are what a site depends on. Tokens is needed; the zero values of the
// rest are sensible.
type Options struct {
	Tokens   Tokens
	Sessions Sessions // nil: a restart signs everyone out
	// Preferences keep each person's settings; nil: a browser's cookies do.
	Preferences Preferences
	Log         *slog.Logger // nil: silent
	Version     string       // of Varde, for the API's description
	Demo        bool         // the bar on top says that all data are synthetic
	Secure      bool         // the site is reached over TLS: cookies say so
	// Notices gives what every page must say on top, such as that AI is paused.
	// nil: nothing.
	Notices func(context.Context, Visit) []string
	Embed   []string         // origins that may frame the pages, such as a PACS; none by default
	Zone    *time.Location   // in which times are shown; nil: the machine's
	Now     func() time.Time // nil: time.Now
}

// A Site is one HTTP handler for all pages and the API. Pages, handlers and
// operations are added before it serves; after that it is safe for concurrent
// use.
type Site struct {
	o        Options
	mux      *http.ServeMux
	api      huma.API
	csrf     *http.CrossOriginProtection
	pages    map[string]*template.Template
	assets   assets
	nav      []Nav
	open     map[string]bool // patterns that need no sign-in
	faults   []faults
	sessions sessions
	ending   chan struct{} // closed when streams must end
	endOnce  sync.Once
}

// New puts a site together. Faults in a template, a catalog or an asset come out
// here.
func New(o Options, parts ...Part) (*Site, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	s := &Site{o: o, mux: http.NewServeMux(), csrf: http.NewCrossOriginProtection(), open: map[string]bool{}, ending: make(chan struct{})}
	s.sessions.now, s.sessions.kept, s.sessions.likes = o.Now, o.Sessions, o.Preferences
	if err := words.Check(); err != nil {
		return nil, err
	}
	statics := []fs.FS{sub(files, "static")}
	for _, p := range parts {
		s.nav = append(s.nav, p.Nav...)
		if p.Static != nil {
			statics = append(statics, p.Static)
		}
	}
	var err error
	if s.assets, err = loadAssets(statics); err != nil {
		return nil, err
	}
	if err := s.loadPages(parts); err != nil {
		return nil, err
	}
	s.api = newAPI(s.mux, o.Version)
	s.routes()
	return s, nil
}

// routes adds what every site has.
func (s *Site) routes() {
	s.Open("GET "+s.assets.prefix(), http.HandlerFunc(s.serveAsset))
	s.Open("GET /sign-in", http.HandlerFunc(s.signInPage))
	s.Open("POST /sign-in", http.HandlerFunc(s.signIn))
	s.Page("GET /settings", SignedIn, s.settingsPage)
	s.Open("POST /settings", http.HandlerFunc(s.settings))
	s.Handle("POST /sign-out", SignedIn, http.HandlerFunc(s.signOut))
}

// Open adds a handler that needs no sign-in. It is meant for /healthz.
func (s *Site) Open(pattern string, h http.Handler) {
	s.open[pattern] = true
	s.mux.Handle(pattern, h)
}

// Handle adds a handler that only those with the right reach; others get 401 or
// 403. The pattern is one of [http.ServeMux].
func (s *Site) Handle(pattern string, right Right, h http.Handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if !VisitOf(r.Context()).Who.May(right) {
			s.Fail(w, r, fmt.Errorf("%s: %w", r.URL.Path, errForbidden))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Ending is closed when the server is about to end. A handler whose answer has no
// end of its own, such as a stream of events, returns then.
func (s *Site) Ending() <-chan struct{} { return s.ending }

// EndStreams closes [Site.Ending]. It is meant for
// [http.Server.RegisterOnShutdown]: otherwise a shutdown waits for every list
// that is open in a browser.
func (s *Site) EndStreams() { s.endOnce.Do(func() { close(s.ending) }) }

// A View is what a page shows: a template of one of the parts by its file's
// name without .html, and the data for it, which the template sees as .Data.
type View struct {
	Template string
	Title    string // in the reader's language
	Data     any
	Status   int  // 0 = 200
	Wide     bool // the page uses the whole window and scrolls inside
}

// Page adds a page. An error becomes the page that [Site.Fail] shows.
func (s *Site) Page(pattern string, right Right, h func(r *http.Request) (View, error)) {
	s.Handle(pattern, right, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		s.Show(w, r, v)
	}))
}

// answers is the one table from our errors to HTTP. Whatever it does not list is
// internal: the log has the cause, the visitor only that something went wrong.
var answers = []struct {
	err    error
	status int
}{
	{errForbidden, http.StatusForbidden},
	{errUnauthorized, http.StatusUnauthorized},
	{study.ErrNotFound, http.StatusNotFound},
	{study.ErrUnsupported, http.StatusUnsupportedMediaType},
	{study.ErrInvalid, http.StatusBadRequest},
	{study.ErrIncomplete, http.StatusConflict},
	{study.ErrWithheld, http.StatusConflict},
	{study.ErrRefused, http.StatusConflict},
	{study.ErrBusy, http.StatusServiceUnavailable},
}

var (
	errForbidden    = errors.New("not allowed for this role")
	errUnauthorized = errors.New("not signed in")
)

// status is the HTTP status of an error.
func status(err error) int {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a.status
		}
	}
	return http.StatusInternalServerError
}

// A Fault answers with what went wrong: with an HTTP status, and a text for people that
// may be shown to whoever asked.
type Fault func(w http.ResponseWriter, r *http.Request, code int, detail string)

type faults struct {
	below string
	tell  Fault
}

// Faults has all errors below a path, such as /api2/, told in a form of their own: also
// those that no handler there sees, for whoever is not signed in and where nothing is.
func (s *Site) Faults(below string, tell Fault) {
	s.faults = append(s.faults, faults{below, tell})
}

// Fail answers with an error: as [Site.Faults] says where it says something, else as a
// page to a browser, as problem details (RFC 9457) to everyone else. Of a visitor who has gone away meanwhile, as every page
// does that is left before all of it is there, the log says nothing.
func (s *Site) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	code := status(err)
	if code == http.StatusInternalServerError {
		s.o.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "err", err)
		err = errors.New("internal error")
	}
	s.problem(w, r, code, err.Error())
}

func (s *Site) problem(w http.ResponseWriter, r *http.Request, code int, detail string) {
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="varde"`)
	}
	for _, f := range s.faults {
		if strings.HasPrefix(r.URL.Path, f.below) {
			w.Header().Set("Cache-Control", "no-store")
			f.tell(w, r, code, detail)
			return
		}
	}
	if !wantsPage(r) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		writeJSON(w, huma.ErrorModel{Title: http.StatusText(code), Status: code, Detail: detail})
		return
	}
	if code == http.StatusUnauthorized {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			s.showSignIn(w, r, code, "")
		} else {
			s.showSignIn(w, r, code, "signin.lost")
		}
		return
	}
	l := VisitOf(r.Context()).Lang
	key := fmt.Sprintf("error.%d", code)
	if !l.Has(key) {
		key = "error.500"
	}
	s.Show(w, r, View{Template: "error", Title: l.T(key), Status: code, Data: map[string]string{"Detail": detail}})
}

// wantsPage reports whether the answer is read by a person: a browser that goes
// to an address asks for text/html; scripts and machines don't.
func wantsPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/dicom-web/") && !strings.HasPrefix(r.URL.Path, "/fhir/") &&
		r.Header.Get("Authorization") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// local returns the path to come back to after a form: one of ours, or "/".
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return "/"
	}
	return u.RequestURI()
}
