package worldlist_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/screening"
)

// A screenWard is a ward whose mammograms are of a screening program.
type screenWard struct {
	*ward
	programs *screening.Programs
	turns    sync.Mutex
	kept     map[study.UID]study.Screening
}

func newScreenWard(t *testing.T, more string) *screenWard {
	t.Helper()
	p, err := screening.Parse(`
[[program]]
code = "mammo"
name = { en = "Breast screening", nb = "Mammografiprogrammet", da = "Brystkræftscreening" }
descriptions = ["*screening*"]
` + more)
	if err != nil {
		t.Fatal(err)
	}
	w := newWard()
	w.protocols = []study.Protocol{study.Independent}
	return &screenWard{ward: w, programs: p, kept: map[study.UID]study.Screening{}}
}

func (w *screenWard) Screenings(_ context.Context, studies []study.Study) ([]study.Screening, error) {
	w.turns.Lock()
	defer w.turns.Unlock()
	all := make([]study.Screening, len(studies))
	for i, s := range studies {
		if all[i] = w.kept[s.UID]; all[i].Zero() {
			w.mu.Lock()
			f := study.ScreeningFacts{Study: s, Results: w.cases[s.UID].Results}
			w.mu.Unlock()
			all[i] = study.Screening{Study: s.UID, Rev: s.Rev, Plan: w.programs.Plan(f), State: study.ScreeningFirst}
		}
	}
	return all, nil
}

func (w *screenWard) DecideScreening(ctx context.Context, uid study.UID, r study.ScreeningRead) (study.Screening, error) {
	all, err := w.Screenings(ctx, []study.Study{w.cases[uid].Study})
	if err != nil {
		return study.Screening{}, err
	}
	r.At = today
	next, err := all[0].After(r)
	if err != nil {
		return all[0], err
	}
	w.turns.Lock()
	w.kept[uid] = next
	w.turns.Unlock()
	if next.Decided() && !all[0].Decided() {
		err = w.MarkRead(ctx, uid, r.By, "none")
	}
	return next, err
}

func (w *screenWard) Answer(ctx context.Context, steps ...study.ReadingStep) error {
	last := steps[len(steps)-1]
	if last.Step != study.StepFinal || last.Study != mammogram {
		return w.ward.Answer(ctx, steps...)
	}
	if last.Recall == "" {
		return study.ErrIncomplete
	}
	if _, err := w.DecideScreening(ctx, last.Study, study.ScreeningRead{By: last.By, Recall: last.Recall == study.AnswerRecall, Text: last.Text}); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.claims, last.Study)
	for _, s := range steps {
		s.N, s.Rev, s.At = int64(len(w.steps)+1), w.cases[s.Study].Study.Rev, today
		w.steps = append(w.steps, s)
	}
	return nil
}

func (w *screenWard) Worklist(ctx context.Context, f study.WorklistFilter) ([]study.Case, study.Cursor, error) {
	all, next, err := w.ward.Worklist(ctx, f)
	w.turns.Lock()
	defer w.turns.Unlock()
	if f.List == study.ListDiscordance {
		all = nil
		for uid := range w.kept {
			all = append(all, *w.cases[uid])
		}
	}
	return slices.DeleteFunc(all, func(c study.Case) bool {
		s := w.kept[c.Study.UID]
		switch f.List {
		case study.ListDiscordance:
			return s.Look != study.LookOpen
		case study.ListConsensus:
			return s.State != f.List
		case study.ListSecond:
			return s.State != f.List || s.ReadBy(f.Reader)
		}
		return f.Reader != "" && s.ReadBy(f.Reader)
	}), next, err
}

// open serves the ward to readers, and gives the links that sign them in.
func (w *screenWard) open(t *testing.T, names ...string) (*httptest.Server, map[string]string) {
	t.Helper()
	site := siteOf(t, w.ward, w.ward, func(p *worldlist.Pages) {
		p.Screenings, p.Veil.Answers, p.Veil.Cases = w, w, w
	})
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	entries := map[string]string{}
	for _, name := range names {
		role := webui.Reader
		if name == "Ops" {
			role = webui.Operator
		}
		entries[name] = server.URL + site.Invite(webui.Identity{Name: name, Role: role}, time.Hour)
	}
	return server, entries
}

func (v visitor) lists(path string) string {
	v.t.Helper()
	_, _, body := v.do(http.MethodGet, path, nil)
	var rows []struct {
		StudyUID  string `json:"study_uid"`
		Screening string `json:"screening"`
	}
	if err := json.Unmarshal([]byte(body), &rows); err != nil {
		v.t.Fatal(err, body)
	}
	for _, r := range rows {
		if r.StudyUID == string(mammogram) {
			return r.Screening
		}
	}
	return "-"
}

