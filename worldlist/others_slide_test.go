package worldlist_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom/tree"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// slideTraces are what tells of the other maker's algorithm on the prostate.
func slideTraces() []string {
	return []string{"SlideNet", "SlideTool", "Foreign tumor", "Mitotic figures", "2.25.7101", "2.25.7102", "2.25.7103", "17.3"}
}

// withOthersOnSlide is a ward in which another maker's algorithm has drawn on the slide
// of the prostate: a region, cells, and a measured finding.
func withOthersOnSlide() *ward {
	w := newWard()
	fine, coarse := w.instances[prostate][0], w.instances[prostate][1]
	s := coarse.Image.Slide
	cx, cy := s.TotalColumns/2, s.TotalRows/2
	film := studytest.OtherFilm{UID: "2.25.7101", Series: "2.25.7111", Study: prostate, Maker: "Acme Imaging", Model: "SlideTool", Label: "Foreign tumor", Program: "SlideNet", Version: "2.0",
		Columns: s.TotalColumns, Rows: s.TotalRows, Side: 128, On: coarse, At: func(x, y int) byte {
			if dx, dy := x-cx, y-cy; dx*dx+dy*dy/2 < cx*cx/9 && dx*dx+dy*dy > cx*cx/40 {
				return 1
			}
			return 0
		}}
	b, err := film.Encode()
	w.comes(prostate, b, err)
	cells := studytest.OtherCloud{UID: "2.25.7102", Series: "2.25.7112", Study: prostate, Maker: "Acme Imaging", Model: "SlideTool", Label: "Mitotic figures", How: "AUTOMATIC", Program: "SlideNet", Version: "2.0", Shape: "POLYGON", On: fine}
	for i := range 60 {
		x, y := float64(4*cx+i%10*60-300), float64(4*cy+i/10*60-180)
		cells.Each = append(cells.Each, []float64{x, y, x + 24, y + 4, x + 20, y + 26, x - 4, y + 22})
	}
	b, err = cells.Encode()
	w.comes(prostate, b, err)
	b, err = studytest.OtherReport{UID: "2.25.7103", Series: "2.25.7113", Study: prostate, Maker: "Acme Imaging", Model: "SlideTool", Label: "Slide measurements", Date: "20261124", Program: "SlideNet", Version: "2.0",
		Groups: []tree.Item{studytest.OtherGroup("2.25.7783", 17.3, tree.SCoord(tree.Contains, study.Code{Value: "111030", Scheme: "DCM", Meaning: "Image Region"}, study.Circle,
			[]float64{float64(cx), float64(cy), float64(cx) + float64(cx)/2.2, float64(cy)}, true, tree.Reference{Class: coarse.Class, Instance: coarse.UID}))}}.Encode()
	w.comes(prostate, b, err)
	return w
}

