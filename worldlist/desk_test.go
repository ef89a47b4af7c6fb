package worldlist_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

func TestStudyIsHandedToAReaderAndToNobodyElse(t *testing.T) {
	w := newWard()
	w.staff = []string{"A. Dahl", "B. Lie", "Cecilie Moe"}
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader})
	a := visit(t, server, entries["A. Dahl"])
	row, page := "/api/v1/worklist/"+string(chestCT), "/studies/"+string(chestCT)
	if code, c := a.post(row+"/claim", m{}); code != 200 {
		t.Fatal(code, c)
	}
	for to, want := range map[string]string{
		"Nobody Atall": "nobody of that name reads here. These do: B. Lie; Cecilie Moe. Whoever is missing signs in once",
		" A.  DAHL ":   "already: name somebody else",
		"A. Dahl":      "in the hands of A. Dahl already: name somebody else",
	} {
		if code, c := a.post(row+"/handover", m{"to": to}); code != 400 || !strings.Contains(fmt.Sprint(c["detail"]), want) {
			t.Errorf("to %q: %d %v", to, code, c)
		}
	}
	_, _, body := a.do(http.MethodGet, page, nil)
	for _, must := range []string{`list="colleagues"`, `<datalist id="colleagues"><option value="B. Lie"></option><option value="Cecilie Moe"></option></datalist>`} {
		if !strings.Contains(body, must) {
			t.Errorf("the form has no %s", must)
		}
	}
	for to, want := range map[string]string{"Nobody Atall": "Nobody of that name reads here. Choose a name from the list;", "A. Dahl": "This study is in your hands already."} {
		answer, err := a.client.PostForm(server.URL+page+"/claim", url.Values{"do": {"give"}, "to": {to}})
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		at := answer.Request.URL
		if _, _, body := a.do(http.MethodGet, at.RequestURI(), nil); answer.StatusCode != 200 || !strings.Contains(body, want) || !strings.Contains(body, `aria-invalid="true"`) {
			t.Errorf("to %q: %s at %s does not say %q", to, answer.Status, at, want)
		}
		if w.claims[chestCT].By != "A. Dahl" {
			t.Fatalf("it is in the hands of %q", w.claims[chestCT].By)
		}
	}
	if code, c := a.post(row+"/handover", m{"to": "cecilie  MOE"}); code != 200 || c["by"] != "Cecilie Moe" {
		t.Error("as the service knows the name:", code, c)
	}
}

func TestStudyIsHandedToWhoAskedThoughNobodyElseKnowsThem(t *testing.T) {
	server, entries := department(t, newWard(), map[string]string{"A. Dahl": webui.Reader, "B. Lie": webui.Reader})
	a, b := visit(t, server, entries["A. Dahl"]), visit(t, server, entries["B. Lie"])
	row := "/api/v1/worklist/" + string(chestCT)
	a.post(row+"/claim", m{})
	if code, c := a.post(row+"/handover", m{"to": "B. Lie"}); code != 400 || !strings.Contains(fmt.Sprint(c["detail"]), "These do: nobody else") {
		t.Error(code, c)
	}
	b.post(row+"/ask", m{})
	if code, c := a.post(row+"/handover", m{"to": "b. lie"}); code != 200 || c["by"] != "B. Lie" {
		t.Error(code, c)
	}
}

