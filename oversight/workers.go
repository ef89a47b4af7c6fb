package oversight

import (
	"context"
	"net/http"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A Crew knows the workers that are alive.
type Crew interface {
	Workers(ctx context.Context) ([]study.Worker, error)
}

// The states of a worker.
const (
	workerWorks   = "working" // it takes jobs
	workerWaits   = "waiting" // something that it needs is away: it takes none until that is back
	workerLeaving = "leaving" // it was asked to stop, and ends what it has in hand
)

// addWorkers adds the list of workers to the API.
func (p *pages) addWorkers() {
	webui.Operate(p.site, webui.Operation{ID: "list-workers", Method: http.MethodGet, Path: "/api/v1/workers",
		Summary: "Workers that are alive, what they run on and how fast", Right: webui.SeeOperations}, p.apiWorkers)
}

type workersOut struct {
	Body struct {
		Workers []workerJSON `json:"workers"`
	}
}

type workerJSON struct {
	Name      string              `json:"name"`
	Pool      string              `json:"pool"`
	Host      string              `json:"host"`
	State     string              `json:"state" enum:"working,waiting,leaving"`
	Slots     int                 `json:"slots" doc:"jobs that it does at once"`
	InHand    int                 `json:"in_hand" doc:"jobs that it does now"`
	Version   string              `json:"version" doc:"of Varde"`
	Runtime   string              `json:"runtime" doc:"version of ONNX Runtime; empty when it runs no networks"`
	StartedAt *time.Time          `json:"started_at"`
	SeenAt    *time.Time          `json:"seen_at"`
	Devices   []study.Device      `json:"devices"`
	Models    []study.WorkerModel `json:"models" doc:"that it has scored with, and its speed lately"`
}

func (p *pages) apiWorkers(ctx context.Context, _ *struct{}) (*workersOut, error) {
	all, err := p.Crew.Workers(ctx)
	if err != nil {
		return nil, err
	}
	out := &workersOut{}
	out.Body.Workers = []workerJSON{}
	for _, w := range all {
		t, state := w.Told, stateOf(w)
		out.Body.Workers = append(out.Body.Workers, workerJSON{Name: w.Name, Pool: w.Pool, Host: t.Host, State: state, Slots: w.Slots,
			InHand: t.InHand, Version: t.Version, Runtime: t.Runtime, StartedAt: moment(t.StartedAt), SeenAt: moment(w.SeenAt),
			Devices: append([]study.Device{}, t.Devices...), Models: append([]study.WorkerModel{}, t.Models...)})
	}
	return out, nil
}

// stateOf is what a worker is doing.
func stateOf(w study.Worker) string {
	switch {
	case w.Told.Leaving:
		return workerLeaving
	case w.Slots == 0:
		return workerWaits
	}
	return workerWorks
}
