package oversight_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

func (l *ledger) Holds(_ context.Context, f study.HoldFilter) (all []study.Hold, _ error) {
	for _, h := range l.holds {
		if (f.State == "" || h.State == f.State) && (f.Study == "" || h.Study == f.Study) {
			all = append(all, h)
		}
	}
	return all, nil
}

func (l *ledger) DecideHold(_ context.Context, id string, release bool, by, reason string) (study.Hold, error) {
	for i := range l.holds {
		h := &l.holds[i]
		if h.ID != id {
			continue
		}
		if h.State != study.HoldOpen {
			return study.Hold{}, study.ErrInvalid
		}
		h.State, h.By, h.Reason = study.HoldDiscarded, by, reason
		if release {
			h.State = study.HoldReleased
		}
		return *h, nil
	}
	return study.Hold{}, study.ErrNotFound
}

func (l *ledger) Orders(_ context.Context, uid study.UID) ([]study.Order, error) {
	if uid != "1.2.3" {
		return nil, study.ErrNotFound
	}
	return []study.Order{{Told: study.Message{Sender: "RIS|H", ID: "M1"}, Accession: "A1", Priority: study.PriorityStat, Held: true}}, nil
}

func (l *ledger) ReportsIn(context.Context, study.UID) ([]study.ReportIn, error) {
	return []study.ReportIn{{Told: study.Message{Sender: "RIS|H", ID: "M2"}, Status: "F", Text: "Left lung: a nodule."}}, nil
}

// hold puts three messages aside.
func hold(l *ledger) {
	for i, kind := range []string{study.HoldOrder, study.HoldReport, study.HoldMerge} {
		l.holds = append(l.holds, study.Hold{ID: string(rune('7' + i)), Kind: kind, Study: "1.2.3", Told: study.Message{Sender: "RIS|H", ID: "M1"},
			At: time.Now(), State: study.HoldOpen, Evidence: []study.Difference{{Attribute: "PatientName", Known: "Nordmann^Kari", Came: "Hansen^Ola"}}})
	}
}

func TestHeldMessagesWaitForAPerson(t *testing.T) {
	server, _, l, _ := serve(t)
	hold(l)
	api := server.URL + "/api/v1/holds"
	for role, sees := range map[string]bool{webui.Operator: true, webui.Quality: true, webui.Auditor: false} {
		code, body := ask(t, http.MethodGet, api+"?study=1.2.3", role, "", "")
		if code != 200 || strings.Count(body, `"PatientName"`) != 3 || strings.Contains(body, "Hansen") != sees {
			t.Errorf("%s: %d %s", role, code, body)
		}
		code, body = ask(t, http.MethodGet, server.URL+"/operations", role, "", "")
		if code != 200 || strings.Contains(body, "Hansen") != sees || !strings.Contains(body, "3 messages wait") || !strings.Contains(body, "Merge of two records") {
			t.Errorf("%s: the page: %d", role, code)
		}
		if decides := role == webui.Operator; strings.Contains(body, "/holds/7/decision") != decides {
			t.Errorf("%s: the page offers a decision, or does not", role)
		}
	}
	for _, tt := range []struct {
		name, role, path, body string
		want                   int
	}{
		{"by nobody", "", "/7/release", `{"reason":"x"}`, 401},
		{"by a reader", webui.Reader, "/7/release", `{"reason":"x"}`, 403},
		{"by an auditor", webui.Auditor, "/7/discard", `{"reason":"x"}`, 403},
		{"without a reason", webui.Operator, "/7/release", `{}`, 422},
		{"with an empty reason", webui.Operator, "/7/release", `{"reason":"  "}`, 400},
		{"that is not here", webui.Operator, "/99/release", `{"reason":"x"}`, 404},
		{"with a reason", webui.Operator, "/7/release", `{"reason":"typed wrong"}`, 200},
		{"again", webui.Operator, "/7/discard", `{"reason":"no"}`, 400},
		{"the other one, never", webui.Admin, "/8/discard", `{"reason":"not ours"}`, 200},
	} {
		if code, body := ask(t, http.MethodPost, api+tt.path, tt.role, "application/json", tt.body); code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, code, tt.want, body)
		}
	}
	if h := l.holds[0]; h.State != study.HoldReleased || h.By != "machine operator" || h.Reason != "typed wrong" {
		t.Errorf("%v %s %s", h.State, h.By, h.Reason)
	}
	if code, _ := ask(t, http.MethodPost, server.URL+"/holds/9/decision", webui.Admin, "application/x-www-form-urlencoded", "verb=release&reason=ok"); code != 303 || l.holds[2].State != study.HoldReleased {
		t.Errorf("by the form: %d", code)
	}
	if _, body := ask(t, http.MethodGet, api, webui.Operator, "", ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("still open: %s", body)
	}
}

func TestWhatWasToldOfAStudyIsSeenByWhoSeesStudies(t *testing.T) {
	server, _, _, _ := serve(t)
	api := server.URL + "/api/v1/studies/"
	for role, want := range map[string]int{"": 401, webui.Auditor: 403, webui.Quality: 200} {
		code, body := ask(t, http.MethodGet, api+"1.2.3/told", role, "", "")
		if code != want || want == 200 && (!strings.Contains(body, `"priority":"stat"`) || !strings.Contains(body, `"held":true`) || !strings.Contains(body, "a nodule")) {
			t.Errorf("%q: %d %s", role, code, body)
		}
	}
	if code, _ := ask(t, http.MethodGet, api+"9.9/told", webui.Quality, "", ""); code != 404 {
		t.Errorf("of a study that is not here: %d", code)
	}
}

func TestHeldMessagesAreDecidedByKeyboard(t *testing.T) {
	server, entry, l, _ := serve(t)
	hold(l)
	b := webuitest.Open(t, 1440, 900, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish, webui.English} {
		b.Go(server.URL + "/operations")
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
		b.Go(server.URL + "/operations")
		webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
		b.Promises()
	}
	b.Shot("holds")
	webuitest.Eval[any](b, `document.querySelector('form[action="/holds/7/decision"] input').focus()`)
	b.Keys("asked the ward")
	b.Keys("\t\r")
	b.Until(`!document.querySelector('form[action="/holds/7/decision"]') && document.readyState === 'complete'`)
	if h := l.holds[0]; h.State != study.HoldReleased || h.By != "A. Dahl" || h.Reason != "asked the ward" {
		t.Errorf("%+v", h)
	}
}