// TestSecondReaderIsToldNothingOfTheFirstNorOfTheAI reads a screening twice and looks
// behind every door of the second reader for what the first one said, and for the AI,
// before the own impression, and for the first one's answer still before the own
// answer.
func TestSecondReaderIsToldNothingOfTheFirstNorOfTheAI(t *testing.T) {
	w := newScreenWard(t, "")
	w.personal() // the first reader's report comes back from the archive
	server, entries := w.open(t, "A. Dahl", "B. Lie", "C. Moe", "Ops")
	a, b, c := visit(t, server, entries["A. Dahl"]), visit(t, server, entries["B. Lie"]), visit(t, server, entries["C. Moe"])
	page, at, turn := "/studies/"+string(mammogram), "/api/v1/studies/"+string(mammogram), "/api/v1/screening/"+string(mammogram)
	if got := a.lists("/api/v1/worklist"); got != "first" {
		t.Fatal(got)
	}
	const own, said = "lateral shadow", "spiculated mass"
	if code, _ := a.post(at+"/own", m{"impression": "suspicious", "remark": own}); code != 200 {
		t.Fatal(code)
	}
	a.do(http.MethodGet, page, nil)
	if code, one := a.post(at+"/answer", m{"verdict": "agree"}); code != 409 {
		t.Error("an answer without recall or not:", code, one)
	}
	if code, one := a.post(at+"/answer", m{"verdict": "agree", "recall": "recall", "text": said}); code != 200 {
		t.Fatal(code, one)
	}
	if got := a.lists("/api/v1/worklist") + a.lists("/api/v1/worklist?list=second"); got != "--" {
		t.Error("the first reader still has it:", got)
	}
	if _, _, body := a.do(http.MethodGet, page, nil); !strings.Contains(body, said) || !strings.Contains(body, "Awaiting second reader") || strings.Contains(body, `id="verdict"`) {
		t.Error("the first reader's own page")
	}
	if got := b.lists("/api/v1/worklist?list=second"); got != "second" {
		t.Error("the second reader's list:", got)
	}
	doors := []string{"/?list=second", "/", page, page + "?look=1", page + "/report", page + "/others", page + "/others/view", page + "/patient", at, at + "/readings", turn, "/api/v1/worklist", "/api/v1/worklist?list=second"}
	first := []string{own, said, `"recall":true`, `"answer":"recall"`, "First reader’s answer", "A. Dahl"}
	first = append(first, peoplesTraces()...)
	find := func(when string, traces []string) {
		t.Helper()
		for _, door := range doors {
			_, _, body := b.do(http.MethodGet, door, nil)
			for _, trace := range traces {
				if trace != "" && strings.Contains(body, trace) {
					t.Errorf("%s, %s tells the second reader %q", when, door, trace)
				}
			}
		}
	}
	ai := []string{calc.ID, calc.SHA256.String(), clusterResult().Findings[0].What.Meaning, string(clusterResult().Findings[0].Tracking), `"score"`}
	find("before the own impression", append(ai, first...))
	if _, _, body := b.do(http.MethodGet, turn, nil); !strings.Contains(body, `"blinded":true`) || !strings.Contains(body, `"due":true`) {
		t.Error(body)
	}
	if code, _ := b.post(turn+"/look", m{"answer": "recall"}); code != 409 {
		t.Error("a blind reader settles it:", code)
	}
	if code, _ := b.post(at+"/own", m{"impression": "none"}); code != 200 {
		t.Fatal(code)
	}
	find("before the own answer", first)
	if _, _, body := b.do(http.MethodGet, page, nil); !strings.Contains(body, "Second reader’s answer") || !strings.Contains(body, calc.ID) {
		t.Error("after the own impression the AI is shown, and recall asked for")
	}
	if code, one := b.post(at+"/answer", m{"verdict": "disagree", "recall": "no_recall"}); code != 200 {
		t.Fatal(code, one)
	}
	if _, _, body := b.do(http.MethodGet, page, nil); !strings.Contains(body, said) || !strings.Contains(body, "consensus") || !strings.Contains(body, "Lie, Anna") {
		t.Error("after the answer all is told")
	}
	if got := c.lists("/api/v1/worklist?list=consensus"); got != "consensus" {
		t.Error(got)
	}
	if _, _, body := c.do(http.MethodGet, turn, nil); !strings.Contains(body, `"blinded":true`) || strings.Contains(body, said) {
		t.Error("a third reader's own impression comes first:", body)
	}
	if code, _ := c.post(at+"/own", m{"impression": "none"}); code != 200 {
		t.Fatal(code)
	}
	if _, _, body := c.do(http.MethodGet, page, nil); !strings.Contains(body, said) || !strings.Contains(body, "Third reader’s answer, which decides") {
		t.Error("who settles a disagreement does not know both answers")
	}
	if code, _ := c.post(at+"/answer", m{"verdict": "agree", "recall": "recall"}); code != 200 {
		t.Error(code)
	}
	if _, _, body := c.do(http.MethodGet, turn, nil); !strings.Contains(body, `"state":"recalled"`) || strings.Count(body, `"turn"`) != 3 {
		t.Error(body)
	}
	ops := visit(t, server, entries["Ops"])
	if _, _, body := ops.do(http.MethodGet, turn, nil); !strings.Contains(body, `"why":`) || !strings.Contains(body, `"blinded":false`) {
		t.Error(body)
	}
}

