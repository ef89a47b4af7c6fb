package oversight_test

import (
	"net/http"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/study"
)

func TestConflictsWaitForAnOperator(t *testing.T) {
	server, _, l, _ := serve(t)
	for _, id := range []string{"aaaa", "bbbb"} {
		l.held = append(l.held, study.Conflict{ID: id, Kind: study.ConflictPatient, Study: "1.2.3", Instance: "1.2.3.4", Sender: "SCANNER",
			State: study.ConflictOpen, Evidence: []study.Difference{{Attribute: "PatientName", Known: "Nordmann^Kari", Came: "Hansen^Ola"}}})
	}
	api := server.URL + "/api/v1/conflicts"

	for role, sees := range map[string]bool{webui.Operator: true, webui.Admin: true, webui.Auditor: false} {
		code, body := ask(t, http.MethodGet, api, role, "", "")
		if code != 200 || !strings.Contains(body, `"PatientName"`) || strings.Contains(body, "Hansen") != sees {
			t.Errorf("%s: %d %s", role, code, body)
		}
		code, body = ask(t, http.MethodGet, server.URL+"/operations", role, "", "")
		if code != 200 || strings.Contains(body, "Hansen") != sees || !strings.Contains(body, "2 objects wait") || !strings.Contains(body, "1.2.3") {
			t.Errorf("%s: the page: %d", role, code)
		}
		if strings.Contains(body, "/conflicts/aaaa/decision") != sees {
			t.Errorf("%s: the page offers a decision, or does not", role)
		}
	}
	for _, tt := range []struct {
		name, role, path, body string
		want                   int
	}{
		{"by nobody", "", "/aaaa/accept", `{"reason":"x"}`, 401},
		{"by a reader", webui.Reader, "/aaaa/accept", `{"reason":"x"}`, 403},
		{"by an auditor", webui.Auditor, "/aaaa/discard", `{"reason":"x"}`, 403},
		{"without a reason", webui.Operator, "/aaaa/accept", `{}`, 422},
		{"with an empty reason", webui.Operator, "/aaaa/accept", `{"reason":"  "}`, 400},
		{"that is not here", webui.Operator, "/none/accept", `{"reason":"x"}`, 404},
		{"with a reason", webui.Operator, "/aaaa/accept", `{"reason":"typed wrong"}`, 200},
		{"again", webui.Operator, "/aaaa/discard", `{"reason":"no"}`, 400},
		{"the other one, never", webui.Admin, "/bbbb/discard", `{"reason":"not ours"}`, 200},
	} {
		if code, body := ask(t, http.MethodPost, api+tt.path, tt.role, "application/json", tt.body); code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, code, tt.want, body)
		}
	}
	if c := l.held[0]; c.State != study.ConflictAccepted || c.By != "machine operator" || c.Reason != "typed wrong" {
		t.Errorf("%v %s %s", c.State, c.By, c.Reason)
	}
	if _, body := ask(t, http.MethodGet, api, webui.Operator, "", ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("still open: %s", body)
	}
	if _, body := ask(t, http.MethodGet, api+"?state=all", webui.Operator, "", ""); strings.Count(body, `"id"`) != 2 {
		t.Errorf("all: %s", body)
	}
}
