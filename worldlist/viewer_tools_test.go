package worldlist_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"varde/internal/dicom"
	pixels "varde/internal/pixel"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
	"varde/worldlist"
)

// TestMissedIsMarkedByMouseAndByKeys: a point is asked about before it is kept, is
// kept in pixels of its frame, and is seen again by whoever opens the page.
func TestMissedIsMarkedByMouseAndByKeys(t *testing.T) {
	s := newScene()
	server, entry := s.show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`)
	b.Click(`[data-tool=missed]`)
	b.Press(spot(b, "stage", ctSide, ctSide, 84, 140))
	b.Until(`!document.querySelector('#missed').hidden && document.activeElement.id === 'missed-text'`)
	if len(s.steps) != 0 && s.steps[len(s.steps)-1].Step == study.StepMissed {
		t.Fatal("kept without being asked about")
	}
	b.Promises()
	b.Until(`!document.querySelector('#missed button').disabled`)
	b.Keys("spiculated, 8 mm" + kb.Enter)
	b.Until(`document.querySelector('#hint').textContent.startsWith('Marked as missed')`)
	missed := func() (all []study.ReadingStep) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, one := range s.steps {
			if one.Step == study.StepMissed {
				all = append(all, one)
			}
		}
		return all
	}
	got := missed()
	if len(got) != 1 || got[0].Mark.Instance != chestCT+".1.12" || got[0].Mark.Frame != 1 || math.Abs(got[0].Mark.Points[0]-84) > 1 || math.Abs(got[0].Mark.Points[1]-140) > 1 || got[0].Text != "spiculated, 8 mm" {
		t.Fatalf("%+v", got)
	}
	white := [3]int{255, 255, 255}
	if n := near(b, 84, 140, 9, white); n < 20 {
		t.Errorf("%d pixels of a mark", n)
	}
	b.Shot("missed")
	// By keys: the cross begins where the last point was set.
	b.Click("#stage")
	b.Keys("m" + strings.Repeat(kb.ArrowRight, 3) + strings.Repeat(kb.ArrowUp, 2) + kb.Enter)
	b.Until(`document.activeElement.id === 'missed-text'`)
	b.Keys(kb.Escape)
	b.Until(`document.querySelector('#missed').hidden`)
	if len(missed()) != 1 {
		t.Error("what was called off is kept")
	}
	b.Keys(kb.Enter)
	b.Until(`document.activeElement.id === 'missed-text' && !document.querySelector('#missed button').disabled`)
	b.Keys(kb.Enter)
	b.Until(`document.querySelector('#hint').textContent.startsWith('Marked as missed')`)
	if got = missed(); len(got) != 2 || math.Abs(got[1].Mark.Points[0]-87) > 1 || math.Abs(got[1].Mark.Points[1]-138) > 1 {
		t.Fatalf("%+v", got[len(got)-1].Mark)
	}
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`)
	if n := near(b, 84, 140, 9, white); n < 20 {
		t.Error("the mark is not there when one comes again")
	}
}

// TestNothingIsMarkedWhereTheAIIsNotSeen: without an answer of the AI in view there is
// no tool to say that it missed something.
func TestNothingIsMarkedWhereTheAIIsNotSeen(t *testing.T) {
	s := newScene()
	s.protocols = []study.Protocol{study.SecondLook}
	server, _ := s.show(t)
	if _, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader); strings.Contains(body, `data-tool="missed"`) {
		t.Error("the tool is there before the own read")
	}
	s = newScene()
	server, _ = s.show(t)
	if _, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Operator); strings.Contains(body, `data-tool="missed"`) {
		t.Error("an operator may mark")
	}
}

// TestLoopPlaysSlowlyForWhoAsksForLessMotion: the frames of one object follow each
// other when they are asked to, and stop.
func TestLoopPlaysSlowlyForWhoAsksForLessMotion(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(cineUS))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/0' && !document.querySelector('#play').hidden`)
	b.Click("#play")
	b.Until(`document.querySelector('#stage').dataset.shown === '0/3'`)
	if h := text(b, "#hint"); !strings.HasPrefix(h, "Slowed") {
		t.Errorf("it does not say that it is slow: %q", h)
	}
	b.Until(`document.querySelector('#stage').dataset.shown === '0/0'`) // and again from the beginning
	b.Click("#stage")
	b.Keys(" ")
	b.Until(`document.querySelector('#play').getAttribute('aria-pressed') === 'false'`)
	b.Promises()
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	if webuitest.Eval[bool](b, `!document.querySelector('#play').hidden`) {
		t.Error("a volume is no loop")
	}
}

