package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"varde/study"
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
		Frequency   *study.Frequency
	}
	var last study.UID
	scored := func(seed uint64) result {
		d := smallMG(t, seed, true)
		last = d.Study
		s.push(d)
		s.reported(d.Study, len(d.Objects))
		var one struct{ Results []result }
		s.json("/api/v1/studies/"+string(d.Study), &one)
		if len(one.Results) == 0 {
			t.Fatal("no result")
		}
		return one.Results[len(one.Results)-1]
	}
	when := []string{"--from", "2025-01-01", "--to", "2025-06-30", "--place", "Northern hospital"}
	before := scored(31)
	if before.Calibrated {
		t.Errorf("calibrated by nobody: %+v", before)
	}
	says(t, s.verb("model", "show", "varde-mg-calc"), `no local calibration holds`)
	if e := s.verb(append([]string{"model", "calibrate", "varde-mg-calc", cases(t, 999), "--reason", "spring"}, when...)...); e.code == 0 || !strings.Contains(e.stderr, "it needs 1000") {
		t.Errorf("too few cases: %d %s", e.code, e.stderr)
	}
	if e := s.verb("model", "calibrate", "varde-mg-calc", cases(t, 3600)); e.code != 2 {
		t.Errorf("without a reason: %d", e.code)
	}
	for _, left := range []int{0, 2, 4} { // without the first day, the last, the place
		e := s.verb(append([]string{"model", "calibrate", "varde-mg-calc", cases(t, 3600), "--reason", "spring"}, slices.Delete(slices.Clone(when), left, left+2)...)...)
		if e.code != 2 || !strings.Contains(e.stderr, when[left]) {
			t.Errorf("without %s: %d %s", when[left], e.code, e.stderr)
		}
	}
	says(t, s.verb("model", "calibrate", "varde-mg-calc", cases(t, 3600), "--try"), `nothing was kept`, `readers are told no percentage`)
	says(t, s.verb(append([]string{"model", "calibrate", "varde-mg-calc", cases(t, 3600), "--reason", "spring of 2026", "--note", "two hospitals"}, when...)...),
		`isotonic, 3600 cases`, `cases: two hospitals`, `Brier`, `from 2025-01-01 to 2025-06-30, Northern hospital`, `flagged, and nothing was there: [0-9.]+ %`)
	after := scored(32)
	if !after.Calibrated || after.Probability == nil || *after.Probability <= 0 || *after.Probability >= 1 || after.AI != before.AI {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if f := after.Frequency; before.Frequency != nil || f == nil || f.Cases != 3600 || f.Place != "Northern hospital" || f.Like.Share != *after.Probability ||
		f.Like.Low >= f.Like.Share || f.Like.Share >= f.Like.High || f.Wrong == nil || f.Missed == nil {
		t.Errorf("natural frequencies: %+v", f)
	}
	// The page says it in natural frequencies, and the same is there as a file.
	told := regexp.MustCompile(`Av (100|1\x{a0}000) undersøkelser med en slik skår ved dette sykehuset hadde (omtrent \d+|færre enn 1) et bekreftet funn \(95 %-intervall \d+–\d+; n = [\d\x{a0}]+ av 3\x{a0}600; januar–juni 2025; Northern hospital\)`)
	report := "/studies/" + string(last) + "/report?lang=nb"
	if page := string(s.get(report, "text/html")); !told.MatchString(page) {
		t.Error(page)
	}
	if file := s.get(report+"&format=pdf", "application/pdf"); !bytes.HasPrefix(file, []byte("%PDF-")) {
		t.Errorf("%.20q", file)
	}
	shown := says(t, s.verb("model", "show", "varde-mg-calc"), `calibration [0-9a-f]+ of varde-mg-calc@1.0.0, findings`, `observed`)
	if strings.Contains(shown, "no local calibration") {
		t.Error(shown)
	}
	var all struct {
		Calibrations []struct{ SHA256, By, Reason string }
	}
	if err := json.Unmarshal([]byte(s.verb("model", "show", "varde-mg-calc", "--json").must(t)), &all); err != nil || len(all.Calibrations) != 1 || all.Calibrations[0].Reason != "spring of 2026" {
		t.Errorf("%+v, %v", all, err)
	}
	says(t, s.verb("model", "calibrate", "varde-mg-calc", "--end", "--reason", "a new detector"), `no calibration holds`)
	if end := scored(33); end.Calibrated || end.Frequency != nil {
		t.Errorf("after its end: %+v", end)
	}
	says(t, s.verb("audit", "show"), `calibrat`)
}
