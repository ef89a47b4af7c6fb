package webui_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// keys is a ledger of tokens and sessions in memory.
type keys struct {
	mu       sync.Mutex
	tokens   map[study.Hash]study.Token
	sessions map[study.Hash]study.Token
}

func hashOf(s string) study.Hash { return sha256.Sum256([]byte(s)) }

func newKeys() *keys {
	k := &keys{tokens: map[study.Hash]study.Token{}, sessions: map[study.Hash]study.Token{}}
	for _, role := range webui.Roles {
		k.tokens[hashOf(role+"-token")] = study.Token{Role: role, Name: "the " + role}
	}
	return k
}

func (k *keys) TokenRole(_ context.Context, h study.Hash) (string, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok := k.tokens[h]; ok {
		return t.Role, t.Name, nil
	}
	return "", "", fmt.Errorf("token: %w", study.ErrNotFound)
}

func (k *keys) AddSession(_ context.Context, t study.Token) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sessions[t.Hash] = t
	return nil
}

func (k *keys) Session(_ context.Context, h study.Hash) (study.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok := k.sessions[h]; ok {
		return t, nil
	}
	return study.Token{}, fmt.Errorf("session: %w", study.ErrNotFound)
}

func (k *keys) DropToken(_ context.Context, h study.Hash, _ string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.sessions, h)
	return nil
}

func (k *keys) revoke(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, hashOf(token))
}

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A house is a site with two pages, two operations, and a log.
type house struct {
	*httptest.Server
	site  *webui.Site
	keys  *keys
	clock *clock
	likes *likes
	log   *bytes.Buffer
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{keys: newKeys(), likes: &likes{}, clock: &clock{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}, log: &bytes.Buffer{}}
	h.restart(t)
	return h
}

func (h *house) restart(t *testing.T) {
	t.Helper()
	site, err := webui.New(webui.Options{
		Tokens: h.keys, Sessions: h.keys, Preferences: h.likes, Now: h.clock.now, Zone: time.UTC, Version: "test",
		Log: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, webui.Part{
		Templates: fstest.MapFS{
			"hello.html":  {Data: []byte(`{{define "content"}}<h1>{{.Title}}</h1><p id="who">{{.Who.Name}}</p><p>{{.Data}}</p>{{end}}`)},
			"broken.html": {Data: []byte(`{{define "content"}}before{{.Data.Nothing}}{{end}}`)},
		},
		Static: fstest.MapFS{"hello.js": {Data: []byte("export const hello = 1;\n")}},
		Nav:    []webui.Nav{{Path: "/", Label: "nav.worklist", Right: webui.SeeStudies}, {Path: "/operations", Label: "nav.operations", Right: webui.SeeOperations}},
	})
	if err != nil {
		t.Fatal(err)
	}
	site.Open("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	site.Page("GET /{$}", webui.SeeStudies, func(r *http.Request) (webui.View, error) {
		return webui.View{Template: "hello", Title: "Hello", Data: r.URL.Query().Get("q")}, nil
	})
	site.Page("GET /operations", webui.SeeOperations, func(*http.Request) (webui.View, error) {
		return webui.View{Template: "hello", Title: "Operations"}, nil
	})
	site.Page("GET /broken", webui.SeeStudies, func(*http.Request) (webui.View, error) {
		return webui.View{Template: "broken", Data: 1}, nil
	})
	site.Page("GET /panic", webui.SeeStudies, func(*http.Request) (webui.View, error) { panic("Hansen^Kari") })
	site.Page("GET /fails/{how}", webui.SeeStudies, func(r *http.Request) (webui.View, error) {
		return webui.View{}, map[string]error{
			"found": fmt.Errorf("study 1.2: %w", study.ErrNotFound), "busy": fmt.Errorf("x: %w", study.ErrBusy),
			"inside": errors.New("disk /var/lib is on fire"),
		}[r.PathValue("how")]
	})
	site.Handle("POST /operations/{verb}", webui.StopModels, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "done") }))
	site.Handle("POST /act", webui.StopModels, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "done") }))
	type in struct {
		N    int  `query:"n" minimum:"1" default:"1" doc:"how many"`
		Fail bool `query:"fail"`
	}
	type out struct {
		Body struct {
			Who, Role string
			N         int
		}
	}
	webui.Operate(site, webui.Operation{ID: "who", Method: http.MethodGet, Path: "/api/v1/who", Summary: "Who asks", Right: webui.SeeStudies},
		func(ctx context.Context, i *in) (*out, error) {
			if i.Fail {
				return nil, fmt.Errorf("study 1.2: %w", study.ErrNotFound)
			}
			o := &out{}
			v := webui.VisitOf(ctx)
			o.Body.Who, o.Body.Role, o.Body.N = v.Who.Name, v.Who.Role, i.N
			return o, nil
		})
	if h.Server != nil {
		h.Server.Close()
	}
	h.site, h.Server = site, httptest.NewServer(site)
	t.Cleanup(h.Server.Close)
}

