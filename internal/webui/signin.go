package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"varde/study"
)

const (
	maxForm   = 64 << 10 // bytes of a form that anyone may send
	yearInSec = 365 * 24 * 3600
)

// Invite makes a path that signs its bearer in as who, once, within the time
// given: "/?k=…". It is how a first sign-in needs no password.
func (s *Site) Invite(who Identity, lasts time.Duration) string {
	return "/?k=" + s.sessions.invite(who, lasts)
}

// identify says who asks: by bearer token, else by session. Nobody is no error;
// a token or session that does not hold is. Of a session comes how its bearer likes
// the pages.
func (s *Site) identify(r *http.Request) (Identity, study.Preference, error) {
	var none study.Preference
	if h := r.Header.Get("Authorization"); h != "" {
		token, ok := strings.CutPrefix(h, "Bearer ")
		if !ok {
			return Identity{}, none, fmt.Errorf("authorization is no bearer token: %w", errUnauthorized)
		}
		who, err := s.bearer(r.Context(), hashOf(strings.TrimSpace(token)))
		return who, none, err
	}
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return Identity{}, none, nil
	}
	v, ok, err := s.sessions.find(r.Context(), c.Value)
	if err != nil || !ok {
		return Identity{}, none, err
	}
	if v.token != (study.Hash{}) && s.o.Now().Sub(v.checked) > sessionCheck {
		if v.who, err = s.bearer(r.Context(), v.token); err != nil {
			if errors.Is(err, errUnauthorized) {
				err = errors.Join(err, s.sessions.end(r.Context(), c.Value))
			}
			return Identity{}, none, err
		}
		s.sessions.confirm(c.Value)
	}
	return v.who, v.likes, nil
}

func (s *Site) bearer(ctx context.Context, token study.Hash) (Identity, error) {
	role, name, err := s.o.Tokens.TokenRole(ctx, token)
	if errors.Is(err, study.ErrNotFound) {
		return Identity{}, fmt.Errorf("unknown token: %w", errUnauthorized)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("look the token up: %w", err)
	}
	return Identity{Name: name, Role: role}, nil
}

// cookieName bears the __Host- prefix where the browser can hold us to it.
func (s *Site) cookieName() string {
	if s.o.Secure {
		return "__Host-varde_session"
	}
	return "varde_session"
}

// begin opens a session and leads to a page.
func (s *Site) begin(w http.ResponseWriter, r *http.Request, who Identity, token study.Hash, to string) {
	key, err := s.sessions.start(r.Context(), who, token)
	if err != nil {
		s.Fail(w, r, fmt.Errorf("open a session: %w", err))
		return
	}
	s.setSession(w, key, int(sessionMax.Seconds()))
	s.o.Log.InfoContext(r.Context(), "signed in", "who", who.Name, "role", who.Role)
	s.goOn(w, r, to)
}

func (s *Site) setSession(w http.ResponseWriter, key string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: key, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.o.Secure, SameSite: http.SameSiteStrictMode,
	})
}

// welcome answers to a sign-in link. A browser that only looks ahead must not
// use the key up.
func (s *Site) welcome(w http.ResponseWriter, r *http.Request, key string) {
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		http.Error(w, "not in advance", http.StatusForbidden)
		return
	}
	who, ok := s.sessions.accept(key)
	if !ok {
		if VisitOf(r.Context()).Who.Role != "" {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		s.showSignIn(w, r, http.StatusUnauthorized, "signin.used")
		return
	}
	s.begin(w, r, who, study.Hash{}, "/")
}

// goOn leads to a page of ours by a page of ours: after a redirect that began on
// a foreign page (a link in a mail), a strict cookie would not be sent.
func (s *Site) goOn(w http.ResponseWriter, r *http.Request, to string) {
	l := VisitOf(r.Context()).Lang
	s.Show(w, r, View{Template: "welcome", Title: l.T("signin.title"), Data: map[string]string{"To": to}})
}

func (s *Site) signInPage(w http.ResponseWriter, r *http.Request) {
	if k := r.URL.Query().Get("k"); k != "" {
		s.welcome(w, r, k)
		return
	}
	s.showSignIn(w, r, http.StatusOK, "")
}

func (s *Site) showSignIn(w http.ResponseWriter, r *http.Request, code int, problem string) {
	next := r.URL.RequestURI()
	switch {
	case r.URL.Path == "/sign-in" || r.URL.Query().Has("k"):
		next = local(r.FormValue("next"))
	case r.Method != http.MethodGet:
		next = s.pageAbove(r.URL.Path)
	}
	l := VisitOf(r.Context()).Lang
	data := map[string]string{"Next": next, "Problem": ""}
	if problem != "" {
		data["Problem"] = l.T(problem)
	}
	s.Show(w, r, View{Template: "signin", Title: l.T("signin.title"), Status: code, Data: data})
}

// pageAbove gives the nearest page at or above an address that takes forms: where
// a visitor stood when a form was refused. Forms lie below the page that has them.
func (s *Site) pageAbove(at string) string {
	for ; at != "/" && at != "."; at = path.Dir(at) {
		page := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: at}}
		if _, pattern := s.mux.Handler(page); pattern != "" {
			return (&url.URL{Path: at}).EscapedPath()
		}
	}
	return "/"
}

// signIn exchanges a pasted token for a session.
func (s *Site) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := hashOf(strings.TrimSpace(r.PostFormValue("token")))
	who, err := s.bearer(r.Context(), token)
	if errors.Is(err, errUnauthorized) {
		s.showSignIn(w, r, http.StatusUnauthorized, "signin.unknown")
		return
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.begin(w, r, who, token, local(r.PostFormValue("next")))
}

func (s *Site) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		if err := s.sessions.end(r.Context(), c.Value); err != nil {
			s.Fail(w, r, fmt.Errorf("close the session: %w", err))
			return
		}
	}
	s.setSession(w, "", -1)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// withoutLang takes a language out of an address of ours.
func withoutLang(address string) string {
	u, err := url.Parse(address)
	if err != nil || !u.Query().Has("lang") {
		return address
	}
	q := u.Query()
	q.Del("lang")
	u.RawQuery = q.Encode()
	return u.String()
}
