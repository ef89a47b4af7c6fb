package worldlist_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"varde/internal/slide"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

const (
	slideReady = `document.querySelector('#stage')?.dataset.loaded === 'true'`
	heatReady  = slideReady + ` && document.querySelector('#stage').dataset.heat`
)

// lookAt opens a slide and waits until its tiles and its heat map are there.
func lookAt(t *testing.T, b *webuitest.Browser, server string, uid study.UID, slide, ready string) {
	t.Helper()
	b.Go(server + "/studies/" + string(uid) + slide)
	b.Until(ready)
	settle(b)
}

// settle waits until the view rests.
func settle(b *webuitest.Browser) {
	webuitest.Eval[any](b, `new Promise(done => {
		let last = '', same = 0;
		const look = () => {
			const d = document.querySelector('#stage').dataset;
			const now = d.x + '/' + d.y + '/' + d.power + '/' + d.loaded;
			same = now === last && d.loaded !== 'false' ? same + 1 : 0;
			last = now;
			if (same > 4) done();
			else setTimeout(look, 25);
		};
		look();
	})`)
}

// center is the middle of the view, in pixels of the finest level.
func center(b *webuitest.Browser) (x, y, power float64) {
	v := webuitest.Eval[[]string](b, `(d => [d.x, d.y, d.power])(document.querySelector('#stage').dataset)`)
	n := func(s string) float64 { f, _ := strconv.ParseFloat(s, 64); return f }
	return n(v[0]), n(v[1]), n(v[2])
}

// inked counts the pixels of the overlay that are like a color: those of the warm
// and of the cold end of the scale, of the outline, and of the gray and the amber
// hatching.
func inked(b *webuitest.Browser) (filled, blue, gray, amber int) {
	n := webuitest.Eval[[]int](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
		const c = document.querySelector('#heat');
		const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
		let filled = 0, blue = 0, gray = 0, amber = 0;
		for (let i = 0; i < d.length; i += 4) {
			const [r, g, b, a] = d.slice(i, i + 4);
			if (a > 100 && a < 125 && g > 110 && g > r - 40) filled++;
			else if (a > 240 && r < 60 && g < 70 && b > 90) blue++;
			else if (a > 20 && a < 150 && Math.abs(r - 91) < 14 && Math.abs(b - 117) < 14) gray++;
			else if (a > 150 && r > 130 && b < 40 && g < 110) amber++;
		}
		done([filled, blue, gray, amber]);
	})))`)
	return n[0], n[1], n[2], n[3]
}

func TestNextSuspiciousAreaIsWhereItWasPlanted(t *testing.T) {
	t.Parallel()
	server, entry := serve(t, ofSlides(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, prostate, "", heatReady)
	times := webuitest.Eval[[]string](b, `[document.querySelector('#stage').dataset.shownAt, document.querySelector('#stage').dataset.heatAt,
		String(Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1))]`)
	t.Logf("after the address was entered: first paint %s ms, first tile drawn %s ms, heat map drawn %s ms", times[2], times[0], times[1])
	x, y, power := center(b)
	if math.Abs(x-slideColumns/2) > 8 || math.Abs(y-slideRows/2) > 8 || power > 10 {
		t.Errorf("begins at %g, %g with %g×", x, y, power)
	}
	b.Keys("n")
	b.Until(`document.querySelector('[data-area="0"][aria-current]')`)
	settle(b)
	if x, y, power = center(b); math.Abs(x-spotX) > patch || math.Abs(y-spotY) > patch || power < 3 {
		t.Errorf("N leads to %g, %g with %g×, the hot spot is at %d, %d", x, y, power, spotX, spotY)
	}
	b.Until(`document.querySelector('#readout').textContent.startsWith('Area 1 of ')`)
	b.Shot("slide-next")
	if !webuitest.Eval[bool](b, `location.hash.startsWith('#at=') && location.pathname.endsWith('/slides/`+string(prostate)+`.1')`) {
		t.Error("the address does not name the place")
	}
	webuitest.Eval[any](b, `window.old = true, location.reload()`)
	b.Until(`!window.old && ` + heatReady)
	settle(b)
	if again, _, p := center(b); math.Abs(again-x) > 2 || math.Abs(p-power) > 0.02*power {
		t.Errorf("the address leads to %g with %g×, not to %g with %g×", again, p, x, power)
	}
	b.Keys("0")
	settle(b)
	b.Click(`[data-go]`) // the model's finding, whose box the hot spot is in
	settle(b)
	if x, y, _ = center(b); math.Abs(x-2600) > 4 || math.Abs(y-1100) > 4 {
		t.Errorf("the finding leads to %g, %g", x, y)
	}
}

func TestOverlayShowsAndHides(t *testing.T) {
	t.Parallel()
	server, entry := serve(t, ofSlides(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, needles, "/slides/"+string(needles)+".3", heatReady)
	b.Keys("f") // without the marks of findings
	threshold := func(v float64) {
		webuitest.Eval[any](b, fmt.Sprintf(`(i => { i.value = %g; i.dispatchEvent(new Event('input')); })(document.querySelector('#threshold'))`, v))
	}
	filled, blue, gray, amber := inked(b)
	if filled < 500 || blue < 50 || gray < 200 || amber < 100 {
		t.Errorf("overlay of %d filled, %d outlined, %d unseen and %d missed pixels", filled, blue, gray, amber)
	}
	threshold(0.2)
	if more, _, _, _ := inked(b); more < filled+1000 {
		t.Errorf("a low threshold shows %d pixels, a higher one %d", more, filled)
	}
	threshold(0.99)
	none, line, gray2, amber2 := inked(b)
	if none > 50 || line > 20 {
		t.Errorf("above all values: %d filled and %d outlined pixels", none, line)
	}
	if gray2 < gray-200 || amber2 < amber-100 {
		t.Error("the threshold hides what was not looked at")
	}
	b.Until(`document.querySelector('#areas-note').textContent.includes('below') && document.querySelectorAll('#areas button').length === 5`)
	b.Click(`#own`)
	b.Keys("h")
	if f, l, g, _ := inked(b); f+l+g > 100 {
		t.Errorf("H leaves %d, %d and %d pixels", f, l, g)
	}
	b.Keys("h")
	if f, _, _, _ := inked(b); f < filled/2 {
		t.Error("H does not bring the overlay back")
	}
	b.Keys("n")
	settle(b)
	b.Click(`[data-power="20"]`)
	settle(b)
	if f, _, _, _ := inked(b); f > 200 {
		t.Errorf("at 20× the fill hides the tissue with %d pixels", f)
	}
	b.Shot("slide-20x")
	b.Click(`[name=style][value=fill]`)
	if f, _, _, _ := inked(b); f < 1000 {
		t.Error("the reader's wish for colors is not heard at 20×")
	}
}