// ask sends a request with headers in pairs and gives status, headers and body.
func (h *house) ask(t *testing.T, c *http.Client, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(b)
}

// browser is a client that keeps cookies, asks for pages, and follows no redirect.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

const page = "text/html,application/xhtml+xml"

func TestOnlyHealthIsOpen(t *testing.T) {
	h := open(t)
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/healthz", 200},
		{"GET", "/sign-in", 200},
		{"GET", "/", 401},
		{"GET", "/operations", 401},
		{"GET", "/nothing/here", 401},
		{"GET", "/api/v1/who", 401},
		{"GET", "/api/v1/openapi.json", 401},
		{"GET", "/api/v1/schemas/x.json", 401},
		{"POST", "/act", 401},
		{"POST", "/sign-out", 401},
		{"POST", "/healthz", 401},
	} {
		a, _ := h.ask(t, http.DefaultClient, tt.method, tt.path, "")
		if a.StatusCode != tt.want {
			t.Errorf("%s %s: %s, want %d", tt.method, tt.path, a.Status, tt.want)
		}
		if tt.want == 401 && a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s does not say how to sign in", tt.method, tt.path)
		}
	}
}

func TestRightsOfEachRole(t *testing.T) {
	h := open(t)
	for _, tt := range []struct {
		role                      string
		studies, operations, stop int
	}{
		{webui.Reader, 200, 403, 403},
		{webui.Quality, 200, 200, 200},
		{webui.Operator, 200, 200, 200},
		{webui.Admin, 200, 200, 200},
		{webui.Auditor, 403, 200, 403},
		{webui.System, 200, 403, 403},
		{webui.Monitor, 403, 403, 403},
	} {
		bearer := []string{"Authorization", "Bearer " + tt.role + "-token"}
		for _, one := range []struct {
			method, path string
			want         int
		}{
			{"GET", "/", tt.studies}, {"GET", "/api/v1/who", tt.studies}, {"GET", "/operations", tt.operations}, {"POST", "/act", tt.stop},
			{"GET", "/api/v1/openapi.json", 200}, {"GET", "/nothing", 404}, {"DELETE", "/operations", 405}, {"GET", "/api/v1/nothing", 404},
		} {
			a, body := h.ask(t, http.DefaultClient, one.method, one.path, "", bearer...)
			if a.StatusCode != one.want {
				t.Errorf("%s: %s %s: %s, want %d: %s", tt.role, one.method, one.path, a.Status, one.want, body)
			}
		}
	}
	if a, _ := h.ask(t, http.DefaultClient, "GET", "/", "", "Authorization", "Bearer wrong"); a.StatusCode != 401 {
		t.Errorf("wrong token: %s", a.Status)
	}
	if a, _ := h.ask(t, http.DefaultClient, "GET", "/", "", "Authorization", "Basic YTpi"); a.StatusCode != 401 {
		t.Errorf("password: %s", a.Status)
	}
	if (webui.Identity{Role: "stranger"}).May(webui.SeeStudies) || (webui.Identity{}).May(webui.SignedIn) {
		t.Error("an unknown role, or nobody, has rights")
	}
}

func TestAddressThatIsNoTextIsRefused(t *testing.T) {
	h := open(t)
	bearer := []string{"Authorization", "Bearer " + webui.Reader + "-token"}
	for path, want := range map[string]int{
		"/?q=%00": 400, "/?q=%c3%28": 400, "/?%ff=1": 400, "/api/v1/who?x=%00": 400, "/?q=Bl%C3%A5b%C3%A6r": 200,
	} {
		a, body := h.ask(t, http.DefaultClient, "GET", path, "", bearer...)
		if a.StatusCode != want || want == 400 && !strings.Contains(body, "UTF-8") {
			t.Errorf("%s: %s, want %d: %s", path, a.Status, want, body)
		}
	}
}