// TestFramesAreCalledOffAndLetGo drives the store of frames by itself, with a server
// that answers when it is told to: what nobody waits for any more is called off, the
// neighbors come outward, and what lies far makes room.
func TestFramesAreCalledOffAndLetGo(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	got := webuitest.Eval[struct {
		Aborted int
		Order   []int
		MB      int
		Near    bool
		Far     bool
	}](b, `(async () => {
		const { Frames, keyOf } = await import(document.querySelector('script[src*="viewer.js"]').src.replace('viewer.js', 'frames.js'));
		const real = window.fetch;
		const waiting = [];
		let aborted = 0;
		window.fetch = (url, init) => !url.startsWith('/studies/s/') ? real(url, init) : new Promise((done, fail) => {
			const { signal } = init;
			signal.addEventListener('abort', () => { aborted++; fail(new DOMException('', 'AbortError')); });
			waiting.push({ url, done });
		});
		const stack = { study: 's', series: 'x', frames: Array.from({ length: 400 }, (_, n) => ({ i: 'i' + n, n: 1 })) };
		const rows = 1024, columns = 512; // a megabyte each
		const body = new ArrayBuffer(2 * rows * columns);
		const answer = (w) => w.done({ ok: true, headers: new Headers({ 'Varde-Frame': JSON.stringify({ rows, columns }) }), arrayBuffer: async () => body });
		const rest = () => new Promise((r) => setTimeout(r));
		const frames = new Frames();
		let at = 100;
		frames.spots = () => [{ stack, at }];
		// Scrolled fast from 100 to 300: the frames between are called off.
		const lost = [];
		for (; at <= 300; at += 20) { lost.push(frames.get(stack, at).catch(() => null)); frames.settle(); }
		at = 300;
		await rest();
		const order = [];
		for (let i = 0; i < 380; i++) {
			while (waiting.length) { const w = waiting.shift(); order.push(Number(w.url.match(/i(\d+)/)[1])); answer(w); }
			await rest();
		}
		// Then slowly to the beginning of the stack.
		for (at = 300; at >= 0; at--) {
			frames.get(stack, at).catch(() => null);
			frames.settle();
			while (waiting.length) answer(waiting.shift());
			await rest();
		}
		at = 0;
		window.fetch = real;
		const live = order.filter((n) => Math.abs(n - 300) <= 3);
		return { aborted, order: live.slice(0, 7), mb: Math.round(frames.bytes / (1 << 20)), near: Boolean(frames.has(stack, 5)), far: Boolean(frames.has(stack, 330)) };
	})()`)
	if got.Aborted < 10 {
		t.Errorf("%d requests were called off", got.Aborted)
	}
	if fmt.Sprint(got.Order) != "[300 301 299 302 298 303 297]" {
		t.Errorf("frames come in the order %v", got.Order)
	}
	if got.MB > 257 || got.MB < 150 || !got.Near || got.Far {
		t.Errorf("%d MB, near %v, far %v", got.MB, got.Near, got.Far)
	}
}

// TestSingleKeysCanBeSwitchedOff: then letters do nothing, and what has focus is still
// used by arrows and Enter.
func TestSingleKeysCanBeSwitchedOff(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`)
	b.Click("#stage")
	b.Keys("?")
	b.Until(`document.querySelector('#keys').open`)
	b.Promises()
	b.Shot("keys")
	b.Click("#keys-on")
	b.Click("#keys button")
	b.Until(`!document.querySelector('#keys').open`)
	b.Click("#stage")
	b.Keys("i2g")
	if w := text(b, "#window"); w != "W 1500 L -600" {
		t.Errorf("a key that is off does something: %s", w)
	}
	b.Keys(kb.ArrowDown)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/12'`)
	b.Go(server.URL + "/studies/" + string(chestCT)) // it is a setting of the visitor's
	b.Until(imageReady)
	if webuitest.Eval[bool](b, `document.querySelector('#keys-on').checked`) {
		t.Error("they are on again")
	}
}

