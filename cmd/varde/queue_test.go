package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestQueueIsPausedAndMendedByAPerson uses the verbs of the queue on the folder of
// a service that runs: what is paused is not scored, what is canceled has failed,
// and what is asked anew has a result.
func TestQueueIsPausedAndMendedByAPerson(t *testing.T) {
	s := newService(t, "--destinations", "GONE=GONE@127.0.0.1:1").start()
	ct := smallCT(t, 1, true)
	if e := s.verb("queue", "pause"); e.code != 2 {
		t.Errorf("a pause without a reason ends with %d", e.code)
	}
	if e := s.verb("queue", "pause", "--lane", "fast", "--reason", "r"); e.code != 2 || !strings.Contains(e.stderr, "routine") {
		t.Errorf("a lane that is none ends with %d: %s", e.code, e.stderr)
	}
	says(t, s.verb("queue", "pause", "--pool", "cpu", "--reason", "the scanner is tested"), `paused: pool cpu, lane all`)
	s.push(ct)
	soon(t, "jobs wait", func() bool {
		return strings.Contains(s.verb("queue", "jobs", "--state", "ready").must(t), string(ct.Study))
	})
	var scale struct {
		Jobs    int
		Workers int
		Paused  bool
		Seconds float64 `json:"backlog_seconds"`
	}
	s.json("/internal/scale?pool=cpu", &scale)
	if scale.Jobs != 0 || scale.Seconds != 0 || !scale.Paused || scale.Workers != 1 {
		t.Errorf("what is paused calls for workers: %+v", scale)
	}
	says(t, s.verb("queue", "show"), `PAUSED +pool cpu, lane all, since \S+ by \S+: the scanner is tested`, `cpu +\w+ +varde-ct-nodule@\S+ +\d+ jobs`)
	if page := string(s.get("/", "text/html")); !strings.Contains(page, "AI is paused for all studies since") {
		t.Error("the worklist does not say that AI is paused")
	}

	says(t, s.verb("queue", "cancel", string(ct.Study), "--reason", "sent twice"), `canceled`)
	s.await(ct.Study, "reported", func(v studyView) bool { return v.Status == "reported" })
	says(t, s.verb("result", "show", string(ct.Study)), `failed`)
	if e := s.verb("queue", "cancel", string(ct.Study), "--reason", "again"); e.code != 1 {
		t.Errorf("canceled twice: %d", e.code)
	}

	says(t, s.verb("queue", "resume", "--pool", "cpu", "--reason", "it is well"), `resumed`)
	if e := s.verb("queue", "resume", "--pool", "cpu", "--reason", "it is well"); e.code != 1 {
		t.Errorf("resumed twice: %d", e.code)
	}
	says(t, s.verb("queue", "retry", "--study", string(ct.Study), "--reason", "it was not sent twice"), `asked anew`)
	soon(t, "the study is asked anew", func() bool {
		return strings.Contains(s.verb("result", "show", string(ct.Study)).must(t), "AI: flagged")
	})
	says(t, s.verb("audit", "show"), `queue paused.*the scanner is tested`, `study canceled.*sent twice`, `study asked anew.*not sent twice`, `queue resumed`)

	var line struct{ ID, Status, Error string }
	soon(t, "a delivery was tried", func() bool {
		out := strings.SplitN(s.verb("delivery", "list", "--status", "all", "--json").must(t), "\n", 2)[0]
		return json.Unmarshal([]byte(out), &line) == nil && line.Error != ""
	})
	if e := s.verb("delivery", "retry", line.ID, "--reason", "r"); line.Status != "waiting" || e.code != 1 || !strings.Contains(e.stderr, "it is waiting") {
		t.Errorf("what waits is tried by itself: %+v, %d %s", line, e.code, e.stderr)
	}
}

// soon waits for something that comes.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
