package worldlist_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A visitor is somebody who has signed in.
type visitor struct {
	t      *testing.T
	client *http.Client
	server string
}

// department serves a ward to people, each with a role and a name of their own, and
// gives the links that sign them in.
func department(t *testing.T, w *ward, people map[string]string) (server *httptest.Server, entries map[string]string) {
	t.Helper()
	site := siteOf(t, w, w)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	entries = map[string]string{}
	for name, role := range people {
		entries[name] = server.URL + site.Invite(webui.Identity{Name: name, Role: role}, time.Hour)
	}
	return server, entries
}

// visit signs somebody in.
func visit(t *testing.T, server *httptest.Server, entry string) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := visitor{t, &http.Client{Jar: jar}, server.URL}
	answer, err := v.client.Get(entry)
	if err != nil {
		t.Fatal(err)
	}
	// The welcome page asks for a click, so that no preview uses the link up.
	_ = answer.Body.Close()
	return v
}

// do asks with JSON and reads JSON.
func (v visitor) do(method, path string, body any) (int, map[string]any, string) {
	v.t.Helper()
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			v.t.Fatal(err)
		}
		text = string(b)
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.server+path, strings.NewReader(text))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	var one map[string]any
	_ = json.Unmarshal(b, &one) // a list is read by the caller
	return answer.StatusCode, one, string(b)
}

func (v visitor) post(path string, body any) (int, map[string]any) {
	v.t.Helper()
	code, one, _ := v.do(http.MethodPost, path, body)
	return code, one
}

type m = map[string]any

func TestTwoReadersNeverHaveTheSameStudyUnknowingly(t *testing.T) {
	w := newWard()
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader, "B. Lie": webui.Reader, "Ops": webui.Operator})
	a, b, ops := visit(t, server, entries["A. Dahl"]), visit(t, server, entries["B. Lie"]), visit(t, server, entries["Ops"])
	row := "/api/v1/worklist/" + string(chestCT)
	page := "/studies/" + string(chestCT)
	if code, c := a.post(row+"/claim", m{}); code != 200 || c["by"] != "A. Dahl" {
		t.Fatal(code, c)
	}
	if code, c := a.post(row+"/claim", nil); code != 200 || c["by"] != "A. Dahl" {
		t.Error("without a body:", code, c)
	}
	if code, c := b.post(row+"/claim", m{}); code != 409 || !strings.Contains(fmt.Sprint(c["detail"]), "in the hands of A. Dahl since 2026-11-24T14:30:00Z") {
		t.Error(code, c)
	}
	_, _, body := b.do(http.MethodGet, page, nil)
	for _, want := range []string{"A. Dahl is reading, since 14:30", "You may look", "Take it over"} {
		if !strings.Contains(body, want) {
			t.Errorf("the second reader is not told %q", want)
		}
	}
	if strings.Contains(body, `id="verdict"`) {
		t.Error("the second reader may answer")
	}
	if code, c := b.post("/api/v1/studies/"+string(chestCT)+"/answer", m{"verdict": "agree"}); code != 409 {
		t.Error("the second reader answers:", code, c)
	}
	if _, _, body := b.do(http.MethodGet, "/", nil); !strings.Contains(body, "A. Dahl is reading") {
		t.Error("the list does not say who reads")
	}
	if code, c := b.post(row+"/ask", m{}); code != 200 || c["asked"] != "B. Lie" {
		t.Error(code, c)
	}
	if _, _, body := a.do(http.MethodGet, page, nil); !strings.Contains(body, "B. Lie asks for this study.") {
		t.Error("the holder is not told who asks")
	}
	if code, c := a.post(row+"/handover", m{}); code != 200 || c["by"] != "B. Lie" {
		t.Error(code, c)
	}
	if code, _ := a.post(row+"/release", m{}); code != 409 {
		t.Error("who gave it away frees it:", code)
	}
	for _, unseen := range []string{"\x00", "\u200b\u2060", "\x1b"} {
		if code, _ := a.post(row+"/claim", m{"reason": unseen}); code != 409 {
			t.Errorf("taken from another with the reason %+q: %d", unseen, code)
		}
	}
	if code, c := a.post(row+"/claim", m{"reason": "stroke team called"}); code != 200 || c["by"] != "A. Dahl" {
		t.Error(code, c)
	}
	if code, _ := ops.post(row+"/claim", m{}); code != 403 {
		t.Error("an operator reads:", code)
	}
	if code, c := ops.post(row+"/release", m{"reason": "left the house"}); code != 200 || c["by"] != "" {
		t.Error(code, c)
	}
}

