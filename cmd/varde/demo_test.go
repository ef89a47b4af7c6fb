package main_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
)

// A demoAnswer is what varde demo --json prints.
type demoAnswer struct {
	OK    bool   `json:"ok"`
	URL   string `json:"url"`
	Steps []struct {
		Step   string `json:"step"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail"`
	} `json:"steps"`
	Rows []struct {
		Study   string `json:"study"`
		UID     string `json:"study_uid"`
		Model   string `json:"model"`
		SHA256  string `json:"model_sha256"`
		AI      string `json:"ai_state"`
		Report  string `json:"report_sop_instance_uid"`
		Planted bool   `json:"planted"`
		Located bool   `json:"located"`
		Agrees  bool   `json:"agrees"`
	} `json:"rows"`
	Order []struct {
		UID   string   `json:"study_uid"`
		Word  string   `json:"class_word"`
		AI    string   `json:"ai_state"`
		Why   []string `json:"why"`
		Study string   `json:"study"`
		Key   string   `json:"key"`
		Came  string   `json:"arrived"`
	} `json:"order"`
}

// TestDemoAgreesWithWhatWasPlanted runs the newcomer's first command while both
// of its ports are in use.
func TestDemoAgreesWithWhatWasPlanted(t *testing.T) {
	var busy []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		busy = append(busy, l.Addr().String())
	}
	out := run(t, "demo", "--exit", "--json", "--dicom-addr", busy[0], "--http-addr", busy[1]).must(t)
	var got demoAnswer
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !got.OK || len(got.Rows) != 10 || len(got.Order) != 12 || got.URL == "" {
		t.Errorf("not well: %s", out)
	}
	for _, s := range got.Steps {
		if !s.OK {
			t.Errorf("%s: %s", s.Step, s.Detail)
		}
	}
	planted := 0
	for _, r := range got.Rows {
		if !r.Agrees || r.Report == "" || len(r.SHA256) != 64 || r.Planted != r.Located {
			t.Errorf("%+v", r)
		}
		if r.Planted {
			planted++
		}
	}
	if planted != 4 {
		t.Errorf("%d studies have something planted", planted)
	}
	for _, r := range got.Order {
		key, err := time.Parse(time.RFC3339Nano, r.Key)
		came, err2 := time.Parse(time.RFC3339Nano, r.Came)
		if err != nil || err2 != nil || key.After(came) {
			t.Errorf("%s came at %q and counts as %q: nobody can check that by hand", r.Study, r.Came, r.Key)
		}
	}
	for i, want := range []string{"stat not_flagged", "overdue not_flagged", "pathway flagged", "pathway not_flagged",
		"routine flagged", "routine flagged", "routine flagged", "routine", "routine",
		"routine not_flagged", "routine not_flagged", "routine not_flagged"} {
		if r := got.Order[min(i, len(got.Order)-1)]; !strings.HasPrefix(r.Word+" "+r.AI, want) || len(r.Why) == 0 {
			t.Errorf("row %d of the order is %+v, want %s", i+1, r, want)
		}
	}
}
