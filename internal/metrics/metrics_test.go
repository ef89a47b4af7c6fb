package metrics_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"varde/internal/metrics"
	"varde/study"
)

// shelf is a ledger of known size that can be away.
type shelf struct {
	counts study.Counts
	away   error
}

func (s *shelf) Counts(context.Context) (study.Counts, error) { return s.counts, s.away }

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape answers %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestScrapeTellsWhatTheLedgerHolds(t *testing.T) {
	s := &shelf{counts: study.Counts{
		Studies: map[study.Status]int{study.Scoring: 3},
		Jobs: []study.JobCount{{Pool: study.PoolCPU, Lane: study.Stat, State: "ready", Count: 2,
			Oldest: time.Now().Add(-time.Minute)}},
		Deliveries: map[string]int{"waiting": 4},
	}}
	m := metrics.New(s)
	m.Received("dimse", "stored", 100)
	m.Ran(study.Job{Task: study.TaskScore, Model: study.ModelRef{ID: "m", Version: "1"},
		Block: study.Block{Tiles: make([]study.Tile, 7)}}, time.Second, nil)
	m.BuildInfo("1", "1.28.2", "00", 4)
	got := scrape(t, m)
	for _, want := range []string{
		`varde_ledger_up 1`,
		`varde_studies{status="scoring"} 3`,
		`varde_jobs{lane="stat",pool="cpu",state="ready"} 2`,
		`varde_oldest_ready_seconds{lane="stat",pool="cpu"} 6`, // 60 and a little
		`varde_deliveries{status="waiting"} 4`,
		`varde_ingest_instances_total{door="dimse",outcome="stored"} 1`,
		`varde_ingest_bytes_total 100`,
		`varde_tiles_total{model="m@1"} 7`,
		`onnxruntime="1.28.2"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestScrapeSaysThatTheLedgerIsAway(t *testing.T) {
	if got := scrape(t, metrics.New(&shelf{away: errors.New("away")})); !strings.Contains(got, "varde_ledger_up 0") {
		t.Error("a ledger that does not answer must show as 0")
	}
}

func TestNilMetricsCountNothing(t *testing.T) {
	var m *metrics.Metrics
	m.Received("dimse", "stored", 1)
	m.Ran(study.Job{}, 0, nil)
	m.BuildInfo("", "", "", 0)
}
