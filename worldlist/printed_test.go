package worldlist_test

import (
	"context"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	told "varde/internal/words"
	"varde/study"
)

// print stands for the press: it prints what it is asked for.
func (w *ward) print(_ context.Context, uid study.UID, lang string) ([]byte, error) {
	return []byte("%PDF-" + string(uid) + " " + lang), nil
}

// plain is a page without its tags, on one line.
func plain(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(words(page))), " ")
}

// TestPrintableReportSaysWhatTheReportSays holds the page against the sentences of
// the structured report, in all languages.
func TestPrintableReportSaysWhatTheReportSays(t *testing.T) {
	w := newWard()
	server, _ := serve(t, w, webui.Reader)
	for name, uid := range map[string]study.UID{"flagged": chestCT, "calibrated": mammogram, "slide": prostate, "partial": unseenCT, "failed": failedCT, "outside": outOfScope} {
		for _, lang := range webui.Langs {
			// The address has the last word on the language.
			a, body := ask(t, http.MethodGet, server.URL+"/studies/"+string(uid)+"/report?lang="+string(lang), webui.Reader, "da", nil)
			if a.StatusCode != 200 || !strings.Contains(body, `<html lang="`+string(lang)+`"`) {
				t.Fatalf("%s in %s: %s", name, lang, a.Status)
			}
			if lang == webui.English || name == "flagged" {
				golden(t, "report-"+name+"."+string(lang)+".txt", words(body))
			}
			c := w.cases[uid]
			got := plain(body)
			for _, r := range c.Results {
				said := told.Tell(lang, c.Study, r, told.TellOptions{Instances: w.instances[uid]})
				lines := said.Lines()
				for _, f := range said.Findings { // in a list, without their opening word
					i := slices.Index(lines, f.Text)
					lines[i] = strings.TrimSuffix(f.What+", "+f.Where, ", ")
				}
				rest := got
				for _, line := range append([]string{said.Headline}, lines...) {
					line = strings.Join(strings.Fields(line), " ")
					_, behind, found := strings.Cut(rest, line)
					if found == r.Shadow {
						t.Errorf("%s in %s: %q is there, in its order: %v; of a shadow model: %v", name, lang, line, found, r.Shadow)
					}
					if found {
						rest = behind
					}
				}
			}
			for _, must := range []string{lang.T("printed.unverified"), lang.T("bar.support"), string(uid)} {
				if !strings.Contains(got, must) {
					t.Errorf("%s in %s does not say %q", name, lang, must)
				}
			}
		}
	}
}

// TestPaperDoesNotSayWhatNoLongerHolds asks for a model that was stopped after it
// had spoken.
func TestPaperDoesNotSayWhatNoLongerHolds(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	_, body := ask(t, http.MethodGet, server.URL+"/studies/"+string(stoppedMG)+"/report", webui.Reader, "en", nil)
	if got := plain(body); !strings.Contains(got, "AI unavailable – read normally") || strings.Contains(got, "Findings") {
		t.Error(got)
	}
	for uid, want := range map[study.UID]string{runningCT: "AI is still running", undecodable: "AI did not run: no model here is meant for this study"} {
		_, body := ask(t, http.MethodGet, server.URL+"/studies/"+string(uid)+"/report", webui.Reader, "en", nil)
		if got := plain(body); !strings.Contains(got, want) || strings.Contains(got, "found nothing") || strings.Contains(body, "format=pdf") {
			t.Errorf("%s: %s", uid, got)
		}
	}
}

func TestReportAsAFile(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	at := server.URL + "/studies/" + string(chestCT) + "/report?format=pdf&lang=nb"
	a, body := ask(t, http.MethodGet, at, webui.Reader, "en", nil)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/pdf" || a.Header.Get("Cache-Control") != "no-store" || body != "%PDF-"+string(chestCT)+" nb" {
		t.Error(a.Status, a.Header, body)
	}
	for what, tt := range map[string]struct {
		path, role string
		status     int
	}{
		"a study that nothing has been said of": {"/studies/" + string(runningCT) + "/report?format=pdf", webui.Reader, 409},
		"no such study":                         {"/studies/1.2.3/report?format=pdf", webui.Reader, 404},
		"no number":                             {"/studies/x/report", webui.Reader, 400},
		"a visitor who may see no study":        {"/studies/" + string(chestCT) + "/report", webui.Monitor, 403},
	} {
		if a, _ := ask(t, http.MethodGet, server.URL+tt.path, tt.role, "en", nil); a.StatusCode != tt.status {
			t.Errorf("%s: %s", what, a.Status)
		}
	}
}

// TestReportKeepsItsPromises looks at it in both themes and all languages, and
// chooses a language where the address has one.
func TestReportKeepsItsPromises(t *testing.T) {
	server, entry := serve(t, newWard(), webui.Reader)
	b := webuitest.Open(t, 1100, 1300, "en")
	enter(t, b, entry)
	for _, theme := range []string{"dark", "light"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `'`)
		for _, lang := range webui.Langs {
			for name, uid := range map[string]study.UID{"flagged": chestCT, "calibrated": mammogram, "slide": prostate, "failed": failedCT} {
				b.Go(server.URL + "/studies/" + string(uid) + "/report?lang=" + string(lang))
				b.Until(`document.documentElement.lang === '` + string(lang) + `' && !document.querySelector('#print').hidden`)
				b.Promises()
				b.Shot("report-" + name + "-" + theme + "-" + string(lang))
			}
		}
		b.Go(server.URL + "/studies/" + string(chestCT) + "/report?lang=nb")
		b.Click("button[value=da]")
		b.Until(`document.documentElement.lang === 'da' && location.search === ''`)
		b.Go(server.URL)
	}
}

// TestReportIsCoveredUntilTheReaderHasAnswered tries the page and the file under
// each protocol.
func TestReportIsCoveredUntilTheReaderHasAnswered(t *testing.T) {
	for _, tt := range []struct {
		protocol study.Protocol
		role     string
		page     string // what it says
		file     int
	}{
		{study.Independent, webui.Reader, "Your own read first", 409},
		{study.SecondLook, webui.Reader, "Your own read first", 409},
		{study.TriageOnly, webui.Reader, "AI flagged this study. This model orders the worklist. What it points at is not shown.", 409},
		{study.Concurrent, webui.Reader, "AI flagged this study. It points at 2 findings", 200},
		{study.Independent, webui.Quality, "AI flagged this study. It points at 2 findings", 200},
	} {
		w := newWard()
		w.protocols = []study.Protocol{tt.protocol}
		server, _ := serve(t, w, tt.role)
		at := server.URL + "/studies/" + string(chestCT) + "/report"
		_, body := ask(t, http.MethodGet, at, tt.role, "en", nil)
		got := plain(body)
		if !strings.Contains(got, tt.page) {
			t.Errorf("%s for a %s: no %q in %q", tt.protocol, tt.role, tt.page, got)
		}
		if tt.file != 200 {
			for _, never := range []string{"Nodule", "image 12", "9 mm", "calibration", "format=pdf"} {
				if strings.Contains(body, never) {
					t.Errorf("%s: the page holds %q", tt.protocol, never)
				}
			}
		}
		if a, _ := ask(t, http.MethodGet, at+"?format=pdf", tt.role, "en", nil); a.StatusCode != tt.file {
			t.Errorf("%s for a %s: file %s", tt.protocol, tt.role, a.Status)
		}
	}
}
