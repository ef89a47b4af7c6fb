package metrics_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"varde/internal/metrics"
	"varde/study"
)

// belt is a queue of known content.
type belt struct {
	queue study.Queue
	owed  []study.OwedCount
}

func (b belt) Queue(context.Context) (study.Queue, error) { return b.queue, nil }
func (b belt) OwedCommitments(context.Context) ([]study.OwedCount, error) {
	return b.owed, nil
}

func (b belt) Destinations(context.Context) ([]study.DestinationState, error) {
	return []study.DestinationState{
		{DestinationCount: study.DestinationCount{Destination: "PACS", Waiting: 7, Failed: 1}, FailsSince: time.Now().Add(-time.Hour)},
		{DestinationCount: study.DestinationCount{Destination: "RIS"}, TookAt: time.Now()}}, nil
}

func TestScrapeTellsTheSecondsOfWorkQueued(t *testing.T) {
	m := metrics.New(nil)
	ct := study.ModelRef{ID: "ct", Version: "1"}
	m.WatchLine(belt{queue: study.Queue{
		Backlogs: []study.Backlog{{Pool: study.PoolCPU, Lane: study.Routine, Model: ct, Jobs: 40, Tiles: 400, Work: 80 * time.Second, Overdue: 3}},
		Paces:    []study.Pace{{Pool: study.PoolCPU, Model: ct, TilesPerSecond: 5}},
		Pauses:   []study.Pause{{Lane: study.Backfill, By: "A. Dahl", Reason: "a secret"}},
		Workers:  []study.Worker{{Name: "a", Pool: study.PoolCPU, Slots: 6, Told: study.WorkerFacts{Devices: []study.Device{{Runners: 4}}}}},
	}, owed: []study.OwedCount{{Destination: "PACS", Awaited: 2, Late: 1, Oldest: time.Now().Add(-time.Hour), Error: "no"}}})
	m.WatchModels(func(context.Context) (map[string]study.ModelState, error) {
		return map[string]study.ModelState{"ct@1": study.ModelLive}, nil
	})
	m.WatchNumber("varde_disk_free_bytes", "Free.", func() float64 { return 7 })
	got := scrape(t, m)
	for _, want := range []string{
		`varde_work_seconds{lane="routine",model="ct@1",pool="cpu"} 80`,
		`varde_backlog_seconds{pool="cpu"} 20`,
		`varde_drain_seconds{pool="cpu"} 20`,
		`varde_backlog_seconds{pool="report"} 0`,
		`varde_jobs_overdue{lane="routine",pool="cpu"} 3`,
		`varde_model_tiles_per_second{model="ct@1",pool="cpu"} 5`,
		`varde_paused{lane="backfill",pool="cpu"} 1`,
		`varde_paused{lane="stat",pool="cpu"} 0`,
		`varde_commitments{destination="PACS",state="awaited"} 2`,
		`varde_commitment_oldest_seconds{destination="PACS"} 3600`,
		`varde_destination_reports{destination="PACS",state="waiting"} 7`,
		`varde_destination_reports{destination="PACS",state="failed"} 1`,
		`varde_destination_failing_seconds{destination="PACS"} 3600`,
		`varde_destination_failing_seconds{destination="RIS"} 0`,
		`varde_model_state{model="ct@1",state="live"} 1`,
		`varde_disk_free_bytes 7`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(got, "Dahl") || strings.Contains(got, "secret") {
		t.Error("the page tells who paused, and why")
	}
}

func TestScaleIsTheWorkOfOneWorker(t *testing.T) {
	now := time.Now()
	work := []study.Backlog{
		{Pool: "cpu", Lane: study.Stat, Jobs: 1, Work: 10 * time.Second, Oldest: now.Add(-5 * time.Second)},
		{Pool: "cpu", Lane: study.Routine, Jobs: 9, Work: 90 * time.Second, Oldest: now.Add(-time.Minute)},
		{Pool: "report", Lane: study.Routine, Jobs: 1, Work: time.Second},
	}
	worker := func(name string, slots, runners int) study.Worker {
		w := study.Worker{Name: name, Pool: "cpu", Slots: slots}
		if runners > 0 {
			w.Told.Devices = []study.Device{{Runners: runners}}
		}
		return w
	}
	routine := []study.Pause{{Lane: study.Routine}}
	for _, tt := range []struct {
		name    string
		workers []study.Worker
		pauses  []study.Pause
		want    metrics.Scale
	}{
		{"nobody works", nil, nil, metrics.Scale{BacklogSeconds: 100, DrainSeconds: 100, OldestSeconds: 60, Jobs: 10}},
		{"one of four runners", []study.Worker{worker("a", 6, 4)}, nil,
			metrics.Scale{BacklogSeconds: 25, DrainSeconds: 25, OldestSeconds: 60, Jobs: 10, Workers: 1, Slots: 6}},
		{"two of them: the work of one stays the same", []study.Worker{worker("a", 6, 4), worker("b", 6, 4)}, nil,
			metrics.Scale{BacklogSeconds: 25, DrainSeconds: 12.5, OldestSeconds: 60, Jobs: 10, Workers: 2, Slots: 12}},
		{"one that tells nothing", []study.Worker{worker("a", 2, 0)}, nil,
			metrics.Scale{BacklogSeconds: 50, DrainSeconds: 50, OldestSeconds: 60, Jobs: 10, Workers: 1, Slots: 2}},
		{"one that leaves does not count", []study.Worker{worker("a", 0, 4)}, nil,
			metrics.Scale{BacklogSeconds: 100, DrainSeconds: 100, OldestSeconds: 60, Jobs: 10}},
		{"what is paused calls for nobody", nil, routine, metrics.Scale{BacklogSeconds: 10, DrainSeconds: 10, OldestSeconds: 5, Jobs: 1}},
		{"all is paused", nil, []study.Pause{{Pool: "cpu", Lane: study.EveryLane}}, metrics.Scale{Paused: true}},
	} {
		tt.want.Pool = "cpu"
		if got := metrics.ScaleOf(study.Queue{Backlogs: work, Workers: tt.workers, Pauses: tt.pauses}, "cpu", now); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