func TestTrayChangesTheSlide(t *testing.T) {
	t.Parallel()
	server, entry := serve(t, ofSlides(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, needles, "", heatReady)
	b.Shot("slide-tray")
	if got := webuitest.Eval[int](b, `document.querySelectorAll('#tray li').length`); got != 4 {
		t.Errorf("%d slides in the tray", got)
	}
	b.Keys(kb.PageDown)
	b.Until(`document.querySelector('#stage').dataset.shown === '1' && document.querySelector('[data-slide="1"][aria-current]') && ` + heatReady)
	settle(b)
	b.Keys("n")
	settle(b)
	if x, y, _ := center(b); math.Abs(x-spotX) > patch || math.Abs(y-spotY) > patch {
		t.Errorf("N on the second slide leads to %g, %g", x, y)
	}
	b.Keys("m")
	b.Until(`document.querySelector('#model').value.startsWith('he-mitoses@0.4.0') && document.querySelector('#state').textContent.includes('Not flagged')`)
	b.Click(`[data-slide="3"]`)
	b.Until(`!document.querySelector('#trouble').hidden`)
	if got := webuitest.Eval[string](b, `document.querySelector('#trouble').textContent`); !strings.Contains(got, "pixel spacing is missing") {
		t.Errorf("a slide that is held says %q", got)
	}
	if webuitest.Eval[bool](b, `!document.querySelector('#overlay-controls').hidden`) {
		t.Error("a slide that is held has an overlay")
	}
	b.Shot("slide-held")
	b.Promises()
	b.Click(`[data-slide="0"]`)
	b.Until(`document.querySelector('#stage').dataset.shown === '0' && document.querySelector('#trouble').hidden`)
	if got := webuitest.Eval[string](b, `document.querySelector('#viewed').textContent`); got != "3 of 4 viewed" {
		t.Error(got)
	}
}

// TestHeatGrowsWhileTheSlideIsScored: nothing moves while it does, and what is not
// scored yet does not look like a low value.
func TestHeatGrowsWhileTheSlideIsScored(t *testing.T) {
	t.Parallel()
	w := ofSlides()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	w.mu.Lock()
	planned := w.asked[growing]
	w.asked[growing] = nil
	w.mu.Unlock()
	lookAt(t, b, server.URL, growing, "", slideReady) // before the study is planned
	if got := webuitest.Eval[string](b, `document.querySelector('#state').textContent`); !strings.Contains(got, "AI has not begun") {
		t.Errorf("before the study is planned: %q", got)
	}
	w.mu.Lock()
	w.asked[growing] = planned
	w.mu.Unlock()
	b.Until(`document.querySelector('#model').value`)
	if got := webuitest.Eval[string](b, `document.querySelector('#state').textContent`); !strings.Contains(got, "Running") || !strings.Contains(got, "0 of 138 patches") {
		t.Errorf("before the first patch: %q", got)
	}
	w.score(growing, growing+".1", nuclei, 0, 0, 5, spotX, spotY, false)
	b.Until(`document.querySelector('#stage').dataset.heat`)
	b.Keys("f")
	first, _, hatched, _ := inked(b)
	b.Shot("slide-running")
	at, _, _ := center(b)
	w.score(growing, growing+".1", nuclei, 1, 5, 13, spotX, spotY, false)
	b.Until(`document.querySelector('#state').textContent.match(/1[0-9][0-9] of 138 patches/)`)
	settle(b)
	more, _, fewer, _ := inked(b)
	if more <= first || fewer >= hatched {
		t.Errorf("hot pixels went from %d to %d, hatched ones from %d to %d", first, more, hatched, fewer)
	}
	if now, _, _ := center(b); now != at {
		t.Errorf("the view moved from %g to %g", at, now)
	}
	w.mu.Lock()
	c := w.cases[growing]
	r := densityResult()
	r.Study, r.Rev, r.Name, r.Findings = growing, 1, names[nuclei.ID], nil
	c.Results, c.Study.Status = []study.Result{r}, study.Reported
	w.mu.Unlock()
	b.Until(`!document.querySelector('#news').hidden && !document.querySelector('.answer:not([hidden]) .ai-running')`)
	b.Keys("r")
	b.Until(`document.querySelector('#news')?.hidden && document.querySelector('.answer h2')?.textContent.includes('Uncertain') && ` + heatReady)
}

// TestSlideThatComesLateIsTold: the tray of an open page does not keep quiet about
// a slide that it does not show.
func TestSlideThatComesLateIsTold(t *testing.T) {
	t.Parallel()
	w := ofSlides()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, growing, "", slideReady)
	w.mu.Lock()
	w.addSlide(growing, 2, "H&E", 2048, 1536)
	w.mu.Unlock()
	b.Until(`!document.querySelector('#news').hidden && document.querySelector('#news').textContent.includes('added')`)
	b.Click(`#reload`)
	b.Until(slideReady + ` && document.querySelectorAll('#tray li').length === 2`)
}

