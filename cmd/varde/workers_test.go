package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/study"
)

// workerView is what the API tells of a worker.
type workerView struct {
	Name, Pool, State, Runtime string
	Slots                      int
	InHand                     int `json:"in_hand"`
	Devices                    []study.Device
	Models                     []study.WorkerModel
}

// workers asks who works in a pool.
func (s *service) workers(pool string) (all []workerView) {
	s.t.Helper()
	var v struct{ Workers []workerView }
	s.json("/api/v1/workers", &v)
	for _, w := range v.Workers {
		if w.Pool == pool {
			all = append(all, w)
		}
	}
	return all
}

// awaitWorkers waits until so many of the workers that score are as they should be.
func (s *service) awaitWorkers(n int, state string) []workerView {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var are []workerView
		for _, w := range s.workers(study.PoolCPU) {
			if w.State == state {
				are = append(are, w)
			}
		}
		if len(are) == n {
			return are
		}
		if time.Since(began) > 30*time.Second {
			s.t.Fatalf("not %d workers are %s: %+v", n, state, s.workers(study.PoolCPU))
		}
	}
}

// scoredWith waits until a worker tells of a model that it scored with.
func (s *service) scoredWith() string {
	s.t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		for _, w := range s.workers(study.PoolCPU) {
			if len(w.Models) > 0 {
				return w.Models[0].Model
			}
		}
	}
	s.t.Fatal("no worker tells of a model")
	return ""
}

// smallStudies draws n of each kind.
func smallStudies(t testing.TB, n int, seed uint64) (all []studytest.Drawn) {
	for i := range uint64(n) {
		all = append(all, smallCT(t, seed+10*i, i%2 == 0), smallMG(t, seed+10*i+1, i%2 == 1), smallSM(t, seed+10*i+2, i%2 == 0))
	}
	return all
}

// bigSlide is a slide file of many blocks.
func bigSlide(t testing.TB) []byte {
	t.Helper()
	file, err := studytest.SlideFile{Kind: studytest.AperioSVS, Columns: 24576, Rows: 16384, Seed: 3, Cellular: true, Grain: 6, Varied: 25}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestWorkersShareTheWorkAndLeaveInOrder has two workers beside a process that scores
// nothing. One of them is asked to stop in the middle of a slide (SIGTERM): it ends
// what it has in hand, and nothing of it counts as a failure.
func TestWorkersShareTheWorkAndLeaveInOrder(t *testing.T) {
	p := newPlant(t)
	front := p.front(t).start()
	one, two := p.worker(t).start(), p.worker(t).start()
	front.awaitWorkers(2, "working")
	all := smallStudies(t, 2, 500)
	for _, d := range all {
		front.storescu(d)
	}
	for _, d := range all {
		v := front.reported(d.Study, len(d.Objects))
		if v.AI != truth(d) || v.Results[0].Scored != v.Results[0].Planned {
			t.Errorf("%s: %+v", d.Name, v)
		}
	}
	uid := front.handIn(t, bigSlide(t))
	one.untilScored(t, len(scoredJobs(one.log.String()))+2)
	before := p.counts(`SELECT 'done', COUNT(*) FROM job WHERE task = 'score' AND state = 'done' UNION ALL SELECT 'all', COUNT(*) FROM job WHERE task = 'score'`)
	if code := one.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, one.log.tail())
	}
	if strings.Contains(one.log.String(), "job left behind") || strings.Contains(one.log.String(), "job failed") {
		t.Errorf("it left jobs behind\n%s", one.log.tail())
	}
	left := front.workers(study.PoolCPU)
	if len(left) != 1 {
		t.Fatalf("one has left, and there are %+v", left)
	}
	front.await(uid, "reported", reported)
	p.once(t, len(all)+1)
	if lost := p.counts(`SELECT 'n', COUNT(*) FROM job WHERE lost > 0`)["n"]; lost != 0 {
		t.Errorf("%d jobs count as lost", lost)
	}
	a, b := scoredJobs(one.log.String()), scoredJobs(two.log.String())
	for job := range a {
		if b[job] {
			t.Errorf("%s was scored by both", job)
		}
	}
	if len(a) == 0 || len(b) == 0 {
		t.Errorf("one scored %d blocks, the other %d", len(a), len(b))
	}
	t.Logf("stopped with %d of %d blocks done; one scored %d blocks, the other %d", before["done"], before["all"], len(a), len(b))

	w := front.workers(study.PoolCPU)[0]
	if w.Slots == 0 || w.Runtime == "" || len(w.Devices) != 1 || w.Devices[0].Runners != 1 || len(w.Models) == 0 {
		t.Errorf("it tells of itself %+v", w)
	}
	for _, m := range w.Models {
		if m.Tiles == 0 || m.PerSecond <= 0 || m.Hash == (study.Hash{}) {
			t.Errorf("of a model it tells %+v", m)
		}
	}
	metrics := string(front.get("/metrics", ""))
	doctor := run(t, "doctor", "--dir", front.dir, "--ledger", p.ledger, "--queue", p.redis.URL(), "--dicom-addr", "", "--http-addr", front.web, "--json").stdout
	for text, want := range map[string]string{metrics: `varde_worker_tiles_per_second{model="`, doctor: w.Name + ", pool cpu"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told:\n%.3000s", want, text)
		}
	}
	if a, err := two.ask(http.MethodGet, "/readyz", "", "", nil); err != nil || a.code != http.StatusOK || !strings.Contains(string(a.body), "onnxruntime") {
		t.Errorf("readyz of a worker: %d %s %v", a.code, a.body, err)
	}
}