func TestSignInLinkWorksOnce(t *testing.T) {
	h := open(t)
	link := h.site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Reader}, time.Minute)
	if a, _ := h.ask(t, browser(t), "GET", link, "", "Accept", page, "Sec-Purpose", "prefetch;prerender"); a.StatusCode != 403 {
		t.Errorf("a browser that looks ahead gets %s", a.Status)
	}
	first, second := browser(t), browser(t)
	a, body := h.ask(t, first, "GET", link, "", "Accept", page)
	if a.StatusCode != 200 || !strings.Contains(body, `http-equiv="refresh"`) {
		t.Fatal(a.Status, body)
	}
	cookie := a.Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	if a, body := h.ask(t, first, "GET", "/", "", "Accept", page); a.StatusCode != 200 || !strings.Contains(body, "K. Hansen") {
		t.Error(a.Status, body)
	}
	if a, _ := h.ask(t, second, "GET", link, "", "Accept", page); a.StatusCode != 401 {
		t.Errorf("the second use: %s", a.Status)
	}
	if a, _ := h.ask(t, first, "GET", link, "", "Accept", page); a.StatusCode != 303 {
		t.Errorf("who is signed in already: %s", a.Status)
	}
	late := h.site.Invite(webui.Identity{Name: "late", Role: webui.Reader}, time.Minute)
	h.clock.pass(2 * time.Minute)
	if a, _ := h.ask(t, second, "GET", late, "", "Accept", page); a.StatusCode != 401 {
		t.Errorf("an expired link: %s", a.Status)
	}
}

func signIn(t *testing.T, h *house, token string) *http.Client {
	t.Helper()
	c := browser(t)
	a, body := h.ask(t, c, "POST", "/sign-in", url.Values{"token": {token}, "next": {"/operations"}}.Encode(), "Accept", page, "Sec-Fetch-Site", "same-origin")
	if a.StatusCode != 200 || !strings.Contains(body, `url=/operations`) {
		t.Fatal(a.Status, body)
	}
	return c
}