func TestNextIsTheFirstThatIsFree(t *testing.T) {
	w := newWard()
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader, "B. Lie": webui.Reader})
	a, b := visit(t, server, entries["A. Dahl"]), visit(t, server, entries["B. Lie"])
	next := func(v visitor) string {
		_, one := v.post("/api/v1/worklist/next", nil)
		return fmt.Sprint(one["study_uid"])
	}
	first, second := next(a), next(b)
	if first != string(runningCT) || second != string(prostate) {
		t.Errorf("first %s, second %s", first, second)
	}
	if code, _ := b.post("/api/v1/worklist/"+second+"/skip", m{"reason": ""}); code != 422 {
		t.Error("skipped without a reason:", code)
	}
	place := w.cases[prostate].Study.Place
	for _, unseen := range []string{"\x00", "\u200b \u2060", "\x1b"} {
		if code, _ := b.post("/api/v1/worklist/"+second+"/skip", m{"reason": unseen}); code != 400 {
			t.Errorf("skipped with the reason %+q: %d", unseen, code)
		}
	}
	if code, _ := b.post("/api/v1/worklist/"+second+"/skip", m{"reason": "stains are missing"}); code != 200 {
		t.Error(code)
	}
	if fmt.Sprint(w.cases[prostate].Study.Place) != fmt.Sprint(place) {
		t.Error("skipping moved the study")
	}
	if got := next(b); got == second || got == first {
		t.Errorf("next is %s again", got)
	}
	if i := slices.IndexFunc(w.steps, func(s study.ReadingStep) bool { return s.Step == study.StepSkipped }); i < 0 || w.steps[i].Text != "stains are missing" || w.steps[i].By != "B. Lie" {
		t.Error("nobody knows why it was passed over")
	}
	for range 20 {
		next(a)
	}
	if code, _ := a.post("/api/v1/worklist/next", nil); code != 404 {
		t.Error("something is left:", code)
	}
}

func TestAReadingIsKeptStepByStep(t *testing.T) {
	w := newWard()
	w.protocols = []study.Protocol{study.SecondLook}
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader, "B. Lie": webui.Reader})
	a := visit(t, server, entries["A. Dahl"])
	at := "/api/v1/studies/" + string(chestCT)
	tracking := string(noduleResult().Findings[0].Tracking)
	if code, _ := a.post(at+"/findings/"+tracking+"/verdict", m{"verdict": "agree"}); code != 409 {
		t.Error("judged before the own read:", code)
	}
	if code, _ := a.post(at+"/own", m{"impression": "suspicious", "remark": "left upper lobe"}); code != 200 {
		t.Fatal(code)
	}
	if code, _ := a.post(at+"/own", m{"impression": "none"}); code != 409 {
		t.Error("the impression is changed:", code)
	}
	a.do(http.MethodGet, "/studies/"+string(chestCT), nil)
	a.do(http.MethodGet, "/studies/"+string(chestCT), nil) // seen again, noted once
	image := string(w.instances[chestCT][3].UID)
	for _, tt := range []struct {
		path string
		body m
		want int
	}{
		{"/findings/" + tracking + "/verdict", m{"verdict": "changes", "wrong": []string{"place"}, "text": "3 mm higher"}, 200},
		{"/findings/" + tracking + "/verdict", m{"verdict": "changes", "wrong": []string{"color"}}, 400},
		{"/findings/1.2.3/verdict", m{"verdict": "agree"}, 404},
		{"/missed", m{"instance": image, "frame": 1, "x": 100.5, "y": 40.0, "text": "small one"}, 200},
		{"/missed", m{"instance": image, "frame": 2, "x": 100.5, "y": 40.0}, 400},
		{"/missed", m{"instance": image, "frame": 1, "x": 9999.0, "y": 40.0}, 400},
		{"/missed", m{"instance": string(w.instances[mammogram][0].UID), "frame": 1, "x": 1.0, "y": 1.0}, 404},
		{"/addendum", m{"text": "too early"}, 409},
		{"/answer", m{"verdict": "perhaps"}, 422},
		{"/answer", m{"verdict": "changes", "wrong": []string{"missed"}, "text": "one more"}, 200},
		{"/answer", m{"verdict": "agree"}, 409},
		{"/addendum", m{"text": "seen with B"}, 200},
	} {
		if code, _, body := a.do(http.MethodPost, at+tt.path, tt.body); code != tt.want {
			t.Errorf("%s %v: %d, want %d: %s", tt.path, tt.body, code, tt.want, body)
		}
	}
	_, _, body := a.do(http.MethodGet, at+"/readings", nil)
	var steps []struct {
		Step, By, Verdict, Tracking, Text string
		Wrong                             []string
		Mark                              *struct{ X, Y float64 }
		Shown                             *study.Shown
	}
	if err := json.Unmarshal([]byte(body), &steps); err != nil {
		t.Fatal(err, body)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.Step)
	}
	if strings.Join(got, " ") != "own shown finding missed final addendum" {
		t.Fatal(got)
	}
	shown := steps[1].Shown
	if shown == nil || shown.Lang != "en" || shown.Build != "test" || len(shown.Results) != 1 || shown.Results[0].SHA256 != nodules.SHA256 || shown.Results[0].Result == (study.Hash{}) ||
		shown.Results[0].Protocol != "second_look" || !slices.Contains(shown.Results[0].Lines, "Flagged") || len(shown.Results[0].Findings) == 0 {
		t.Errorf("what was shown: %+v", shown)
	}
	if steps[2].Tracking != tracking || steps[2].Wrong[0] != "place" || steps[3].Mark.X != 100.5 {
		t.Errorf("%+v", steps)
	}
	// Another reader hears of it after an own answer only, where the AI is hidden.
	w.protocols = []study.Protocol{study.Independent}
	b := visit(t, server, entries["B. Lie"])
	if _, _, body := b.do(http.MethodGet, at+"/readings", nil); strings.TrimSpace(body) != "[]" {
		t.Errorf("a blind reader hears: %s", body)
	}
	if _, _, page := b.do(http.MethodGet, "/studies/"+string(chestCT), nil); strings.Contains(page, "left upper lobe") || strings.Contains(page, "A. Dahl") {
		t.Error("the page tells a blind reader what another said")
	}
	if code, _ := b.post(at+"/own", m{"impression": "none"}); code != 200 {
		t.Error(code)
	}
	if _, _, page := b.do(http.MethodGet, "/studies/"+string(chestCT), nil); !strings.Contains(page, "left upper lobe") {
		t.Error("the page hides what another said after the own answer")
	}
}

