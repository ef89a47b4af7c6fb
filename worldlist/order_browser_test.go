package worldlist_test

import (
	"testing"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// TestListFitsAnEnlargedPage: on a screen of 1920 × 1080 at 200 % (WCAG 1.4.4) nothing
// runs out of the window, and nothing that a reader must not overlook is cut short.
func TestListFitsAnEnlargedPage(t *testing.T) {
	server, entry := serve(t, onPathway(study.AIDown), webui.Reader)
	b := webuitest.Open(t, 960, 540, "en")
	enter(t, b, entry)
	for _, lang := range webui.Langs {
		b.Go(server.URL + "/?lang=" + string(lang))
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && ` + listReady)
		if over := webuitest.Eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			t.Errorf("%s: the list is %d pixels wider than the window", lang, over)
		}
		cut := webuitest.Eval[[]string](b, `[...document.querySelectorAll('.list th, .list td:first-child, .list .due, .list .ai, .list .remark, .outlook, .aidown')]
			.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent)`)
		if len(cut) > 0 {
			t.Errorf("cut short in %s: %q", lang, cut)
		}
		b.Shot("clocks-enlarged-" + string(lang))
	}
	b.Go(server.URL + "/studies/2.25.120")
	b.Until(`document.readyState === 'complete'`)
	if over := webuitest.Eval[int](b, `Math.max(...[...document.querySelectorAll('.left, .right')].map(e => e.scrollWidth - e.clientWidth))`); over > 0 {
		t.Errorf("beside the image, %d pixels are out of sight", over)
	}
}

// TestListWithClocksKeepsItsPromises looks at the list while AI is down, a deadline
// is at risk and an order speaks of the patient: in three languages and both themes,
// with nothing cut short that a reader must not overlook.
func TestListWithClocksKeepsItsPromises(t *testing.T) {
	server, entry := serve(t, onPathway(study.AIDown), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	for _, theme := range []string{"dark", "light"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && ` + listReady)
		for _, lang := range webui.Langs {
			b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
			b.Until(`document.documentElement.lang === '` + string(lang) + `' && ` + listReady)
			b.Promises()
			b.Shot("clocks-" + theme + "-" + string(lang))
			cut := webuitest.Eval[[]string](b, `[...document.querySelectorAll('.list th, .list td:first-child, .list .due, .list .ai, .list .remark, .outlook, .aidown')]
				.filter(c => c.scrollWidth > c.clientWidth + 1 || c.getBoundingClientRect().right > (c.closest('td')?.getBoundingClientRect().right ?? innerWidth)).map(c => c.textContent)`)
			if len(cut) > 0 {
				t.Errorf("cut short in %s: %q", lang, cut)
			}
		}
	}
	b.Go(server.URL + "/studies/2.25.120")
	b.Until(`document.readyState === 'complete'`)
	webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
	b.Promises()
	b.Shot("clocks-study")
}
