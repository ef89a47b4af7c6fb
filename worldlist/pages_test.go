package worldlist_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/study"
)

var update = flag.Bool("update", false, "renew the golden files")

// ask sends a request as a machine that bears the role's token.
func ask(t *testing.T, method, address, role, lang string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Language", lang)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
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
	return a, string(b)
}

func get(t *testing.T, address, role string) (*http.Response, string) {
	t.Helper()
	return ask(t, http.MethodGet, address, role, "en", nil)
}

var (
	// Why a study stands here is told twice in its row: on one line, and at length.
	whole  = regexp.MustCompile(`(?s)<details name="why"><summary>|</summary>\s*<div class="whole">.*?</div></details>`)
	hidden = regexp.MustCompile(`(?s)<script.*?</script>|<svg.*?</svg>|<head>.*?</head>|<noscript>.*?</noscript>`)
	block  = regexp.MustCompile(`</?(tr|p|h1|h2|h3|li|dt|section|form|article|option|label|summary|button|header|nav|div|legend)\b[^>]*>`)
	cell   = regexp.MustCompile(`</t[dh]>`)
	tag    = regexp.MustCompile(`<[^>]*>`)
	blank  = regexp.MustCompile(`[ \t\n]+`)
)

// words are what a page says, a line for each block.
func words(page string) string {
	page = hidden.ReplaceAllString(whole.ReplaceAllString(page, ""), "")
	page = blank.ReplaceAllString(page, " ")
	page = block.ReplaceAllString(page, "\n")
	page = cell.ReplaceAllString(page, " | ")
	page = tag.ReplaceAllString(page, " ")
	page = strings.NewReplacer("&amp;", "&", "&#39;", "'", "&#43;", "+", "&lt;", "<", "&gt;", ">").Replace(page)
	var lines []string
	for line := range strings.SplitSeq(page, "\n") {
		if line = strings.TrimSpace(blank.ReplaceAllString(line, " ")); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed; look at the difference, and renew it with go test ./worldlist -update\n%s", name, difference(string(want), got))
	}
}

// difference gives the first lines that differ.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return "- " + x + "\n+ " + y
		}
	}
	return ""
}

func TestPagesInThreeLanguages(t *testing.T) {
	for name, path := range map[string]string{
		"worklist": "/", "flagged": "/studies/" + string(chestCT), "calibrated": "/studies/" + string(mammogram), "slide": "/studies/" + string(prostate),
		"partial": "/studies/" + string(unseenCT), "failed": "/studies/" + string(failedCT), "stopped": "/studies/" + string(stoppedMG),
		"outside": "/studies/" + string(outOfScope), "running": "/studies/" + string(runningCT), "nomodel": "/studies/" + string(undecodable),
	} {
		server, _ := serve(t, newWard(), webui.Reader) // who opens a study has it in hand
		for _, lang := range webui.Langs {
			a, body := ask(t, http.MethodGet, server.URL+path, webui.Reader, string(lang), nil)
			if a.StatusCode != 200 || !strings.Contains(body, `<html lang="`+string(lang)+`"`) {
				t.Fatalf("%s in %s: %s", name, lang, a.Status)
			}
			if lang == webui.English || name == "worklist" || name == "flagged" {
				golden(t, name+"."+string(lang)+".txt", words(body))
			}
			for _, must := range []string{lang.T("bar.support"), lang.T("nav.worklist")} {
				if !strings.Contains(body, must) {
					t.Errorf("%s in %s does not say %q", name, lang, must)
				}
			}
		}
	}
}

