package main_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// modelFolder writes a reference model as a model of its own, as its maker would
// hand it over. The network is changed by spoil; with rehash the card names the
// hash of what came out.
func modelFolder(t *testing.T, spoil func([]byte) []byte, rehash bool) string {
	t.Helper()
	var of models.Drawn
	for _, m := range models.Reference() {
		if bytes.Contains(m.CardTOML, []byte("varde-mg-calc")) {
			of = m
		}
	}
	card, err := modelcard.Parse(of.CardTOML)
	if err != nil {
		t.Fatal(err)
	}
	network := spoil(bytes.Clone(of.Network))
	text := strings.Replace(string(of.CardTOML), `"varde-mg-calc"`, `"their-mg-calc"`, 1)
	if rehash {
		text = strings.Replace(text, card.SHA256.String(), fmt.Sprintf("%x", sha256.Sum256(network)), 1)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "card.toml"), text)
	write(t, filepath.Join(dir, card.Network), string(network))
	return dir
}

func intact(b []byte) []byte { return b }

// TestModelIsCheckedBeforeItIsKept adds sound and unsound models beside a running
// service.
func TestModelIsCheckedBeforeItIsKept(t *testing.T) {
	s := newService(t).start()
	flip := func(b []byte) []byte { b[len(b)/2] ^= 0x40; return b }
	for _, tt := range []struct {
		name   string
		spoil  func([]byte) []byte
		rehash bool
		words  []string
	}{
		{"another network than the card names", flip, false, []string{"SHA-256"}},
		{"a network that is none", func([]byte) []byte { return bytes.Repeat([]byte("no network "), 200) }, true, []string{"network"}},
		{"a network that is cut short", func(b []byte) []byte { return b[:len(b)/3] }, true, []string{"network"}},
		{"an empty network", func([]byte) []byte { return nil }, true, []string{"network"}},
	} {
		folder := modelFolder(t, tt.spoil, tt.rehash)
		if e := run(t, "model", "check", folder); e.code != 3 || !containsAll(e.stderr, tt.words...) || strings.Contains(e.stderr, "goroutine") {
			t.Errorf("%s: model check ends with %d: %s", tt.name, e.code, e.stderr)
		}
		if e := s.verb("model", "add", folder); e.code != 1 || !containsAll(e.stderr, tt.words...) {
			t.Errorf("%s: model add ends with %d: %s", tt.name, e.code, e.stderr)
		}
		if e := run(t, "score", "--model", folder, folder); e.code != 1 {
			t.Errorf("%s: score ends with %d: %s", tt.name, e.code, e.stderr)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(s.dir, "models", "*their*")); err != nil || len(kept) > 0 {
		t.Errorf("kept: %v, %v", kept, err)
	}
	folder := modelFolder(t, intact, false)
	run(t, "model", "check", folder).must(t)
	s.verb("model", "add", folder).must(t)
	if text := s.verb("model", "list").must(t); !regexp.MustCompile(`their-mg-calc@\S+ +draft`).MatchString(text) {
		t.Errorf("model list says\n%s", text)
	}
	aModelGoesItsWay(t, s)
}

// aModelGoesItsWay promotes the added model, sees it run in shadow and live, and
// stops it, all beside the running service.
func aModelGoesItsWay(t *testing.T, s *service) {
	if e := s.verb("model", "promote", "their-mg-calc"); e.code != 2 || !strings.Contains(e.stderr, "--reason") {
		t.Errorf("promoted without a reason: %d %s", e.code, e.stderr)
	}
	states := []string{}
	for n, step := range []string{"promote", "promote", "suspend"} {
		s.verb("model", step, "their-mg-calc", "--reason", "tried in a test").must(t)
		if n == 1 {
			if e := s.verb("model", "confirm", "their-mg-calc"); e.code == 0 || !strings.Contains(e.stderr, "may not confirm") {
				t.Errorf("who proposed it confirmed it: %d %s", e.code, e.stderr)
			}
			s.second("their-mg-calc@1.0.0", "confirm")
		}
		d := smallMG(t, uint64(50+n), true)
		s.push(d)
		theirs := func(v studyView) string {
			for _, r := range v.Results {
				if r.Model == "their-mg-calc" {
					return fmt.Sprintf("%s, reports %d", r.AI, len(v.Reports))
				}
			}
			return "not asked"
		}
		v := s.reported(d.Study, len(d.Objects))
		if n == 0 { // readers are not kept waiting for a model that they don't hear
			v = s.await(d.Study, "answered in shadow", func(v studyView) bool { return theirs(v) != "not asked" })
		}
		states = append(states, theirs(v))
	}
	if want := []string{"flagged, reports 1", "flagged, reports 2", "not asked"}; fmt.Sprint(states) != fmt.Sprint(want) {
		t.Errorf("in shadow, live and suspended: %q, not %q", states, want)
	}
	if e := s.verb("model", "show", "nope"); e.code != 1 || !containsAll(e.stderr, "nope", "varde-mg-calc") {
		t.Errorf("an unknown model: %d %s", e.code, e.stderr)
	}
}

// TestNetworkThatWasChangedOnDiskNeverRuns changes a byte of a network behind the
// service's back.
func TestNetworkThatWasChangedOnDiskNeverRuns(t *testing.T) {
	s := newService(t).start()
	networks, err := filepath.Glob(filepath.Join(s.dir, "models", "varde-mg-calc@*", "*.onnx"))
	if err != nil || len(networks) != 1 {
		t.Fatalf("%v, %v", networks, err)
	}
	b, err := os.ReadFile(networks[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-100] ^= 1
	write(t, networks[0], string(b))
	doctor := func() ending {
		return s.verb("doctor", "--dicom-addr", s.dicom, "--http-addr", s.web)
	}
	if e := doctor(); e.code != 3 || !containsAll(e.stdout, "FAIL  model", "altered or damaged") {
		t.Errorf("doctor ends with %d\n%s%s", e.code, e.stdout, e.stderr)
	}
	d := smallMG(t, 1, true)
	s.push(d)
	v := s.reported(d.Study, len(d.Objects))
	if len(v.Results) != 1 || v.Results[0].AI != string(study.Failed) || v.Results[0].Scored != 0 {
		t.Errorf("AI says %s: %+v", v.AI, v.Results)
	} else if v.Results[0].Reason == nil || v.Results[0].Reason.Code != study.ReasonInternal {
		t.Errorf("a model that is damaged is no fault of the pixels: %+v", v.Results[0].Reason)
	}
	s.logged("altered or damaged", "varde-mg-calc")
	sound(t, s.fetch(d.Study, s.reports(d.Study)[0]))
	// Our own networks are drawn anew at the next start.
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.start()
	if e := doctor(); e.code != 0 {
		t.Errorf("doctor ends with %d\n%s%s", e.code, e.stdout, e.stderr)
	}
	again := smallMG(t, 2, true)
	s.push(again)
	if v := s.reported(again.Study, len(again.Objects)); v.AI != truth(again) {
		t.Errorf("AI says %s: %+v", v.AI, v.Results)
	}
}

// TestScoreNeedsNoService scores files with no service and no data folder.
func TestScoreNeedsNoService(t *testing.T) {
	d := smallMG(t, 1, true)
	folder, paths := files(t, d)
	write(t, filepath.Join(folder, "README.txt"), "a folder from a CD holds other files too")
	out := run(t, "score", "--model", "varde-mg-calc", folder).must(t)
	if !containsAll(out, `"ai_state":"flagged"`, `"tiles_scored":4`, string(d.Study)) {
		t.Errorf("score says %s", out)
	}
	if again := run(t, append([]string{"score", "--model", "varde-mg-calc", "--workers", "3"}, paths...)...).must(t); findings(t, again) != findings(t, out) {
		t.Errorf("the same files give\n%s\nand\n%s", out, again)
	}
	for _, tt := range []struct {
		name  string
		args  []string
		code  int
		words []string
	}{
		{"an unknown model", []string{"--model", "nope", folder}, 1, []string{`"nope"`, "not found", "varde-mg-calc"}},
		{"an unknown version", []string{"--model", "varde-mg-calc@9", folder}, 1, []string{"varde-mg-calc@9", "not found"}},
		{"no model", []string{folder}, 2, []string{"model"}},
		{"a file that is none", []string{"--model", "varde-mg-calc", filepath.Join(folder, "README.txt")}, 1, []string{"README.txt"}},
		{"a file that is not there", []string{"--model", "varde-mg-calc", folder + "/no"}, 1, []string{"no such file"}},
		{"no library", []string{"--model", "varde-mg-calc", "--onnx-library", "/nonexistent/lib.so", folder}, 1, []string{"/nonexistent/lib.so"}},
	} {
		if e := run(t, append([]string{"score"}, tt.args...)...); e.code != tt.code || !containsAll(e.stderr, tt.words...) || e.stdout != "" {
			t.Errorf("%s: ends with %d, not %d: %s%s", tt.name, e.code, tt.code, e.stdout, e.stderr)
		}
	}
}

// findings cuts out of a result what may not differ from run to run.
func findings(t *testing.T, result string) string {
	t.Helper()
	m := regexp.MustCompile(`"findings":(.*),"measurements":\[[^\]]*\],"tiles_planned"`).FindStringSubmatch(result)
	if m == nil {
		t.Fatalf("no findings in %s", result)
	}
	return m[1]
}
