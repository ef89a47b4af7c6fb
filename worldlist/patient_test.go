package worldlist_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/desk"
)

// A record is what other systems told.
type record struct{}

func (record) Orders(_ context.Context, uid study.UID) ([]study.Order, error) {
	if uid != chestCT {
		return nil, nil
	}
	return []study.Order{{Told: study.Message{At: today.AddDate(0, 0, -9)}, ReferredAt: today.AddDate(0, 0, -11)},
		{Told: study.Message{At: today.AddDate(0, 0, -8)}, Held: true, ReferredAt: today.AddDate(0, 0, -1)}}, nil
}

func (record) ReportsIn(_ context.Context, uid study.UID) ([]study.ReportIn, error) {
	if uid != quietCT {
		return nil, nil
	}
	return []study.ReportIn{{Told: study.Message{At: today.AddDate(0, -5, 0)}, Status: "F", Text: "a word about the patient"}}, nil
}

func (record) Priors(_ context.Context, uid study.UID) ([]study.Prior, error) {
	if uid != chestCT {
		return nil, nil
	}
	return []study.Prior{{Study: "2.25.4", AE: "ARCHIVE", State: "failed", Evidence: study.PriorEvidence{Date: "20240107", Modalities: []string{"CT"}}, AskedAt: today.Add(-time.Hour)}}, nil
}

// family makes the chest CT, the quiet CT and the biopsy one patient's, the last one
// with a second study of its case, and gives somebody else the same number from
// another register.
func family() *ward {
	w := newWard()
	w.addCase()
	person := study.Person{ID: "19500101", Issuer: "OUS", Name: "Hansen^Kari", Birth: "19500101", Sex: "F"}
	for uid, at := range map[study.UID]time.Time{chestCT: today.Add(-80 * time.Minute), quietCT: today.AddDate(0, -6, 0), prostate: today.AddDate(0, 0, -20)} {
		c := w.cases[uid]
		c.Study.Patient, c.Study.ReceivedAt, c.Study.Date = study.NewPatient(person), at, at.Format("20060102")
		for i := range c.Results {
			c.Results[i].At = at.Add(2 * time.Minute)
		}
	}
	w.cases[chestCT].Study.Place.Clock = study.Clock{Pathway: "lung", Name: study.Names{EN: "Lung cancer", NB: "Lungekreft", DA: "Lungekræft"}, StepName: study.Names{EN: "investigation", NB: "utredning", DA: "udredning"},
		By: "order", From: "referral", Since: today.AddDate(0, 0, -11), Due: today.AddDate(0, 0, 10)}
	w.cases[chestCT].Study.Place.Deadline = today.AddDate(0, 0, 10)
	w.cases[quietCT].Study.Status, w.cases[quietCT].Study.Opened = study.Read, true
	w.readings = append(w.readings, study.Reading{Study: quietCT, Rev: w.cases[quietCT].Study.Rev, By: "O. Ness", Verdict: "agree", At: today.AddDate(0, -6, 1)})
	other := person
	other.Issuer, other.Name = "ELSEWHERE", "Other^Ann"
	w.cases[failedCT].Study.Patient = study.NewPatient(other)
	return w
}

// addCase gives the biopsy a second slide and a second study of its case.
func (w *ward) addCase() {
	w.addSlide(prostate, 2, "CK5/6", slideColumns/2, slideRows/2)
	late := one("2.25.140", "Sørensen^Bjørn", "Prostate biopsy, deeper levels", study.SM, today.Add(-2*time.Hour), "", time.Time{}, ran(nuclei, study.Flagged, 10, 10))
	late.Study.Accession = w.cases[prostate].Study.Accession
	late.Study.Patient = study.NewPatient(study.Person{ID: "19500101", Issuer: "OUS", Name: "Hansen^Kari", Birth: "19500101", Sex: "F"})
	w.cases["2.25.140"] = &late
	w.addSlide("2.25.140", 1, "H&E deeper", slideColumns/2, slideRows/2)
}

