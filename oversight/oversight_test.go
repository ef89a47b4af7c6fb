package oversight_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/models"
	"varde/oversight"
	"varde/store"
	"varde/study"
)

// ledger is a real one for what is decided of models, and keeps counts in memory.
type ledger struct {
	*store.Ledger
	t      testing.TB
	models *models.Registry
	counts study.Counts
	held   []study.Conflict
	holds  []study.Hold
	belt   belt
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

// last is the latest change of a model.
func (l *ledger) last(ref study.ModelRef) study.ModelChange {
	l.t.Helper()
	all, err := l.ModelHistory(l.t.Context(), ref)
	if err != nil || len(all) == 0 {
		l.t.Fatal(all, err)
	}
	return all[len(all)-1]
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
	real, err := store.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close() })
	l = &ledger{Ledger: real, t: t, counts: study.Counts{
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
	l.models = registry
	if err := registry.AddReference(t.Context(), "setup"); err != nil {
		t.Fatal(err)
	}
	entries, err := registry.Cards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		refs = append(refs, e.Card.Ref())
	}
	site, err := webui.New(webui.Options{Tokens: tokens{}, Zone: time.UTC, Notices: oversight.Notices(l, time.UTC)}, oversight.Parts()...)
	if err != nil {
		t.Fatal(err)
	}
	oversight.Pages{Switch: registry, Council: models.Council{Registry: registry, Proposals: l}, Exams: l, History: l, Counter: l, Disputes: l, Holds: l, Told: l, Crew: l, Line: l, Valve: l, Mender: l, Post: l, Watcher: l, Trail: l, Class: func(n int) string { return []string{"stat", "overdue", "at_risk", "pathway", "routine"}[n] }}.Add(site)
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

func TestFirstFiguresAndAuditAreAmongThePages(t *testing.T) {
	server, _, _, _ := serve(t)
	for path, role := range map[string]string{"/quality": webui.Quality, "/quality.csv": webui.Quality, "/audit": webui.Auditor, "/audit.csv": webui.Auditor} {
		for who, want := range map[string]int{role: 200, webui.Reader: 403} {
			if code, _ := ask(t, http.MethodGet, server.URL+path, who, "", ""); code != want {
				t.Errorf("%s: %s gets %d", path, who, code)
			}
		}
	}
}

func TestPagesKeepTheirPromises(t *testing.T) {
	server, entry, l, refs := serve(t)
	silent := l.trial(refs[0])
	seed(t, l, refs[0], silent)
	if _, err := l.ProposeModel(t.Context(), study.ModelChange{Model: silent, State: study.ModelLive, Share: 1000, By: "B. Moe", Reason: "agrees with the old one"}); err != nil {
		t.Fatal(err)
	}
	b := webuitest.Open(t, 1440, 900, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	pages := []string{"/models", "/models/" + refs[0].String(), "/models/" + silent.String(), "/operations"}
	for _, theme := range []string{"light", "dark"} {
		b.Go(server.URL + "/models")
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for i, page := range pages {
			b.Go(server.URL + page)
			webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
			b.Promises()
			b.Shot([]string{"models-", "model-", "trial-", "operations-"}[i] + theme)
		}
	}
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish} {
		b.Go(server.URL + "/models")
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
		b.Promises()
		for _, page := range pages[1:3] {
			b.Go(server.URL + page)
			b.Promises()
		}
		b.Shot("trial-" + string(lang))
	}
	b.Go(server.URL + "/models")
	b.Click(".model summary")
	b.Click(".model input[name=reason]")
	b.Keys("drift")
	b.Click(".model button[value=suspend]")
	b.Until(`location.search === '?saved=1'`)
	if c := l.last(refs[0]); c.State != study.ModelSuspended || c.By != "A. Dahl" || c.Reason != "drift" {
		t.Errorf("%+v", c)
	}
	b.Click("#reason")
	b.Keys("scanner repaired\r") // Enter alone chooses none of the buttons
	if c := l.last(refs[0]); c.State != study.ModelSuspended {
		t.Errorf("Enter moved the model to %s", c.State)
	}
	b.Click(".moves button[value=promote]")
	b.Until(`location.search === '?saved=asked'`)
	if seen := webuitest.Eval[int](b, `document.querySelectorAll('button[value=confirm]').length`); seen != 0 {
		t.Error("who proposed it is offered to confirm it")
	}
	b.Go(server.URL + "/models/" + silent.String())
	b.Click("#decision")
	b.Keys("seen the comparison")
	b.Keys("\t\r") // the next stop is the button that confirms
	b.Until(`location.search === '?saved=1'`)
	if c := l.last(silent); c.State != study.ModelLive || c.By != "B. Moe" || c.Second != "A. Dahl" || c.Share != 1000 {
		t.Errorf("%+v", c)
	}
}
