package worldlist_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
	"varde/worldlist"
)

// moves are an audit in memory: what was done to the ward.
type moves struct {
	mu    sync.Mutex
	rows  []study.AuditRow
	asked int
}

func (m *moves) AuditRows(_ context.Context, before int64, limit int) ([]study.AuditRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	var all []study.AuditRow
	for _, r := range slices.Backward(m.rows) {
		if (before == 0 || r.N < before) && len(all) < limit {
			all = append(all, r)
		}
	}
	return all, nil
}

// done changes the ward, and the audit says so.
func (m *moves) done(w *ward, entity string, change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, study.AuditRow{N: int64(len(m.rows) + 1), Entity: entity})
}

// liveWard serves a ward whose pages hear what is done.
func liveWard(t *testing.T, w *ward, change ...func(*worldlist.Pages)) (server *httptest.Server, m *moves, entry string) {
	t.Helper()
	m = &moves{rows: []study.AuditRow{{N: 1, Entity: "ledger"}}}
	site := siteOf(t, w, w, append([]func(*worldlist.Pages){func(p *worldlist.Pages) { p.Moves = m }}, change...)...)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	return server, m, server.URL + site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Reader}, time.Hour)
}

var shownField = regexp.MustCompile(`data-shown="([^"]+)"`)

// shown is what a page says that it shows.
func shown(t *testing.T, server *httptest.Server, path, role string) string {
	t.Helper()
	_, body := get(t, server.URL+path, role)
	m := shownField.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("%s does not say what it shows", path)
	}
	return m[1]
}

// An ear is an open page that listens.
type ear struct {
	t     *testing.T
	lines *bufio.Scanner
	heard []string // all of it
}

func listen(t *testing.T, server *httptest.Server, uid study.UID, page, shown, role string) *ear {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/studies/"+string(uid)+"/changes?page="+page+"&shown="+url.QueryEscape(shown), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+role)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Body.Close() })
	if got := a.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatal(a.Status, got)
	}
	return &ear{t: t, lines: bufio.NewScanner(a.Body)}
}

// next waits for the next look of the page, and gives what it was told; empty where
// that is nothing.
func (e *ear) next() string {
	e.t.Helper()
	for e.lines.Scan() {
		line := e.lines.Text()
		e.heard = append(e.heard, line)
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return data
		}
		if strings.HasPrefix(line, ":") {
			return ""
		}
	}
	e.t.Fatalf("the stream ended: %v", e.lines.Err())
	return ""
}

// quiet waits for looks that say nothing.
func (e *ear) quiet(looks int, after string) {
	e.t.Helper()
	for range looks {
		if told := e.next(); told != "" {
			e.t.Fatalf("%s: told %s", after, told)
		}
	}
}

// told waits until the page is told something.
func (e *ear) told() string {
	e.t.Helper()
	for {
		if said := e.next(); said != "" {
			return said
		}
	}
}

const enough = 6 // looks, after which whatever moved was heeded

func TestOpenPageHearsWhatNoLongerHolds(t *testing.T) {
	entity := "study " + string(chestCT)
	for name, tt := range map[string]struct {
		entity string
		change func(*ward)
		want   string
	}{
		"a model was stopped":    {"model " + nodules.String(), func(w *ward) { w.withheld = nodules }, `{"stopped":["` + nodules.String() + `"]}`},
		"a result was corrected": {entity, func(w *ward) { w.cases[chestCT].Results = []study.Result{ran(nodules, study.NotFlagged, 24, 24)} }, `{"stopped":[]}`},
		"images came":            {entity, func(w *ward) { w.cases[chestCT].Study.Rev++ }, `{"stopped":[]}`},
		"more images are coming": {entity, func(w *ward) { w.cases[chestCT].Study.Status = study.Receiving }, `{"stopped":[]}`},
		"a result came": {entity, func(w *ward) {
			w.cases[chestCT].Results = append(slices.Clone(w.cases[chestCT].Results), ran(calc, study.Flagged, 4, 4))
		}, `{"stopped":[]}`},
	} {
		for _, page := range []string{"study", "case"} {
			w := newWard()
			server, m, _ := liveWard(t, w)
			path := map[string]string{"study": "", "case": "/case"}[page]
			e := listen(t, server, chestCT, page, shown(t, server, "/studies/"+string(chestCT)+path, webui.Reader), webui.Reader)
			e.quiet(enough, "nothing was done")
			m.done(w, entity, func() { w.cases[chestCT].Study.Place.Why = nil })
			e.quiet(enough, "what the page does not show has changed")
			m.done(w, tt.entity, func() { tt.change(w) })
			if got := e.told(); got != tt.want {
				t.Errorf("%s: the page of a %s is told %s, not %s", name, page, got, tt.want)
			}
			e.quiet(enough, "it was told already")
		}
	}
}

