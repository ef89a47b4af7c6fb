package worldlist_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

func TestTwoBrowsersClaimTheSameStudy(t *testing.T) {
	w := newWard()
	server, entries := department(t, w, map[string]string{"A. Dahl": webui.Reader, "B. Lie": webui.Reader})
	a, b := webuitest.Open(t, 1440, 900, "en"), webuitest.Open(t, 1440, 900, "da")
	enter(t, a, entries["A. Dahl"])
	enter(t, b, entries["B. Lie"])
	page := server.URL + "/studies/" + string(chestCT)
	a.Go(page)
	a.Until(imageReady)
	if !webuitest.Eval[bool](a, `!!document.querySelector('#verdict')`) {
		t.Error("the first reader can't answer")
	}
	b.Until(`document.querySelector('tr[data-uid="` + string(chestCT) + `"] .held').textContent.includes('A. Dahl gransker')`)
	b.Shot("claim-list")
	b.Go(page)
	b.Until(imageReady)
	if webuitest.Eval[bool](b, `!!document.querySelector('#verdict')`) {
		t.Error("the second reader can answer")
	}
	b.Promises()
	b.Shot("claim-held")
	b.Click(`button[value=ask]`)
	b.Until(`location.search === '?look=1'`)
	a.Go(page)
	a.Until(imageReady)
	a.Promises()
	a.Shot("claim-asked")
	a.Click(`button[value=give]`)
	a.Until(`location.search === '?look=1'`)
	b.Go(page)
	b.Until(`!!document.querySelector('#verdict')`)
	b.Shot("claim-given")
}

// TestBlindReaderByBrowser reads a study of an independent pathway in every theme
// and language, and looks for the AI in the page as the browser has it.
func TestBlindReaderByBrowser(t *testing.T) {
	w := blindWard()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	none := func(where string) {
		t.Helper()
		html := webuitest.Eval[string](b, `document.documentElement.outerHTML`)
		for _, trace := range traces() {
			if strings.Contains(html, trace) {
				t.Errorf("%s tells of the AI: %q", where, trace)
			}
		}
	}
	for _, lang := range webui.Langs {
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && ` + listReady)
		for _, theme := range []string{"dark", "light"} {
			b.Leads(func() { b.Click("button[value=" + theme + "]") })
			b.Until(`document.documentElement.dataset.theme === '` + theme + `' && ` + listReady)
			none("the list")
			b.Promises()
			b.Shot("blind-list-" + string(lang) + "-" + theme)
			for name, uid := range map[string]study.UID{"ct": chestCT, "slide": prostate} {
				b.Go(server.URL + "/studies/" + string(uid))
				b.Until(imageReady)
				none("the " + name)
				b.Promises()
				b.Shot("blind-" + name + "-" + string(lang) + "-" + theme)
			}
			b.Go(server.URL)
			b.Until(listReady)
		}
	}
	b.Go(server.URL + "/studies/" + string(prostate))
	b.Until(imageReady)
	b.Keys("vc")
	b.Keys(kb.Tab + "dense nests")
	b.Shot("own-slide")
	b.Click(`#answer button.main`)
	b.Until(`location.search === '?locked=1' && ` + imageReady)
	b.Promises()
	b.Shot("own-slide-locked")
	if !strings.Contains(webuitest.Eval[string](b, `document.documentElement.outerHTML`), "nuclear density") {
		t.Error("the AI is not shown after the answer")
	}
}

// TestFromListToVerdictByKeyboard uses no mouse.
func TestFromListToVerdictByKeyboard(t *testing.T) {
	w := newWard()
	w.protocols = []study.Protocol{study.SecondLook}
	_, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "nb")
	enter(t, b, entry)
	b.Keys("jjjj" + kb.Enter)
	b.Until(`location.pathname === '/studies/` + string(chestCT) + `' && ` + imageReady)
	checked := func() string {
		return webuitest.Eval[string](b, `[...document.querySelectorAll('input[type=radio]:checked')].filter(i => i.name !== 'style').map(i => i.name + '=' + i.value).join(' ')`)
	}
	// Whatever the image hears is no judgment.
	b.Keys("abcdfn1234+-0" + kb.ArrowDown)
	if got := checked(); got != "" {
		t.Errorf("a key for the image recorded %q", got)
	}
	b.Until(imageReady) // the next image is on its way
	at := webuitest.Eval[string](b, `document.querySelector('#stage').dataset.shown`)
	b.Keys("v")
	b.Keys("b")
	if got := checked(); got != "impression=followup" {
		t.Errorf("B in the panel recorded %q", got)
	}
	b.Keys("fn12") // in the panel they are nobody's
	b.Until(imageReady)
	if got := webuitest.Eval[string](b, `document.querySelector('#stage').dataset.shown`); got != at {
		t.Errorf("a key in the panel moved the image to %s", got)
	}
	b.Shot("own-ct")
	ctrlEnter(b)
	b.Until(`location.search === '?locked=1' && ` + imageReady)
	b.Promises()
	b.Shot("own-ct-locked")
	// To the first finding by Tab, and judge it.
	for range 40 {
		if webuitest.Eval[bool](b, `!!document.activeElement.closest('.judge fieldset')`) {
			break
		}
		b.Keys(kb.Tab)
	}
	b.Keys("c")
	b.Keys("v")
	b.Keys("b")
	b.Shot("judged-ct")
	if got := checked(); !strings.Contains(got, "=disagree") || !strings.Contains(got, "verdict=changes") {
		t.Errorf("judged: %q", got)
	}
	ctrlEnter(b)
	b.Until(`location.search === '?saved=1'`)
	b.Promises()
	b.Shot("answered-ct")
	var steps []string
	for _, s := range w.steps {
		steps = append(steps, s.Step+":"+s.Verdict)
	}
	if got := strings.Join(steps, " "); got != "own:followup shown: finding:disagree final:changes" {
		t.Error(got)
	}
}

func ctrlEnter(b *webuitest.Browser) {
	webuitest.Eval[any](b, `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true}))`)
}

// TestOwnReadWorksWithoutScript: the forms are the server's.
func TestOwnReadWorksWithoutScript(t *testing.T) {
	w := newWard()
	w.protocols = []study.Protocol{study.SecondLook}
	server, _ := serve(t, w, webui.Reader)
	path := server.URL + "/studies/" + string(chestCT)
	if _, body := get(t, path, webui.Reader); !strings.Contains(body, `action="/studies/`+string(chestCT)+`/own"`) || strings.Contains(body, "Nodule") {
		t.Error("the page does not ask first")
	}
	if _, body := get(t, server.URL+"/", webui.Reader); !strings.Contains(body, "Flagged") {
		t.Error("a second look hides the state on the list")
	}
	if a, _ := ask(t, http.MethodPost, path+"/own", webui.Reader, "en", map[string][]string{"impression": {"maybe"}}); a.StatusCode != 400 {
		t.Error(a.Status)
	}
	if a, _ := ask(t, http.MethodPost, path+"/own", webui.Reader, "en", map[string][]string{"impression": {"none"}}); a.StatusCode != 303 || a.Header.Get("Location") != "/studies/"+string(chestCT)+"?locked=1#answer" {
		t.Error(a.Status, a.Header.Get("Location"))
	}
	if _, body := get(t, path, webui.Reader); !strings.Contains(body, "Nodule") || !strings.Contains(body, `id="verdict"`) {
		t.Error("the AI is not shown")
	}
}
