package main_test

import (
	"encoding/json"
	"net"
	"testing"
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
	if !got.OK || len(got.Rows) != 6 || got.URL == "" {
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
	if planted != 3 {
		t.Errorf("%d studies have something planted", planted)
	}
}
