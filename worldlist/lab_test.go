package worldlist_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
	"varde/worldlist"
)

// A labWard is a ward that keeps what cases wait for.
type labWard struct {
	*ward
	lab    sync.Mutex
	waits  []study.CaseWait
	viewed []study.UID
}

func (w *labWard) OpenWait(_ context.Context, one study.CaseWait) (study.CaseWait, error) {
	if err := one.Sound(); err != nil {
		return one, err
	}
	w.lab.Lock()
	defer w.lab.Unlock()
	one.N, one.At = int64(len(w.waits)+1), today
	if one.Slide != "" {
		one.Container = "S26-001 A1"
	}
	w.waits = append(w.waits, one)
	return one, nil
}

func (w *labWard) EndWait(_ context.Context, uid study.UID, n int64, by, why string) error {
	w.lab.Lock()
	defer w.lab.Unlock()
	if n < 1 || n > int64(len(w.waits)) || w.waits[n-1].Study != uid {
		return study.ErrNotFound
	}
	w.waits[n-1].EndedAt, w.waits[n-1].EndedBy, w.waits[n-1].EndedWhy = today, by, why
	return nil
}

func (w *labWard) CaseWaits(_ context.Context, studies []study.Study) ([][]study.CaseWait, error) {
	w.lab.Lock()
	defer w.lab.Unlock()
	all := make([][]study.CaseWait, len(studies))
	for i, s := range studies {
		for _, one := range w.waits {
			if one.Study == s.UID {
				all[i] = append(all[i], one)
			}
		}
	}
	return all, nil
}

func (w *labWard) ViewSlide(_ context.Context, _, slide study.UID, _ string) error {
	w.lab.Lock()
	defer w.lab.Unlock()
	if !slices.Contains(w.viewed, slide) {
		w.viewed = append(w.viewed, slide)
	}
	return nil
}

func (w *labWard) ViewedSlides(context.Context, study.UID, string) ([]study.UID, error) {
	w.lab.Lock()
	defer w.lab.Unlock()
	return slices.Clone(w.viewed), nil
}

func (w *labWard) open(t *testing.T, names ...string) (*httptest.Server, map[string]string) {
	t.Helper()
	site := siteOf(t, w.ward, w.ward, func(p *worldlist.Pages) { p.Lab = w })
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	entries := map[string]string{}
	for _, name := range names {
		entries[name] = server.URL + site.Invite(webui.Identity{Name: name, Role: webui.Reader}, time.Hour)
	}
	return server, entries
}

func TestACaseWaitsAndSaysForWhatAndWhoAsked(t *testing.T) {
	w := &labWard{ward: newWard()}
	server, entries := w.open(t, "A. Dahl")
	a := visit(t, server, entries["A. Dahl"])
	at, page := "/api/v1/studies/"+string(prostate), "/studies/"+string(prostate)
	if code, _ := a.post(at+"/waits", m{"kind": "rescan"}); code != 400 {
		t.Error("a scan again without a reason:", code)
	}
	if code, _ := a.post(at+"/waits", m{"kind": "lunch"}); code != 422 {
		t.Error("waits for lunch:", code)
	}
	if code, one := a.post(at+"/waits", m{"kind": "stain", "text": "Ki-67"}); code != 200 || one["waiting"] != true {
		t.Fatal(code, one)
	}
	for lang, want := range map[string]string{"en": "Waits: Extra stain: Ki-67, A. Dahl", "nb": "Venter: Tilleggsfarging: Ki-67, A. Dahl", "da": "Venter: Ekstra farvning: Ki-67, A. Dahl"} {
		if _, body := ask(t, http.MethodGet, server.URL+"/", webui.Reader, lang, nil); !strings.Contains(body, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	if _, _, body := a.do(http.MethodGet, "/api/v1/worklist?lang=en", nil); !strings.Contains(body, `"waits_for":["Extra stain: Ki-67"]`) {
		t.Error("the API's list does not say that it waits")
	}
	if _, _, body := a.do(http.MethodGet, page, nil); !strings.Contains(body, "The case waits: Extra stain: Ki-67") || !strings.Contains(body, "can’t be read yet") {
		t.Error("the page does not say that it waits")
	}
	for {
		code, one := a.post("/api/v1/worklist/next", nil)
		if code != 200 {
			break
		}
		if one["study_uid"] == string(prostate) {
			t.Fatal("a case that waits is the next to be read")
		}
	}
	if code, one := a.post(at+"/waits/1/end", m{"reason": "not needed"}); code != 200 || one["waiting"] != false {
		t.Error(code, one)
	}
	if _, _, body := a.do(http.MethodGet, page, nil); !strings.Contains(body, "not needed: A. Dahl") || strings.Contains(body, "can’t be read yet") {
		t.Error("the page does not say that it is over, and why")
	}
	if code, _ := a.post(at+"/waits/7/end", m{"reason": "x"}); code != 404 {
		t.Error(code)
	}
}

// TestCaseByBrowser asks for a scan again on the slide's page, and opens slides.
func TestCaseByBrowser(t *testing.T) {
	w := &labWard{ward: newWard()}
	server, entries := w.open(t, "A. Dahl")
	b := webuitest.Open(t, 1440, 900, "en")
	enter(t, b, entries["A. Dahl"])
	for n, lang := range webui.Langs {
		b.Go(server.URL + "/")
		b.Until(listReady)
		if n > 0 {
			b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		}
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && ` + listReady)
		b.Go(server.URL + "/studies/" + string(prostate))
		b.Until(imageReady)
		b.Click(`#case > details:nth-last-of-type(3) summary`)
		b.Promises()
		b.Click(`#case button[value=rescan]`)
		b.Until(`location.search === '?look=1' && ` + imageReady)
		if got := webuitest.Eval[int](b, `document.querySelectorAll('#case > p.warn').length`); got != n+1 {
			t.Errorf("%d waits, want %d", got, n+1)
		}
		b.Promises()
		b.Shot("case-" + string(lang))
	}
	b.Go(server.URL + "/")
	b.Until(listReady)
	b.Promises()
	b.Shot("case-list")
	w.lab.Lock()
	defer w.lab.Unlock()
	if len(w.viewed) == 0 || w.waits[0].Reason != "focus" || w.waits[0].Slide == "" {
		t.Error(w.viewed, w.waits)
	}
}