func TestSessionLastsAndEnds(t *testing.T) {
	seen := func(h *house, c *http.Client) int {
		a, _ := h.ask(t, c, "GET", "/", "", "Accept", page)
		return a.StatusCode
	}
	t.Run("it outlives a restart", func(t *testing.T) {
		h := open(t)
		c := signIn(t, h, "admin-token")
		u, err := url.Parse(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		cookies := c.Jar.Cookies(u)
		h.restart(t)
		if u, err = url.Parse(h.URL); err != nil {
			t.Fatal(err)
		}
		c.Jar.SetCookies(u, cookies)
		if got := seen(h, c); got != 200 {
			t.Errorf("after a restart: %d", got)
		}
		h.keys.revoke("admin-token")
		h.clock.pass(2 * time.Minute)
		if got := seen(h, c); got != 401 {
			t.Errorf("after a restart and the end of its token: %d", got)
		}
	})
	t.Run("it ends with its token", func(t *testing.T) {
		h := open(t)
		c := signIn(t, h, "admin-token")
		h.keys.revoke("admin-token")
		h.clock.pass(2 * time.Minute)
		if got := seen(h, c); got != 401 {
			t.Error(got)
		}
	})
	t.Run("it ends when nobody uses it", func(t *testing.T) {
		h := open(t)
		c := signIn(t, h, "admin-token")
		h.clock.pass(119 * time.Minute)
		if got := seen(h, c); got != 200 {
			t.Error(got)
		}
		h.clock.pass(121 * time.Minute)
		if got := seen(h, c); got != 401 {
			t.Error(got)
		}
	})
	t.Run("it ends after a shift", func(t *testing.T) {
		h := open(t)
		c := signIn(t, h, "admin-token")
		for range 7 {
			h.clock.pass(110 * time.Minute)
			seen(h, c)
		}
		if got := seen(h, c); got != 401 {
			t.Error(got)
		}
	})
	t.Run("it ends by signing out", func(t *testing.T) {
		h := open(t)
		c := signIn(t, h, "admin-token")
		if a, _ := h.ask(t, c, "POST", "/sign-out", "", "Accept", page, "Sec-Fetch-Site", "same-origin"); a.StatusCode != 303 {
			t.Error(a.Status)
		}
		if got := seen(h, c); got != 401 {
			t.Error(got)
		}
		if len(h.keys.sessions) != 0 {
			t.Error("the ledger still keeps it")
		}
	})
}

// TestWhoWasSignedOutHearsThatTheirFormIsLost: nobody may believe that an answer was
// kept which was not, and the way back leads to the page that had the form.
func TestWhoWasSignedOutHearsThatTheirFormIsLost(t *testing.T) {
	h := open(t)
	for at, next := range map[string]string{"/operations/pause": "/operations", "/act": "/"} {
		a, body := h.ask(t, browser(t), "POST", at, "", "Accept", page, "Sec-Fetch-Site", "same-origin")
		if a.StatusCode != 401 || !strings.Contains(body, "was not kept") || !strings.Contains(body, `name="next" value="`+next+`"`) {
			t.Errorf("%s: %s: %s", at, a.Status, body)
		}
	}
	if a, body := h.ask(t, browser(t), "GET", "/operations", "", "Accept", page); a.StatusCode != 401 || strings.Contains(body, "was not kept") {
		t.Errorf("who only looked: %s: %s", a.Status, body)
	}
}

func TestUnknownTokenDoesNotSignIn(t *testing.T) {
	h := open(t)
	c := browser(t)
	a, body := h.ask(t, c, "POST", "/sign-in", "token=guess&next=//evil.example", "Accept", page)
	if a.StatusCode != 401 || !strings.Contains(body, "not known here") || strings.Contains(body, "evil") {
		t.Error(a.Status, body)
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	h := open(t)
	c := signIn(t, h, "admin-token")
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		if a, _ := h.ask(t, c, "POST", "/act", "", headers...); a.StatusCode != 403 {
			t.Errorf("%v: %s", headers, a.Status)
		}
	}
	if a, _ := h.ask(t, c, "POST", "/act", "", "Sec-Fetch-Site", "same-origin"); a.StatusCode != 200 {
		t.Error(a.Status)
	}
}

func TestEveryAnswerBearsThePolicy(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/healthz", "/", "/sign-in", "/api/v1/who", "/nothing", "/broken", "/panic"} {
		a, _ := h.ask(t, http.DefaultClient, "GET", path, "", "Authorization", "Bearer admin-token")
		policy := a.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

func TestLogHoldsNoQueryAndNoPatient(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/?q=Hansen", "/panic", "/api/v1/who?n=Hansen", h.site.Invite(webui.Identity{Role: webui.Reader}, time.Minute)} {
		h.ask(t, http.DefaultClient, "GET", path, "", "Authorization", "Bearer reader-token")
	}
	log := h.log.String()
	if strings.Contains(log, "Hansen") || strings.Contains(log, "k=") || strings.Contains(log, "reader-token") {
		t.Error(log)
	}
	for _, want := range []string{`"msg":"request answered"`, `"path":"/api/v1/who"`, `"msg":"request broke"`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in %s", want, log)
		}
	}
}

func TestErrorsMeetTheVisitor(t *testing.T) {
	h := open(t)
	for _, tt := range []struct {
		path   string
		status int
		says   string
	}{
		{"/fails/found", 404, "study 1.2: not found"},
		{"/fails/busy", 503, "busy"},
		{"/fails/inside", 500, "internal error"},
		{"/broken", 500, "internal error"},
		{"/panic", 500, "internal error"},
	} {
		for _, accept := range []string{"*/*", page} {
			c := signIn(t, h, "admin-token")
			a, body := h.ask(t, c, "GET", tt.path, "", "Accept", accept)
			if a.StatusCode != tt.status || !strings.Contains(body, tt.says) || strings.Contains(body, "fire") || strings.Contains(body, "before") {
				t.Errorf("%s as %s: %s %s", tt.path, accept, a.Status, body)
			}
		}
	}
}