func TestStudyThatWaitsForAPausedModelDoesNotReadAsRunning(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Reader)
	row := func(lang string) (line, api string) {
		t.Helper()
		_, page := ask(t, http.MethodGet, server.URL+"/", webui.Reader, lang, nil)
		for l := range strings.SplitSeq(words(page), "\n") {
			if strings.Contains(l, "ACC-20107") {
				line = l
			}
		}
		_, all := ask(t, http.MethodGet, server.URL+"/api/v1/worklist?lang="+lang, webui.Reader, lang, nil)
		var rows []struct {
			UID   study.UID `json:"study_uid"`
			State string    `json:"ai_state"`
			Waits string    `json:"ai_waits"`
			AI    string    `json:"ai"`
		}
		if err := json.Unmarshal([]byte(all), &rows); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.UID == runningCT {
				api = r.State + "/" + r.Waits + "/" + r.AI
			}
		}
		return line, api
	}
	if line, api := row("en"); !strings.Contains(line, "Running") || api != "running//Running" {
		t.Errorf("while work goes on: %s; %s", line, api)
	}
	for _, tt := range []struct {
		why        study.Stall
		lang, word string
		says       string
	}{
		{study.StallPaused, "en", "Waiting – AI is paused", "AI has not run on this study: it is paused. That says nothing of what is in the images."},
		{study.StallPaused, "nb", "Venter – KI er satt på pause", "KI har ikke kjørt på denne undersøkelsen"},
		{study.StallPaused, "da", "Venter – AI er sat på pause", "AI er ikke kørt på denne undersøgelse"},
		{study.StallNoWorker, "en", "Waiting – AI is not answering", "no worker answers. That says nothing"},
		{study.StallNoWorker, "nb", "Venter – KI svarer ikke", "Gransk som vanlig."},
		{study.StallNoWorker, "da", "Venter – AI svarer ikke", "Granskes som normalt."},
	} {
		w.stalls = map[study.UID]study.Stall{runningCT: tt.why}
		if line, api := row(tt.lang); !strings.Contains(line, tt.word) || api != "running/"+string(tt.why)+"/"+tt.word {
			t.Errorf("%s in %s: %s; %s", tt.why, tt.lang, line, api)
		}
		for _, at := range []string{"", "/report"} {
			_, page := ask(t, http.MethodGet, server.URL+"/studies/"+string(runningCT)+at, webui.Reader, tt.lang, nil)
			if !strings.Contains(page, tt.word) || !strings.Contains(page, tt.says) || strings.Contains(page, `class="ai-running"`) {
				t.Errorf("%s in %s: the page%s does not say so", tt.why, tt.lang, at)
			}
		}
		if _, page := ask(t, http.MethodGet, server.URL+"/studies/"+string(runningCT)+"/patient", webui.Reader, tt.lang, nil); !strings.Contains(page, tt.word) {
			t.Errorf("%s in %s: the patient's page does not say so", tt.why, tt.lang)
		}
	}
	_, one := get(t, server.URL+"/api/v1/studies/"+string(runningCT), webui.Quality)
	if !strings.Contains(one, `"ai_state":"running","ai_waits":"no_worker"`) {
		t.Error("the study in the API:", one)
	}
}

// TestAnswerOfOneModelIsNotTheLastWordWhileAnotherWaits: the exam says beside what one
// model found that another has not looked.
func TestAnswerOfOneModelIsNotTheLastWordWhileAnotherWaits(t *testing.T) {
	w := newWard()
	w.cases[quietCT].Study.Status = study.Scoring
	w.stalls = map[study.UID]study.Stall{quietCT: study.StallPaused}
	server, _ := serve(t, w, webui.Reader)
	if _, page := get(t, server.URL+"/?q=ACC-20109", webui.Reader); !strings.Contains(words(page), "Not flagged another model waits: AI is paused") {
		t.Error(words(page))
	}
	for _, at := range []string{"", "/report"} {
		if _, page := get(t, server.URL+"/studies/"+string(quietCT)+at, webui.Reader); !strings.Contains(page, "AI has not run on this study: it is paused.") {
			t.Errorf("the page%s does not say that another model waits", at)
		}
	}
}

func TestBlindReaderIsNotToldWhatWaits(t *testing.T) {
	w := newWard()
	w.protocols = []study.Protocol{study.Independent}
	w.stalls = map[study.UID]study.Stall{quietCT: study.StallPaused}
	w.cases[quietCT].Study.Status = study.Scoring
	server, _ := serve(t, w, webui.Reader)
	for _, at := range []string{"/", "/studies/" + string(quietCT), "/studies/" + string(quietCT) + "/patient", "/api/v1/worklist", "/api/v1/studies/" + string(quietCT)} {
		if _, page := get(t, server.URL+at, webui.Reader); strings.Contains(page, "paused") {
			t.Errorf("%s tells that a model waits", at)
		}
	}
}

func TestStudyOfPapersSaysThatItHoldsNoImages(t *testing.T) {
	w := newWard()
	s := &w.cases[undecodable].Study
	s.Status, s.Note = study.Settled, study.ReasonNoImages
	w.cases[undecodable].Results = nil
	server, _ := serve(t, w, webui.Reader)
	for lang, want := range map[string][2]string{
		"en": {"no images", "reports or documents and no images"}, "nb": {"ingen bilder", "rapporter eller dokumenter og ingen bilder"},
		"da": {"ingen billeder", "rapporter eller dokumenter og ingen billeder"},
	} {
		if _, page := ask(t, http.MethodGet, server.URL+"/?q="+s.Accession+"&status=settled", webui.Reader, lang, nil); !strings.Contains(page, want[0]) {
			t.Errorf("the row in %s does not say %q", lang, want[0])
		}
		for _, at := range []string{"", "/report"} {
			if _, page := ask(t, http.MethodGet, server.URL+"/studies/"+string(s.UID)+at, webui.Reader, lang, nil); !strings.Contains(page, want[1]) {
				t.Errorf("the page%s in %s does not say %q", at, lang, want[1])
			}
		}
	}
	if _, one := get(t, server.URL+"/api/v1/studies/"+string(s.UID), webui.Reader); !strings.Contains(one, `"note":"no_images"`) {
		t.Error("the API:", one)
	}
}

