package house

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"time"

	"varde/cmd/varde/settings"
	"varde/inference"
	"varde/inference/sessions"
	"varde/internal/onnx"
	"varde/models/modelcard"
	"varde/queue"
	"varde/study"
)

const (
	// DeviceRunners is how many runs are on a device at once: while one calculates
	// the tensors of the next are copied.
	DeviceRunners = 2
	// compileLimit is how long a run may take where a provider may first compile
	// the network.
	compileLimit = 15 * time.Minute
	// jobsADevice is how many jobs are in hand for a device, so that decoders keep
	// it fed.
	jobsADevice = 4
	// movedEvery is how often somebody looks for jobs that wait for a GPU which is
	// gone.
	movedEvery = 10 * time.Second
)

// sessionOptions are those of a session on a device for a model.
func sessionOptions(s settings.Settings, p settings.Place, card modelcard.Card) onnx.SessionOptions {
	o := onnx.SessionOptions{Provider: p.Provider, Device: p.Number, Strict: !card.AllowsCPU(), FP16: card.Engine.FP16, Batch: deviceBatch(s),
		MemoryMiB: card.Engine.MemoryMiB, Cache: s.Folder("cache", p.Provider, card.SHA256.Short())}
	if o.MemoryMiB == 0 || s.DeviceMemory > 0 && s.DeviceMemory < o.MemoryMiB {
		o.MemoryMiB = s.DeviceMemory
	}
	return o
}

// deviceBatch is how many tiles go into one run on a GPU.
func deviceBatch(s settings.Settings) int {
	if s.Batch > 0 {
		return s.Batch
	}
	return 64
}

// An engine is what executes networks in this process: the processors, and the
// GPUs that a child has found to be sound.
type engine struct {
	gate    *queue.Gate // the one semaphore over all networks on the processors
	prover  *sessions.Prover
	fleet   *sessions.Fleet
	refused map[string]string // why a provider is not trusted
}

// quietFor is how long nothing must have been scored before networks are tuned:
// blocks of one study follow each other faster.
const quietFor = 3 * time.Second

// newEngine makes one. Each device is tried in a child first; one that crashes,
// hangs or calculates wrongly is left out, and the log says why.
func newEngine(ctx context.Context, s settings.Settings, r *onnx.Runtime, networks sessions.Networks, log *slog.Logger, lost func(error)) (*engine, error) {
	e := &engine{gate: queue.NewGate(s.Runners(), RunLimit, log), refused: map[string]string{}}
	e.prover = NewProver(s, r, e.gate)
	tuner := &sessions.Tuner{Prover: e.prover, Fixed: s.Batch, Log: log}
	load := tuner.Load
	if !s.Tune {
		load = func(_ modelcard.Card, network []byte) (sessions.Session, error) {
			return r.Session(network, onnx.SessionOptions{})
		}
	}
	e.fleet = &sessions.Fleet{Networks: networks, Gate: e.gate, CPU: &sessions.Pool{Networks: networks, Load: load},
		Why: func(provider string) string { return e.refused[provider] }}
	for _, text := range s.Devices {
		p, err := settings.ParsePlace(text)
		if err != nil {
			return nil, err
		}
		o := onnx.SessionOptions{Provider: p.Provider, Device: p.Number}
		if err := (onnx.Prober{Runtime: r}).Probe(ctx, o); err != nil {
			e.refused[p.Provider] = err.Error()
			log.WarnContext(ctx, "device not trusted", "device", text, "err", err)
			continue
		}
		log.InfoContext(ctx, "device trusted", "device", text)
		e.fleet.Devices = append(e.fleet.Devices, newDevice(s, r, p, log, lost))
	}
	return e, nil
}

// NewProver makes who measures how networks run best on the processors. What it found
// is kept in the data folder.
func NewProver(s settings.Settings, r *onnx.Runtime, gate sessions.Gate) *sessions.Prover {
	return &sessions.Prover{Dir: s.Folder("models", ".tuning"), CPU: onnx.CPUClass(), Library: r.Info().SHA256, Cores: s.Runners(), Gate: gate,
		Open: func(network []byte, p sessions.Profile) (sessions.Session, error) {
			return r.Session(network, onnx.SessionOptions{Threads: p.Threads, Lean: p.Lean})
		}}
}

