package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest/peers"
	"varde/worldlist/order"
)

const ownPathways = `
[[pathway]]
code       = "LOCAL-CT"
aliases    = ["L7"]
country    = "NO"
valid_from = "2020-01-01"
name       = { en = "Local CT pathway", nb = "Lokalt CT-forløp", da = "Lokalt CT-forløb" }
source     = "a test"
  [[pathway.step]]
  code  = "reading"
  name  = { en = "reading", nb = "tyding", da = "beskrivelse" }
  from  = ["arrival"]
  days  = 2
  reads = true
`

func TestPathwayClockIsStartedByTheDiagnosisOrTheSitesOwnCode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pathways.toml")
	if err := os.WriteFile(file, []byte(ownPathways), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := peers.Addr(t)
	s := newService(t, "--hl7-addr", addr, "--country", "NO", "--pathways", file, "--hl7-pathway", "ZPW-1").start()
	breast, local := smallMG(t, 2, false), smallCT(t, 1, false)
	referred := time.Now().AddDate(0, 0, -5).Format("20060102")
	tell(t, addr, `MSH|^~\&|RIS|H|VARDE|H|20260301080000||OMI^O23|1|P|2.5.1`, patientOf(t, breast), "RF1|||||||"+referred, "ORC|NW|P1|F1",
		"OBR|1|P1|F1", "DG1|1||C50.9^Breast^I10", "DG1|2||Z51.5^Palliative^I10", "IPC|ACC1|RP|"+string(breast.Study))
	s.push(breast)
	s.push(local)
	s.reported(breast.Study, len(breast.Objects))
	s.reported(local.Study, len(local.Objects))
	tell(t, addr, `MSH|^~\&|RIS|H|VARDE|H|20260301080100||OMI^O23|2|P|2.5.1`, patientOf(t, local), "ORC|NW|P2|F2", "OBR|1|P2|F2", "IPC|ACC2|RP|"+string(local.Study), "ZPW|L7")
	var rows []struct {
		UID      string `json:"study_uid"`
		DaysLeft *int   `json:"days_left"`
		Class    int
		Why      []string
		Remarks  []string
		Clock    *struct{ Pathway, Step, By, From string }
	}
	s.json("/api/v1/worklist?lang=nb", &rows)
	seen := 0
	for _, r := range rows {
		why := strings.Join(r.Why, " · ")
		switch {
		case r.UID == string(breast.Study):
			seen++
			// Five days since the referral and images now: 12 days from today.
			if r.Clock == nil || r.Clock.Pathway != "NO-BREAST" || r.Clock.By != "diagnosis" || r.Clock.From != "arrival" || *r.DaysLeft != 12 ||
				r.Class != order.ClassPathway || !strings.Contains(why, "Pakkeforløp for brystkreft: utredning til beslutning") || strings.Join(r.Remarks, "") != "Palliativ fase" {
				t.Errorf("%+v, %d days left", r, *r.DaysLeft)
			}
		case r.UID == string(local.Study):
			seen++
			if r.Clock == nil || r.Clock.Pathway != "LOCAL-CT" || r.Clock.By != "order" || *r.DaysLeft != 2 || !strings.Contains(why, "Lokalt CT-forløp: tyding") {
				t.Errorf("%+v", r)
			}
		}
	}
	if seen != 2 {
		t.Fatalf("%d of two on the list", seen)
	}
	var f order.Forecast
	for deadline := time.Now().Add(30 * time.Second); f.Deadlines != 2 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		f = order.Forecast{}
		s.json("/api/v1/worklist/forecast", &f) // it is up to some seconds old
	}
	if f.AILayer != "up" || f.Deadlines != 2 || f.Overdue != 0 || f.AtRisk != 0 || f.Known {
		t.Errorf("%+v", f)
	}
}

func TestPathwaysAreListedShownAndChecked(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(good, []byte(ownPathways), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, []byte(strings.Replace(ownPathways, `from  = ["arrival"]`, `from  = ["dream"]`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	listed := run(t, "pathway", "list", "--pathways", good).must(t)
	for _, code := range []string{"DK-MAX", "NO-BREAST", "NO-PANCREAS", "LOCAL-CT"} {
		if !strings.Contains(listed, code) {
			t.Errorf("%s is not listed:\n%s", code, listed)
		}
	}
	if shown := run(t, "pathway", "show", "L7", "--pathways", good).must(t); !strings.Contains(shown, "2 calendar days from arrival: reading") {
		t.Errorf("shown as %q", shown)
	}
	var p struct{ Steps []struct{ Days int } }
	if err := json.Unmarshal([]byte(run(t, "pathway", "show", "NO-PANCREAS", "--json").must(t)), &p); err != nil || len(p.Steps) != 3 || p.Steps[0].Days != 8 {
		t.Errorf("%+v, %v", p, err)
	}
	run(t, "pathway", "check", "--pathways", good).must(t)
	for _, args := range [][]string{{"pathway", "check", "--pathways", bad}, {"config", "check", "--pathways", bad}, {"config", "check", "--country", "SE"}} {
		if e := run(t, args...); e.code == 0 {
			t.Errorf("%v: taken", args)
		}
	}
	if e := run(t, "pathway", "check", "--pathways", bad); !strings.Contains(e.stderr, "dream") {
		t.Errorf("the fault is not told: %q", e.stderr)
	}
}