// TestABlindPageHearsNothingOfTheAI: that something came would be a word of the AI.
func TestABlindPageHearsNothingOfTheAI(t *testing.T) {
	for _, protocol := range []study.Protocol{study.Independent, study.SecondLook} {
		for _, page := range []string{"study", "case"} {
			w := blindWard()
			w.protocols = []study.Protocol{study.SecondLook, protocol}
			result := w.cases[chestCT].Results
			reports := w.cases[chestCT].Reports
			w.cases[chestCT].Results, w.cases[chestCT].Reports = []study.Result{ran(nodules, study.Running, 24, 0)}, nil
			w.cases[chestCT].Study.Status = study.Scoring
			server, m, _ := liveWard(t, w)
			path := "/studies/" + string(chestCT) + map[string]string{"study": "", "case": "/case"}[page]
			was := shown(t, server, path, webui.Reader)
			e := listen(t, server, chestCT, page, was, webui.Reader)
			entity := "study " + string(chestCT)
			m.done(w, entity, func() {
				w.cases[chestCT].Results, w.cases[chestCT].Reports, w.cases[chestCT].Study.Status = result, reports, study.Reported
			})
			e.quiet(enough, "a result came")
			m.done(w, entity, func() { w.cases[chestCT].Results = []study.Result{ran(nodules, study.Failed, 24, 0)} })
			e.quiet(enough, "the model failed")
			m.done(w, "model "+nodules.String(), func() { w.withheld = nodules })
			e.quiet(enough, "the model was stopped")
			m.done(w, entity, func() { w.cases[chestCT].Study.Rev++ })
			if got := e.told(); got != `{"stopped":[]}` {
				t.Errorf("images came: told %s", got)
			}
			said := strings.Join(e.heard, "\n") + was
			for _, trace := range traces() {
				if strings.Contains(said, trace) {
					t.Errorf("the stream tells of the AI: %q", trace)
				}
			}
		}
	}
}

// counted counts how often a study is asked for.
type counted struct {
	*ward
	mu    sync.Mutex
	asked int
}

func (c *counted) Case(ctx context.Context, uid study.UID) (study.Case, error) {
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	return c.ward.Case(ctx, uid)
}

func (c *counted) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func TestOpenPagesAskNothingWhileNothingMoves(t *testing.T) {
	w := newWard()
	c := &counted{ward: w}
	server, m, _ := liveWard(t, w, func(p *worldlist.Pages) { p.Veil.Cases = c })
	was := shown(t, server, "/studies/"+string(chestCT), webui.Reader)
	var ears []*ear
	for range 8 {
		e := listen(t, server, chestCT, "study", was, webui.Reader)
		e.quiet(enough, "nothing was done")
		ears = append(ears, e)
	}
	before := c.times()
	m.done(w, "study "+string(mammogram), func() { w.cases[mammogram].Study.Rev++ }) // on no open page
	for _, e := range ears {
		e.quiet(enough, "another study moved")
	}
	if got := c.times(); got != before {
		t.Errorf("%d questions although nothing moved", got-before)
	}
}

func TestAFormOfAnOldPageIsRefusedWithWhatWasTyped(t *testing.T) {
	w := newWard()
	server, m, _ := liveWard(t, w)
	at := server.URL + "/studies/" + string(chestCT)
	form := url.Values{"verdict": {"agree"}, "reason": {"left upper lobe <8 mm>"}, "rev": {"1"}, "shown": {shown(t, server, "/studies/"+string(chestCT), webui.Reader)}}
	m.done(w, "model "+nodules.String(), func() { w.withheld = nodules })
	for _, l := range webui.Langs {
		a, body := ask(t, http.MethodPost, at+"/verdict", webui.Reader, string(l), form)
		if a.StatusCode != http.StatusConflict {
			t.Fatal(a.Status)
		}
		for _, want := range []string{"left upper lobe &lt;8 mm&gt;", l.T("live.stopped", names[nodules.ID]+" "+nodules.Version), l.T("live.stale.says"), `href="/studies/` + string(chestCT) + `"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the refusal does not say %q", l, want)
			}
		}
	}
	if len(w.readings) > 0 {
		t.Error("the answer was kept")
	}
	_, body := get(t, at, webui.Reader)
	if strings.Contains(body, `name="finding.`) || strings.Contains(body, `name="verdict" value="agree"`) {
		t.Error("the page made anew asks about a stopped model")
	}
	form.Set("verdict", "none")
	form.Set("shown", shown(t, server, "/studies/"+string(chestCT), webui.Reader))
	if a, body := ask(t, http.MethodPost, at+"/verdict", webui.Reader, "en", form); a.StatusCode != http.StatusSeeOther {
		t.Error(a.Status, body)
	}
}

// TestABlindAnswerIsNeverOldForTheAI: what the AI did meanwhile, the reader does not
// know, and it takes nothing from what they saw.
func TestABlindAnswerIsNeverOldForTheAI(t *testing.T) {
	w := blindWard()
	server, m, _ := liveWard(t, w)
	at := "/studies/" + string(chestCT)
	form := url.Values{"impression": {"none"}, "remark": {"clear"}, "shown": {shown(t, server, at, webui.Reader)}}
	m.done(w, "study "+string(chestCT), func() { w.cases[chestCT].Results = []study.Result{ran(nodules, study.Failed, 24, 0)} })
	m.done(w, "study "+string(chestCT), func() { w.cases[chestCT].Study.Rev++ })
	if a, body := ask(t, http.MethodPost, server.URL+at+"/own", webui.Reader, "en", form); a.StatusCode != http.StatusConflict || !strings.Contains(body, "clear") {
		t.Errorf("images came: %s", a.Status)
	}
	m.done(w, "study "+string(chestCT), func() { w.cases[chestCT].Study.Rev-- })
	if a, body := ask(t, http.MethodPost, server.URL+at+"/own", webui.Reader, "en", form); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the AI did something: %s\n%s", a.Status, body)
	}
}