func TestWorklistWithoutScript(t *testing.T) {
	server, _ := serve(t, newWard().many(250), webui.Reader)
	seen, next := map[string]bool{}, "/"
	link := regexp.MustCompile(`<a href="([^"]+)" id="more">`)
	uid := regexp.MustCompile(`<tr data-uid="([^"]+)">`)
	for pages := 1; next != ""; pages++ {
		_, body := get(t, server.URL+next, webui.Reader)
		found := uid.FindAllStringSubmatch(body, -1)
		for _, m := range found {
			if seen[m[1]] {
				t.Fatalf("%s twice", m[1])
			}
			seen[m[1]] = true
		}
		if pages == 1 && len(found) != 100 {
			t.Errorf("%d rows on the first page", len(found))
		}
		next = ""
		if m := link.FindStringSubmatch(body); m != nil {
			next = strings.ReplaceAll(m[1], "&amp;", "&")
		}
		if pages > 5 {
			t.Fatal("the list has no end")
		}
	}
	if len(seen) != 261 {
		t.Errorf("%d studies on all pages", len(seen))
	}
	for query, want := range map[string]int{"?q=hansen": 1, "?q=%C3%B8sterg": 1, "?modality=MG": 2, "?status=scoring": 1, "?status=read": 0, "?q=hansen&modality=MG": 0} {
		_, body := get(t, server.URL+"/"+query, webui.Reader)
		if got := len(uid.FindAllString(body, -1)); got != want {
			t.Errorf("%s: %d rows, want %d", query, got, want)
		}
	}
	if a, _ := get(t, server.URL+"/?after=nonsense", webui.Reader); a.StatusCode != 400 {
		t.Error(a.Status)
	}
}

func TestEmptyListSaysWhatToDo(t *testing.T) {
	w := newWard()
	clear(w.cases)
	server, _ := serve(t, w, webui.Reader)
	if _, body := get(t, server.URL+"/", webui.Reader); !strings.Contains(body, "Send studies to AE VARDE at 127.0.0.1:11112") {
		t.Error(words(body))
	}
	w = newWard()
	for _, c := range w.cases {
		c.Study.Status = study.Read
	}
	server, _ = serve(t, w, webui.Reader)
	if _, body := get(t, server.URL+"/", webui.Reader); !strings.Contains(body, "Everything has been read") {
		t.Error(words(body))
	}
	if _, body := get(t, server.URL+"/?q=nobody", webui.Reader); !strings.Contains(body, "No study matches") {
		t.Error(words(body))
	}
}

func TestOpeningAStudyIsNotedForReadersOnly(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Reader)
	get(t, server.URL+"/studies/"+string(chestCT), webui.Quality)
	if len(w.opened) != 0 {
		t.Errorf("quality opened %v", w.opened)
	}
	for range 2 {
		get(t, server.URL+"/studies/"+string(chestCT), webui.Reader)
	}
	if len(w.opened) != 1 || w.opened[0] != string(chestCT)+" by machine reader" {
		t.Errorf("opened: %v", w.opened)
	}
	if a, _ := get(t, server.URL+"/studies/1.2.3", webui.Reader); a.StatusCode != 404 {
		t.Error(a.Status)
	}
	if a, _ := get(t, server.URL+"/studies/Hansen", webui.Reader); a.StatusCode != 400 {
		t.Error(a.Status)
	}
}

func TestVerdictIsKept(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Reader)
	path := server.URL + "/studies/" + string(chestCT)
	for _, tt := range []struct {
		name, role string
		form       url.Values
		want       int
	}{
		{"by nobody", "", url.Values{"verdict": {"agree"}}, 401},
		{"by one who may not", webui.Quality, url.Values{"verdict": {"agree"}}, 403},
		{"of no kind", webui.Reader, url.Values{"verdict": {"maybe"}}, 400},
		{"without one", webui.Reader, url.Values{}, 400},
		{"with a book", webui.Reader, url.Values{"verdict": {"agree"}, "reason": {strings.Repeat("ø", 2001)}}, 400},
		{"with a reason", webui.Reader, url.Values{"verdict": {"disagree"}, "reason": {"  vessel,\r\nno nodule "}}, 303},
	} {
		if a, body := ask(t, http.MethodPost, path+"/verdict", tt.role, "en", tt.form); a.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d: %s", tt.name, a.Status, tt.want, body)
		}
	}
	if len(w.readings) != 1 || w.readings[0].Verdict != "disagree: vessel,\nno nodule" || w.readings[0].By != "machine reader" {
		t.Errorf("%v", w.readings)
	}
	_, body := get(t, path+"?saved=1", webui.Reader)
	for _, want := range []string{"Saved.", "Read by machine reader", "Disagree – vessel,"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(body, `class="panel verdict"`) {
		t.Error("the form is there again")
	}
	if _, body := get(t, server.URL+"/", webui.Reader); strings.Contains(body, "Hansen") {
		t.Error("the study is still on the list")
	}
}

