package webui_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// likes keep settings in memory.
type likes struct {
	mu  sync.Mutex
	all map[string]study.Preference
}

func (l *likes) Preference(_ context.Context, name string) (study.Preference, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[name], nil
}

func (l *likes) SetPreference(_ context.Context, name string, p study.Preference) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]study.Preference{}
	}
	l.all[name] = p
	return nil
}

func TestSettingsFollowTheirPerson(t *testing.T) {
	h := open(t)
	at := signIn(t, h, "reader-token")
	a, body := h.ask(t, at, "POST", "/settings", "lang=nb&theme=dark&keys=off&density=compact&next=/settings", "Sec-Fetch-Site", "same-origin", "Accept", page)
	if a.StatusCode != 303 {
		t.Fatal(a.Status, body)
	}
	whole := `<html lang="nb" data-theme="dark" data-keys="off" data-density="compact">`
	elsewhere := signIn(t, h, "reader-token") // another browser
	if _, body := h.ask(t, elsewhere, "GET", "/", "", "Accept", page); !strings.Contains(body, whole) {
		t.Errorf("elsewhere: %s", body[:200])
	}
	h.restart(t)
	if _, body := h.ask(t, elsewhere, "GET", "/", "", "Accept", page); !strings.Contains(body, whole) {
		t.Errorf("after a restart: %s", body[:200])
	}
	if _, body := h.ask(t, elsewhere, "GET", "/?lang=da", "", "Accept", page); !strings.Contains(body, `<html lang="da" data-theme="dark"`) {
		t.Errorf("an address that asks for Danish: %s", body[:200])
	}
	// A form that speaks of one thing leaves the others as they are, in every
	// browser of the person and in nobody else's.
	h.ask(t, at, "POST", "/settings", "theme=system", "Sec-Fetch-Site", "same-origin")
	if _, body := h.ask(t, elsewhere, "GET", "/", "", "Accept", page); !strings.Contains(body, `<html lang="nb" data-keys="off" data-density="compact">`) {
		t.Errorf("another theme: %s", body[:200])
	}
	if _, body := h.ask(t, signIn(t, h, "quality-token"), "GET", "/", "", "Accept", page); !strings.Contains(body, `<html lang="en">`) {
		t.Errorf("somebody else: %s", body[:200])
	}
	h.ask(t, at, "POST", "/settings", "theme=pink&keys=maybe&density=7", "Sec-Fetch-Site", "same-origin")
	if p, _ := h.likes.Preference(t.Context(), "the reader"); p != (study.Preference{Lang: "nb", Theme: "system", Keys: "off", Density: "compact"}) {
		t.Errorf("%+v", p)
	}
	// Whoever has not signed in changes their browser and nobody's settings.
	if a, _ := h.ask(t, http.DefaultClient, "POST", "/settings", "keys=on", "Cookie", "varde_session=none"); a.StatusCode == 500 {
		t.Error(a.Status)
	}
	if p, _ := h.likes.Preference(t.Context(), "the reader"); p.Keys != "off" {
		t.Errorf("%+v", p)
	}
}

func TestSettingsPageKeepsItsPromises(t *testing.T) {
	h := open(t)
	b := webuitest.Open(t, 1280, 900, "en")
	b.Go(h.URL + strings.Replace(h.site.Invite(webui.Identity{Name: "A. Dahl", Role: webui.Auditor}, 1e12), "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	for _, theme := range []string{"light", "dark"} {
		for _, lang := range webui.Langs {
			b.Go(h.URL + "/settings")
			b.Click("input[value=" + string(lang) + "]")
			b.Click("input[value=" + theme + "]")
			b.Click("form.panel button")
			b.Until(`location.search === '?saved=1' && document.documentElement.lang === '` + string(lang) + `' && document.documentElement.dataset.theme === '` + theme + `'`)
			b.Promises()
			b.Shot("settings-" + string(lang) + "-" + theme)
		}
	}
	b.Click("input[name=keys][value=off]")
	b.Click("input[name=theme][value=system]")
	b.Click("form.panel button")
	b.Until(`document.documentElement.dataset.keys === 'off' && !document.documentElement.dataset.theme`)
}
