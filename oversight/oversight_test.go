package oversight_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/models"
	"varde/oversight"
	"varde/study"
)

// ledger keeps states of models and counts in memory.
type ledger struct {
	mu      sync.Mutex
	changes []study.ModelChange
	counts  study.Counts
	held    []study.Conflict
	holds   []study.Hold
	belt    belt
}

func (l *ledger) Models(context.Context) ([]study.ModelChange, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := map[study.ModelRef]study.ModelChange{}
	for _, c := range l.changes {
		latest[c.Model] = c
	}
	var all []study.ModelChange
	for _, c := range latest {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b study.ModelChange) int { return strings.Compare(a.Model.String(), b.Model.String()) })
	return all, nil
}

func (l *ledger) SetModel(_ context.Context, c study.ModelChange) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, c)
	return nil
}

func (l *ledger) Conflicts(_ context.Context, state string, _ int) (all []study.Conflict, _ error) {
	for _, c := range l.held {
		if state == "" || c.State == state {
			all = append(all, c)
		}
	}
	return all, nil
}

func (l *ledger) Decide(_ context.Context, id string, accept bool, by, reason string) (study.Conflict, error) {
	for i := range l.held {
		c := &l.held[i]
		if c.ID != id {
			continue
		}
		if c.State != study.ConflictOpen {
			return study.Conflict{}, study.ErrInvalid
		}
		c.State, c.By, c.Reason = study.ConflictDiscarded, by, reason
		if accept {
			c.State = study.ConflictAccepted
		}
		return *c, nil
	}
	return study.Conflict{}, study.ErrNotFound
}

func (l *ledger) Counts(context.Context) (study.Counts, error) { return l.counts, nil }

// last is the latest change of all.
func (l *ledger) last() study.ModelChange {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes[len(l.changes)-1]
}

// tokens are named after the role that they bear.
type tokens struct{}

func (tokens) TokenRole(_ context.Context, h study.Hash) (string, string, error) {
	for _, role := range webui.Roles {
		if h == sha256.Sum256([]byte(role)) {
			return role, "machine " + role, nil
		}
	}
	return "", "", study.ErrNotFound
}

// serve puts the reference models, live, on a site, and gives its first address
// for a browser.
func serve(t *testing.T) (server *httptest.Server, entry string, l *ledger, refs []study.ModelRef) {
	t.Helper()
	now := time.Now()
	l = &ledger{counts: study.Counts{
		Studies: map[study.Status]int{study.Receiving: 2, study.Scoring: 3, study.Reported: 1204},
		Jobs: []study.JobCount{
			{Pool: study.PoolCPU, Lane: study.Stat, State: study.JobRunning, Count: 1, Oldest: now.Add(-3 * time.Second)},
			{Pool: study.PoolCPU, Lane: study.Routine, State: study.JobReady, Count: 38, Oldest: now.Add(-200 * time.Second)},
			{Pool: study.PoolReport, Lane: study.Routine, State: study.JobFailed, Count: 2, Oldest: now.Add(-26 * time.Hour)},
		},
		Deliveries: map[string]int{"waiting": 4, "delivered": 1200, "failed": 1},
	}}
	registry, err := models.Open(t.TempDir(), l)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range models.Reference() {
		card, err := registry.Add(t.Context(), d.CardTOML, d.Network, "setup")
		if err != nil {
			t.Fatal(err)
		}
		if err := registry.Set(t.Context(), card.Ref(), study.ModelLive, "setup", "reference model"); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, card.Ref())
	}
	site, err := webui.New(webui.Options{Tokens: tokens{}, Zone: time.UTC, Notices: oversight.Notices(l, time.UTC)}, oversight.Part())
	if err != nil {
		t.Fatal(err)
	}
	oversight.Pages{Switch: registry, History: l, Counter: l, Disputes: l, Holds: l, Told: l, Crew: l, Line: l, Valve: l, Mender: l, Post: l}.Add(site)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	return server, server.URL + site.Invite(webui.Identity{Name: "A. Dahl", Role: webui.Admin}, time.Hour), l, refs
}

func ask(t *testing.T, method, address, role, kind, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Content-Type", kind)
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+role)
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