// TestEveryDragHasAnotherWay: window, zoom and place change by drag, and by sliders and
// buttons as well.
func TestEveryDragHasAnotherWay(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.quality === 'full'`)
	middle := spot(b, "stage", ctSide, ctSide, 128, 128)
	b.Drag(middle, webuitest.Point{X: middle.X + 40, Y: middle.Y + 20})
	if w := text(b, "#window"); w == "W 1500 L -600" {
		t.Error("a drag does not change the window")
	}
	b.Click("#reset")
	where := func() int {
		rest(b)
		return webuitest.Eval[int](b, `(() => { const c = document.getElementById('image'); const d = c.getContext('2d').getImageData(0, Math.floor(c.height / 2), c.width, 1).data;
			return Array.from({length: c.width}, (_, i) => d[4 * i + 3]).findIndex(a => a > 0); })()`)
	}
	left := where()
	b.Click(`[data-pan="40,0"]`)
	if got := where(); got != left+40 {
		t.Errorf("the button moves the image from %d to %d", left, got)
	}
	b.Click(`[data-tool=pan]`)
	b.Drag(middle, webuitest.Point{X: middle.X - 30, Y: middle.Y})
	if got := where(); got != left+10 {
		t.Errorf("the drag moves the image to %d, want %d", got, left+10)
	}
	webuitest.Eval[any](b, `document.querySelector('#stage').dispatchEvent(new WheelEvent('wheel', {deltaY: -400, ctrlKey: true, bubbles: true, cancelable: true, clientX: innerWidth / 2, clientY: innerHeight / 2}))`)
	if z := text(b, "#zoom"); z != "200 %" {
		t.Errorf("zoom %s", z)
	}
	webuitest.Eval[any](b, `(() => { const s = document.querySelector('#scale'); s.value = 0; s.dispatchEvent(new Event('input')); })()`)
	if z := text(b, "#zoom"); z != "100 %" {
		t.Errorf("zoom %s", z)
	}
	webuitest.Eval[any](b, `document.querySelector('#stage').dispatchEvent(new WheelEvent('wheel', {deltaY: 100, bubbles: true, cancelable: true}))`)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/13'`)
}

// TestViewsAreShownBesideEachOther: the images of a mammogram are views, and no stack:
// side by side from the start, and none moves another.
func TestViewsAreShownBesideEachOther(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(mammogram))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/0'`)
	if got := webuitest.Eval[string](b, `document.querySelector('#looks').selectedOptions[0].textContent`); got != "Automatic" {
		t.Errorf("an image without a window is shown %q", got)
	}
	b.Until(`document.querySelector('#stage2')?.dataset.shown === '0/1'`)
	b.Until(`[...document.querySelectorAll('[data-el=stage]')].every(s => s.dataset.quality === 'full')`)
	b.Shot("views")
	b.Click("#stage2")
	b.Keys(kb.ArrowUp)
	b.Until(`document.querySelector('#stage2').dataset.shown === '0/0'`)
	b.Keys(kb.ArrowDown)
	b.Until(`document.querySelector('#stage2').dataset.shown === '0/1'`)
	if at := webuitest.Eval[string](b, `document.querySelector('#stage').dataset.shown`); at != "0/0" {
		t.Errorf("the other view went along to %s", at)
	}
}

// TestViewerInEveryLanguageAndTheme holds the page with all that it can show against
// what all pages promise.
func TestViewerInEveryLanguageAndTheme(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	for _, theme := range []string{"dark", "light"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `'`)
		for _, lang := range []webui.Lang{webui.English, webui.Bokmal, webui.Danish} {
			if webuitest.Eval[string](b, `document.documentElement.lang`) != string(lang) {
				b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
			}
			b.Until(`document.documentElement.lang === '` + string(lang) + `'`)
			b.Go(server.URL + "/studies/" + string(chestCT))
			b.Until(`document.querySelector('#stage').dataset.layers === '2'`)
			b.Keys("gl" + kb.Enter)
			b.Until(`document.querySelector('#stage2')?.dataset.shown`)
			webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
			b.Promises()
			b.Shot("viewer-" + string(lang) + "-" + theme)
		}
	}
}

// TestFirstImage measures how soon there is a picture and how soon its values, and
// tells it; the notes' prototype had its first CT image after 150 ms at best and 196
// ms in the median, on four busy cores.
func TestFirstImage(t *testing.T) {
	if testing.Short() {
		t.Skip("a measurement")
	}
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	for _, uid := range []study.UID{chestCT, mammogram, chestCT} {
		b.Go(server.URL + "/studies/" + string(uid))
		b.Until(`document.querySelector('#stage').dataset.shownAt`)
		t.Log(uid, webuitest.Eval[string](b, `(() => { const d = document.querySelector('#stage').dataset; const p = performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint');
			return 'first paint ' + Math.round(p?.startTime ?? 0) + ' ms, picture ' + (d.quickAt ?? '–') + ' ms, values ' + d.shownAt + ' ms'; })()`))
	}
}

