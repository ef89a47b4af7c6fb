package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cases writes a table of labelled cases for a model that counts: the more it
// finds the likelier they are positive.
func cases(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("score;label\n")
	for i := range n {
		score := i % 6
		label := 0
		if i/6%6 < score {
			label = 1
		}
		fmt.Fprintf(&b, "%d;%d\n", score, label)
	}
	path := filepath.Join(t.TempDir(), "cases.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProbabilityIsCalibratedByTheSite scores one study before a calibration and
// one after it: the same is flagged, and the number has a meaning.
func TestProbabilityIsCalibratedByTheSite(t *testing.T) {
	s := newService(t).start()
	type result struct {
		Calibrated  bool
		Probability *float64
		AI          string `json:"ai_state"`
	}
	scored := func(seed uint64) result {
		d := smallMG(t, seed, true)
		s.push(d)
		s.reported(d.Study, len(d.Objects))
		var one struct{ Results []result }
		s.json("/api/v1/studies/"+string(d.Study), &one)
		if len(one.Results) == 0 {
			t.Fatal("no result")
		}
		return one.Results[len(one.Results)-1]
	}
	before := scored(31)
	if before.Calibrated {
		t.Errorf("calibrated by nobody: %+v", before)
	}
	says(t, s.verb("model", "show", "varde-mg-calc"), `no local calibration holds`)
	if e := s.verb("model", "calibrate", "varde-mg-calc", cases(t, 999), "--reason", "spring"); e.code == 0 || !strings.Contains(e.stderr, "it needs 1000") {
		t.Errorf("too few cases: %d %s", e.code, e.stderr)
	}
	if e := s.verb("model", "calibrate", "varde-mg-calc", cases(t, 3600)); e.code != 2 {
		t.Errorf("without a reason: %d", e.code)
	}
	says(t, s.verb("model", "calibrate", "varde-mg-calc", cases(t, 3600), "--try"), `nothing was kept`)
	says(t, s.verb("model", "calibrate", "varde-mg-calc", cases(t, 3600), "--reason", "spring of 2026", "--note", "two hospitals"),
		`isotonic, 3600 cases`, `cases: two hospitals`, `Brier`)
	after := scored(32)
	if !after.Calibrated || after.Probability == nil || *after.Probability <= 0 || *after.Probability >= 1 || after.AI != before.AI {
		t.Errorf("before %+v, after %+v", before, after)
	}
	shown := says(t, s.verb("model", "show", "varde-mg-calc"), `calibration [0-9a-f]+ of varde-mg-calc@1.0.0, findings`, `observed`)
	if strings.Contains(shown, "no local calibration") {
		t.Error(shown)
	}
	var told struct {
		Calibrations []struct{ SHA256, By, Reason string }
	}
	if err := json.Unmarshal([]byte(s.verb("model", "show", "varde-mg-calc", "--json").must(t)), &told); err != nil || len(told.Calibrations) != 1 || told.Calibrations[0].Reason != "spring of 2026" {
		t.Errorf("%+v, %v", told, err)
	}
	says(t, s.verb("model", "calibrate", "varde-mg-calc", "--end", "--reason", "a new detector"), `no calibration holds`)
	if last := scored(33); last.Calibrated {
		t.Errorf("after its end: %+v", last)
	}
	says(t, s.verb("audit", "show"), `calibrat`)
}
