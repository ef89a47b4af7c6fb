package oversight_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

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
	server, _, l, refs := serve(t)
	code, body := ask(t, http.MethodGet, server.URL+"/quality", webui.Quality, "", "")
	if code != 200 || !strings.Contains(body, "No model was asked in this time") {
		t.Error(code)
	}
	l.watched = department(refs[0], refs[1], 600, time.Now())
	for role, want := range map[string]int{webui.Reader: 403, webui.Auditor: 403, webui.Monitor: 403, webui.Quality: 200, webui.Operator: 200, webui.Admin: 200} {
		for _, path := range []string{"/quality", "/quality.csv"} {
			if code, _ := ask(t, http.MethodGet, server.URL+path, role, "", ""); code != want {
				t.Errorf("%s: %s gets %d", path, role, code)
			}
		}
	}
	_, body = ask(t, http.MethodGet, server.URL+"/quality", webui.Quality, "", "")
	for _, want := range []string{refs[0].String(), "in silence", "local false discovery rate", "Fairness", "Changed after AI shown", "CT_LAB", "Women"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for query, want := range map[string]int{"?model=none@1": 404, "?from=yesterday": 400, "?from=2026-02-01&to=2026-01-01": 400, "?from=2001-01-01": 400, "?model=" + refs[1].String(): 200} {
		if code, _ := ask(t, http.MethodGet, server.URL+"/quality"+query, webui.Quality, "", ""); code != want {
			t.Errorf("%s: %d", query, code)
		}
	}
	_, body = ask(t, http.MethodGet, server.URL+"/quality.csv?model="+refs[0].String(), webui.Quality, "", "")
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
	server, _, l, refs := serve(t)
	now := time.Now()
	for i := range 4 {
		l.watched = append(l.watched, study.Watched{Study: study.UID(fmt.Sprint("1.", i)), ReceivedAt: now.Add(-time.Hour), Age: -1,
			Answers: []study.WatchedAnswer{{Model: refs[0], AI: study.Flagged}}})
	}
	_, body := ask(t, http.MethodGet, server.URL+"/quality", webui.Quality, "", "")
	if !strings.Contains(body, "4 of 4") || strings.Contains(body, "100 %") {
		t.Error("four are no hundred per cent")
	}
}

func TestAuditIsReadByStudyPersonAndModel(t *testing.T) {
	server, _, l, refs := serve(t)
	seed(t, l, refs[0])
	shown := study.Shown{Lang: "en", Build: "test", Results: []study.ShownResult{{Model: refs[0].String(), SHA256: refs[0].SHA256, AI: study.Flagged, Protocol: "second_look",
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
			if code, _ := ask(t, http.MethodGet, server.URL+path, role, "", ""); code != want {
				t.Errorf("%s: %s gets %d", path, role, code)
			}
		}
	}
	_, body := ask(t, http.MethodGet, server.URL+"/audit?study=1.2.1", webui.Auditor, "", "")
	for _, want := range []string{"Own read recorded", "AI shown", "about 31 had a confirmed finding", refs[0].SHA256.Short(), "Second look", "Read"} {
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
	_, body = ask(t, http.MethodGet, server.URL+"/audit?user=K.+Lund", webui.Auditor, "", "")
	if !strings.Contains(body, "AI shown") || strings.Contains(body, "Whole") {
		t.Error("by user")
	}
	_, body = ask(t, http.MethodGet, server.URL+"/audit?model="+refs[0].String(), webui.Auditor, "", "")
	if !strings.Contains(body, "AI shown") || strings.Contains(body, "Own read") {
		t.Error("by model")
	}
	if code, _ := ask(t, http.MethodGet, server.URL+"/audit?study=x", webui.Auditor, "", ""); code != 400 {
		t.Error("a study that is none:", code)
	}
	code, body := ask(t, http.MethodPost, server.URL+"/audit/check", webui.Auditor, "", "")
	if code != 200 || !strings.Contains(body, "The chain is whole") || !strings.Contains(body, "Chain checked") {
		t.Error("the chain:", code)
	}
	_, body = ask(t, http.MethodGet, server.URL+"/audit.csv?study=1.2.1", webui.Auditor, "", "")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) < 5 || len(rows[1][7]) != 64 {
		t.Error(len(rows), err)
	}
}

func TestOlderRowsOfTheAuditAreAPageAway(t *testing.T) {
	server, _, l, _ := serve(t)
	for n := range 230 {
		if err := l.Audit(t.Context(), "host", fmt.Sprint("deed ", n), "models"); err != nil {
			t.Fatal(err)
		}
	}
	path, seen := "/audit?user=host", 0
	for pages := 0; path != "" && pages < 5; pages++ {
		_, body := ask(t, http.MethodGet, server.URL+path, webui.Auditor, "", "")
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

func TestQualityAndAuditKeepTheirPromises(t *testing.T) {
	server, entry, l, refs := serve(t)
	seed(t, l, refs[0])
	shown := study.Shown{Lang: "en", Build: "1.0.0", Results: []study.ShownResult{{Model: refs[0].String(), SHA256: refs[0].SHA256, AI: study.Flagged, Protocol: "second_look",
		Lines: []string{"Flagged", "Of 100 studies with a score like this at this hospital, about 31 had a confirmed finding (95 % interval 24–39; n = 1,204, Jan–Jun 2026)."}}}}
	if err := l.Answer(t.Context(), study.ReadingStep{Study: "1.2.1", By: "K. Lund", Step: study.StepOwn, Verdict: "none"},
		study.ReadingStep{Study: "1.2.1", By: "K. Lund", Step: study.StepShown, Shown: &shown}); err != nil {
		t.Fatal(err)
	}
	l.watched = department(refs[0], refs[1], 900, time.Now())
	b := webuitest.Open(t, 1440, 1000, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	for _, theme := range []string{"light", "dark"} {
		b.Go(server.URL + "/quality")
		b.Click("button[value=" + theme + "]")
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for _, lang := range slices.Backward(webui.Langs) { // which the page is not in yet
			b.Go(server.URL + "/quality")
			b.Click("button[value=" + string(lang) + "]")
			b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
			b.Promises()
			name := string(lang) + "-" + theme
			b.Shot("quality-" + name)
			webuitest.Eval[any](b, `document.querySelector('#weeks').scrollIntoView()`)
			b.Shot("quality-charts-" + name)
			webuitest.Eval[any](b, `document.querySelector('#only').scrollIntoView()`)
			b.Shot("quality-lists-" + name)
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
