package oversight_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

func TestFirstFiguresAreAmongThePages(t *testing.T) {
	server, _, _, _ := serve(t)
	for role, want := range map[string]int{webui.Quality: 200, webui.Reader: 403} {
		for _, path := range []string{"/quality", "/quality.csv"} {
			if code, _ := ask(t, http.MethodGet, server.URL+path, role, "", ""); code != want {
				t.Errorf("%s: %s gets %d", path, role, code)
			}
		}
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

func TestAuditKeepsItsPromises(t *testing.T) {
	server, entry, l, refs := serve(t)
	seed(t, l, refs[0])
	shown := study.Shown{Lang: "en", Build: "1.0.0", Results: []study.ShownResult{{Model: refs[0].String(), SHA256: refs[0].SHA256, AI: study.Flagged, Protocol: "second_look",
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
		b.Click("button[value=" + theme + "]")
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for _, lang := range slices.Backward(webui.Langs) { // which the page is not in yet
			b.Go(server.URL + "/audit")
			b.Click("button[value=" + string(lang) + "]")
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