func TestSlideThatNoModelSawSaysSo(t *testing.T) {
	t.Parallel()
	server, entry := serve(t, ofSlides(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, unasked, "", slideReady)
	if got := webuitest.Eval[string](b, `document.querySelector('#state').textContent`); !strings.Contains(got, "AI did not run on this slide") {
		t.Errorf("%q", got)
	}
	b.Keys("n") // leads nowhere, and breaks nothing
	b.Promises()
	b.Shot("slide-unasked")
}

func TestScaleBarIsRightAtEveryZoom(t *testing.T) {
	t.Parallel()
	server, entry := serve(t, ofSlides(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, prostate, "", slideReady)
	for _, key := range []string{"", "+", "++", "+", "---", "-"} {
		if key != "" {
			b.Keys(key)
			settle(b)
		}
		v := webuitest.Eval[[]float64](b, `(() => {
			const bar = document.querySelector('#scalebar');
			return [Number(bar.dataset.microns), parseFloat(getComputedStyle(bar, '::after').width), Number(document.querySelector('#stage').dataset.power)];
		})()`)
		if perPixel := v[0] / v[1]; math.Abs(perPixel-10/v[2]) > 0.01*perPixel {
			t.Errorf("after %q: %g µm on %g px at %g×", key, v[0], v[1], v[2])
		}
	}
	b.Click(`[data-power="20"]`)
	settle(b)
	if got := webuitest.Eval[string](b, `document.querySelector('#power').textContent`); got != "0.5 µm/px · 20×" {
		t.Error(got)
	}
}

// choose sets what the buttons in the page's head set.
func choose(b *webuitest.Browser, server, settings string) {
	b.Go(server)
	b.Until(listReady)
	for one := range strings.SplitSeq(settings, "&") {
		webuitest.Eval[any](b, `fetch('/settings', {method: 'POST', body: new URLSearchParams('`+one+`'), redirect: 'manual'}).then(() => 0)`)
	}
}

func TestSlidePageInThreeLanguagesAndTwoThemes(t *testing.T) {
	t.Parallel()
	server, entry := serve(t, ofSlides(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	for _, lang := range webui.Langs {
		for _, theme := range []string{"dark", "light"} {
			choose(b, server.URL, "lang="+string(lang)+"&theme="+theme)
			lookAt(t, b, server.URL, needles, "/slides/"+string(needles)+".2", heatReady)
			b.Promises()
			if cut := webuitest.Eval[[]string](b, `[...document.querySelectorAll('.tray .said, .state, #power, .controls button')]
				.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim())`); len(cut) > 0 {
				t.Errorf("%s, %s: cut short: %q", lang, theme, cut)
			}
			b.Shot("slide-" + string(lang) + "-" + theme)
		}
	}
}

// TestJudgmentHasNoKeyOnTheSlidePage: what was meant for the slide records nothing.
func TestJudgmentHasNoKeyOnTheSlidePage(t *testing.T) {
	t.Parallel()
	w := ofSlides()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, prostate, "", heatReady)
	b.Keys("nhofm[]{}+-01234aAdDeE" + kb.ArrowLeft + kb.ArrowDown + kb.PageDown + kb.Enter)
	if got := webuitest.Eval[int](b, `document.querySelectorAll('[name=verdict]:checked').length`); got != 0 || len(w.readings) != 0 {
		t.Error("a key that was meant for the slide recorded a judgment")
	}
	// Everything is reached by Tab, and the slide is not a trap.
	seen := map[string]bool{}
	for range 60 {
		b.Keys(kb.Tab)
		seen[webuitest.Eval[string](b, `document.activeElement.id || document.activeElement.name || document.activeElement.dataset.slide || document.activeElement.tagName`)] = true
	}
	for _, want := range []string{"stage", "zoom", "next", "threshold", "opacity", "model", "style", "verdict"} {
		if !seen[want] {
			t.Errorf("Tab does not reach %s", want)
		}
	}
}

// TestGlassIsPlainAndUnseenTissueIsHatched: where it is known what is tissue, bare
// glass is not hatched, and a line goes round what was looked at.
func TestGlassIsPlainAndUnseenTissueIsHatched(t *testing.T) {
	t.Parallel()
	w := ofSlides()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	at := "/slides/" + string(needles) + ".3"
	lookAt(t, b, server.URL, needles, at, heatReady)
	_, _, all, _ := inked(b)
	if webuitest.Eval[bool](b, `!document.querySelector('#glass').hidden`) {
		t.Error("the legend tells of glass where nobody knows where it is")
	}
	m := image.NewGray(image.Rect(0, 0, slideColumns/16, slideRows/16))
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() / 4 { // tissue on the left, of which something was not looked at
			m.SetGray(x, y, color.Gray{Y: 255})
		}
	}
	var mask bytes.Buffer
	if err := png.Encode(&mask, m); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.put(slide.MaskKey(needles+".3"), mask.Bytes())
	w.mu.Unlock()
	lookAt(t, b, server.URL, needles, at, heatReady+` && !document.querySelector('#glass').hidden`)
	b.Promises()
	b.Shot("slide-glass")
	_, _, some, _ := inked(b)
	if some == 0 || some > all/2 {
		t.Errorf("%d hatched pixels with a mask, %d without", some, all)
	}
	links := webuitest.Eval[[]string](b, `[...document.querySelectorAll('.export a')].map(a => a.getAttribute('href'))`)
	if len(links) != 12 || !strings.HasSuffix(links[0], "/slides/"+string(needles)+".1.geojson") || !strings.HasSuffix(links[1], ".csv") {
		t.Errorf("files of results: %v", links)
	}
}

// TestLargeLevelBeginsWithTheSmallPicture: a slide of one large level is seen
// whole before any of its tiles has been read.
func TestLargeLevelBeginsWithTheSmallPicture(t *testing.T) {
	t.Parallel()
	w := ofSlides()
	w.instances[prostate] = w.instances[prostate][:1]
	var small bytes.Buffer
	if err := jpeg.Encode(&small, image.NewYCbCr(image.Rect(0, 0, 1024, 768), image.YCbCrSubsampleRatio420), nil); err != nil {
		t.Fatal(err)
	}
	w.put(slide.ThumbKey(prostate+".1"), small.Bytes())
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	lookAt(t, b, server.URL, prostate, "", heatReady)
	const asked = `performance.getEntriesByType('resource').map(e => e.name).filter(n => n.includes('/%s')).length`
	if thumbs := webuitest.Eval[int](b, fmt.Sprintf(asked, "thumb?")); thumbs == 0 {
		t.Error("the small picture was not asked for")
	}
	if tiles := webuitest.Eval[int](b, fmt.Sprintf(asked, "tiles/")); tiles > 0 {
		t.Errorf("%d tiles to see the slide whole", tiles)
	}
	b.Click(`[data-power="20"]`)
	b.Until(fmt.Sprintf(asked, "tiles/0/") + ` > 0`)
}
