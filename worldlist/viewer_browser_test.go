package worldlist_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	pixels "varde/internal/pixel"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// drawnAgain waits until what was asked for is on the screen.
const drawnAgain = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`

func rest(b *webuitest.Browser) { webuitest.Eval[any](b, drawnAgain) }

func text(b *webuitest.Browser, css string) string {
	rest(b)
	return webuitest.Eval[string](b, `document.querySelector('`+css+`')?.textContent ?? ''`)
}

// spot is where a point of an image of so many columns and rows lies in the window,
// in the viewport whose stage has the id.
func spot(b *webuitest.Browser, stage string, columns, rows int, x, y float64) webuitest.Point {
	p := webuitest.Eval[[]float64](b, fmt.Sprintf(`(() => {
		const r = document.getElementById('%s').getBoundingClientRect();
		const s = Math.min(r.width / %d, r.height / %d);
		return [r.left + (r.width - %[2]d * s) / 2 + %[4]g * s, r.top + (r.height - %[3]d * s) / 2 + %[5]g * s];
	})()`, stage, columns, rows, x, y))
	return webuitest.Point{X: p[0], Y: p[1]}
}

// row reads the brightness of the middle of every column of a ramp.
func row(b *webuitest.Browser, tall float64) []int {
	rest(b)
	return webuitest.Eval[[]int](b, fmt.Sprintf(`(() => {
		const c = document.getElementById('image');
		const s = Math.min(c.width / %d, c.height / (%d * %g));
		const d = c.getContext('2d').getImageData(0, Math.floor(c.height / 2), c.width, 1).data;
		return Array.from({length: %[1]d}, (_, i) => d[4 * Math.floor((c.width - %[1]d * s) / 2 + (i + 0.5) * s)]);
	})()`, rampColumns, rampRows, tall))
}

// engines are the ways to draw: with a graphics card, here in software; with the
// processor by the address; and where the browser knows no WebGL at all.
var engines = []struct {
	name, query, drawn string
	flags              []string
}{
	{"webgl", "?draw=webgl", "webgl", []string{"disable-gpu=false", "use-angle=swiftshader", "enable-unsafe-swiftshader"}},
	{"software", "", "canvas", []string{"disable-gpu=false", "use-angle=swiftshader", "enable-unsafe-swiftshader"}},
	{"no-webgl", "", "canvas", []string{"disable-3d-apis"}},
}

// TestBrightnessIsTheStandards: what is on the screen is what Go makes of the same
// values, with every function, a table, MONOCHROME1, by the reader's wish, and
// inverted; on WebGL and without it.
func TestBrightnessIsTheStandards(t *testing.T) {
	square := func(v float64) float64 {
		i := math.Round(min(max(v-rampLow, 0), 1299))
		return math.Trunc(4095*i*i/(1299*1299)) / 4095
	}
	level := func(w pixels.Window) func(float64) float64 { return w.Level }
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			server, entry := newScene().show(t)
			b := webuitest.Open(t, 1440, 900, "en", e.flags...)
			enter(t, b, entry)
			b.Go(server.URL + "/studies/" + string(looksXR) + e.query)
			for i, tt := range []struct {
				name, keys, window string
				tall               float64
				want               func(float64) float64
			}{
				{"linear, rows spaced wider", "", "W 600 L 100", 2, level(pixels.Window{Center: 100, Width: 600})},
				{"exact", "s", "W 600 L 100", 1, level(pixels.Window{Center: 100, Width: 600, Exact: true})},
				{"sigmoid", "s", "W 600 L 100", 1, level(pixels.Window{Center: 100, Width: 600, Sigmoid: true})},
				{"MONOCHROME1", "s", "W 600 L 100", 1, level(pixels.Window{Center: 100, Width: 600, Inverted: true})},
				{"inverted again", "i", "W 600 L 100 · inverted", 1, level(pixels.Window{Center: 100, Width: 600})},
				{"a table", "s", "Table: SQUARE", 1, square},
				{"all values", "4", "W 1261 L 130", 1, level(pixels.Window{Center: 130, Width: 1261})},
				{"narrowed", "{{]", "W 1161 L 150", 1, level(pixels.Window{Center: 150, Width: 1161})},
				{"the table again", "1", "Table: SQUARE", 1, square},
				{"a zoomed one", "+++", "Table: SQUARE", 1, square},
			} {
				if tt.keys != "" {
					b.Keys(tt.keys)
				}
				b.Until(`document.querySelector('#stage').dataset.quality === 'full' && document.querySelector('#window').textContent === '` + tt.window + `'`)
				if i == 9 {
					break // it is drawn, and magnified: its columns no longer fit
				}
				got := row(b, tt.tall)
				for c, v := range got {
					want := tt.want(float64(rampLow+rampStep*c)) * 255
					if math.Abs(float64(v)-want) > 1 {
						t.Errorf("%s: column %d of value %d has %d, want %.1f", tt.name, c, rampLow+rampStep*c, v, want)
						break
					}
				}
			}
			if by := webuitest.Eval[string](b, `document.querySelector('#stage').dataset.drawn`); by != e.drawn {
				t.Errorf("drawn by %s, want %s", by, e.drawn)
			}
			b.Promises()
		})
	}
}

// TestLostCardIsDoneWithout: when the graphics card goes away, as it does when a driver
// is renewed or a laptop sleeps, the processor draws on, and draws the same.
func TestLostCardIsDoneWithout(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1000, 800, "en", engines[0].flags...)
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(looksXR) + "?draw=webgl")
	b.Until(imageReady)
	got := webuitest.Eval[struct {
		By    []string
		Alike bool
	}](b, `(async () => {
		let gl = null;
		const real = HTMLCanvasElement.prototype.getContext;
		HTMLCanvasElement.prototype.getContext = function (kind, o) { const c = real.call(this, kind, o); if (kind === 'webgl2') gl = c; return c; };
		const { Easel, brightness } = await import(document.querySelector('script[src*="viewer.js"]').src.replace('viewer.js', 'picture.js?again'));
		const geometry = { rows: 8, columns: 8, scale: 1, offset: 0, invert: false, low: 0, high: 63 };
		const frame = { geometry, samples: Int16Array.from({ length: 64 }, (_, i) => 4 * i), bytes: 128 };
		const table = brightness(geometry, { c: 128, w: 256, f: 'LINEAR' }, false);
		const easel = new Easel();
		const draw = () => {
			const to = real.call(Object.assign(document.createElement('canvas'), { width: 80, height: 80 }), '2d');
			const by = easel.draw(to, frame, table, { left: 0, top: 0, sx: 10, sy: 10 }, false);
			return [by, Array.from({ length: 64 }, (_, i) => to.getImageData(10 * (i % 8) + 5, 10 * (i >> 3) + 5, 1, 1).data[0])];
		};
		const [one, first] = draw();
		gl.getExtension('WEBGL_lose_context').loseContext();
		await new Promise((r) => setTimeout(r, 50));
		const [two, second] = draw();
		HTMLCanvasElement.prototype.getContext = real;
		return { by: [one, two], alike: first.every((v, i) => Math.abs(v - second[i]) <= 3) };
	})()`)
	if fmt.Sprint(got.By) != "[webgl canvas]" || !got.Alike {
		t.Errorf("%+v", got)
	}
}

// TestWindowsOfTheDataSet: every window that the image brings along is offered by its
// name, beside the usual ones of CT.
func TestWindowsOfTheDataSet(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	got := webuitest.Eval[string](b, `[...document.querySelectorAll('#looks option')].map(o => o.textContent).join('|')`)
	if want := "Lunge (W 1500 L -600)|Weichteil ß (W 350 L 50)|Lung|Soft tissue|Bone|Full range|Set by hand"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	webuitest.Eval[any](b, `(() => { const s = document.querySelector('#looks'); s.value = 'own:1'; s.dispatchEvent(new Event('change')); })()`)
	if w := text(b, "#window"); w != "W 350 L 50" {
		t.Error(w)
	}
	b.Click("#stage")
	b.Keys(kb.ArrowDown) // the next image has it too
	b.Until(`document.querySelector('#stage').dataset.shown === '0/12'`)
	if w := text(b, "#window"); w != "W 350 L 50" {
		t.Error(w)
	}
}

// TestLengthIsWhatTheSpacingAllows: by mouse, in mm of the patient, with rows spaced
// wider than columns; at the detector; and in pixels. By keys alone as well.
func TestLengthIsWhatTheSpacingAllows(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(looksXR))
	b.Until(imageReady)
	b.Click("#stage")
	for i, tt := range []struct {
		want         string
		x, y, dx, dy float64
	}{
		{"5.0 mm", 10, 10, 20, 0}, // 0.25 mm from column to column
		{"8.0 mm at detector", 10, 10, 40, 0},
		{"20.0 pixels (size unknown)", 30, 5, 0, 20},
	} {
		if i > 0 {
			b.Keys("s")
			b.Until(fmt.Sprintf(`document.querySelector('#stage').dataset.shown === '%d/0'`, i))
		}
		b.Keys("l")
		tall := rampRows
		if i == 0 {
			tall *= 2 // on the screen
		}
		b.Press(spot(b, "stage", rampColumns, tall, tt.x, tt.y))
		b.Press(spot(b, "stage", rampColumns, tall, tt.x+tt.dx, tt.y+tt.dy))
		b.Until(`document.querySelector('#hint').textContent.includes('` + tt.want + `')`)
		rest(b)
		if !webuitest.Eval[bool](b, `!document.querySelector('#erase').hidden`) {
			t.Error("the length can't be taken away")
		}
		b.Keys("w")
	}
	b.Keys("SS") // back to the first one
	b.Until(`document.querySelector('#stage').dataset.shown === '0/0'`)
	b.Keys(kb.Delete + "l" + kb.Enter + strings.Repeat(kb.ArrowDown, 4) + kb.Enter)
	b.Until(`document.querySelector('#hint').textContent.includes('2.0 mm')`) // 0.5 mm from row to row
	b.Keys(kb.Escape)
	if h := text(b, "#hint"); h != "" {
		t.Errorf("the tool is still in hand: %s", h)
	}
}

// TestValueUnderTheCursor tells Hounsfield units where they are.
func TestValueUnderTheCursor(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.quality === 'full'`)
	rest(b)
	b.Hover(spot(b, "stage", ctSide, ctSide, 128.5, 60.5))
	value := text(b, "#value")
	if !strings.HasPrefix(value, "128, 60: ") || !strings.HasSuffix(value, " HU") {
		t.Error(value)
	}
	b.Hover(spot(b, "stage", ctSide, ctSide, -10, 60))
	if v := text(b, "#value"); v != "" {
		t.Errorf("a value beside the image: %s", v)
	}
	b.Go(server.URL + "/studies/" + string(looksXR))
	b.Until(imageReady)
	b.Hover(spot(b, "stage", rampColumns, 2*rampRows, 10.5, 20.5))
	if v := text(b, "#value"); v != "10, 10: -300" {
		t.Error(v)
	}
}