func TestReasonsOfAPlaceSayThatItsModelWasStopped(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Reader)
	key := w.cases[chestCT].Study.Place.Key
	list := func() (key time.Time, why string) {
		t.Helper()
		_, all := get(t, server.URL+"/api/v1/worklist", webui.Reader)
		var rows []struct {
			UID study.UID `json:"study_uid"`
			Key time.Time `json:"key"`
			Why []string  `json:"why"`
		}
		if err := json.Unmarshal([]byte(all), &rows); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.UID == chestCT {
				return r.Key, strings.Join(r.Why, " · ")
			}
		}
		t.Fatal("the study is gone")
		return
	}
	if _, why := list(); !strings.HasPrefix(why, "AI flagged · head start") {
		t.Fatal(why)
	}
	w.withheld = nodules
	const lapsed = "place given by an AI result that no longer holds (model stopped)"
	if at, why := list(); !strings.HasPrefix(why, lapsed+" · head start") || strings.Contains(why, "flagged") || !at.Equal(key) {
		t.Errorf("%s at %s; it stood at %s", why, at, key)
	}
	for _, at := range []string{"/", "/studies/" + string(chestCT)} {
		if _, page := get(t, server.URL+at, webui.Reader); !strings.Contains(page, lapsed) || strings.Contains(page, "AI flagged · head start 2") {
			t.Errorf("%s does not say that the result of the place is void", at)
		}
	}
}

// roomOfAI is how many pixels there are at least between a state of the AI and the
// borders of its row.
const roomOfAI = `Math.min(...[...document.querySelectorAll('#rows td.ai')].map(td => {
	const r = document.createRange(); r.selectNodeContents(td);
	const at = r.getBoundingClientRect(), cell = td.getBoundingClientRect();
	return Math.min(at.top - cell.top, cell.bottom - at.bottom);
}))`

// TestWhyIsReadWholeByKeyboard opens what a row tells at length, with the keyboard, and
// no row moves; and by the rows' own means, without our script.
func TestWhyIsReadWholeByKeyboard(t *testing.T) {
	w := onPathway(study.AIDown)
	w.withheld, w.stalls = nodules, map[study.UID]study.Stall{runningCT: study.StallPaused}
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	const places = `JSON.stringify([...document.querySelectorAll('#rows tr')].map(r => Math.round(r.getBoundingClientRect().top + scrollY)))`
	const open = `[...document.querySelectorAll('#rows details[open]')].length`
	before := webuitest.Eval[string](b, places)
	b.Keys("j")
	b.Until(`document.querySelector('#rows tr.cur')`)
	b.Keys("w")
	b.Until(open + ` === 1 && document.querySelector('tr.cur details[open] .whole').getBoundingClientRect().height > 60`)
	if after := webuitest.Eval[string](b, places); after != before {
		t.Errorf("rows moved: from %s to %s", before, after)
	}
	if cut := webuitest.Eval[int](b, `(() => { const w = document.querySelector('details[open] .whole'); return w.scrollWidth - w.clientWidth })()`); cut > 0 {
		t.Errorf("what is told at length is %d pixels too wide", cut)
	}
	b.Promises()
	b.Shot("why-open")
	b.Keys("j")
	b.Until(open + ` === 0`)
	webuitest.Eval[any](b, `document.querySelectorAll('#rows summary')[3].focus()`)
	b.Keys("\r")
	b.Until(open + ` === 1 && location.pathname === '/'`)
	// A choice that is in force already gives the same page anew: that one is waited for.
	turn := func(button string) {
		webuitest.Eval[any](b, `window.left = true`)
		b.Click(button)
		b.Until(`!window.left && ` + listReady)
	}
	for _, theme := range []string{"light", "dark"} {
		for _, lang := range webui.Langs {
			turn("button[value=" + theme + "]")
			turn("button[value=" + string(lang) + "]")
			b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.documentElement.lang === '` + string(lang) + `'`)
			if room := webuitest.Eval[float64](b, roomOfAI); room < 3 {
				t.Errorf("%s, %s: a state of the AI is %.1f pixels from the border of its row", theme, lang, room)
			}
			webuitest.Eval[any](b, `document.querySelectorAll('#rows details')[2].open = true`)
			b.Promises()
			b.Shot("why-" + theme + "-" + string(lang))
		}
	}
	b.Go(server.URL + "/studies/" + string(runningCT))
	b.Until(`document.querySelector('.ai-waiting')`)
	b.Promises()
	b.Shot("waiting-study")
}