func TestTheListTellsOfAClaimAtOnce(t *testing.T) {
	w := newWard()
	server, _, _ := liveWard(t, w, func(p *worldlist.Pages) { p.Tick = time.Hour })
	list := func() bool {
		_, body := get(t, server.URL, webui.Reader)
		return strings.Contains(body, webui.English.T("claim.mine"))
	}
	if list() {
		t.Fatal("nothing is claimed yet")
	}
	get(t, server.URL+"/studies/"+string(chestCT), webui.Reader)
	if !list() {
		t.Error("the list does not tell of the claim")
	}
	ask(t, http.MethodPost, server.URL+"/studies/"+string(chestCT)+"/claim", webui.Reader, "en", url.Values{"do": {"release"}})
	if list() {
		t.Error("the list still tells of the claim")
	}
}

// TestOpenPageSaysThatAModelWasStopped stops a model while a reader writes.
func TestOpenPageSaysThatAModelWasStopped(t *testing.T) {
	w := newWard()
	w.cases[prostate].Study.Status = study.Reported
	server, m, entry := liveWard(t, w)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	for _, tt := range []struct {
		name  string
		uid   study.UID
		model study.ModelRef
	}{{"ct", chestCT, nodules}, {"slide", prostate, nuclei}} {
		m.done(w, "model "+tt.model.String(), func() { w.withheld = study.ModelRef{} })
		b.Go(server.URL + "/studies/" + string(tt.uid))
		b.Until(imageReady)
		b.Until(`document.querySelector('#changed').dataset.listens !== undefined`)
		b.Click("#reason")
		b.Keys("seen in two planes")
		m.done(w, "model "+tt.model.String(), func() { w.withheld = tt.model })
		b.Until(`document.querySelector('#changed button')`)
		if got := webuitest.Eval[string](b, `document.querySelector('#changed b').textContent`); got != webui.English.T("live.stopped", names[tt.model.ID]+" "+tt.model.Version) {
			t.Errorf("%s: the notice says %q", tt.name, got)
		}
		if webuitest.Eval[bool](b, `!!document.querySelector('.judge input:enabled, #verdict input:enabled:not([type=hidden]), #verdict button:enabled')`) {
			t.Errorf("%s: the page goes on asking about a stopped model", tt.name)
		}
		if got := webuitest.Eval[string](b, `document.activeElement.id + ' ' + document.activeElement.value`); got != "reason seen in two planes" {
			t.Errorf("%s: the reader finds %q", tt.name, got)
		}
		for _, theme := range []string{"dark", "light"} {
			webuitest.Eval[string](b, `document.documentElement.dataset.theme = '`+theme+`'`)
			b.Promises()
			b.Shot("changed-" + tt.name + "-" + theme)
		}
		webuitest.Eval[bool](b, `(document.querySelector('#verdict').requestSubmit(), true)`) // as Ctrl+Enter does
		if got := webuitest.Eval[string](b, `document.activeElement.textContent`); got != webui.English.T("live.again") {
			t.Errorf("%s: after a key that sends, focus is on %q", tt.name, got)
		}
		b.Leads(func() { b.Click("#changed button") })
		b.Until(imageReady)
		b.Until(`document.querySelector('#changed').dataset.listens !== undefined && document.querySelector('#reason').value === 'seen in two planes'`)
		if !strings.Contains(webuitest.Eval[string](b, `document.querySelector('.right').textContent`), webui.English.T("model.withheld")) {
			t.Errorf("%s: the page made anew does not say that the model was stopped", tt.name)
		}
		if webuitest.Eval[bool](b, `!!document.querySelector('#changed button, .judge')`) {
			t.Errorf("%s: the page made anew says that it is old, or asks", tt.name)
		}
		b.Shot("changed-" + tt.name + "-anew")
	}
	if len(w.readings) > 0 {
		t.Error("an answer was kept")
	}
}
