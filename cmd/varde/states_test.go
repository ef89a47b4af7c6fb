package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/study"
)

// second decides on what is proposed for a model as another person than the one
// who types.
func (s *service) second(model, verb string) {
	s.t.Helper()
	a, err := s.ask(http.MethodPost, "/api/v1/models/"+model+"/"+verb, "application/json", "application/json", strings.NewReader(`{"reason":"seen it"}`))
	if err != nil || a.code != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s %v", verb, model, a.code, a.body, err)
	}
}

// auditRows gives the whole audit, the oldest row first.
func (s *service) auditRows() (rows []study.AuditRow) {
	s.t.Helper()
	for line := range strings.Lines(s.verb("audit", "show", "--limit", "100000", "--json").must(s.t)) {
		var r study.AuditRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatal(err)
		}
		rows = append(rows, r)
	}
	slices.Reverse(rows)
	return rows
}

const ctModel = "varde-ct-nodule@1.0.0"

// TestSuspendedModelSaysNothingMore stops a model while exams of it are delivered,
// scored and waiting, and holds what is recorded after the stop against it.
func TestSuspendedModelSaysNothingMore(t *testing.T) {
	pacs := newSink(t)
	s := newService(t, "--destinations", "PACS=SINK@"+pacs.addr, "--workers", "1").start()
	first := smallCT(t, 200, true)
	s.push(first)
	if v := s.await(first.Study, "delivered", func(v studyView) bool { return v.Status == "reported" && v.delivered() }); v.AI != string(study.Flagged) {
		t.Fatalf("the first exam: %+v", v)
	}
	var all []studytest.Drawn
	for n := range 6 {
		d := smallCT(t, uint64(201+n), n%2 == 0)
		all = append(all, d)
		s.push(d)
	}
	s.await(all[0].Study, "being scored", func(v studyView) bool { return v.Status != "receiving" && v.Status != "settled" })
	s.second(ctModel, "suspend")
	for _, d := range all {
		s.await(d.Study, "final", func(v studyView) bool { return v.Status == "reported" || v.Status == "settled" || v.Status == "scored" })
	}
	// What is written of a stopped exam goes out; what the model had said does not.
	stopped := 0
	for _, d := range all {
		v := s.study(d.Study)
		switch {
		case v.Status == "settled": // it was planned after the stop: no model was asked
			if v.AI != string(study.OutOfScope) {
				t.Errorf("%s: %+v", d.Name, v)
			}
			continue
		case len(v.Results) != 1:
			t.Fatalf("%s: %+v", d.Name, v)
		}
		if r := v.Results[0]; r.Reason != nil && r.Reason.Code == study.ReasonStopped {
			stopped++
			if r.AI != string(study.Failed) || r.Status != "stopped" || len(r.Findings) != 0 || v.AI != string(study.Failed) {
				t.Errorf("%s: %+v", d.Name, v)
			}
		}
	}
	s.nothingAfter(t, ctModel)

	counts := map[string]int{}
	for line := range strings.Lines(s.verb("model", "affected", ctModel, "--json").must(t)) {
		var e struct{ State string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		counts[e.State]++
	}
	if counts[study.ExamDelivered] < 1 || counts[study.ExamStopped] != stopped || counts[study.ExamRunning]+counts[study.ExamWaiting] != 0 {
		t.Errorf("affected: %v, with %d stopped", counts, stopped)
	}
	if text := s.verb("model", "affected", ctModel, "--csv").must(t); !strings.Contains(text, string(first.Study)) || !strings.Contains(text, ",PACS,delivered,") {
		t.Errorf("the list for a recall:\n%s", text)
	}
	s.verb("audit", "verify").must(t)
	t.Logf("%d of %d exams were stopped; affected: %v", stopped, len(all), counts)
}

// nothingAfter reads the audit: after the row that a model is suspended no result
// of it but that it was stopped, and no delivery but of such results, is recorded.
func (s *service) nothingAfter(t *testing.T, model string) {
	t.Helper()
	var stop time.Time
	silent := map[string]bool{} // objects that say that the model was stopped
	for _, r := range s.auditRows() {
		switch {
		case r.Action == "model" && r.Entity == "model "+model && strings.Contains(r.Detail, "is suspended"):
			stop = r.At
		case stop.IsZero():
		case r.Action == "result" && strings.Contains(r.Detail, "model "+model) && !strings.Contains(r.Detail, ": failed,"):
			t.Errorf("%s after the stop: %s %s", r.At.Sub(stop), r.Entity, r.Detail)
		case r.Action == "report" && strings.Contains(r.Detail, "model "+model):
			_, rest, _ := strings.Cut(r.Detail, "object ")
			object, _, _ := strings.Cut(rest, ",")
			silent[object] = true
			uid, _ := strings.CutPrefix(r.Entity, "study ")
			if v := s.study(study.UID(uid)); len(v.Results) != 1 || v.Results[0].Status != "stopped" {
				t.Errorf("reported %s after the stop: %+v", r.At.Sub(stop), v)
			}
		case r.Action == "delivered":
			_, rest, _ := strings.Cut(r.Detail, "object ")
			object, _, _ := strings.Cut(rest, " ")
			if !silent[object] && r.At.Sub(stop) > time.Second {
				t.Errorf("delivered %s after the stop: %s", r.At.Sub(stop), r.Detail)
			}
		}
	}
	if stop.IsZero() {
		t.Error("the stop is not in the audit")
	}
}

// TestShadowResultLeavesNoTrace lets a model in shadow flag a mammogram of which no
// live model is asked, and searches everything that a reader can ask for.
func TestShadowResultLeavesNoTrace(t *testing.T) {
	s := newService(t).start()
	const theirs = "their-mg-calc"
	s.verb("model", "add", modelFolder(t, intact, false)).must(t)
	s.verb("model", "promote", theirs, "--reason", "a silent trial").must(t)
	s.verb("model", "suspend", "varde-mg-calc", "--reason", "the trial is of the other").must(t)
	flagged, plain := smallMG(t, 70, true), smallMG(t, 71, false)
	for _, d := range []studytest.Drawn{flagged, plain} {
		s.push(d)
		s.await(d.Study, "answered in shadow", func(v studyView) bool { return len(v.Results) == 1 && v.Results[0].Model == theirs })
	}
	if v := s.study(flagged.Study); v.Results[0].AI != string(study.Flagged) {
		t.Fatalf("the shadow run: %+v", v)
	}
	reader := "Bearer " + strings.TrimSpace(s.verb("user", "token", "--role", "reader", "--name", "Dr. Who").must(t))
	uid := string(flagged.Study)
	pages := []string{"/", "/studies/" + uid, "/api/v1/studies", "/api/v1/studies/" + uid, "/api/v1/worklist", "/api/v1/studies/" + uid + "/told",
		"/dicom-web/studies", "/dicom-web/studies?StudyInstanceUID=" + uid + "&includefield=all", "/dicom-web/studies/" + uid + "/series?includefield=all",
		"/dicom-web/studies/" + uid + "/instances?includefield=all", "/dicom-web/studies/" + uid + "/metadata", "/dicom-web/series?Modality=SR", "/dicom-web/instances?includefield=all",
		"/studies/" + uid + "/panel", "/studies/" + uid + "/report", "/api/v1/studies/" + uid + "/results/" + theirs + "@1.0.0/slides/x.csv"}
	seen := 0
	for _, path := range pages {
		a, err := s.askAs(reader, http.MethodGet, path, "", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.code == http.StatusOK {
			seen++
		}
		for _, word := range []string{theirs, "alcification candidate", `"flagged"`, ">Flagged", `"SR"`} {
			if strings.Contains(string(a.body), word) {
				t.Errorf("GET %s as a reader says %q", path, word)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d of %d pages could be asked", seen, len(pages))
	}
	// In the order the two stand as if nothing had been asked: the first comes first.
	var rows []struct {
		UID string `json:"study_uid"`
		AI  string `json:"ai_state"`
		Why []string
	}
	s.json("/api/v1/worklist?lang=en", &rows)
	if len(rows) != 2 || rows[0].UID != uid || rows[0].AI != string(study.OutOfScope) || fmt.Sprint(rows[0].Why) != fmt.Sprint(rows[1].Why) && len(rows[0].Why) != len(rows[1].Why) {
		t.Errorf("the worklist: %+v", rows)
	}
	if v := s.study(flagged.Study); v.Status != "settled" || len(v.Reports) != 0 {
		t.Errorf("the study: %+v", v)
	}
	if found := s.written(flagged.Study); len(found) != 0 {
		t.Errorf("objects of ours: %v", found)
	}
	if a, err := s.askAs(reader, http.MethodGet, "/api/v1/models/"+theirs+"@1.0.0/compare", "", "", nil); err != nil || a.code != http.StatusForbidden {
		t.Errorf("a reader compares: %d %v", a.code, err)
	}
}

// TestVersionsShareTheExams runs a second version of a model on a part of the
// exams, and a third in shadow, and compares them.
func TestVersionsShareTheExams(t *testing.T) {
	s := newService(t).start()
	add := func(version string) string {
		folder := modelFolder(t, intact, false)
		card := filepath.Join(folder, "card.toml")
		text, err := os.ReadFile(card)
		if err != nil {
			t.Fatal(err)
		}
		write(t, card, strings.Replace(string(text), `version = "1.0.0"`, `version = "`+version+`"`, 1))
		s.verb("model", "add", folder).must(t)
		return "their-mg-calc@" + version
	}
	s.verb("model", "suspend", "varde-mg-calc", "--reason", "others are tried").must(t)
	old, fresh, silent := add("1.9.0"), add("1.10.0"), add("2.0.0")
	for model, share := range map[string]string{old: "100%", fresh: "40%"} {
		s.verb("model", "promote", model, "--reason", "a trial").must(t)
		s.verb("model", "promote", model, "--to", "live", "--share", share, "--reason", "a good trial").must(t)
		s.second(model, "confirm")
	}
	s.verb("model", "promote", silent, "--reason", "a silent trial").must(t)
	counts := map[string]int{}
	for n := range 8 {
		d := smallMG(t, uint64(90+n), n%2 == 0)
		s.push(d)
		s.reported(d.Study, len(d.Objects))
		v := s.await(d.Study, "answered by two", func(v studyView) bool { return len(v.Results) == 2 })
		want := old
		if share, err := study.ParseShare("40%"); err == nil && share.Takes(d.Study, "their-mg-calc") {
			want = fresh
		}
		if got := v.Results[0].Model + "@" + v.Results[0].Version; got != want && v.Results[1].Model+"@"+v.Results[1].Version != want || len(v.Reports) != 1 {
			t.Errorf("%s: %+v, and it is for %s", d.Name, v, want)
		}
		counts[want]++
	}
	for _, model := range []string{old, fresh} {
		if counts[model] == 0 {
			t.Logf("no exam fell to %s", model)
			continue
		}
		text := s.verb("model", "compare", silent, "--with", model, "--json").must(t)
		var c struct {
			N, Agree int
			Kappa    *float64
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil || c.N != counts[model] || c.Agree != c.N {
			t.Errorf("%s against %s: %s %v", silent, model, text, err)
		}
	}
	e := s.verb("model", "share", fresh, "--share", "60%", "--reason", "more of it").must(t)
	if !strings.Contains(e, "is proposed by") {
		t.Errorf("a larger share takes two: %s", e)
	}
	s.second(fresh, "decline")
	if e := s.verb("model", "share", fresh, "--share", "20%", "--reason", "less of it").must(t); !strings.Contains(e, "for 20% of the exams") {
		t.Errorf("a smaller share: %s", e)
	}
}