func TestClaimsAfterAMove(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	held := study.Claim{Study: "1.2", By: "anna", Since: now.Add(-time.Hour), Seen: now.Add(-time.Minute)}
	stale := study.Claim{Study: "1.2", By: "anna", Since: now.Add(-3 * time.Hour), Seen: now.Add(-time.Hour)}
	asked := held
	asked.Asked = "bo"
	for _, tt := range []struct {
		name string
		was  study.Claim
		m    study.ClaimMove
		by   string
		ok   bool
	}{
		{"free", study.Claim{}, study.ClaimMove{Kind: "take", By: "bo"}, "bo", true},
		{"held", held, study.ClaimMove{Kind: "take", By: "bo"}, "anna", false},
		{"held, a blank is no reason", held, study.ClaimMove{Kind: "take", By: "bo", Reason: "  "}, "anna", false},
		{"held, with a reason", held, study.ClaimMove{Kind: "take", By: "bo", Reason: "stroke"}, "bo", true},
		{"idle", stale, study.ClaimMove{Kind: "take", By: "bo"}, "bo", true},
		{"own", held, study.ClaimMove{Kind: "take", By: " Anna"}, "anna", true},
		{"kept", held, study.ClaimMove{Kind: "keep", By: "anna"}, "anna", true},
		{"kept by another", held, study.ClaimMove{Kind: "keep", By: "bo"}, "anna", false},
		{"kept too late", stale, study.ClaimMove{Kind: "keep", By: "anna"}, "anna", false},
		{"released", held, study.ClaimMove{Kind: "release", By: "anna"}, "", true},
		{"released by another", held, study.ClaimMove{Kind: "release", By: "bo"}, "anna", false},
		{"released by another for a reason", held, study.ClaimMove{Kind: "release", By: "ops", Reason: "left"}, "", true},
		{"released though nobody has it", study.Claim{}, study.ClaimMove{Kind: "release", By: "bo"}, "", true},
		{"asked for", held, study.ClaimMove{Kind: "ask", By: "bo"}, "anna", true},
		{"asked for one's own", held, study.ClaimMove{Kind: "ask", By: "anna"}, "anna", false},
		{"given to who asked", asked, study.ClaimMove{Kind: "give", By: "anna"}, "bo", true},
		{"given to another", asked, study.ClaimMove{Kind: "give", By: "anna", To: "carl"}, "carl", true},
		{"given to nobody", held, study.ClaimMove{Kind: "give", By: "anna"}, "anna", false},
		{"given by another", asked, study.ClaimMove{Kind: "give", By: "bo"}, "anna", false},
		{"given though nobody has it", study.Claim{}, study.ClaimMove{Kind: "give", By: "bo", To: "carl"}, "", false},
		{"by nobody", study.Claim{}, study.ClaimMove{Kind: "take"}, "", false},
		{"juggled", held, study.ClaimMove{Kind: "juggle", By: "anna"}, "anna", false},
	} {
		tt.m.Study, tt.m.Idle = "1.2", 20*time.Minute
		got, err := tt.was.After(tt.m, now)
		if got.By != tt.by || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got.By, err)
		}
	}
}