// TestNobodyIsAskedToAgreeWithAnAIThatSaidNothing: a study that every model failed on,
// or turned away, is marked as read, and nothing counts as agreement.
func TestNobodyIsAskedToAgreeWithAnAIThatSaidNothing(t *testing.T) {
	for state, asked := range map[study.AIState]bool{study.Failed: false, study.OutOfScope: false, study.Running: false, study.Uncertain: true, study.NotFlagged: true} {
		w := newWard()
		w.cases[chestCT].Results = []study.Result{ran(nodules, state, 24, 24)}
		server, _ := serve(t, w, webui.Reader)
		_, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader)
		if got := strings.Contains(body, `name="verdict" value="agree"`); got != asked {
			t.Errorf("%s: asked %t", state, got)
		}
		if got := strings.Contains(body, `name="verdict" value="none"`); got == asked {
			t.Errorf("%s: nothing to agree with %t", state, got)
		}
		if !strings.Contains(body, `name="wrong" value="incident"`) {
			t.Errorf("%s: no way to report it as an incident", state)
		}
		if !asked {
			w.protocols = []study.Protocol{study.Concurrent}
			a, _ := ask(t, http.MethodPost, server.URL+"/studies/"+string(chestCT)+"/verdict", webui.Reader, "en", url.Values{"verdict": {"agree"}})
			if a.StatusCode != http.StatusBadRequest || w.cases[chestCT].Study.Status == study.Read {
				t.Errorf("%s: an agreement with nothing: %s", state, a.Status)
			}
		}
	}
}

// TestListTellsATurnedAwayStudyFromOneThatNoModelIsFor: both are outside of what the
// AI is meant for, and only of one may the list say that no model is in use.
func TestListTellsATurnedAwayStudyFromOneThatNoModelIsFor(t *testing.T) {
	for _, turned := range []bool{true, false} {
		w := newWard()
		c := w.cases[chestCT]
		c.Study.Status, c.Study.Note, c.Results = study.Settled, study.ReasonNoModel, nil
		if turned {
			c.Results = []study.Result{ran(nodules, study.OutOfScope, 0, 0)}
		}
		server, _ := serve(t, w, webui.Quality)
		_, body := get(t, server.URL+"/?q="+url.QueryEscape(c.Study.Accession), webui.Quality)
		if strings.Contains(body, "no model in use") == turned || !strings.Contains(body, "Outside intended use") {
			t.Errorf("a model turned it away: %t: %s", turned, body)
		}
	}
}

// TestWhatIsNotKnownOfAStudyIsSaidToBe: no blank stands where a reader looks for the
// identity of the patient.
func TestWhatIsNotKnownOfAStudyIsSaidToBe(t *testing.T) {
	w := newWard()
	c := w.cases[chestCT]
	p := c.Study.Patient.Reveal()
	p.ID = ""
	c.Study.Patient, c.Study.Accession = study.NewPatient(p), ""
	server, _ := serve(t, w, webui.Reader)
	_, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader)
	if !strings.Contains(body, "no ID") || !strings.Contains(body, "<dt>Accession</dt><dd>–</dd>") {
		t.Error("an ID or accession number that is not there is not said to be")
	}
}

func TestShadowResultIsShownToNoReader(t *testing.T) {
	w := newWard()
	secret := ran(nodules, study.Flagged, 24, 24)
	secret.Model.ID, secret.Name, secret.Shadow = "shadow-model", "Silent model", true
	w.cases[quietCT].Results = append(w.cases[quietCT].Results, secret)
	w.cases[quietCT].Reports = []study.Report{{Kind: "sr", UID: "2.25.99", Study: quietCT, Model: secret.Model}}
	server, _ := serve(t, w, webui.Reader)
	for _, path := range []string{"/studies/" + string(quietCT), "/", "/api/v1/studies/" + string(quietCT)} {
		_, body := get(t, server.URL+path, webui.Reader)
		if strings.Contains(body, "ilent") || strings.Contains(body, "shadow-model") {
			t.Errorf("%s shows a shadow result", path)
		}
	}
	if _, body := get(t, server.URL+"/api/v1/studies/"+string(quietCT), webui.Quality); !strings.Contains(body, `"state":"shadow"`) {
		t.Errorf("quality does not see it: %s", body)
	}
}