func serveSite(t *testing.T, site *webui.Site) string {
	t.Helper()
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPatientHasOneLineOfTime(t *testing.T) {
	w := family()
	site := siteOf(t, w, w, func(p *worldlist.Pages) { p.Record = record{} })
	server := serveSite(t, site)
	a, body := get(t, server+"/studies/"+string(chestCT)+"/patient", webui.Reader)
	if a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	text := words(body)
	for _, want := range []string{"4 exams", "Lung cancer", "final report heard", "could not be fetched from ARCHIVE", "by O. Ness", "Prostate biopsy", "deeper levels", "referred"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, not := range []string{"Other, Ann", "a word about the patient", "CT thorax low dose"} {
		if strings.Contains(text, not) {
			t.Errorf("the page says %q", not)
		}
	}
	if strings.Contains(a.Request.URL.String(), "19500101") {
		t.Error("the address names the patient")
	}
	if strings.Index(text, "To come") > strings.Index(text, "Until now") || strings.Count(body, `class="k-due bad"`) != 1 || strings.Count(body, `class="k-due"`) != 1 {
		t.Error("what is to come comes first; one deadline is to come and one has passed")
	}
	for role, want := range map[string]int{webui.Auditor: 403, webui.Monitor: 403, webui.Quality: 200} {
		for _, path := range []string{"/patient", "/case"} {
			if a, _ := get(t, server+"/studies/"+string(chestCT)+path, role); a.StatusCode != want {
				t.Errorf("%s: %s gets %s", path, role, a.Status)
			}
		}
	}
	if a, _ := get(t, server+"/studies/1.2.3.4/patient", webui.Reader); a.StatusCode != 404 {
		t.Error(a.Status)
	}
}

// A lab says what the biopsy's case waits for, and that its second slide was opened.
type lab struct{ desk.Lab }

func (lab) CaseWaits(_ context.Context, studies []study.Study) ([][]study.CaseWait, error) {
	all := make([][]study.CaseWait, len(studies))
	for i := range all { // a wait is the case's: every study of it has it
		all[i] = []study.CaseWait{{N: 1, Study: prostate, Kind: study.WaitStain, Text: "p63", By: "K. Lund", At: today},
			{N: 2, Study: prostate, Kind: study.WaitRescan, Reason: study.RescanReasons[0], By: "K. Lund", At: today, EndedAt: today}}
	}
	return all, nil
}

func (lab) ViewedSlides(_ context.Context, uid study.UID, by string) ([]study.UID, error) {
	if uid == prostate && by == "machine reader" {
		return []study.UID{prostate + ".2"}, nil
	}
	return nil, nil
}

func TestCaseHasItsSlidesWorstFirst(t *testing.T) {
	w := family()
	server := serveSite(t, siteOf(t, w, w, func(p *worldlist.Pages) { p.Lab = lab{} }))
	_, body := get(t, server+"/studies/"+string(prostate)+"/case", webui.Reader)
	text := words(body)
	for _, want := range []string{"H&E", "CK5/6", "deeper", "The worst first", "Studies with this accession number", "Waits: Extra stain: p63, K. Lund", "1 of 3 viewed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Count(body, "Waits:") != 1 || strings.Count(body, "opened by you") != 1 {
		t.Error("what the case waits for is said once, and one slide was opened")
	}
	if n := strings.Count(body, "data-slide="); n != 3 {
		t.Errorf("%d slides", n)
	}
	if at := strings.Index(body, `data-study="2.25.140"`); at < 0 || at > strings.Index(body, `data-study="`+string(prostate)+`"`) {
		t.Error("the flagged slide does not come first")
	}
}

func TestWhoHadAReportIsNoted(t *testing.T) {
	w := newWard()
	server := serveSite(t, siteOf(t, w, w))
	for range 2 {
		get(t, server+"/studies/"+string(chestCT)+"/report", webui.Reader)
	}
	get(t, server+"/studies/"+string(undecodable)+"/report", webui.Reader) // of which no model says anything
	if len(w.noted) != 1 || w.noted[0] != "machine reader report fetched study "+string(chestCT) {
		t.Errorf("noted: %q", w.noted)
	}
}

// TestBlindReaderLearnsNothingOfThePatientOrTheCase looks at both pages as a reader
// who must answer first, and then as one who has.
func TestBlindReaderLearnsNothingOfThePatientOrTheCase(t *testing.T) {
	for _, protocol := range []study.Protocol{study.Independent, study.SecondLook} {
		w := family()
		w.protocols = []study.Protocol{protocol}
		server := serveSite(t, siteOf(t, w, w, func(p *worldlist.Pages) { p.Record = record{} }))
		for _, path := range []string{"/studies/" + string(chestCT) + "/patient", "/studies/" + string(prostate) + "/case"} {
			_, body := get(t, server+path, webui.Reader)
			for _, trace := range []string{"ai-flagged", "ai-uncertain", "The worst first", "structured report", "Look here first"} {
				if strings.Contains(body, trace) {
					t.Errorf("%s, %s: tells of the AI: %s", protocol, path, trace)
				}
			}
			if !strings.Contains(body, "ai-hidden") {
				t.Errorf("%s, %s: does not say that it is hidden", protocol, path)
			}
		}
	}
}

func TestPatientAndCaseKeepTheirPromises(t *testing.T) {
	w := family()
	site := siteOf(t, w, w, func(p *worldlist.Pages) { p.Record = record{} })
	server := serveSite(t, site)
	b := webuitest.Open(t, 1440, 1000, "en")
	enter(t, b, server+site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Admin}, time.Hour))
	pages := map[string]string{"patient": "/studies/" + string(chestCT) + "/patient", "case": "/studies/" + string(prostate) + "/case"}
	for _, theme := range []string{"light", "dark"} {
		b.Go(server + pages["patient"])
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		for _, lang := range []webui.Lang{webui.Danish, webui.Bokmal, webui.English} {
			b.Go(server + pages["patient"])
			b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
			b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
			for name, path := range pages {
				b.Go(server + path)
				b.Until(`document.readyState === 'complete'`)
				b.Promises()
				b.Shot(name + "-" + string(lang) + "-" + theme)
			}
		}
	}
	// Keys of one character can be switched off.
	b.Go(server + "/settings")
	b.Click("input[name=keys][value=off]")
	b.Click("form.panel button")
	b.Until(`document.documentElement.dataset.keys === 'off'`)
	b.Go(server)
	b.Until(listReady)
	b.Keys("jj")
	if webuitest.Eval[bool](b, `!!document.querySelector('tr.cur')`) {
		t.Error("J moves although single keys are off")
	}
	b.Promises()
	b.Shot("keys-off")
}