// TestPriorsBesideAndLinked: the earlier exam is beside this one at once, is named as
// what it is, and moves along: by place in one frame of reference, else by order, and
// it says so.
func TestPriorsBesideAndLinked(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1600, 1000, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11'`)
	b.Keys("g")
	b.Until(`document.querySelector('#stage2')?.dataset.shown === '` + string(priorCT) + `/5'`) // 11 of 23 is half of the way
	if w := text(b, "#what2"); w != "Earlier: Mar 12, 2025 · CT thorax" {
		t.Error(w)
	}
	if w := text(b, "#link2"); w != "Linked by order, not by place" {
		t.Errorf("link: %q", w)
	}
	b.Shot("beside-prior")
	// Scrolled apart and linked again, they keep their distance.
	b.Keys("k")
	b.Click("#stage2")
	b.Keys(kb.ArrowDown + kb.ArrowDown + "k" + kb.ArrowDown) // at 7 of 11, which would be 15 of 23 and is 11
	b.Until(`document.querySelector('#stage2').dataset.shown === '` + string(priorCT) + `/8' && document.querySelector('#stage').dataset.shown === '0/13'`)
	b.Click("#stage")
	b.Keys(kb.End)
	b.Until(`document.querySelector('#stage2').dataset.shown === '` + string(priorCT) + `/11'`)
	// The other series of the study lies in the same frame of reference.
	webuitest.Eval[any](b, `(() => { const s = document.querySelectorAll('.pane select')[1]; s.value = '`+string(chestCT)+`/`+string(chestCT)+`.2'; s.dispatchEvent(new Event('change')); })()`)
	b.Until(`document.querySelector('#stage2').dataset.shown?.startsWith('1/')`)
	b.Click("#stage")
	b.Keys(kb.Home + strings.Repeat(kb.ArrowDown, 6)) // at 12 mm
	b.Until(`document.querySelector('#stage').dataset.shown === '0/6' && document.querySelector('#stage2').dataset.shown === '1/3'`)
	if w := text(b, "#link2"); w != "Linked by place" {
		t.Errorf("link: %q", w)
	}
	b.Keys("k" + kb.ArrowDown + kb.ArrowDown)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/8'`)
	if at := webuitest.Eval[string](b, `document.querySelector('#stage2').dataset.shown`); at != "1/3" {
		t.Errorf("not linked, and it moved to %s", at)
	}
	b.Keys("g")
	b.Until(`document.querySelector('#stage3')?.dataset.shown && !document.querySelector('#trouble4').hidden`) // there are three series
	b.Promises()
	b.Shot("four-views")
	// Nothing that AI says of this exam is drawn on another one.
	b.Click("#stage")
	if webuitest.Eval[bool](b, `[...document.querySelectorAll('.pane')].some(p => p.querySelector('.prior') && p.querySelector('[data-el=stage]').dataset.layers)`) {
		t.Error("outlines on an earlier exam")
	}
}