// TestListSaysThatAModelWasStoppedSince: what it said of an exam stands on the list no
// more than on paper, and the exam keeps its place.
func TestListSaysThatAModelWasStoppedSince(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Quality)
	order := func() (order []string, states map[string]string) {
		var rows []struct {
			Study string `json:"study_uid"`
			AI    string `json:"ai_state"`
			Words string `json:"ai"`
		}
		_, body := get(t, server.URL+"/api/v1/worklist", webui.Quality)
		if err := json.Unmarshal([]byte(body), &rows); err != nil {
			t.Fatal(err)
		}
		states = map[string]string{}
		for _, r := range rows {
			order = append(order, r.Study)
			states[r.Study] = r.AI + ": " + r.Words
		}
		return order, states
	}
	before, _ := order()
	w.withheld = nodules
	after, states := order()
	if !slices.Equal(before, after) {
		t.Errorf("the order changed: %v, was %v", after, before)
	}
	for _, uid := range []study.UID{chestCT, quietCT, unseenCT} {
		if got, want := states[string(uid)], "failed: "+webui.Lang("en").T("ai.stopped"); got != want {
			t.Errorf("%s: %s, want %s", uid, got, want)
		}
	}
	if got := states[string(mammogram)]; strings.HasPrefix(got, "failed") {
		t.Errorf("another model's result: %s", got)
	}
	_, page := get(t, server.URL+"/?q=Holm", webui.Quality)
	if !strings.Contains(words(page), webui.Lang("en").T("ai.stopped")) {
		t.Error("the page does not say so")
	}
}

func TestPatientCannotWriteThePage(t *testing.T) {
	w := newWard()
	c := one("2.25.666", `</script><script>alert(1)</script>^"onload="x`, `<img src=x onerror=alert(1)>`, study.CT, today, "", time.Time{})
	c.Study.Accession = `{{.}}` + `'"><b>`
	w.cases[c.Study.UID] = &c
	server, _ := serve(t, w, webui.Reader)
	for _, path := range []string{"/", "/studies/2.25.666"} {
		_, body := get(t, server.URL+path, webui.Reader)
		for _, evil := range []string{"<script>alert", "<img src=x", `"><b>`, `"onload="`} {
			if strings.Contains(body, evil) {
				t.Errorf("%s holds %s", path, evil)
			}
		}
	}
}

func TestListHearsOfNewStudies(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Reader)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events?total=11", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+webui.Reader)
	r.Header.Set("Accept-Language", "nb")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if got := a.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatal(a.Status, got)
	}
	w.come(3)
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if text != "3 nye undersøkelser – trykk R" {
				t.Error(text)
			}
			return
		}
	}
	t.Error("the stream ended without a word")
}

func TestStreamEndsWithTheServer(t *testing.T) {
	w := newWard()
	site := siteOf(t, w, w)
	server := httptest.NewUnstartedServer(site)
	server.Config.RegisterOnShutdown(site.EndStreams)
	server.Start()
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events?total=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+webui.Reader)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if err := server.Config.Shutdown(t.Context()); err != nil { // returns when all requests have ended
		t.Error(err)
	}
	if _, err := io.ReadAll(a.Body); err != nil {
		t.Error(err)
	}
}