// TestLookingAtImagesKeepsAStudyInHand: the clock of a claim begins anew with each
// image, and with none that only looks on.
func TestLookingAtImagesKeepsAStudyInHand(t *testing.T) {
	w := newWard()
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader, "B. Lie": webui.Reader})
	a, b := visit(t, server, entries["A. Dahl"]), visit(t, server, entries["B. Lie"])
	a.do(http.MethodGet, "/studies/"+string(chestCT), nil)
	set := func(ago time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		c := w.claims[chestCT]
		c.Seen = today.Add(-ago)
		w.claims[chestCT] = c
	}
	image := "/studies/" + string(chestCT) + "/frames/" + string(w.instances[chestCT][0].UID) + "/1"
	set(15 * time.Minute)
	b.do(http.MethodGet, image, nil)
	if c := w.claims[chestCT]; c.By != "A. Dahl" || !c.Seen.Equal(today.Add(-15*time.Minute)) {
		t.Errorf("another's look changed the claim: %+v", c)
	}
	a.do(http.MethodGet, image, nil)
	if c := w.claims[chestCT]; !c.Seen.Equal(today) {
		t.Errorf("the holder's look did not keep it: %+v", c)
	}
	set(21 * time.Minute)
	if _, _, body := b.do(http.MethodGet, "/studies/"+string(chestCT)+"?look=1", nil); strings.Contains(body, "A. Dahl") || !strings.Contains(body, "Read it") {
		t.Error("an idle claim still holds the study, or looking took it up")
	}
	if w.claims[chestCT].By != "A. Dahl" {
		t.Error("looking took the study up")
	}
	b.do(http.MethodGet, "/studies/"+string(chestCT), nil)
	if w.claims[chestCT].By != "B. Lie" {
		t.Error("opening did not take it up")
	}
}

// TestAnswerIsAboutTheImagesThatWereOnThePage has images come while a page is open: its
// form is refused, and a page that is opened anew has one that is taken.
func TestAnswerIsAboutTheImagesThatWereOnThePage(t *testing.T) {
	w := newWard()
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader})
	a := visit(t, server, entries["A. Dahl"])
	page := "/studies/" + string(chestCT)
	form := regexp.MustCompile(`name="rev" value="(\d+)"`)
	impress := func(rev string) int {
		answer, err := a.client.PostForm(a.server+page+"/own", url.Values{"impression": {"none"}, "rev": {rev}})
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	_, _, body := a.do(http.MethodGet, page, nil)
	first := form.FindStringSubmatch(body)
	if first == nil {
		t.Fatal("the form does not say of which images it was made")
	}
	w.mu.Lock()
	c := w.cases[chestCT]
	c.Study.Rev++
	w.cases[chestCT] = c
	w.mu.Unlock()
	if code := impress(first[1]); code != http.StatusConflict {
		t.Error("an impression of images that are no longer all:", code)
	}
	if code, one := a.post("/api/v1"+page+"/own", m{"impression": "none", "revision": c.Study.Rev - 1}); code != http.StatusConflict {
		t.Error("the same by the API:", code, one)
	}
	_, _, body = a.do(http.MethodGet, page, nil)
	if code := impress(form.FindStringSubmatch(body)[1]); code >= 400 {
		t.Error("an impression of the images as they are:", code)
	}
	_, _, body = a.do(http.MethodGet, page, nil)
	if final := regexp.MustCompile(`(?s)id="verdict".*?` + form.String()).FindStringSubmatch(body); final == nil {
		t.Error("the form of the answer does not say of which images it was made")
	}
}