// newDevice makes a device of one that was found sound.
func newDevice(s settings.Settings, r *onnx.Runtime, p settings.Place, log *slog.Logger, lost func(error)) *sessions.Device {
	limit := RunLimit
	if p.Provider == onnx.TensorRT {
		limit = compileLimit
	}
	return &sessions.Device{Provider: p.Provider, Number: p.Number, Most: deviceBatch(s), Gate: queue.NewGate(DeviceRunners, limit, log), Lost: lost,
		Check: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), RunLimit)
			defer cancel()
			return r.Check(ctx, onnx.SessionOptions{Provider: p.Provider, Device: p.Number})
		},
		Load: func(card modelcard.Card, network []byte) (sessions.Session, error) {
			session, err := r.Session(network, sessionOptions(s, p, card))
			if err != nil {
				return nil, err
			}
			if n := session.Restored(); n > 0 {
				log.Info("signal handlers put back", "provider", p.Provider, "handlers", n)
			}
			if session.Helped() {
				log.Warn("device leaves some nodes to the cpu", "model", card.Ref().String(), "provider", p.Provider)
			}
			return session, nil
		}}
}

// lostDevice is told of a device that broke down. Its jobs are done elsewhere or
// later; when it was the last one the process leaves, to be started afresh, for a
// driver that has lost a device does not find it again.
func (h *House) lostDevice(err error) {
	h.log.Error("device lost", "err", err)
	for _, d := range h.engine.fleet.Devices {
		if d.Err() == nil {
			return
		}
	}
	h.log.Error("no device is left, leaving to be started afresh")
	os.Exit(queue.ExitHung)
}

// gpuCrew does the jobs of the pool of GPUs, if this process has one.
func (h *House) gpuCrew(worker *inference.Worker) (c crew, ok bool) {
	if h.engine == nil || len(h.engine.fleet.Devices) == 0 {
		return crew{}, false
	}
	slots := max(runtime.GOMAXPROCS(0), jobsADevice*len(h.engine.fleet.Devices))
	return crew{study.PoolGPU, slots, 1, worker.Handle}, true
}

// hasGPU reports whether a living worker has a GPU.
func (h *House) hasGPU(ctx context.Context) (bool, error) {
	n, err := h.Ledger.Slots(ctx, study.PoolGPU)
	return n > 0, err
}

// moveJobs looks after jobs that wait for a GPU while no worker has one: those
// that may run on a processor go there, and of the others the log says that they
// wait.
func (h *House) moveJobs(ctx context.Context) error {
	tick := time.NewTicker(movedEvery)
	defer tick.Stop()
	said := map[study.ModelRef]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := h.moveOnce(ctx, said); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "jobs that wait for a GPU not looked after", "err", err)
		}
	}
}

func (h *House) moveOnce(ctx context.Context, said map[study.ModelRef]bool) error {
	if has, err := h.hasGPU(ctx); err != nil || has {
		clear(said)
		return err
	}
	waiting, err := h.Ledger.Ready(ctx, study.PoolGPU)
	if err != nil {
		return err
	}
	for ref, n := range waiting {
		card, err := h.Registry.Card(ref)
		if err != nil {
			return err
		}
		if card.AllowsCPU() {
			if n, err = h.Ledger.Move(ctx, ref, study.PoolGPU, study.PoolCPU); err != nil {
				return err
			}
			h.log.InfoContext(ctx, "jobs moved to the cpu, no worker has a GPU", "model", ref.String(), "jobs", n)
		} else if !said[ref] {
			said[ref] = true
			h.log.WarnContext(ctx, "jobs wait for a GPU, and no worker has one", "model", ref.String(), "jobs", n, "providers", card.Providers)
		}
	}
	return nil
}
