package quality_test

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/models"
	"varde/models/modelcard"
	"varde/oversight"
	"varde/oversight/quality"
	"varde/study"
)

// A ledger has what was watched.
type ledger struct{ watched []study.Watched }

// Watched is a quarter of a department, drawn by chance: one model in use, one in
// silence, three scanners.
func (l *ledger) Watched(_ context.Context, s study.WatchedSpan) (all []study.Watched, _ error) {
	if l.watched == nil {
		return nil, nil
	}
	for _, w := range l.watched {
		if !w.ReceivedAt.Before(s.From) && w.ReceivedAt.Before(s.To) {
			all = append(all, w)
		}
	}
	return all, nil
}

// A shelf has two models, one in use and one in shadow.
type shelf struct{}

func (shelf) Cards(context.Context) ([]models.Entry, error) {
	return []models.Entry{
		{Card: modelcard.Card{ID: "nodules", Version: "1", SHA256: study.Hash{1}, Name: "Nodules"}, State: study.ModelLive},
		{Card: modelcard.Card{ID: "nodules", Version: "2", SHA256: study.Hash{2}, Name: "Nodules"}, State: study.ModelShadow},
	}, nil
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

// serve puts the page on a site with the styles of oversight's, and gives its first
// address for a browser.
func serve(t *testing.T, l *ledger) (server *httptest.Server, entry string, refs []study.ModelRef) {
	t.Helper()
	site, err := webui.New(webui.Options{Tokens: tokens{}, Zone: time.UTC}, oversight.Parts()...)
	if err != nil {
		t.Fatal(err)
	}
	quality.Pages{Watcher: l, Models: shelf{}, Class: func(n int) string { return []string{"stat", "overdue", "at_risk", "pathway", "routine"}[n] }}.Add(site)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	cards, _ := shelf{}.Cards(t.Context())
	for _, e := range cards {
		refs = append(refs, e.Card.Ref())
	}
	return server, server.URL + site.Invite(webui.Identity{Name: "A. Dahl", Role: webui.Admin}, time.Hour), refs
}

func ask(t *testing.T, address, role string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
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

// department draws n exams of the last ninety days.
func department(live, silent study.ModelRef, n int, now time.Time) (all []study.Watched) {
	chance := rand.New(rand.NewPCG(3, 5))
	at := now.AddDate(0, 0, -88)
	for i := range n {
		at = at.Add(time.Duration(chance.ExpFloat64() * 86 * 24 / float64(n) * float64(time.Hour)))
		if at.After(now.Add(-time.Hour)) {
			break
		}
		p := chance.Float64()
		p *= p
		there := chance.Float64() < p
		w := study.Watched{Study: study.UID(fmt.Sprintf("2.25.%d", 900000+i)), Sender: []string{"CT_OUS_1", "CT_OUS_2", "CT_LAB"}[i%3], Modality: study.CT,
			Class: []int{0, 3, 4, 4, 4}[i%5], Sex: []string{"F", "M", "F", "M", ""}[chance.IntN(5)], Age: 15 + chance.IntN(75), ReceivedAt: at}
		a := study.WatchedAnswer{Model: live, AI: study.NotFlagged, Probability: &p, At: at.Add(time.Minute)}
		switch {
		case i%41 == 0:
			a.AI, a.Probability = study.Failed, nil
		case i%57 == 0:
			a.AI, a.Probability = study.OutOfScope, nil
		case p > 0.6 || i > n-n/9 && p > 0.3:
			a.AI = study.Flagged
		case p > 0.5:
			a.AI = study.Uncertain
		}
		b := study.WatchedAnswer{Model: silent, AI: a.AI, Probability: &p, Shadow: true, At: at.Add(time.Minute)}
		w.Answers = []study.WatchedAnswer{a, b}
		wait := time.Duration(chance.ExpFloat64() * float64(150*time.Minute))
		if a.AI == study.Flagged {
			wait /= 3
		}
		if w.OpenedAt = at.Add(wait); w.OpenedAt.After(now) {
			w.OpenedAt, w.Waiting = time.Time{}, true
			all = append(all, w)
			continue
		}
		w.ReadAt = w.OpenedAt.Add(12 * time.Minute)
		impression := "none"
		if there && chance.Float64() < 0.8 {
			impression = "suspicious"
		}
		last := study.WatchedStep{Step: study.StepFinal, Reader: 1, Verdict: "agree", At: w.ReadAt}
		switch {
		case a.AI == study.Flagged && !there:
			last.Verdict, last.Wrong = "disagree", []string{"not_there"}
		case a.AI == study.NotFlagged && there:
			last.Verdict, last.Wrong = "disagree", []string{"missed"}
		case chance.IntN(9) == 0:
			last.Verdict, last.Wrong = "changes", []string{"place"}
		}
		w.Steps = []study.WatchedStep{{Step: study.StepOwn, Reader: 1, Verdict: impression, At: w.OpenedAt}, last}
		all = append(all, w)
	}
	return all
}

func TestQualityTellsWhatReadersMadeOfEachModel(t *testing.T) {
	l := &ledger{}
	server, _, refs := serve(t, l)
	code, body := ask(t, server.URL+"/quality", webui.Quality)
	if code != 200 || !strings.Contains(body, "No model was asked in this time") {
		t.Error(code)
	}
	l.watched = department(refs[0], refs[1], 600, time.Now())
	for role, want := range map[string]int{webui.Reader: 403, webui.Auditor: 403, webui.Monitor: 403, webui.Quality: 200, webui.Operator: 200, webui.Admin: 200} {
		for _, path := range []string{"/quality", "/quality.csv"} {
			if code, _ := ask(t, server.URL+path, role); code != want {
				t.Errorf("%s: %s gets %d", path, role, code)
			}
		}
	}
	_, body = ask(t, server.URL+"/quality", webui.Quality)
	for _, want := range []string{refs[0].String(), "in silence", "local false discovery rate", "Fairness", "Changed after AI shown", "CT_LAB", "Women"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for query, want := range map[string]int{"?model=none@1": 404, "?from=yesterday": 400, "?from=2026-02-01&to=2026-01-01": 400, "?from=2001-01-01": 400, "?model=" + refs[1].String(): 200} {
		if code, _ := ask(t, server.URL+"/quality"+query, webui.Quality); code != want {
			t.Errorf("%s: %d", query, code)
		}
	}
	_, body = ask(t, server.URL+"/quality.csv?model="+refs[0].String(), webui.Quality)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) < 40 {
		t.Fatal(len(rows), err)
	}
	for _, r := range rows[1:] {
		if r[8] != "" && len(r[7]) < 2 && r[7] < "5" {
			t.Errorf("a share of %s: %v", r[7], r)
		}
	}
}

func TestAPercentageIsNeverOfAFew(t *testing.T) {
	l := &ledger{}
	server, _, refs := serve(t, l)
	now := time.Now()
	for i := range 4 {
		l.watched = append(l.watched, study.Watched{Study: study.UID(fmt.Sprint("1.", i)), ReceivedAt: now.Add(-time.Hour), Age: -1,
			Answers: []study.WatchedAnswer{{Model: refs[0], AI: study.Flagged}}})
	}
	_, body := ask(t, server.URL+"/quality", webui.Quality)
	if !strings.Contains(body, "4 of 4") || strings.Contains(body, "100 %") {
		t.Error("four are no hundred per cent")
	}
}

func TestQualityKeepsItsPromises(t *testing.T) {
	l := &ledger{}
	server, entry, refs := serve(t, l)
	l.watched = department(refs[0], refs[1], 900, time.Now())
	b := webuitest.Open(t, 1440, 1000, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	for _, theme := range []string{"light", "dark"} {
		b.Go(server.URL + "/quality")
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for _, lang := range slices.Backward(webui.Langs) { // which the page is not in yet
			b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
			b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
			b.Promises()
			name := string(lang) + "-" + theme
			b.Shot("quality-" + name)
			webuitest.Eval[any](b, `document.querySelector('#weeks').scrollIntoView()`)
			b.Shot("quality-charts-" + name)
			webuitest.Eval[any](b, `document.querySelector('#only').scrollIntoView()`)
			b.Shot("quality-lists-" + name)
		}
	}
}
