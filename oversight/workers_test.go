package oversight_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"varde/study"
)

// Workers are one that works, one that can't, and one that leaves.
func (l *ledger) Workers(context.Context) ([]study.Worker, error) {
	seen := time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)
	return []study.Worker{
		{Name: "a/1/x", Pool: study.PoolCPU, Slots: 5, SeenAt: seen, Told: study.WorkerFacts{Host: "a", InHand: 2, StartedAt: seen.Add(-time.Hour),
			Devices: []study.Device{{Name: "cpu", Provider: "CPU", Runners: 4}},
			Models:  []study.WorkerModel{{Model: "he@1", Hash: study.Hash{0xab}, Tiles: 90, PerSecond: 31.5}}}},
		{Name: "b/1/x", Pool: study.PoolCPU, SeenAt: seen},
		{Name: "c/1/x", Pool: study.PoolReport, SeenAt: seen, Told: study.WorkerFacts{Leaving: true, InHand: 1}},
	}, nil
}

func TestWorkersTellWhatTheyRunAndHowFast(t *testing.T) {
	server, _, _, _ := serve(t)
	code, body := ask(t, http.MethodGet, server.URL+"/api/v1/workers", "admin", "", "")
	var got struct {
		Workers []struct {
			Name, State string
			Slots       int
			InHand      int `json:"in_hand"`
			Devices     []study.Device
			Models      []study.WorkerModel
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK || len(got.Workers) != 3 {
		t.Fatalf("%d %v %s", code, err, body)
	}
	for i, want := range []string{"working", "waiting", "leaving"} {
		if got.Workers[i].State != want {
			t.Errorf("%s is %s, not %s", got.Workers[i].Name, got.Workers[i].State, want)
		}
	}
	if w := got.Workers[0]; w.InHand != 2 || len(w.Devices) != 1 || len(w.Models) != 1 || w.Models[0].PerSecond != 31.5 || w.Models[0].Hash != (study.Hash{0xab}) {
		t.Errorf("%+v", w)
	}
	if code, _ := ask(t, http.MethodGet, server.URL+"/api/v1/workers", "", "", ""); code != http.StatusUnauthorized {
		t.Errorf("a stranger is answered %d", code)
	}
}