func TestModelIsStoppedWithAReason(t *testing.T) {
	server, _, l, refs := serve(t)
	path := server.URL + "/api/v1/models/" + refs[0].String()
	for _, tt := range []struct {
		name, role, path, body string
		want                   int
	}{
		{"by nobody", "", path + "/suspend", `{"reason":"x"}`, 401},
		{"by a reader", webui.Reader, path + "/suspend", `{"reason":"x"}`, 403},
		{"by a reader who writes nonsense", webui.Reader, path + "/suspend", `}`, 403},
		{"without a reason", webui.Quality, path + "/suspend", `{}`, 422},
		{"with an empty reason", webui.Quality, path + "/suspend", `{"reason":"   "}`, 400},
		{"that is not here", webui.Quality, server.URL + "/api/v1/models/none@1/suspend", `{"reason":"x"}`, 404},
		{"with a reason", webui.Quality, path + "/suspend", `{"reason":"too many flags since Monday"}`, 200},
		{"again", webui.Quality, path + "/suspend", `{"reason":"again"}`, 400},
		{"and started", webui.Operator, path + "/promote", `{"reason":"scanner repaired"}`, 200},
		{"and stopped for good", webui.Admin, path + "/withdraw", `{"reason":"replaced"}`, 200},
		{"and never started again", webui.Admin, path + "/promote", `{"reason":"please"}`, 400},
	} {
		if code, body := ask(t, http.MethodPost, tt.path, tt.role, "application/json", tt.body); code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, code, tt.want, body)
		}
	}
	if c := l.last(); c.Model != refs[0] || c.State != study.ModelWithdrawn || c.By != "machine admin" || c.Reason != "replaced" {
		t.Errorf("the last change is %+v", c)
	}
	_, body := ask(t, http.MethodGet, server.URL+"/api/v1/models", webui.Reader, "", "")
	var all []struct {
		Model, Version, State, By, Reason string
		SHA                               string `json:"model_sha256"`
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != len(refs) {
		t.Fatal(err, body)
	}
	for _, m := range all {
		want := "live"
		if m.Model == refs[0].ID {
			want = "withdrawn"
		}
		if m.State != want || len(m.SHA) != 64 {
			t.Errorf("%+v", m)
		}
	}
}

func TestModelsPage(t *testing.T) {
	server, _, l, refs := serve(t)
	code, body := ask(t, http.MethodGet, server.URL+"/models", webui.Reader, "", "")
	if code != 200 || strings.Contains(body, "Stop or start") {
		t.Error(code, "a reader sees the switch")
	}
	for _, ref := range refs {
		if !strings.Contains(body, ref.String()) || !strings.Contains(body, ref.SHA256.String()) {
			t.Errorf("%s is not whole on the page", ref)
		}
	}
	form := url.Values{"verb": {"suspend"}, "reason": {"drift <b>"}}.Encode()
	path := server.URL + "/models/" + refs[1].String() + "/state"
	const kind = "application/x-www-form-urlencoded"
	for role, want := range map[string]int{"": 401, webui.Reader: 403, webui.Auditor: 403} {
		if code, _ := ask(t, http.MethodPost, path, role, kind, form); code != want {
			t.Errorf("%q: %d", role, code)
		}
	}
	if code, body := ask(t, http.MethodPost, path, webui.Quality, kind, form); code != 303 {
		t.Error(code, body)
	}
	if code, _ := ask(t, http.MethodPost, path, webui.Quality, kind, "verb=explode&reason=x"); code != 400 {
		t.Error(code)
	}
	if c := l.last(); c.State != study.ModelSuspended || c.By != "machine quality" {
		t.Errorf("%+v", c)
	}
	_, body = ask(t, http.MethodGet, server.URL+"/models?saved=1", webui.Quality, "", "")
	for _, want := range []string{"Suspended", "by machine quality", "drift &lt;b&gt;", "Done.", "Make live"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestOperationsSayWhatFailsFirst(t *testing.T) {
	server, _, l, _ := serve(t)
	code, body := ask(t, http.MethodGet, server.URL+"/operations", webui.Auditor, "", "")
	if code != 200 {
		t.Fatal(code)
	}
	for _, want := range []string{"2 jobs failed for good", "1 report could not be delivered", "The oldest waiting job was made 3 min ago", "1,204"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if code, _ := ask(t, http.MethodGet, server.URL+"/operations", webui.Reader, "", ""); code != 403 {
		t.Errorf("a reader gets %d", code)
	}
	_, body = ask(t, http.MethodGet, server.URL+"/api/v1/operations", webui.Operator, "", "")
	var c struct {
		Studies map[string]int
		Jobs    []struct {
			Lane, State string
			Count       int
		}
		Oldest string `json:"oldest_waiting"`
	}
	if err := json.Unmarshal([]byte(body), &c); err != nil || c.Studies["reported"] != 1204 || len(c.Jobs) != 3 || c.Oldest == "" {
		t.Error(err, body)
	}
	l.counts = study.Counts{}
	_, body = ask(t, http.MethodGet, server.URL+"/operations", webui.Admin, "", "")
	for _, want := range []string{"Nothing fails", "No job waits"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestPagesKeepTheirPromises(t *testing.T) {
	server, entry, l, refs := serve(t)
	b := webuitest.Open(t, 1440, 900, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	b.Go(server.URL + "/models")
	for _, theme := range []string{"light", "dark"} {
		b.Click("button[value=" + theme + "]")
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
		b.Promises()
		b.Shot("models-" + theme)
		b.Go(server.URL + "/operations")
		b.Promises()
		b.Shot("operations-" + theme)
		b.Go(server.URL + "/models")
	}
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish} {
		b.Click("button[value=" + string(lang) + "]")
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
		b.Promises()
	}
	b.Click(".model summary")
	b.Click(".model input[name=reason]")
	b.Keys("drift")
	b.Click(".model button[value=suspend]")
	b.Until(`location.search === '?saved=1'`)
	if c := l.last(); c.State != study.ModelSuspended || c.By != "A. Dahl" || c.Reason != "drift" || !slices.Contains(refs, c.Model) {
		t.Errorf("%+v", c)
	}
}