func TestAssetsAreKeptForEver(t *testing.T) {
	h := open(t)
	c := signIn(t, h, "reader-token")
	_, body := h.ask(t, c, "GET", "/", "", "Accept", page)
	_, rest, ok := strings.Cut(body, `<link rel="stylesheet" href="`)
	css, _, _ := strings.Cut(rest, `"`)
	if !ok || !strings.HasPrefix(css, "/assets/") {
		t.Fatal(body)
	}
	for _, path := range []string{css, strings.Replace(css, "varde.css", "hello.js", 1)} {
		a, text := h.ask(t, http.DefaultClient, "GET", path, "", "Accept-Encoding", "identity")
		if a.StatusCode != 200 || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || len(text) == 0 {
			t.Errorf("%s: %s %v", path, a.Status, a.Header)
		}
		a, packed := h.ask(t, http.DefaultClient, "GET", path, "", "Accept-Encoding", "gzip")
		if a.Header.Get("Content-Encoding") != "gzip" || packed == text {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	if a, _ := h.ask(t, http.DefaultClient, "GET", "/assets/0000/varde.css", ""); a.StatusCode == 200 {
		t.Error("an address of another build is served")
	}
	if a, _ := h.ask(t, c, "GET", "/", "", "Accept", page); a.Header.Get("Cache-Control") != "no-store" {
		t.Error("pages may be kept")
	}
}

func TestLanguageAndThemeAreKept(t *testing.T) {
	h := open(t)
	c := signIn(t, h, "reader-token")
	a, _ := h.ask(t, c, "POST", "/settings", "lang=da&theme=light&next=/?q=x", "Sec-Fetch-Site", "same-origin")
	if a.StatusCode != 303 || a.Header.Get("Location") != "/?q=x" {
		t.Fatal(a.Status, a.Header)
	}
	_, body := h.ask(t, c, "GET", "/", "", "Accept", page, "Accept-Language", "nb")
	for _, want := range []string{`<html lang="da" data-theme="light">`, "Kun beslutningsstøtte", "Arbejdsliste"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	for _, evil := range []string{"//evil.example/x", "https://evil.example", `/\evil.example`, "evil"} {
		a, _ := h.ask(t, c, "POST", "/settings", url.Values{"lang": {"xx"}, "next": {evil}}.Encode())
		if got := a.Header.Get("Location"); got != "/" {
			t.Errorf("%s leads to %s", evil, got)
		}
	}
}

func TestLanguageOfAnAddressGoesBeforeTheChoice(t *testing.T) {
	h := open(t)
	c := signIn(t, h, "reader-token")
	if a, body := h.ask(t, c, "GET", "/?lang=da", "", "Accept", page, "Accept-Language", "nb"); a.StatusCode != 200 || !strings.Contains(body, `<html lang="da"`) {
		t.Error(a.Status, body)
	}
	if _, body := h.ask(t, c, "GET", "/?lang=xx", "", "Accept", page, "Accept-Language", "nb"); !strings.Contains(body, `<html lang="nb"`) {
		t.Error("a language that is none of ours is taken")
	}
	// A choice made on such a page holds: the address loses its language.
	a, _ := h.ask(t, c, "POST", "/settings", url.Values{"lang": {"nb"}, "next": {"/x?lang=da&q=a%26b"}}.Encode(), "Sec-Fetch-Site", "same-origin")
	if got := a.Header.Get("Location"); got != "/x?q=a%26b" {
		t.Errorf("leads to %s", got)
	}
}

func TestAPIAnswersAndDescribesItself(t *testing.T) {
	h := open(t)
	bearer := []string{"Authorization", "Bearer reader-token"}
	a, body := h.ask(t, http.DefaultClient, "GET", "/api/v1/who?n=3", "", bearer...)
	if a.StatusCode != 200 || strings.TrimSpace(body) != `{"Who":"the reader","Role":"reader","N":3}` || a.Header.Get("Cache-Control") != "no-store" {
		t.Error(a.Status, a.Header, body)
	}
	for path, want := range map[string]int{"/api/v1/who?n=0": 422, "/api/v1/who?n=x": 422, "/api/v1/who?fail=true": 404} {
		a, body := h.ask(t, http.DefaultClient, "GET", path, "", bearer...)
		if a.StatusCode != want || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Error(path, a.Status, a.Header, body)
		}
	}
	_, body = h.ask(t, http.DefaultClient, "GET", "/api/v1/openapi.json", "", bearer...)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.Paths["/api/v1/who"]["get"].OperationID != "who" {
		t.Errorf("%v in %s", err, body)
	}
	for _, path := range []string{"/docs", "/api/v1/docs"} {
		if a, _ := h.ask(t, http.DefaultClient, "GET", path, "", bearer...); a.StatusCode != 404 {
			t.Errorf("%s: %s: a documentation page would load foreign script", path, a.Status)
		}
	}
}

func TestFaultsOfPartsComeOutAtTheStart(t *testing.T) {
	for name, part := range map[string]webui.Part{
		"a template that does not parse": {Templates: fstest.MapFS{"x.html": {Data: []byte("{{")}}},
		"two templates of one name":      {Templates: fstest.MapFS{"error.html": {Data: []byte("x")}}},
		"two assets of one name":         {Static: fstest.MapFS{"varde.css": {Data: []byte("x")}}},
	} {
		if _, err := webui.New(webui.Options{Tokens: newKeys()}, part); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
