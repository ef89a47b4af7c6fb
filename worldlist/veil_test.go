package worldlist_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/viewer"
)

// traces are what tells of the AI, ours or another maker's, on the chest CT, the mammogram or the prostate,
// in any language.
func traces() []string {
	all := []string{"nuclear density", "nodule candidates", nodules.ID, calc.ID, nuclei.ID, names[nodules.ID], names[calc.ID], nodules.SHA256.String(), nodules.SHA256.String()[:12], calc.SHA256.String()[:12],
		"2.25.9001", "2.25.9000", "candidate at 0.5", "3.42", `"probability":0`, `"flagged"`, `"uncertain"`, `"not_flagged"`, "ai-flagged", "ai-uncertain", "ai-not_flagged", "head_start"}
	all = append(all, foreignTraces()...) // of what another maker says of the mammogram
	for _, r := range []study.Result{noduleResult(), clusterResult(), densityResult()} {
		for _, f := range r.Findings {
			all = append(all, f.What.Meaning, string(f.Tracking))
		}
		for _, m := range r.Measurements {
			all = append(all, m.Name.Meaning)
		}
	}
	for _, l := range webui.Langs {
		for _, key := range []string{"ai.flagged", "ai.uncertain", "ai.not_flagged", "ai.flagged.says", "ai.uncertain.says", "ai.not_flagged.says", "why.ai_flagged", "why.ai_uncertain", "why.ai_not_flagged", "reports", "score.uncalibrated"} {
			all = append(all, l.T(key))
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// blindWard is a ward with three studies, each with a result.
func blindWard() *ward {
	w := newWard()
	for uid := range w.cases {
		if uid != chestCT && uid != mammogram && uid != prostate {
			delete(w.cases, uid)
		}
	}
	w.protocols = []study.Protocol{study.SecondLook, study.Independent}
	w.cad()
	return w
}

// search looks for traces in what a path answers, and says which it found.
func search(t *testing.T, server *httptest.Server, path, role, lang string) []string {
	t.Helper()
	_, body := ask(t, http.MethodGet, server.URL+path, role, lang, nil)
	var found []string
	for _, trace := range traces() {
		if strings.Contains(body, trace) {
			found = append(found, trace)
		}
	}
	return found
}

func pathsOf(uid study.UID) []string {
	at := "/studies/" + string(uid)
	return []string{at, at + "?look=1", at + "/slides", at + "/report", at + "/patient", at + "/case", at + "/others", at + "/others/view", "/api/v1" + at, "/api/v1" + at + "/readings"}
}

func TestABlindReaderFindsNoTraceOfTheAI(t *testing.T) {
	w := blindWard()
	server, _ := serve(t, w, webui.Reader)
	paths := []string{"/", "/?status=reported", "/?last=1", "/api/v1/worklist", "/api/v1/studies", "/api/v1/worklist?lang=nb", "/api/v1/worklist?lang=da",
		"/studies/" + string(prostate) + "/slides/" + string(prostate) + ".1", "/studies/" + string(prostate) + "/slides/" + string(prostate) + ".1/heat?model=" + url.QueryEscape(nuclei.String()+"+"+nuclei.SHA256.Short())}
	for _, uid := range []study.UID{chestCT, mammogram, prostate} {
		paths = append(paths, pathsOf(uid)...)
	}
	for _, path := range paths {
		for _, lang := range webui.Langs {
			if found := search(t, server, path, webui.Reader, string(lang)); len(found) > 0 {
				t.Errorf("%s in %s tells of the AI: %q", path, lang, found)
			}
		}
	}
	if a, _ := get(t, server.URL+paths[8], webui.Reader); a.StatusCode != http.StatusConflict {
		t.Errorf("the heat map: %s", a.Status)
	}
	if a, _ := ask(t, http.MethodPost, server.URL+"/studies/"+string(chestCT)+"/verdict", webui.Reader, "en", url.Values{"verdict": {"agree"}}); a.StatusCode != http.StatusConflict {
		t.Errorf("an answer before the own one: %s", a.Status)
	}
	// Quality sees it all, and the audit says so.
	if found := search(t, server, "/studies/"+string(chestCT), webui.Quality, "en"); len(found) == 0 {
		t.Error("quality sees nothing: the search finds nothing")
	}
	if len(w.noted) != 1 || w.noted[0] != "machine quality ai seen unblinded study "+string(chestCT) {
		t.Errorf("noted: %q", w.noted)
	}
	// Once the answer is locked all is there, on this study alone.
	if a, body := ask(t, http.MethodPost, server.URL+"/studies/"+string(chestCT)+"/own", webui.Reader, "en", url.Values{"impression": {"none"}}); a.StatusCode != 303 {
		t.Fatal(a.Status, body)
	}
	for _, path := range []string{"/studies/" + string(chestCT), "/api/v1/studies/" + string(chestCT), "/"} {
		if found := search(t, server, path, webui.Reader, "en"); len(found) < 3 {
			t.Errorf("%s still hides the AI: %q", path, found)
		}
	}
	if found := search(t, server, "/studies/"+string(mammogram), webui.Reader, "en"); len(found) > 0 {
		t.Errorf("another study's AI is shown: %q", found)
	}
}

// TestStatusTellsABlindReaderNothing: how far the AI has come with a study, and that
// it was not for it at all, would be an AI state by another name.
func TestStatusTellsABlindReaderNothing(t *testing.T) {
	said := func(status study.Status) (all []string) {
		w := blindWard()
		w.cases[mammogram].Study.Status = status
		server, _ := serve(t, w, webui.Reader)
		at := "/studies/" + string(mammogram)
		for _, path := range []string{"/", "/?status=settled", "/?status=scoring", "/?status=scored", "/?status=reported", at + "?look=1", at + "/slides", at + "/report", at + "/patient", at + "/case",
			"/api/v1" + at, "/api/v1/worklist?status=settled", "/api/v1/worklist?status=reported",
			"/api/v1/studies", "/api/v1/studies?status=settled", "/api/v1/studies?status=settled&limit=1", "/api/v1/studies?status=scored", "/api/v1/studies?status=reported"} {
			_, body := get(t, server.URL+path, webui.Reader)
			all = append(all, path+"\n"+body)
		}
		return all
	}
	want := said(study.Settled)
	for _, status := range []study.Status{study.Scoring, study.Scored, study.Reported} {
		for i, got := range said(status) {
			if got != want[i] {
				t.Errorf("%s: %s", status, difference(want[i], got))
			}
		}
	}
	if !strings.Contains(want[1], string(mammogram)) || strings.Contains(want[4], string(mammogram)) {
		t.Error("a status is not found as it is shown")
	}
}

// TestHowLongTheAITakesTellsABlindReaderNothing: a model that still works on an exam and
// one that turned it away at once look alike, on the list as on the exam's own pages.
func TestHowLongTheAITakesTellsABlindReaderNothing(t *testing.T) {
	said := func(results []study.Result) (all []string) {
		w := blindWard()
		c := w.cases[mammogram]
		w.asked = map[study.UID][]viewer.Asked{mammogram: {{Plan: study.ModelPlan{Model: clusterResult().Model}}}}
		c.Study.Status, c.Results, c.Reports = study.Settled, results, nil
		w.cases[mammogram] = c
		server, _ := serve(t, w, webui.Reader)
		for _, path := range append(pathsOf(mammogram), "/", "/api/v1/worklist", "/api/v1/studies") {
			_, body := get(t, server.URL+path, webui.Reader)
			all = append(all, path+"\n"+body)
		}
		return all
	}
	away := clusterResult()
	away.AI, away.Reason, away.Findings, away.Seen = study.OutOfScope, study.Reason{Code: study.ReasonSpacing}, nil, 0
	atWork := said(nil)
	for name, results := range map[string][]study.Result{"turned away": {away}, "answered": {clusterResult()}} {
		for i, got := range said(results) {
			if got != atWork[i] {
				t.Errorf("%s: %s", name, difference(atWork[i], got))
			}
		}
	}
}

func TestLiveMessagesTellABlindReaderNothing(t *testing.T) {
	w := blindWard()
	server, _ := serve(t, w, webui.Reader)
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
	if _, err := w.MoveClaim(t.Context(), study.ClaimMove{Study: chestCT, Kind: study.ClaimTake, By: "B. Lie", Idle: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		for _, trace := range traces() {
			if strings.Contains(lines.Text(), trace) {
				t.Errorf("%q tells of the AI: %q", lines.Text(), trace)
			}
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: {"); ok {
			if !strings.Contains(data, string(chestCT)) || !strings.Contains(data, "B. Lie is reading, since 14:30") {
				t.Error(data)
			}
			return
		}
	}
	t.Error("nobody told of the claim")
}

// TestPlaceTellsABlindReaderNothing: whatever the AI says, a list looks the same.
func TestPlaceTellsABlindReaderNothing(t *testing.T) {
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	listOf := func(flagged int, role string, limit int) []string {
		w := blindWard()
		clear(w.cases)
		for n := range 40 {
			ai := study.NotFlagged
			if n == flagged {
				ai = study.Flagged
			}
			uid := study.UID(fmt.Sprint("2.25.", 300+n))
			c := one(uid, fmt.Sprint("P^", n), "Mammography", study.MG, day.Add(time.Duration(n)*30*time.Minute), "", time.Time{}, ran(calc, ai, 4, 4))
			w.cases[uid] = &c
		}
		server, _ := serve(t, w, role)
		var all []string
		for after := ""; ; {
			_, body := get(t, fmt.Sprint(server.URL, "/api/v1/worklist?limit=", limit, "&after=", after), role)
			var rows []struct {
				UID    string `json:"study_uid"`
				Key    string
				Cursor string
			}
			if err := json.Unmarshal([]byte(body), &rows); err != nil {
				t.Fatal(err, body)
			}
			for _, r := range rows {
				all = append(all, r.UID+" "+r.Key)
				after = r.Cursor
			}
			if len(rows) < limit {
				return all
			}
		}
	}
	first := listOf(3, webui.Reader, 100)
	if len(first) != 40 {
		t.Fatalf("%d rows", len(first))
	}
	for _, flagged := range []int{0, 17, 39} {
		if got := listOf(flagged, webui.Reader, 100); !slices.Equal(got, first) {
			t.Errorf("the list tells that study %d is flagged", flagged)
		}
	}
	if got := listOf(3, webui.Reader, 7); !slices.Equal(got, first) {
		t.Errorf("page by page it is another list:\n%q\n%q", got, first)
	}
	if got := listOf(3, webui.Quality, 100); slices.Equal(got, first) || slices.Equal(got, listOf(17, webui.Quality, 100)) {
		t.Error("who is not blind sees the shuffled order")
	}
	a, b := order.ShuffledKey("anna", "2.25.1", day.Add(5*time.Hour)), order.ShuffledKey("bo", "2.25.1", day.Add(5*time.Hour))
	if a.Equal(b) || !a.Equal(order.ShuffledKey("anna", "2.25.1", day.Add(23*time.Hour))) || a.Before(day) || !a.Before(day.AddDate(0, 0, 1)) {
		t.Errorf("%v, %v: each reader has an order of the day of its own, which does not hang on the hour", a, b)
	}
}

func TestTriageShowsTheOrderAndNoFinding(t *testing.T) {
	w := newWard()
	w.protocols = []study.Protocol{study.TriageOnly}
	server, _ := serve(t, w, webui.Reader)
	if _, body := get(t, server.URL+"/", webui.Reader); !strings.Contains(body, "Flagged") {
		t.Error("the list does not show its state")
	}
	for _, path := range pathsOf(chestCT) {
		_, body := get(t, server.URL+path, webui.Reader)
		for _, f := range noduleResult().Findings {
			if strings.Contains(body, string(f.Tracking)) || strings.Contains(body, f.What.Meaning) {
				t.Errorf("%s shows a finding", path)
			}
		}
		if strings.Contains(body, "2.25.9001") || strings.Contains(body, `"points"`) && !strings.Contains(body, `"marks":[]`) {
			t.Errorf("%s leads to findings", path)
		}
	}
	if _, body := get(t, server.URL+"/api/v1/studies/"+string(chestCT), webui.Quality); !strings.Contains(body, string(noduleResult().Findings[0].Tracking)) {
		t.Error("quality does not see the findings")
	}
}
