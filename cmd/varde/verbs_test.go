package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"varde/study"
)

// TestVerbsWorkBesideTheService uses every verb as a person would, on the folder
// of a service that runs.
func TestVerbsWorkBesideTheService(t *testing.T) {
	s := newService(t).start()
	ct, mg := smallCT(t, 1, true), smallMG(t, 2, false)
	host, port, _ := strings.Cut(s.dicom, ":")
	folder, paths := files(t, ct)
	s.rememberAll(ct)
	write(t, filepath.Join(folder, "README.txt"), "no DICOM")
	doors := []string{"--dicom-addr", s.dicom, "--http-addr", s.web}

	says(t, run(t, "send", s.dicom, folder), `24 of 24 objects sent in [0-9.]+ s; 1 files were not DICOM`)
	says(t, run(t, "send", "--json", s.dicom, paths[0], paths[1]), `"of":2,"seconds":[0-9.]+,"sent":2`)
	says(t, run(t, "echo", s.dicom), `VARDE at `+regexp.QuoteMeta(s.dicom)+` answers in \d+ ms`)
	says(t, peer(t, "echoscu", "-v", "-aec", "VARDE", host, port), `.*`)
	s.push(mg)
	s.reported(ct.Study, len(ct.Objects))
	s.reported(mg.Study, len(mg.Objects))

	says(t, s.verb("worklist"), `1 +CT +flagged +reported +`+string(ct.Study), `2 +MG +not_flagged +reported +`+string(mg.Study))
	says(t, s.verb("worklist", "--lang", "nb", "--limit", "1"), `(?s)^ +1 +CT[^\n]*\n$`)
	says(t, s.verb("simulate", "--days", "1", "--readers", "1", "--passes", "2"), `history: 2 exams`, `all +ours +2 `, `ai_flagged +first_come +1 `)
	says(t, s.verb("simulate", "--profile", "../../docs/simulation.toml", "--passes", "2"), `profile: \d+ exams in 90 days`, `missed +ours +\d+`)
	says(t, s.verb("result", "show", string(ct.Study)), `is reported; AI: flagged`, `varde-ct-nodule@\S+ sha256 \w{12}: flagged, \d+ findings, 24 of 24 tiles`, `report sr `)
	var shown struct {
		Results []study.Result `json:"results"`
		AI      string         `json:"ai_state"`
	}
	if err := json.Unmarshal([]byte(s.verb("result", "show", "--json", string(ct.Study)).must(t)), &shown); err != nil || shown.AI != "flagged" || len(shown.Results) != 1 {
		t.Errorf("result show --json: %+v, %v", shown, err)
	}
	says(t, s.verb("model", "list"), `varde-ct-nodule@\S+ +live`, `varde-mg-calc@\S+ +live`, `varde-he-density@\S+ +live`)
	says(t, s.verb("model", "show", "varde-ct-nodule"), `live`, `sha256 \w{64}`, `not a medical device`)
	says(t, s.verb("model", "card", "varde-ct-nodule"), `(?m)^id = "varde-ct-nodule"`)
	says(t, s.verb("audit", "show"), `report +study `+string(ct.Study), `model `)
	says(t, s.verb("audit", "verify"), `\d+ rows, chain unbroken`)
	says(t, run(t, append([]string{"doctor", "--dir", s.dir}, doors...)...), `OK +DICOM port +.*answered`, `OK +HTTP port +.*answered`, `OK +audit trail`, `OK +ONNX Runtime`)
	says(t, run(t, "doctor", "--live", "http://"+s.web), `^$`)
	says(t, run(t, "config", "show", "--aet", "WARD7"), `aet +WARD7 +# flag`, `lang +en +# default`)
	says(t, run(t, "config", "check"), `sound`)
	says(t, run(t, "version"), `varde \d+\.\d+\.\d+ go1`)

	backup := filepath.Join(t.TempDir(), "ledger.db")
	says(t, s.verb("ledger", "backup", backup), `ledger copied to`)
	if n := copyLedger(t, filepath.Dir(backup)).counts(`SELECT 'n', COUNT(*) FROM report`)["n"]; n != 2 {
		t.Errorf("the backup has %d reports", n)
	}
	if e := s.verb("ledger", "backup", backup); e.code != 1 || !strings.Contains(e.stderr, "there already") {
		t.Errorf("a backup over another ends with %d: %s", e.code, e.stderr)
	}
	token := strings.TrimSpace(says(t, s.verb("user", "token", "--role", "reader", "--name", "K. Hansen"), `^[A-Z2-7]{26}\n$`))
	if a, err := s.askAs("Bearer "+token, "GET", "/api/v1/worklist", "", "", nil); err != nil || a.code != 200 {
		t.Errorf("the new token gives %d %v", a.code, err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	says(t, s.verb("worklist"), `1 +CT +flagged`, `2 +MG +not_flagged`) // and with no service beside
	s.verb("model", "suspend", "varde-mg-calc", "--reason", "a test").must(t)
	says(t, s.verb("worklist"), `1 +CT +flagged`, `2 +MG +failed`) // what a stopped model said does not hold
}

// says fails the test unless a program ended well and its output fits every
// pattern.
func says(t *testing.T, e ending, patterns ...string) string {
	t.Helper()
	if e.code != 0 {
		t.Errorf("exit code %d: %s", e.code, e.stderr)
	}
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(e.stdout) {
			t.Errorf("nothing fits %q in\n%s%s", p, e.stdout, e.stderr)
		}
	}
	return e.stdout
}

// TestWrongCommandLinesAreTold types what people type wrong.
func TestWrongCommandLinesAreTold(t *testing.T) {
	s := newService(t).start()
	s.stop()
	dir, nowhere := s.dir, filepath.Join(t.TempDir(), "nowhere")
	for _, tt := range []struct {
		args  []string
		code  int
		words string
	}{
		{[]string{"srve"}, 2, "srve"},
		{[]string{"model", "lst"}, 2, "lst"},
		{[]string{"serve", "now"}, 2, "now"},
		{[]string{"send", "127.0.0.1:1"}, 2, "arg"},
		{[]string{"send", "127.0.0.1:1", nowhere}, 1, nowhere},
		{[]string{"echo", "127.0.0.1:1"}, 1, "127.0.0.1:1"},
		{[]string{"echo", "nowhere"}, 1, "nowhere"},
		{[]string{"demo", "--exit", "--lang", "sv"}, 2, "en, nb, da"},
		{[]string{"user", "token", "--dir", dir}, 2, "role"},
		{[]string{"user", "token", "--role", "king", "--dir", dir}, 2, "king"},
		{[]string{"result", "show", "not-a-uid", "--dir", dir}, 2, "not-a-uid"},
		{[]string{"worklist", "--lang", "fr", "--dir", dir}, 2, "fr"},
		{[]string{"model", "check", nowhere}, 3, nowhere},
		{[]string{"model", "add", nowhere, "--dir", dir}, 1, nowhere},
	} {
		e := run(t, tt.args...)
		if e.code != tt.code || !strings.Contains(e.stderr, tt.words) || e.stdout != "" {
			t.Errorf("varde %s ends with %d, not %d: %s%s", strings.Join(tt.args, " "), e.code, tt.code, e.stdout, e.stderr)
		}
	}
}

// TestLookingMakesNoDataFolder reads a folder that is not there: a typing error in
// --dir must not look like an empty worklist.
func TestLookingMakesNoDataFolder(t *testing.T) {
	for _, args := range [][]string{{"worklist"}, {"audit", "show"}, {"audit", "verify"}, {"model", "list"}, {"result", "show", "1.2.3"}} {
		dir := filepath.Join(t.TempDir(), "data")
		e := run(t, append(args, "--dir", dir)...)
		if e.code == 0 || !strings.Contains(e.stderr, dir) {
			t.Errorf("varde %s ends with %d: %s%s", strings.Join(args, " "), e.code, e.stdout, e.stderr)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("varde %s made the folder", strings.Join(args, " "))
		}
	}
}

// TestAbsurdSettingsAreRefused: what can't work is told before anything starts, once,
// and with what would.
func TestAbsurdSettingsAreRefused(t *testing.T) {
	for _, tt := range []struct{ flag, value, says string }{
		{"destinations", "X=A@host:99999", "1 to 65535"},
		{"destinations", "X=A@host:0", "1 to 65535"},
		{"destinations", "X=mllp://host:name", "1 to 65535"},
		{"destinations", "=A@host:104", "no name"},
		{"destinations", "X=ftp://host", "is not NAME="},
		{"charset", "latin", "ISO_IR 100"},
		{"charset", `\ISO 2022 IR 999`, "ISO_IR 100"},
		{"oru-app", "A|B", "letters"},
		{"oru-facility", "x\ry", "letters"},
	} {
		e := run(t, "config", "check", "--"+tt.flag, tt.value)
		if e.code == 0 || !strings.Contains(e.stderr, tt.says) {
			t.Errorf("%s %q: %d %s", tt.flag, tt.value, e.code, e.stderr)
		}
		if n := strings.Count(strings.TrimSpace(e.stderr), "\n"); n > 0 {
			t.Errorf("%s %q: %d faults for one: %s", tt.flag, tt.value, n+1, e.stderr)
		}
	}
	says(t, run(t, "config", "check", "--charset", `ISO 2022 IR 100\ISO 2022 IR 87`, "--destinations", "X=A@host:104"), `sound`)
}