// TestOnlyEarlierExamsOfThePatientAreOffered: neither another patient's with the same
// number, nor later ones, nor what AI said of them.
func TestOnlyEarlierExamsOfThePatientAreOffered(t *testing.T) {
	s := newScene()
	who := s.cases[chestCT].Study.Patient.Reveal()
	for i, change := range []func(*study.Person, *study.Study){
		func(p *study.Person, _ *study.Study) { p.Issuer = "ELSEWHERE" },
		func(p *study.Person, _ *study.Study) { p.Birth = "19900101" },
		func(_ *study.Person, c *study.Study) { c.Date = "20270101" },
		func(_ *study.Person, c *study.Study) { c.Status = study.Refused },
		func(p *study.Person, _ *study.Study) { p.ID = "PID-102" },
	} {
		c := *s.cases[priorCT]
		c.Study.UID = study.UID(fmt.Sprintf("2.25.16%d", i))
		p := who
		change(&p, &c.Study)
		c.Study.Patient = study.NewPatient(p)
		s.cases[c.Study.UID] = &c
		s.instances[c.Study.UID] = s.instances[priorCT]
	}
	mine := *s.cases[chestCT]
	person := who
	person.Issuer = "HERE"
	mine.Study.Patient = study.NewPatient(person)
	s.cases[chestCT] = &mine
	server, _ := s.show(t)
	a, body := get(t, server.URL+"/studies/"+string(chestCT)+"/priors", webui.Reader)
	if a.StatusCode != 200 || strings.Count(body, `"study":"`+string(priorCT)+`"`) != 1 || strings.Contains(body, "2.25.16") || !strings.Contains(body, `"date":"Mar 12, 2025"`) {
		t.Error(a.Status, body)
	}
	for _, word := range []string{"ai_state", "flagged", "finding"} {
		if strings.Contains(body, word) {
			t.Errorf("priors tell of AI: %s", word)
		}
	}
	if a, _ := get(t, server.URL+"/studies/"+string(chestCT)+"/priors", webui.Auditor); a.StatusCode != 403 {
		t.Error(a.Status)
	}
}