// TestQuickPictureIsTheWindowedFrame: it is the frame through its own window, table, or
// the one that is asked for, within what a JPEG loses.
func TestQuickPictureIsTheWindowedFrame(t *testing.T) {
	s := newScene()
	server, _ := s.show(t)
	at := func(series int, query string) image.Image {
		return picture(t, fmt.Sprintf("%s/studies/%s/frames/%s.%d.1/1/quick%s", server.URL, looksXR, looksXR, series, query))
	}
	for _, tt := range []struct {
		series int
		query  string
		want   pixels.Window
	}{
		{1, "", pixels.Window{Center: 100, Width: 600}},
		{1, "?c=400&w=200", pixels.Window{Center: 400, Width: 200}},
		{2, "", pixels.Window{Center: 100, Width: 600, Exact: true}},
		{3, "", pixels.Window{Center: 100, Width: 600, Sigmoid: true}},
		{4, "", pixels.Window{Center: 100, Width: 600, Inverted: true}},
	} {
		m := at(tt.series, tt.query).(*image.Gray)
		for c := range rampColumns {
			if got, want := float64(m.GrayAt(c, 16).Y), tt.want.Level(float64(rampLow+rampStep*c))*255; math.Abs(got-want) > 8 {
				t.Errorf("series %d%s: column %d is %g, want %.0f", tt.series, tt.query, c, got, want)
				break
			}
		}
	}
	m := at(5, "").(*image.Gray)
	if a, z := m.GrayAt(5, 16).Y, m.GrayAt(60, 16).Y; a > 12 || z < 180 {
		t.Errorf("through the table: %d, %d", a, z)
	}
	for path, want := range map[string]int{"quick?c=1": 400, "quick?c=a&w=2": 400, "quick?c=1&w=0": 400, "tables/0": 404, "tables/x": 400, "tables/-1": 404} {
		if a, _ := get(t, fmt.Sprintf("%s/studies/%s/frames/%s.1.1/1/%s", server.URL, looksXR, looksXR, path), webui.Reader); a.StatusCode != want {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	a, body := get(t, fmt.Sprintf("%s/studies/%s/frames/%s.5.1/1/tables/0", server.URL, looksXR, looksXR), webui.Reader)
	var table struct {
		Text    string
		First   int
		Most    float64
		Entries []int
	}
	if err := json.Unmarshal([]byte(body), &table); err != nil || a.StatusCode != 200 || table.Text != "SQUARE" || table.First != rampLow || table.Most != 4095 || len(table.Entries) != 1300 || table.Entries[1299] != 4095 {
		t.Errorf("%v %s %.200s", err, a.Status, body)
	}
}

// TestLargeQuickPictureIsShrunk: a mammogram is seen at once, and its brightest
// calcification does not vanish with the pixels between.
func TestLargeQuickPictureIsShrunk(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	a, body := get(t, server.URL+"/studies/"+string(mammogram)+"/frames/"+string(mammogram)+".1.1/1/quick", webui.Reader)
	m, err := jpeg.Decode(strings.NewReader(body))
	if err != nil || a.StatusCode != http.StatusOK || m.Bounds() != image.Rect(0, 0, mammogramColumns, mammogramRows) {
		t.Fatal(a.Status, err)
	}
	var g geometry
	if err := json.Unmarshal([]byte(a.Header.Get("Varde-Frame")), &g); err != nil || g.Columns != mammogramColumns {
		t.Error(err, g)
	}
}

// TestHeadersAreReadAsTheyAre: all windows with their names, what is per frame, the
// detector's spacing, a modality table, and signs beyond ASCII in a header of HTTP.
func TestHeadersAreReadAsTheyAre(t *testing.T) {
	s := newScene()
	uid := looksXR + ".1.1"
	look := func(i *dicom.Item) (worldlistGeometry, []float64) {
		s.heads[uid] = s.head(i)
		server, _ := s.show(t)
		a, body := get(t, server.URL+"/studies/"+string(looksXR)+"/frames/"+string(uid)+"/1", webui.Reader)
		var g worldlistGeometry
		if err := json.Unmarshal([]byte(a.Header.Get("Varde-Frame")), &g); err != nil || a.StatusCode != 200 {
			t.Fatal(a.Status, err, body)
		}
		v := make([]float64, rampColumns)
		for c := range v {
			v[c] = float64(int16(uint16(body[2*c])|uint16(body[2*c+1])<<8))*g.Scale + g.Offset
		}
		return g, v
	}
	g, _ := look(dicom.NewItem().Set(dicom.WindowCenter, 40.0, -600.0, 9.0).Set(dicom.WindowWidth, 400.0, 0.5, 80.0).Set(dicom.WindowCenterWidthExplanation, "BLØT", "no width", "嚢"))
	if len(g.Windows) != 2 || g.Windows[0].Text != "BLØT" || g.Windows[1].Text != "嚢" || g.Windows[1].W != 80 || g.Center != 40 {
		t.Errorf("%+v", g)
	}
	g, _ = look(dicom.NewItem().Set(dicom.ImagerPixelSpacing, 0.5, 0.25).Set(dicom.PixelSpacing, 0.5, 0.25).Set(dicom.RecommendedDisplayFrameRate, 25))
	if g.SpacingKind != "imager" || g.Millis != 40 {
		t.Errorf("spacing of the detector that stands as the body's: %+v", g)
	}
	g, _ = look(dicom.NewItem().Set(dicom.ImagerPixelSpacing, 0.6, 0.3).Set(dicom.PixelSpacing, 0.5, 0.25))
	if g.SpacingKind != "pixel" {
		t.Errorf("calibrated spacing: %+v", g)
	}
	_, v := look(dicom.NewItem().Seq(dicom.ModalityLUTSequence, dicom.NewItem().SetVR(dicom.LUTDescriptor, "SS", 1300, rampLow, 12).SetVR(dicom.LUTData, "OW", lut())))
	if v[0] != 0 || math.Abs(v[63]-math.Trunc(4095*1260*1260/(1299*1299))) > 1 {
		t.Errorf("by the modality table: %v … %v", v[0], v[63])
	}
	broken := dicom.NewItem().Seq(dicom.VOILUTSequence, dicom.NewItem().SetVR(dicom.LUTDescriptor, "SS", 1300, rampLow, 12).SetVR(dicom.LUTData, "OW", lut()[:100]))
	s.heads[uid] = s.head(broken)
	server, _ := s.show(t)
	if a, _ := get(t, server.URL+"/studies/"+string(looksXR)+"/frames/"+string(uid)+"/1", webui.Reader); a.StatusCode != 400 {
		t.Errorf("a table that is cut short: %s", a.Status)
	}
}

// worldlistGeometry is the header of a frame.
type worldlistGeometry struct {
	Scale, Offset, Center, Millis float64
	SpacingKind                   string `json:"spacing_kind"`
	Windows                       []struct {
		Text string
		C, W float64
	}
}

// TestLinkToThePACS: escaped, only of http and https, only where it is set and the
// study has what it needs.
func TestLinkToThePACS(t *testing.T) {
	for template, sound := range map[string]bool{
		"": true, "https://pacs/open?study={study_uid}": true, "http://10.0.0.1:8080/v/{accession}#x": true, "https://pacs/?p={patient_id}&a={accession}": true,
		"javascript:alert(1)": false, "ftp://pacs/{study_uid}": false, "pacs/open": false, "https://{accession}/": false, "https:///x": false, "https://pacs/{uid}": false, "https://pacs/\" x": false,
	} {
		if err := worldlist.CheckPACSLink(template); (err == nil) != sound {
			t.Errorf("%q: %v", template, err)
		}
	}
	s := newScene()
	s.cases[chestCT].Study.Accession = "A/1&x=ø \"<"
	page := func(template string) string {
		server, _ := s.show(t, func(p *worldlist.Pages) { p.PACS = template })
		_, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader)
		return body
	}
	if body := page("https://pacs/open?study={study_uid}&accession={accession}"); !strings.Contains(body,
		`href="https://pacs/open?study=2.25.101&amp;accession=A%2F1%26x%3D%C3%B8%20%22%3C" target="_blank" rel="noopener noreferrer"`) {
		i := strings.Index(body, `class="pacs"`)
		t.Error(body[max(0, i):min(len(body), i+200)])
	}
	for _, template := range []string{"", "javascript:alert(1)"} {
		if strings.Contains(page(template), `class="pacs"`) {
			t.Errorf("a link for %q", template)
		}
	}
	s.cases[chestCT].Study.Accession = ""
	if strings.Contains(page("https://pacs/{accession}"), `class="pacs"`) {
		t.Error("a link without what it needs")
	}
}