func TestNextIsNoStudyThatAwaitsAnotherReader(t *testing.T) {
	w := newScreenWard(t, "consensus = \"meeting\"\n")
	server, entries := w.open(t, "A. Dahl", "B. Lie", "C. Moe")
	a := visit(t, server, entries["A. Dahl"])
	for n, v := range []visitor{a, visit(t, server, entries["B. Lie"])} {
		at := "/api/v1/studies/" + string(mammogram)
		v.post(at+"/own", m{"impression": "none"})
		if code, one := v.post(at+"/answer", m{"verdict": "agree", "recall": []string{"recall", "no_recall"}[n]}); code != 200 {
			t.Fatal(code, one)
		}
	}
	c := visit(t, server, entries["C. Moe"])
	for {
		code, one := c.post("/api/v1/worklist/next", nil)
		if code == 404 {
			break
		}
		if code != 200 || one["study_uid"] == string(mammogram) {
			t.Fatal("what a meeting decides is given to a reader:", code, one["study_uid"])
		}
	}
	turn := "/api/v1/screening/" + string(mammogram)
	if _, _, body := a.do(http.MethodGet, "/studies/"+string(mammogram), nil); !strings.Contains(body, "Decision of the consensus meeting") {
		t.Error("no place for the meeting's decision")
	}
	if code, _ := a.post(turn+"/meeting", m{"answer": "no_recall", "with": []string{}}); code != 422 {
		t.Error("a meeting of one:", code)
	}
	if code, one := a.post(turn+"/meeting", m{"answer": "no_recall", "with": []string{"B. Lie"}}); code != 200 || one["state"] != "not_recalled" {
		t.Error(code, one)
	}
	if code, _ := a.post("/api/v1/screening/"+string(chestCT)+"/look", m{"answer": "recall"}); code != 404 {
		t.Error("a study of no screening:", code)
	}
}

// TestScreeningByBrowser has three readers settle a screening, and shows the second
// look, in every language.
func TestScreeningByBrowser(t *testing.T) {
	w := newScreenWard(t, "")
	w.protocols = []study.Protocol{study.SecondLook}
	server, entries := w.open(t, "A. Dahl", "B. Lie", "C. Moe")
	page := server.URL + "/studies/" + string(mammogram)
	for n, name := range []string{"A. Dahl", "B. Lie"} {
		b := webuitest.Open(t, 1440, 900, "en")
		enter(t, b, entries[name])
		lang := webui.Langs[n+1]
		b.Go(page)
		b.Until(imageReady)
		b.Click(`#answer input[value=none]`)
		b.Click(`#answer button.main`)
		b.Until(`!!document.querySelector('#verdict input[name=recall]')`)
		b.Promises()
		b.Shot(fmt.Sprintf("screening-turn-%d", n+1))
		b.Click(`#verdict input[value=agree]`)
		b.Click(`#verdict input[value=no_recall]`)
		b.Click(`#verdict button.main`)
		b.Until(`location.search === '?saved=1'`)
		b.Promises()
		b.Shot(fmt.Sprintf("screening-said-%d-%s", n+1, lang))
	}
	c := webuitest.Open(t, 1440, 900, "nb")
	enter(t, c, entries["C. Moe"])
	c.Go(server.URL + "/?list=discordance")
	c.Until(listReady)
	c.Until(`!!document.querySelector('tr[data-uid="` + string(mammogram) + `"] .turn')`)
	c.Promises()
	c.Shot("screening-discordance")
	c.Go(page)
	c.Until(imageReady)
	c.Click(`form[action$=second-look] input[value=recall]`)
	c.Promises()
	c.Shot("screening-look")
	c.Click(`form[action$=second-look] button`)
	c.Until(`location.search === '?saved=1'`)
	if s := w.kept[mammogram]; s.State != study.ScreeningRecalled || s.Look != study.LookDone {
		t.Error(s.State, s.Look)
	}
}