// TestSlideGoesOnWhereOneOfItsWorkersDied kills a worker (-9) in the middle of a
// slide. What was recorded is not done again, another does the rest, and everything
// is to the last bit that of one process that nobody killed.
func TestSlideGoesOnWhereOneOfItsWorkersDied(t *testing.T) {
	file := bigSlide(t)
	calm := newService(t, "--workers", "2").start()
	uid := calm.handIn(t, file)
	want, parts := calm.await(uid, "reported", reported), calm.parts(t, uid)
	calm.stop()

	p := newPlant(t)
	front := p.front(t).start()
	one, two := p.worker(t).start(), p.worker(t).start()
	if again := front.handIn(t, file); again != uid {
		t.Fatalf("study %s, then %s", uid, again)
	}
	one.untilScored(t, 2)
	one.kill()
	got := front.await(uid, "reported", reported)
	a, b := scoredJobs(one.log.String()), scoredJobs(two.log.String())
	for job := range a {
		if b[job] {
			t.Errorf("%s was scored again", job)
		}
	}
	if len(b) == 0 || len(a) >= len(parts) {
		t.Errorf("%d blocks before the kill, %d by the other, of %d", len(a), len(b), len(parts))
	}
	if g, w := got.results(t), want.results(t); g != w {
		t.Errorf("the result is\n%s\nundisturbed it is\n%s", g, w)
	}
	sameParts(t, "slide", p.parts(t, uid), parts)
	p.once(t, 1)
	t.Logf("killed after %d of %d blocks; jobs lost in its hands: %v", len(a), len(parts), p.counts(`SELECT lost||' times', COUNT(*) FROM job WHERE lost > 0 GROUP BY lost`))
}

// TestStopOfAModelIsFeltByEveryWorkerWithinASecond suspends a model through one
// process while others score with it.
func TestStopOfAModelIsFeltByEveryWorkerWithinASecond(t *testing.T) {
	p := newPlant(t)
	front := p.front(t).start()
	crew := []*service{p.worker(t).start(), p.worker(t).start()}
	uid := front.handIn(t, bigSlide(t))
	crew[0].untilScored(t, 1)
	crew[1].untilScored(t, 1)
	model := front.scoredWith()
	a, err := front.ask(http.MethodPost, "/api/v1/models/"+model+"/suspend", "application/json", "application/json", strings.NewReader(`{"reason":"drill"}`))
	stopped := time.Now()
	if err != nil || a.code >= 300 {
		t.Fatalf("%d %s %v", a.code, a.body, err)
	}
	v := front.await(uid, "final", reported)
	for _, s := range crew {
		for line := range strings.Lines(s.log.String()) {
			var l struct {
				Msg  string
				Time time.Time
			}
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "block scored" && l.Time.Sub(stopped) > time.Second {
				t.Errorf("a block was scored %s after the stop", l.Time.Sub(stopped))
			}
		}
	}
	if r := v.Results[0]; r.AI == string(study.NotFlagged) || r.Reason == nil || r.Reason.Code != study.ReasonStopped {
		t.Errorf("the result says %+v", r)
	}
}