// TestOthersOnASlide: what others drew lies on the slide, dotted, each with its letter,
// and can be switched off, alone and as a whole; in both themes, three languages.
func TestOthersOnASlide(t *testing.T) {
	t.Parallel()
	w := withOthersOnSlide()
	w.protocols = []study.Protocol{study.Concurrent}
	site := siteOf(t, w, w)
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	entry := server.URL + site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Reader}, time.Hour)
	b := webuitest.Open(t, 1440, 1000, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, prostate, "/slides/"+string(prostate)+".1", slideReady)
	drawn := func(n int) {
		t.Helper()
		b.Until(fmt.Sprintf(`document.querySelector('#stage').dataset.others === '%d'`, n))
	}
	drawn(3)
	b.Until(`document.querySelectorAll('#others [data-other-box]:not([hidden])').length === 3 && !document.querySelector('#c-others').hidden`)
	if n := webuitest.Eval[int](b, `document.querySelectorAll('#others .otherdoc').length`); n != 3 {
		t.Errorf("%d documents", n)
	}
	if got := text(b, "#others"); strings.Contains(got, "not drawn") {
		t.Error(got)
	}
	for _, theme := range []string{"dark", "light"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && ` + slideReady)
		drawn(3)
		b.Promises()
		b.Shot("others-slide-" + theme)
	}
	for _, one := range []string{"2.25.7101#1", "2.25.7102#1", "2.25.7103/1"} {
		webuitest.Eval[any](b, `document.querySelector('[data-other="`+one+`"]').click()`)
		drawn(2)
		webuitest.Eval[any](b, `document.querySelector('[data-other="`+one+`"]').click()`)
		drawn(3)
	}
	webuitest.Eval[any](b, `document.querySelector('#others-on').click()`)
	drawn(0)
	b.Click("#stage")
	b.Keys("O")
	drawn(3)
	// The way to the finding goes near it, where the outline is asked for anew.
	webuitest.Eval[any](b, `document.querySelector('#others a[href*="#at="]').click()`)
	b.Until(`Number(document.querySelector('#stage').dataset.power) > 1 && ` + slideReady)
	settle(b)
	b.Until(`Number(document.querySelector('#stage').dataset.others) >= 2`)
	b.Shot("others-slide-near")
	// Outlines that do not come are said to be missing, until they come.
	webuitest.Eval[any](b, `(() => { window.whole = fetch; window.fetch = (to, o) => String(to).includes('/others/area') ? Promise.reject(new Error('broken')) : whole(to, o); location.hash = '#at=0,0,900,900'; })()`)
	b.Until(`!document.querySelector('#others-undrawn').hidden`)
	webuitest.Eval[any](b, `(() => { window.fetch = whole; document.querySelector('#others a[href*="#at="]').click(); })()`)
	b.Until(`document.querySelector('#others-undrawn').hidden && Number(document.querySelector('#stage').dataset.others) >= 2`)
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish} {
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && ` + slideReady)
		b.Until(`Number(document.querySelector('#stage').dataset.others) >= 2`)
		b.Promises()
		b.Shot("others-slide-" + string(lang))
	}
}

// TestOthersOnASlideAreBehindTheSameVeil: before the own answer nothing of what a
// machine drew comes to the reader by any way.
func TestOthersOnASlideAreBehindTheSameVeil(t *testing.T) {
	for _, protocol := range []study.Protocol{study.Independent, study.SecondLook} {
		w := withOthersOnSlide()
		w.protocols = []study.Protocol{protocol}
		server, _ := serve(t, w, webui.Reader)
		at := "/studies/" + string(prostate)
		slide := at + "/slides/" + string(prostate) + ".1"
		area := slide + "/others/area?x=0&y=0&w=100000&h=100000"
		paths := append(pathsOf(prostate), "/", "/api/v1/worklist", at+"/slides", slide, slide+"/others", area, at+"/frames/2.25.7101/1", at+"/frames/2.25.7101/1/quick")
		for _, path := range paths {
			for _, lang := range webui.Langs {
				_, body := ask(t, http.MethodGet, server.URL+path, webui.Reader, string(lang), nil)
				for _, trace := range append(slideTraces(), `"runs"`, `"each"`) {
					if strings.Contains(body, trace) && !strings.Contains(path, trace) {
						t.Errorf("%s: %s in %s tells %q", protocol, path, lang, trace)
					}
				}
			}
		}
		if a, body := ask(t, http.MethodPost, server.URL+at+"/own", webui.Reader, "en", url.Values{"impression": {"none"}}); a.StatusCode != http.StatusSeeOther {
			t.Fatal(a.Status, body)
		}
		for path, want := range map[string]string{at: "SlideNet", slide + "/others": `"each":[[`, area: `"runs":[`} {
			if _, body := get(t, server.URL+path, webui.Reader); !strings.Contains(body, want) {
				t.Errorf("%s: %s still hides %q", protocol, path, want)
			}
		}
		if a, _ := get(t, server.URL+at+"/slides/2.25.1/others", webui.Reader); a.StatusCode != http.StatusNotFound {
			t.Errorf("a slide of another study: %s", a.Status)
		}
		if a, _ := get(t, server.URL+slide+"/others/area?x=0&y=0&w=1e9&h=5", webui.Reader); a.StatusCode != http.StatusBadRequest {
			t.Errorf("an area that is none: %s", a.Status)
		}
	}
}
