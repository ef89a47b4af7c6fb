package house

import (
	"context"

	"varde/cmd/varde/settings"
	"varde/internal/onnx"
	"varde/queue"
	"varde/study"
)

// Pools lists all that a dispatcher feeds, whoever's their workers are: the one that
// leads may itself have none.
func Pools() []string { return []string{study.PoolCPU, study.PoolGPU, study.PoolReport} }

// measured lets a handler's jobs be counted, so that we can tell how fast we are.
func measured(speeds *queue.Speeds, handle queue.Handler) queue.Handler {
	return func(ctx context.Context, j study.Job) error {
		end := speeds.Begin(j)
		err := handle(ctx, j)
		end(err == nil)
		return err
	}
}

// tell gives what a worker of a pool tells of itself.
func (h *House) tell(pool string) study.WorkerFacts {
	w := study.WorkerFacts{Version: settings.Version}
	if pool == study.PoolReport || h.Runtime == nil {
		return w
	}
	w.Runtime = h.Runtime.Info().Version
	w.Devices = []study.Device{{Name: "cpu", Provider: onnx.CPU, Runners: h.Runners()}}
	if pool == study.PoolGPU {
		w.Devices = nil
		for _, d := range h.engine.fleet.Devices {
			w.Devices = append(w.Devices, study.Device{Name: d.String(), Provider: d.Provider, Runners: DeviceRunners})
		}
	}
	w.Models = h.speeds.Models()
	return w
}
