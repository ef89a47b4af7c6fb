package worldlist_test

import (
	"testing"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// TestListWithClocksKeepsItsPromises looks at the list while AI is down, a deadline
// is at risk and an order speaks of the patient: in three languages and both themes,
// with nothing cut short that a reader must not overlook.
func TestListWithClocksKeepsItsPromises(t *testing.T) {
	server, entry := serve(t, onPathway(study.AIDown), webui.Reader)
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entry)
	for _, theme := range []string{"dark", "light"} {
		b.Click("button[value=" + theme + "]")
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && ` + listReady)
		for _, lang := range webui.Langs {
			b.Click("button[value=" + string(lang) + "]")
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
