package metrics_test

import (
	"context"
	"strings"
	"testing"

	"varde/internal/metrics"
	"varde/study"
)

// crewed is a ledger with workers.
type crewed struct{ shelf }

func (*crewed) Workers(context.Context) ([]study.Worker, error) {
	told := study.WorkerFacts{InHand: 2, Models: []study.WorkerModel{{Model: "he@1", PerSecond: 12.5}}}
	return []study.Worker{{Name: "a", Pool: study.PoolCPU, Slots: 5, Told: told}, {Name: "b", Pool: study.PoolCPU, Slots: 3, Told: told}}, nil
}

func TestScrapeTellsOfTheWorkers(t *testing.T) {
	got := scrape(t, metrics.New(&crewed{}))
	for _, want := range []string{
		`varde_workers{pool="cpu"} 2`,
		`varde_worker_slots{pool="cpu"} 8`,
		`varde_worker_jobs{pool="cpu"} 4`,
		`varde_worker_tiles_per_second{model="he@1"} 25`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