func TestAPIStudy(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	_, body := get(t, server.URL+"/api/v1/studies/"+string(unseenCT), webui.Admin)
	var one struct {
		StudyUID   string  `json:"study_uid"`
		Status     string  `json:"status"`
		Modality   string  `json:"modality"`
		Instances  int     `json:"instances"`
		ReceivedAt string  `json:"received_at"`
		SettledAt  *string `json:"settled_at"`
		Results    []struct {
			Model, Version, State, Status string
			SHA                           string   `json:"model_sha256"`
			AIState                       string   `json:"ai_state"`
			Probability                   *float64 `json:"probability"`
			Findings                      []any
			Planned                       int `json:"tiles_planned"`
			Scored                        int `json:"tiles_scored"`
			Seconds                       float64
		}
		Reports []any
	}
	if err := json.Unmarshal([]byte(body), &one); err != nil {
		t.Fatal(err, body)
	}
	r := one.Results[0]
	if one.StudyUID != string(unseenCT) || one.Status != "reported" || one.Modality != "CT" || one.SettledAt == nil || one.Reports == nil ||
		r.Model != nodules.ID || r.SHA != nodules.SHA256.String() || r.AIState != "uncertain" || r.Status != "partial" || r.State != "live" ||
		r.Findings == nil || r.Planned != 24 || r.Scored != 17 {
		t.Error(body)
	}
	_, body = get(t, server.URL+"/api/v1/studies?accession=ACC-20101", webui.Admin)
	var list []map[string]any
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 1 || list[0]["study_uid"] != string(chestCT) {
		t.Error(err, body)
	}
	for path, want := range map[string]int{"/api/v1/studies/1.2.3": 404, "/api/v1/studies/x": 422, "/api/v1/studies?status=lost": 422} {
		if a, _ := get(t, server.URL+path, webui.Admin); a.StatusCode != want {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	for role, want := range map[string]int{"": 401, webui.Auditor: 403, webui.Reader: 200} {
		if a, _ := get(t, server.URL+"/api/v1/studies", role); a.StatusCode != want {
			t.Errorf("%q: %s", role, a.Status)
		}
	}
}

func TestAPIWorklistIsInReadingOrder(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	type row struct {
		UID      string `json:"study_uid"`
		Class    int
		Key      string
		Why      []string
		AIState  string  `json:"ai_state"`
		Deadline *string `json:"deadline"`
		DaysLeft *int    `json:"days_left"`
		Cursor   string
	}
	var all []row
	for after := ""; ; {
		a, body := get(t, server.URL+"/api/v1/worklist?lang=da&limit=4&after="+after, webui.Reader)
		var rows []row
		if err := json.Unmarshal([]byte(body), &rows); err != nil {
			t.Fatal(err, body)
		}
		all = append(all, rows...)
		if a.Header.Get("Link") == "" {
			break
		}
		after = rows[len(rows)-1].Cursor
	}
	if len(all) != 11 || all[0].UID != string(runningCT) || all[1].UID != string(prostate) || *all[1].DaysLeft != -1 || all[0].Deadline != nil {
		t.Errorf("%d rows: %+v", len(all), all[:2])
	}
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1], all[i]; a.Class > b.Class || a.Class == b.Class && a.Key > b.Key {
			t.Errorf("%s before %s", a.UID, b.UID)
		}
	}
	if got := strings.Join(all[3].Why, " · "); got != "AI markerede · forspring 2 t 48 min · haster eller pakkeforløb · kom 13.11 · frist 26.11. 00.00" {
		t.Error(got)
	}
}

func TestStudyTellsThatObjectsAreHeld(t *testing.T) {
	w := newWard()
	w.cases[chestCT].Study.Conflicts = 2
	server, _ := serve(t, w, webui.Reader)
	if _, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader); !strings.Contains(body, "2 objects contradict this study") {
		t.Error("the page of a study with conflicts does not say so")
	}
	if _, body := get(t, server.URL+"/studies/"+string(quietCT), webui.Reader); strings.Contains(body, "contradict") {
		t.Error("the page of a study without conflicts tells of some")
	}
}

// TestAReaderIsToldWhenTheModelIsStoppedAfterwards: where a physician has answered, the
// study's page says that the model was stopped since and that the answer stands.
func TestAReaderIsToldWhenTheModelIsStoppedAfterwards(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Quality)
	says := func() bool {
		t.Helper()
		_, page := get(t, server.URL+"/studies/"+string(chestCT), webui.Quality)
		return strings.Contains(words(page), webui.Lang("en").T("signed.stopped"))
	}
	if w.withheld = nodules; says() {
		t.Error("of a study that nobody has read it says what was answered")
	}
	w.readings = append(w.readings, study.Reading{Study: chestCT, Rev: w.cases[chestCT].Study.Rev, By: "A. Dahl", Verdict: "agree", At: today})
	if !says() {
		t.Error("the page does not say that the answer stands")
	}
	if w.withheld = (study.ModelRef{}); says() {
		t.Error("it says so of a model that runs")
	}
}
