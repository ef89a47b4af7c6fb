package rehearsal_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
	"varde/worldlist/rehearsal"
)

// nobody knows no token: whoever comes is invited.
type nobody struct{}

func (nobody) TokenRole(context.Context, study.Hash) (string, string, error) {
	return "", "", study.ErrNotFound
}

func TestSimulationKeepsThePromisesOfAllPages(t *testing.T) {
	now := time.Date(2026, 11, 24, 14, 30, 0, 0, time.UTC)
	site, err := webui.New(webui.Options{Tokens: nobody{}, Version: "test", Zone: time.UTC, Now: func() time.Time { return now }}, rehearsal.Part())
	if err != nil {
		t.Fatal(err)
	}
	rehearsal.Page{History: weeks(now, 60)}.Add(site)
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	b := webuitest.Open(t, 1440, 1000, "en")
	b.Go(server.URL + site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Admin}, time.Hour))
	pages := map[string]string{"simulation": "/simulation", "simulated": "/simulation?days=28&passes=3&readers=1"}
	for _, theme := range []string{"light", "dark"} {
		b.Go(server.URL + pages["simulation"])
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for _, lang := range []webui.Lang{webui.Danish, webui.Bokmal, webui.English} {
			b.Go(server.URL + pages["simulation"])
			b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
			b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
			for name, path := range pages {
				b.Go(server.URL + path)
				b.Until(`document.readyState === 'complete'`)
				b.Promises()
				b.Shot(name + "-" + string(lang) + "-" + theme)
			}
		}
	}
}