// near counts the pixels of a color near a point of the marks.
func near(b *webuitest.Browser, x, y, r float64, color [3]int) int {
	rest(b)
	return webuitest.Eval[int](b, fmt.Sprintf(`(() => {
		const c = document.getElementById('marks');
		const s = Math.min(c.width, c.height) / %d;
		const x = (c.width - %[1]d * s) / 2 + %[2]g * s, y = (c.height - %[1]d * s) / 2 + %[3]g * s, r = %[4]g * s;
		const d = c.getContext('2d').getImageData(x - r, y - r, 2 * r, 2 * r).data;
		let n = 0;
		for (let i = 0; i < d.length; i += 4) {
			if (d[i + 3] > 60 && Math.abs(d[i] - %[5]d) + Math.abs(d[i + 1] - %[6]d) + Math.abs(d[i + 2] - %[7]d) < 90) n++;
		}
		return n;
	})()`, ctSide, x, y, r, color[0], color[1], color[2]))
}

// TestOutlinesOfWhatWasDrawn: as lines where the mask lies, with a legend; filled only
// by the reader's wish; not at all where AI is hidden.
func TestOutlinesOfWhatWasDrawn(t *testing.T) {
	server, entry := newScene().show(t)
	b := webuitest.Open(t, 1440, 1000, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(`document.querySelector('#stage').dataset.layers === '2'`)
	blue, orange := [3]int{0x59, 0xc9, 0xff}, [3]int{0xff, 0x9f, 0x5a}
	if n := near(b, noduleX, noduleY, 9, blue); n < 40 {
		t.Errorf("%d pixels of a line around the nodule", n)
	}
	if n := near(b, 120, 80, 14, orange); n < 80 { // columns 5 to 14 and rows 10 to 19 of the grid, two pixels each
		t.Errorf("%d pixels of a line around the box", n)
	}
	if n := near(b, 120, 80, 6, orange); n != 0 {
		t.Errorf("%d pixels are filled", n)
	}
	b.Promises()
	b.Shot("outlines")
	webuitest.Eval[any](b, `(() => { const s = document.querySelector('#opacity'); s.value = 0.6; s.dispatchEvent(new Event('input')); })()`)
	if n := near(b, 120, 80, 6, orange); n < 100 {
		t.Errorf("%d pixels are filled by wish", n)
	}
	b.Click(`[data-layer$="#1"]`)
	if n := near(b, 120, 80, 14, orange); n != 0 {
		t.Error("its own switch takes a layer not away")
	}
	b.Keys("o")
	if n := near(b, noduleX, noduleY, 4, blue); n != 0 {
		t.Error("O takes the outlines not away")
	}
	b.Go(server.URL + "/studies/" + string(quietCT))
	b.Until(`document.querySelector('#panes').dataset.layers === '0' && document.querySelector('#layers').hidden`)
}

// TestOutlinesAreVeiled: before the own read neither the list of outlines nor one of
// them reaches a browser, and never those of a model that only orders the list.
func TestOutlinesAreVeiled(t *testing.T) {
	masks := "/studies/" + string(chestCT) + "/masks"
	piece := "/studies/" + string(chestCT) + "/frames/" + string(chestCT) + ".1.12/1/masks"
	for _, tt := range []struct {
		protocol study.Protocol
		answered bool
		seen     bool
	}{
		{study.Concurrent, false, true}, {study.SecondLook, false, false}, {study.SecondLook, true, true},
		{study.Independent, false, false}, {study.Independent, true, true}, {study.TriageOnly, false, false}, {study.TriageOnly, true, false},
	} {
		s := newScene()
		s.protocols = []study.Protocol{tt.protocol}
		server, _ := s.show(t)
		if tt.answered {
			if a, _ := ask(t, "POST", server.URL+"/studies/"+string(chestCT)+"/own", webui.Reader, "en", map[string][]string{"impression": {"none"}}); a.StatusCode != 303 {
				t.Fatal(a.Status)
			}
		}
		a, list := get(t, server.URL+masks, webui.Reader)
		a2, runs := get(t, server.URL+piece, webui.Reader)
		if a.StatusCode != 200 || a2.StatusCode != 200 || (list != `{"layers":[]}`) != tt.seen || (runs != `[]`) != tt.seen {
			t.Errorf("%s, answered %v: %s %s, %.80s %.80s", tt.protocol, tt.answered, a.Status, a2.Status, list, runs)
		}
		if cache := a2.Header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("kept by the browser: %s", cache)
		}
	}
}

// TestStoppedModelsOutlinesAreNotShown: what a stopped model drew is not seen.
func TestStoppedModelsOutlinesAreNotShown(t *testing.T) {
	s := newScene()
	c := *s.cases[chestCT]
	c.Results = slices.Clone(c.Results)
	c.Results[0].AI, c.Results[0].Reason = study.Failed, study.Reason{Code: study.ReasonStopped}
	s.cases[chestCT] = &c
	server, _ := s.show(t)
	if _, list := get(t, server.URL+"/studies/"+string(chestCT)+"/masks", webui.Reader); list != `{"layers":[]}` {
		t.Error(list)
	}
}
