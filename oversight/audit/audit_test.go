package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/oversight"
	"varde/oversight/audit"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// model is the one that was asked.
var model = study.ModelRef{ID: "nodules", Version: "1", SHA256: study.Hash{7}}

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

// serve puts the page of a real ledger on a site with the styles of oversight's, and
// gives its first address for a browser.
func serve(t *testing.T) (server *httptest.Server, entry string, l *store.Ledger) {
	t.Helper()
	l, err := store.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	site, err := webui.New(webui.Options{Tokens: tokens{}, Zone: time.UTC}, oversight.Parts()...)
	if err != nil {
		t.Fatal(err)
	}
	audit.Pages{Trail: l}.Add(site)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	return server, server.URL + site.Invite(webui.Identity{Name: "A. Dahl", Role: webui.Admin}, time.Hour), l
}

// seed has a study scored, told of and read.
func seed(t *testing.T, l *store.Ledger) {
	t.Helper()
	b := &storetest.Bench{Ledger: l, T: t}
	asked := storetest.Asked("ct", 1)
	asked.Model = model
	b.Settle("1.2.1", asked)
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 10) {
		b.OK(l.Conclude(t.Context(), j, storetest.ResultOf(j, study.Flagged, 0.9)))
	}
	b.Report("PACS")
	b.OK(l.MarkRead(t.Context(), "1.2.1", "K. Lund", "agree"))
}

func ask(t *testing.T, method, address, role string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Authorization", "Bearer "+role)
	a, err := http.DefaultClient.Do(r)
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

func TestAuditIsReadByStudyPersonAndModel(t *testing.T) {
	server, _, l := serve(t)
	seed(t, l)
	shown := study.Shown{Lang: "en", Build: "test", Results: []study.ShownResult{{Model: model.String(), SHA256: model.SHA256, AI: study.Flagged, Protocol: "second_look",
		Lines: []string{"Flagged", "Of 100 studies with a score like this about 31 had a confirmed finding."}}}}
	for _, step := range []study.ReadingStep{
		{Study: "1.2.1", By: "K. Lund", Step: study.StepOwn, Verdict: "none"},
		{Study: "1.2.1", By: "K. Lund", Step: study.StepShown, Shown: &shown},
		{Study: "1.2.1", By: "K. Lund", Step: study.StepFinal, Verdict: "agree", Text: "a word about the patient"},
	} {
		if err := l.Answer(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	for role, want := range map[string]int{webui.Reader: 403, webui.Quality: 403, webui.Operator: 403, webui.Auditor: 200, webui.Admin: 200} {
		for _, path := range []string{"/audit", "/audit.csv"} {
			if code, _ := ask(t, http.MethodGet, server.URL+path, role); code != want {
				t.Errorf("%s: %s gets %d", path, role, code)
			}
		}
	}
	_, body := ask(t, http.MethodGet, server.URL+"/audit?study=1.2.1", webui.Auditor)
	for _, want := range []string{"Own read recorded", "AI shown", "about 31 had a confirmed finding", model.SHA256.Short(), "Second look", "Read"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, person := range []string{"Nordmann", "P1.2.1", "a word about the patient"} {
		if strings.Contains(body, person) {
			t.Errorf("an auditor is told of the patient: %s", person)
		}
	}
	if strings.Contains(body, `"/studies/`) {
		t.Error("an auditor is led to a study")
	}
	_, body = ask(t, http.MethodGet, server.URL+"/audit?user=K.+Lund", webui.Auditor)
	if !strings.Contains(body, "AI shown") || strings.Contains(body, "Whole") {
		t.Error("by user")
	}
	_, body = ask(t, http.MethodGet, server.URL+"/audit?model="+model.String(), webui.Auditor)
	if !strings.Contains(body, "AI shown") || strings.Contains(body, "Own read") {
		t.Error("by model")
	}
	if code, _ := ask(t, http.MethodGet, server.URL+"/audit?study=x", webui.Auditor); code != 400 {
		t.Error("a study that is none:", code)
	}
	code, body := ask(t, http.MethodPost, server.URL+"/audit/check", webui.Auditor)
	if code != 200 || !strings.Contains(body, "The chain is whole") || !strings.Contains(body, "Chain checked") {
		t.Error("the chain:", code)
	}
	_, body = ask(t, http.MethodGet, server.URL+"/audit.csv?study=1.2.1", webui.Auditor)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) < 5 || len(rows[1][7]) != 64 {
		t.Error(len(rows), err)
	}
}

func TestOlderRowsOfTheAuditAreAPageAway(t *testing.T) {
	server, _, l := serve(t)
	for n := range 230 {
		if err := l.Audit(t.Context(), "host", fmt.Sprint("deed ", n), "models"); err != nil {
			t.Fatal(err)
		}
	}
	path, seen := "/audit?user=host", 0
	for pages := 0; path != "" && pages < 5; pages++ {
		_, body := ask(t, http.MethodGet, server.URL+path, webui.Auditor)
		seen += strings.Count(body, `class="did">deed`)
		path = ""
		if _, rest, ok := strings.Cut(body, `rel="next"`); ok {
			head := body[:len(body)-len(rest)]
			at := strings.LastIndex(head, `<a href="`)
			path = strings.ReplaceAll(strings.SplitN(head[at+9:], `"`, 2)[0], "&amp;", "&")
		}
	}
	if seen != 230 {
		t.Errorf("%d rows of 230", seen)
	}
}

func TestAuditKeepsItsPromises(t *testing.T) {
	server, entry, l := serve(t)
	seed(t, l)
	shown := study.Shown{Lang: "en", Build: "1.0.0", Results: []study.ShownResult{{Model: model.String(), SHA256: model.SHA256, AI: study.Flagged, Protocol: "second_look",
		Lines: []string{"Flagged", "Of 100 studies with a score like this at this hospital, about 31 had a confirmed finding (95 % interval 24–39; n = 1,204, Jan–Jun 2026)."}}}}
	if err := l.Answer(t.Context(), study.ReadingStep{Study: "1.2.1", By: "K. Lund", Step: study.StepOwn, Verdict: "none"},
		study.ReadingStep{Study: "1.2.1", By: "K. Lund", Step: study.StepShown, Shown: &shown}); err != nil {
		t.Fatal(err)
	}
	b := webuitest.Open(t, 1440, 1000, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	for _, theme := range []string{"light", "dark"} {
		b.Go(server.URL + "/audit")
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for _, lang := range slices.Backward(webui.Langs) { // which the page is not in yet
			b.Go(server.URL + "/audit")
			b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
			b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
			name := string(lang) + "-" + theme
			b.Go(server.URL + "/audit?study=1.2.1")
			webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
			b.Promises()
			b.Shot("audit-" + name)
		}
	}
	b.Click(`form[action="/audit/check"] button`)
	b.Until(`document.querySelector('.checked')`)
	b.Promises()
	b.Shot("audit-checked")
	b.Go(server.URL + "/audit")
	b.Click("input[name=user]")
	b.Keys("K. Lund\r")
	b.Until(`location.search.includes('user=K.') && document.querySelectorAll('.trail tbody tr').length === 3`)
}
