package worldlist_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

const (
	listReady  = `document.readyState === 'complete' && document.querySelector('#list') && document.querySelector('html.ready')`
	imageReady = `document.querySelector('#stage')?.dataset.shown`
)

// enter signs a browser in and waits for the list.
func enter(t *testing.T, b *webuitest.Browser, entry string) {
	t.Helper()
	b.Go(entry)
	b.Until(listReady)
}

func TestEveryPageKeepsItsPromises(t *testing.T) {
	server, entry := serve(t, newWard(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	b.Go(server.URL)
	b.Promises() // the sign-in page
	enter(t, b, entry)
	pages := []struct {
		name  string
		path  string
		ready string
	}{
		{"worklist", "/", listReady},
		{"nothing-found", "/?q=nobody", listReady},
		{"ct", "/studies/" + string(chestCT), imageReady},
		{"mammogram", "/studies/" + string(mammogram), imageReady},
		{"slide", "/studies/" + string(prostate), imageReady},
		{"partial", "/studies/" + string(unseenCT), imageReady},
		{"no-images", "/studies/" + string(failedCT), `true`},
		{"undecodable", "/studies/" + string(undecodable), `!document.querySelector('#trouble').hidden`},
		{"not-found", "/studies/1.2.3", `true`},
	}
	for _, theme := range []string{"dark", "light"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `'`)
		for _, p := range pages {
			b.Go(server.URL + p.path)
			b.Until(p.ready)
			webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
			b.Promises()
			b.Shot(p.name + "-" + theme)
		}
		b.Go(server.URL)
	}
	// What a reader must not overlook is never cut short, in no language.
	whole := func(lang webui.Lang) {
		cut := webuitest.Eval[[]string](b, `[...document.querySelectorAll('.list th, .list td:first-child, .list .due, .list .ai')]
			.filter(c => c.scrollWidth > c.clientWidth).map(c => c.textContent)`)
		if len(cut) > 0 {
			t.Errorf("cut short in %s: %q", lang, cut)
		}
	}
	whole(webui.English)
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish} {
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && ` + listReady)
		b.Promises()
		whole(lang)
		b.Shot("worklist-" + string(lang))
	}
}

// TestPictures makes the pictures of the README and the guides:
//
//	VARDE_SHOTS=docs/pictures go test ./worldlist -run TestPictures
func TestPictures(t *testing.T) {
	server, entry := serve(t, newWard(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Click("button[value=dark]")
	b.Until(`document.documentElement.dataset.theme === 'dark' && ` + listReady)
	b.Keys("jjj")
	b.Shot("worklist")
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	b.Shot("study")
}

func TestListByKeyboard(t *testing.T) {
	w := newWard().many(260)
	_, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	current := func() string {
		return webuitest.Eval[string](b, `document.querySelector('tr.cur')?.dataset.uid ?? ''`)
	}
	b.Keys("j")
	if got := current(); got != string(runningCT) {
		t.Errorf("J leads to %s", got)
	}
	if got := webuitest.Eval[string](b, `document.activeElement.textContent`); got != "Lund, Per" {
		t.Errorf("focus is on %q", got)
	}
	b.Keys("jjk")
	if got := current(); got != string(prostate) {
		t.Errorf("J J K leads to %s", got)
	}
	b.Keys(kb.End)
	b.Until(`document.querySelector('tr.cur')?.dataset.uid === '2.25.104'`) // the last of the whole list
	b.Keys(kb.Home)
	b.Until(`document.querySelector('tr.cur')?.dataset.uid === '` + string(runningCT) + `'`)
	for range 6 {
		b.Keys(kb.PageDown)
	}
	b.Until(`document.querySelectorAll('#rows tr').length === 200 && [...document.querySelectorAll('#rows tr')].findIndex(r => r.className === 'cur') >= 100`)

	b.Keys("/")
	b.Until(`document.activeElement.id === 'q'`)
	webuitest.Eval[any](b, `document.activeElement.value = ''`) // the driver types the key, a browser does not
	b.Keys("sørensen")
	b.Until(`document.querySelectorAll('#rows tr').length === 1 && location.search === '?q=s%C3%B8rensen'`)
	if got := webuitest.Eval[string](b, `document.querySelector('#q').value`); got != "sørensen" {
		t.Errorf("the field holds %q", got)
	}
	b.Keys(kb.Escape)
	b.Keys("j" + kb.Enter)
	b.Until(`location.pathname === '/studies/` + string(prostate) + `'`)
	if len(w.opened) != 1 {
		t.Errorf("opened: %v", w.opened)
	}
}

func TestNewStudiesAreToldAndMoveNothing(t *testing.T) {
	w := newWard()
	_, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Keys("jj")
	before := webuitest.Eval[string](b, `document.querySelector('#rows').textContent`)
	selected := webuitest.Eval[string](b, `document.querySelector('#rows tr.cur').dataset.uid`)
	late := one("2.25.200", "New^Ann", "CT thorax", study.CT, today, study.PriorityStat, today.AddDate(0, 0, -1), ran(nodules, study.Flagged, 1, 1))
	w.mu.Lock()
	w.cases[late.Study.UID] = &late
	w.mu.Unlock()
	b.Until(`document.querySelector('#news').textContent.includes('1 new study')`)
	if after := webuitest.Eval[string](b, `document.querySelector('#rows').textContent`); after != before {
		t.Error("rows moved under the reader")
	}
	b.Keys("r")
	b.Until(`document.querySelectorAll('#rows tr').length === 12 && document.querySelector('#news').textContent === ''`)
	if now := webuitest.Eval[string](b, `document.querySelector('#rows tr.cur').dataset.uid`); now != selected {
		t.Errorf("%s is selected, which was %s before the list was renewed", now, selected)
	}
}

// pixel gives red, green and blue of a canvas where a point of the image lies.
func pixel(b *webuitest.Browser, canvas string, columns, rows int, x, y float64) []int {
	return webuitest.Eval[[]int](b, fmt.Sprintf(`(() => {
		const c = document.getElementById('%s');
		const s = Math.min(c.width / %d, c.height / %d);
		const x = (c.width - %[2]d * s) / 2 + %[4]g * s, y = (c.height - %[3]d * s) / 2 + %[5]g * s;
		return [...c.getContext('2d').getImageData(Math.round(x), Math.round(y), 1, 1).data];
	})()`, canvas, columns, rows, x, y))
}

// ring counts yellow and black pixels of the marks near a point of the image.
func ring(b *webuitest.Browser, columns, rows int, x, y, r float64) (yellow, black int) {
	n := webuitest.Eval[[]int](b, fmt.Sprintf(`(() => {
		const c = document.getElementById('marks');
		const s = Math.min(c.width / %d, c.height / %d);
		const x = (c.width - %[1]d * s) / 2 + %[3]g * s, y = (c.height - %[2]d * s) / 2 + %[4]g * s, r = %[5]g * s + 30;
		const d = c.getContext('2d').getImageData(x - r, y - r, 2 * r, 2 * r).data;
		let yellow = 0, black = 0;
		for (let i = 0; i < d.length; i += 4) {
			if (d[i + 3] < 200) continue;
			if (d[i] > 220 && d[i + 1] > 190 && d[i + 2] < 120) yellow++;
			if (d[i] + d[i + 1] + d[i + 2] < 60) black++;
		}
		return [yellow, black];
	})()`, columns, rows, x, y, r))
	return n[0], n[1]
}

func TestRingIsWhereTheFindingIs(t *testing.T) {
	server, entry := serve(t, newWard(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`) // opened at the first finding
	seen := func() bool {
		webuitest.Eval[any](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`)
		yellow, black := ring(b, ctSide, ctSide, noduleX, noduleY, noduleR)
		if (yellow > 50) != (black > 50) {
			t.Errorf("ring of %d yellow and %d black pixels", yellow, black)
		}
		return yellow > 50
	}
	if !seen() {
		t.Error("no ring on the finding's slice")
	}
	if p := pixel(b, "image", ctSide, ctSide, noduleX, noduleY); p[0] < 200 {
		t.Errorf("the nodule is not bright: %v", p)
	}
	if p := pixel(b, "image", ctSide, ctSide, 100, noduleY); p[0] > 150 {
		t.Errorf("the lung is not dark: %v", p)
	}
	b.Keys(kb.ArrowDown)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/12'`)
	if seen() {
		t.Error("a ring on a slice without a finding")
	}
	b.Keys(kb.ArrowUp)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`)
	b.Keys("f")
	if seen() {
		t.Error("F takes the ring not away")
	}
	b.Keys("f")
	b.Click(`[data-mark$="#1"]`)
	if seen() {
		t.Error("the finding's own switch takes the ring not away")
	}
	b.Click(`[data-mark$="#1"]`)
	if !seen() {
		t.Error("the ring does not come back")
	}
	b.Click(`[data-go$="#2"]`)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/16'`)
	b.Keys("n")
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`)
}

func TestWindowByKeysSlidersAndDrag(t *testing.T) {
	w := newWard()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	window := func() string {
		webuitest.Eval[any](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`)
		return webuitest.Eval[string](b, `document.querySelector('#window').textContent`)
	}
	for _, tt := range []struct{ keys, want string }{
		{"", "W 1500 L -600"},
		{"2", "W 400 L 40"},
		{"3", "W 1800 L 400"},
		{"1", "W 1500 L -600"},
		{"]", "W 1500 L -580"},
		{"[[", "W 1500 L -620"},
		{"}", "W 1550 L -620"},
		{"{{", "W 1450 L -620"},
		{"0", "W 1500 L -600"},
	} {
		if tt.keys != "" {
			b.Keys(tt.keys)
		}
		if got := window(); got != tt.want {
			t.Errorf("after %q: %s, want %s", tt.keys, got, tt.want)
		}
	}
	// Soft tissue: 40 HU lies in the middle of the window, −600 below it.
	b.Keys("2")
	window()
	if p := pixel(b, "image", ctSide, ctSide, 128, 60); p[0] < 110 || p[0] > 150 {
		t.Errorf("40 HU in the window 40/400 is %v", p)
	}
	if p := pixel(b, "image", ctSide, ctSide, 90, 120); p[0] != 0 {
		t.Errorf("lung in the window 40/400 is %v", p)
	}
	webuitest.Eval[any](b, `(() => { const i = document.querySelector('#level'); i.value = 100; i.dispatchEvent(new Event('input')); })()`)
	if got := window(); got != "W 400 L 100" {
		t.Error(got)
	}
	b.Keys("fn1234+-0" + kb.ArrowLeft + kb.ArrowDown)
	if got := webuitest.Eval[int](b, `document.querySelectorAll('[name=verdict]:checked').length`); got != 0 || len(w.readings) != 0 {
		t.Error("a key that was meant for the image recorded a judgment")
	}
}

func TestVerdictByMouse(t *testing.T) {
	w := newWard()
	server, entry := serve(t, w, webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	b.Click(`#verdict input[value=changes]`)
	b.Click(`#reason`)
	b.Keys("1 and 2 are one, n0")
	b.Click(`#verdict button`)
	b.Until(`location.search === '?saved=1'`)
	b.Promises()
	if len(w.readings) != 1 || w.readings[0].Verdict != "changes: 1 and 2 are one, n0" || w.readings[0].By != "K. Hansen" {
		t.Errorf("%v", w.readings)
	}
}

func TestSlideIsReadFinerWhereOneLooks(t *testing.T) {
	server, entry := serve(t, newWard(), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(prostate))
	b.Until(imageReady)
	b.Click(`[data-go]`)
	finest := "/studies/" + string(prostate) + "/slides/" + string(prostate) + ".1/tiles/0/"
	b.Until(`performance.getEntriesByType('resource').some(e => e.name.includes('` + finest + `'))`)
	b.Until(`document.querySelector('#stage').dataset.loaded === 'true'`)
	b.Shot("slide-zoomed")
	b.Promises()
}
