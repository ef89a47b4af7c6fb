package oversight_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/models"
	"varde/models/modelcard"
	"varde/oversight"
	"varde/store/storetest"
	"varde/study"
)

func TestModelIsStoppedByOneAndLetSpeakByTwo(t *testing.T) {
	server, _, l, refs := serve(t)
	path := server.URL + "/api/v1/models/" + refs[0].String()
	for _, tt := range []struct {
		name, role, verb, body string
		want                   int
	}{
		{"by nobody", "", "suspend", `{"reason":"x"}`, 401},
		{"by a reader", webui.Reader, "suspend", `{"reason":"x"}`, 403},
		{"by a reader who writes nonsense", webui.Reader, "suspend", `}`, 403},
		{"without a reason", webui.Quality, "suspend", `{}`, 400},
		{"with an empty reason", webui.Quality, "suspend", `{"reason":"   "}`, 400},
		{"with a reason", webui.Quality, "suspend", `{"reason":"too many flags since Monday"}`, 200},
		{"again", webui.Quality, "suspend", `{"reason":"again"}`, 400},
		{"nothing is proposed", webui.Admin, "confirm", `{}`, 404},
		{"proposed", webui.Operator, "promote", `{"reason":"scanner repaired","share":"25%"}`, 200},
		{"confirmed by who proposed it", webui.Operator, "confirm", `{}`, 409},
		{"confirmed by a reader", webui.Reader, "confirm", `{}`, 403},
		{"confirmed", webui.Quality, "confirm", `{"reason":"seen the repair"}`, 200},
		{"confirmed twice", webui.Quality, "confirm", `{}`, 404},
		{"a share that is none", webui.Admin, "share", `{"reason":"x","share":"much"}`, 400},
		{"a smaller share", webui.Admin, "share", `{"reason":"careful","share":"10%"}`, 200},
		{"a larger share is proposed", webui.Admin, "share", `{"reason":"good","share":"50%"}`, 200},
		{"declined", webui.Quality, "decline", `{"reason":"too early"}`, 200},
		{"in shadow", webui.Quality, "shadow", `{"reason":"trial"}`, 200},
		{"stopped for good", webui.Admin, "withdraw", `{"reason":"replaced"}`, 200},
		{"never started again", webui.Admin, "promote", `{"reason":"please"}`, 400},
		{"nor in silence", webui.Admin, "shadow", `{"reason":"please"}`, 400},
	} {
		if code, body := ask(t, http.MethodPost, path+"/"+tt.verb, tt.role, "application/json", tt.body); code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, code, tt.want, body)
		}
	}
	if code, _ := ask(t, http.MethodPost, server.URL+"/api/v1/models/none@1/suspend", webui.Admin, "application/json", `{"reason":"x"}`); code != 404 {
		t.Errorf("a model that is not here: %d", code)
	}
	var states []string
	history, err := l.ModelHistory(t.Context(), refs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range history {
		states = append(states, fmt.Sprintf("%s %s %s+%s", c.State, c.Share, c.By, c.Second))
	}
	want := "draft 100% setup+, live 100% setup+, suspended 100% machine quality+, live 25% machine operator+machine quality, " +
		"live 10% machine admin+, shadow 100% machine quality+, withdrawn 100% machine admin+"
	if got := strings.Join(states, ", "); got != want {
		t.Errorf("the history is\n%s, not\n%s", got, want)
	}
	actions := map[string]int{}
	rows, err := l.AuditRows(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Entity == "model "+refs[0].String() {
			actions[r.Action]++
		}
	}
	for action, n := range map[string]int{"model": 7, "model proposed": 2, "model proposal confirmed": 1, "model proposal declined": 1, "model refused": 4} {
		if actions[action] != n {
			t.Errorf("%q is in the audit %d times, not %d: %v", action, actions[action], n, actions)
		}
	}
	if _, err := l.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
	_, body := ask(t, http.MethodGet, server.URL+"/api/v1/models", webui.Reader, "", "")
	var all []struct {
		Model, Version, State, By, Reason string
		SHA                               string `json:"model_sha256"`
		Share                             float64
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != len(refs) {
		t.Fatal(err, body)
	}
	for _, m := range all {
		want := "live"
		if m.Model == refs[0].ID {
			want = "withdrawn"
		}
		if m.State != want || len(m.SHA) != 64 || m.Share != 1 {
			t.Errorf("%+v", m)
		}
	}
	_, body = ask(t, http.MethodGet, path+"/history", webui.Reader, "", "")
	if strings.Count(body, `"state"`) != 7 || !strings.Contains(body, `"installed":true`) {
		t.Error(body)
	}
}

func TestModelsPage(t *testing.T) {
	server, _, l, refs := serve(t)
	code, body := ask(t, http.MethodGet, server.URL+"/models", webui.Reader, "", "")
	if code != 200 || strings.Contains(body, "Stop this model") {
		t.Error(code, "a reader sees the switch")
	}
	for _, ref := range refs {
		if !strings.Contains(body, ref.String()) || !strings.Contains(body, ref.SHA256.String()) {
			t.Errorf("%s is not whole on the page", ref)
		}
	}
	form := url.Values{"verb": {"suspend"}, "reason": {"drift <b>"}}.Encode()
	path := server.URL + "/models/" + refs[1].String()
	const kind = "application/x-www-form-urlencoded"
	for role, want := range map[string]int{"": 401, webui.Reader: 403, webui.Auditor: 403} {
		if code, _ := ask(t, http.MethodPost, path+"/state", role, kind, form); code != want {
			t.Errorf("%q: %d", role, code)
		}
	}
	if code, body := ask(t, http.MethodPost, path+"/state", webui.Quality, kind, form); code != 303 {
		t.Error(code, body)
	}
	if code, _ := ask(t, http.MethodPost, path+"/state", webui.Quality, kind, "verb=explode&reason=x"); code != 400 {
		t.Error(code)
	}
	if c := l.last(refs[1]); c.State != study.ModelSuspended || c.By != "machine quality" {
		t.Errorf("%+v", c)
	}
	proposal := url.Values{"verb": {"promote"}, "reason": {"repaired"}, "share": {"10 %"}}.Encode()
	if code, _ := ask(t, http.MethodPost, path+"/state", webui.Quality, kind, proposal); code != 303 {
		t.Error(code)
	}
	_, body = ask(t, http.MethodGet, server.URL+"/models?saved=1", webui.Operator, "", "")
	for _, want := range []string{"Suspended", "by machine quality", "drift &lt;b&gt;", "Done.", "by the installation", "machine quality proposes: Live"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for role, can := range map[string]bool{webui.Quality: false, webui.Operator: true} {
		_, body := ask(t, http.MethodGet, path, role, "", "")
		if strings.Contains(body, `value="confirm"`) != can || !strings.Contains(body, "for 10 % of the exams") || !strings.Contains(body, `value="decline"`) {
			t.Errorf("%s may confirm: %v expected", role, can)
		}
	}
	if code, _ := ask(t, http.MethodPost, path+"/state", webui.Operator, kind, url.Values{"verb": {"confirm"}, "reason": {"yes"}}.Encode()); code != 303 {
		t.Error(code)
	}
	if _, body = ask(t, http.MethodGet, path, webui.Reader, "", ""); !strings.Contains(body, "machine quality and machine operator") || strings.Contains(body, "<form method=\"post\" action=\"/models") {
		t.Error("a reader's page of the model")
	}
	if code, _ = ask(t, http.MethodGet, server.URL+"/models/none@1", webui.Reader, "", ""); code != 404 {
		t.Error(code)
	}
}

// TestModelsAreToldOfInTheVisitorsLanguage asks the page and the API.
func TestModelsAreToldOfInTheVisitorsLanguage(t *testing.T) {
	server, _, _, refs := serve(t)
	get := func(path, lang string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Language", lang)
		r.Header.Set("Authorization", "Bearer "+webui.Reader)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return html.UnescapeString(string(b))
	}
	for _, d := range models.Reference() {
		card, err := modelcard.Parse(d.CardTOML)
		if err != nil || !slices.Contains(refs, card.Ref()) {
			t.Fatal(card.Ref(), err)
		}
		for _, lang := range []string{"en", "nb", "da"} {
			c := card.In(lang)
			page := get("/models", lang)
			for _, want := range append([]string{c.Description, c.Regulatory, c.Use.Text, c.Use.Measures, c.Use.Limits}, c.Use.NotFor...) {
				if !strings.Contains(page, want) {
					t.Errorf("the page in %s does not say %q", lang, want)
				}
			}
			if api := get("/api/v1/models?lang="+lang, "en"); !strings.Contains(api, c.Use.Text) || !strings.Contains(api, c.Regulatory) {
				t.Errorf("the API in %s does not say what %s is for", lang, c.Ref())
			}
			if api := get("/api/v1/models", lang); !strings.Contains(api, c.Use.Text) {
				t.Errorf("the API does not speak the language of who asks, %s", lang)
			}
		}
	}
}

// trial has another model like one run in shadow.
func (l *ledger) trial(like study.ModelRef) study.ModelRef {
	l.t.Helper()
	for _, d := range models.Reference() {
		c, err := modelcard.Parse(d.CardTOML)
		if err != nil || c.Ref() != like {
			continue
		}
		text := bytes.Replace(d.CardTOML, []byte(`"`+like.ID+`"`), []byte(`"zz-trial"`), 1)
		if c, err = l.models.Add(l.t.Context(), text, d.Network, "setup"); err != nil {
			l.t.Fatal(err)
		}
		if err := l.models.Set(l.t.Context(), c.Ref(), study.ModelShadow, "B. Moe", "a silent trial"); err != nil {
			l.t.Fatal(err)
		}
		return c.Ref()
	}
	l.t.Fatalf("%s is no reference model", like)
	return like
}

// seed has a model answer some exams, and beside it others in shadow.
func seed(t *testing.T, l *ledger, ref study.ModelRef, silent ...study.ModelRef) {
	t.Helper()
	ctx := context.Background()
	b := &storetest.Bench{Ledger: l.Ledger, T: t}
	for n := range 6 {
		uid := study.UID(fmt.Sprintf("1.2.%d", n))
		asked := storetest.Asked("ct", 1)
		asked.Model = ref
		plans := []study.ModelPlan{asked}
		for _, s := range silent {
			quiet := storetest.Asked("quiet", 1)
			quiet.Model, quiet.Shadow = s, true
			plans = append(plans, quiet)
		}
		b.Settle(uid, plans...)
		if n < 4 {
			b.Score()
			for _, j := range b.Claim(study.PoolReport, 10) {
				r := storetest.ResultOf(j, study.Flagged, 0.9)
				if r.Shadow = j.Model != ref; r.Shadow && n == 1 {
					r = storetest.ResultOf(j, study.NotFlagged, 0.2)
					r.Shadow = true
				}
				b.OK(b.Ledger.Conclude(ctx, j, r))
			}
			b.Report("PACS")
		}
	}
	due, err := l.DueDeliveries(ctx, 10)
	b.OK(err)
	for _, d := range due[:2] {
		b.OK(l.Delivered(ctx, d.ID))
	}
	b.OK(l.MarkRead(ctx, due[0].Study, "K. Lund", "agree"))
}

func TestShadowRunIsHeldAgainstTheLiveModel(t *testing.T) {
	server, _, l, refs := serve(t)
	silent := l.trial(refs[0])
	seed(t, l, refs[0], silent)
	path := server.URL + "/api/v1/models/" + silent.String() + "/compare"
	for role, want := range map[string]int{"": 401, webui.Reader: 403, webui.Auditor: 403} {
		if code, _ := ask(t, http.MethodGet, path, role, "", ""); code != want {
			t.Errorf("%q: %d", role, code)
		}
	}
	for _, query := range []string{"", "?with=" + refs[0].String()} {
		_, body := ask(t, http.MethodGet, path+query, webui.Quality, "", "")
		var all []struct {
			With             string
			N, Agree, Scored int
			Other            int      `json:"only_other_flags"`
			Mean             *float64 `json:"difference_mean"`
			Discordant       []struct {
				Study string `json:"study_uid"`
			}
		}
		if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != 1 {
			t.Fatal(err, body)
		}
		if c := all[0]; c.With != refs[0].String() || c.N != 4 || c.Agree != 3 || c.Other != 1 || c.Scored != 4 || math.Abs(*c.Mean+0.175) > 1e-9 ||
			len(c.Discordant) != 1 || c.Discordant[0].Study != "1.2.1" {
			t.Errorf("%s: %s", query, body)
		}
	}
	if code, _ := ask(t, http.MethodGet, path+"?with=none@1", webui.Quality, "", ""); code != 404 {
		t.Error(code)
	}
	_, body := ask(t, http.MethodGet, server.URL+"/models/"+silent.String(), webui.Reader, "", "")
	for _, word := range []string{"Held against", "1.2.1", "kappa"} {
		if strings.Contains(body, word) {
			t.Errorf("a reader's page says %q", word)
		}
	}
}

func TestAffectedExamsAreListed(t *testing.T) {
	server, _, l, refs := serve(t)
	seed(t, l, refs[0])
	path := server.URL + "/api/v1/models/" + refs[0].String()
	for role, want := range map[string]int{"": 401, webui.Reader: 403, webui.Auditor: 403, webui.Quality: 200} {
		if code, _ := ask(t, http.MethodGet, path+"/affected", role, "", ""); code != want {
			t.Errorf("%q: %d", role, code)
		}
	}
	var got struct {
		State  string
		Counts map[string]int
		Exams  []struct {
			Study   string `json:"study_uid"`
			State   string
			ReadBy  string `json:"read_by"`
			Objects []struct {
				Destination, Status string
				Instance            string `json:"sop_instance_uid"`
			}
		}
		After string
	}
	read := func(query string) {
		t.Helper()
		got.Exams, got.After, got.Counts = nil, "", nil
		_, body := ask(t, http.MethodGet, path+"/affected"+query, webui.Quality, "", "")
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err, body)
		}
	}
	read("")
	if len(got.Exams) != 6 || got.Counts["read"] != 1 || got.Counts["delivered"] != 1 || got.Counts["scored"] != 2 || got.Counts["waiting"] != 2 {
		t.Fatalf("%+v", got)
	}
	if code, body := ask(t, http.MethodPost, path+"/withdraw", webui.Quality, "application/json", `{"reason":"a fault in the training data"}`); code != 200 {
		t.Fatal(code, body)
	}
	read("?state=read")
	if got.State != "withdrawn" || got.Counts["stopped"] != 2 || got.Counts["waiting"] != 0 || len(got.Exams) != 1 || got.Exams[0].ReadBy != "K. Lund" ||
		len(got.Exams[0].Objects) != 1 || got.Exams[0].Objects[0].Status != "delivered" || got.Exams[0].Objects[0].Destination != "PACS" {
		t.Fatalf("%+v", got)
	}
	if err := l.Sweep(t.Context()); err != nil { // as the service does
		t.Fatal(err)
	}
	_, told := ask(t, http.MethodGet, path+"/recall", webui.Quality, "", "")
	if !strings.Contains(told, `"done":false`) || !strings.Contains(told, `"destination":"PACS","exams":2,"untold":2,"notes":0`) {
		t.Errorf("the recall: %s", told)
	}
	if code, _ := ask(t, http.MethodGet, path+"/recall", webui.Reader, "", ""); code != 403 {
		t.Errorf("a reader: %d", code)
	}
	seen := 0
	for after := ""; ; after = got.After {
		read("?limit=4&after=" + after)
		if seen += len(got.Exams); got.After == "" {
			break
		}
	}
	if seen != 6 {
		t.Errorf("%d exams page by page", seen)
	}
	code, body := ask(t, http.MethodGet, server.URL+"/models/"+refs[0].String()+"/affected.csv", webui.Quality, "", "")
	lines, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if code != 200 || err != nil || len(lines) != 7 || len(lines[0]) != 16 {
		t.Error(code, err, body)
	}
	_, body = ask(t, http.MethodGet, server.URL+"/models/"+refs[0].String(), webui.Quality, "", "")
	for _, want := range []string{"This model was withdrawn.", "Under way: 2 exams are called back.", "K. Lund", "PACS: delivered", "held back", "A1.2.0"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestCompareCountsWhatTwoModelsSay(t *testing.T) {
	score := func(v float64) *float64 { return &v }
	pair := func(n int, a, b study.AIState, x, y *float64) (all []study.ResultPair) {
		for range n {
			all = append(all, study.ResultPair{Study: "1.2", AI: [2]study.AIState{a, b}, Scores: [2]*float64{x, y}})
		}
		return all
	}
	var pairs []study.ResultPair
	pairs = append(pairs, pair(40, study.Flagged, study.Flagged, score(0.9), score(0.8))...)
	pairs = append(pairs, pair(40, study.NotFlagged, study.NotFlagged, score(0.1), score(0.2))...)
	pairs = append(pairs, pair(10, study.Flagged, study.NotFlagged, score(0.7), nil)...)
	pairs = append(pairs, pair(6, study.NotFlagged, study.Flagged, nil, nil)...)
	pairs = append(pairs, pair(4, study.Uncertain, study.NotFlagged, nil, nil)...)
	pairs = append(pairs, pair(3, study.Failed, study.Flagged, nil, score(1))...)
	pairs = append(pairs, pair(2, study.OutOfScope, study.OutOfScope, nil, nil)...)
	c := oversight.Compare(pairs)
	if c.N != 100 || c.LeftOut != 5 || c.Agree != 80 || c.First != 10 || c.Second != 6 || c.Unsure != 4 || len(c.Discordant) != 16 || c.Scored != 80 {
		t.Errorf("%+v", c)
	}
	// Wilson's interval of 80 in 100 is 0.711 to 0.867; by chance 0.5·0.46 + 0.46·0.54 = 0.4784 agree.
	for what, v := range map[string][2]float64{"low": {c.Low, 0.7112}, "high": {c.High, 0.8666}, "kappa": {c.Kappa, 0.6166},
		"mean": {c.Mean, 0}, "deviation": {c.SD, 0.1}, "largest": {math.Abs(c.Most), 0.1}} {
		if math.Abs(v[0]-v[1]) > 0.0015 {
			t.Errorf("%s is %.4f, want %.4f", what, v[0], v[1])
		}
	}
	if none := oversight.Compare(nil); none.N != 0 || none.Low != 0 || none.High != 1 || !math.IsNaN(none.Kappa) {
		t.Errorf("of nothing: %+v", none)
	}
}
