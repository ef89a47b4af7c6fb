package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scoring"
	"varde/cmd/varde/settings"
	"varde/inference"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/internal/onnx"
	"varde/internal/onnx/graph"
	"varde/models/modelcard"
	"varde/study"
)

const (
	// modelTime is how long a model is run for its figures, and busyTime for how
	// long each of two settings is beside a busy process.
	modelTime = 5 * time.Second
	busyTime  = 3 * time.Second
	// tilesCPU is how many tiles go into one run on a processor when nobody says.
	tilesCPU = 4
)

// benchModel measures one model on one device: tiles a second, how long a run
// takes, and what share of that a worker's whole way keeps.
func benchModel(ctx context.Context, r *onnx.Runtime, ask Options, show func(Figure)) error {
	provider, batch := ask.Provider, ask.Batch
	registry, cleanup, err := scoring.Registry(ctx, ask.Dir)
	if err != nil {
		return err
	}
	defer cleanup()
	ref, err := registry.Resolve(ask.Model)
	if err != nil {
		return err
	}
	card, err := registry.Card(ref)
	if err != nil {
		return err
	}
	network, err := registry.Network(card.Ref())
	if err != nil {
		return err
	}
	o, runners := onnx.SessionOptions{}, runtime.GOMAXPROCS(0)
	if provider != onnx.CPU {
		p, err := settings.ParsePlace(provider)
		if err != nil {
			return err
		}
		o = onnx.SessionOptions{Provider: p.Provider, Device: p.Number, FP16: card.Engine.FP16, Batch: batch, MemoryMiB: card.Engine.MemoryMiB}
		runners = house.DeviceRunners
		if err := (onnx.Prober{Runtime: r}).Probe(ctx, o); err != nil {
			return err
		}
	}
	if batch == 0 {
		batch = benchBatch(card, o)
	}
	session, err := r.Session(network, o)
	if err != nil {
		return fmt.Errorf("load %s: %w", card.Ref(), err)
	}
	defer session.Close()
	times, rate, err := timed(ctx, session, card, batch, runners, modelTime)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("score.%s.%s.b%d", card.ID, session.Provider(), batch)
	show(alone(title+".tiles_per_s", rate, "tiles/s"))
	show(alone(title+".p50_ms", 1e3*quantile(times, 0.5), "ms"))
	show(alone(title+".p99_ms", 1e3*quantile(times, 0.99), "ms"))
	if card.Input.Kind != study.Patches {
		return nil
	}
	return benchWhole(ctx, session, card, batch, ask.Rounds, title, show)
}

// benchBatch is how many tiles go into one run when nobody says.
func benchBatch(card modelcard.Card, o onnx.SessionOptions) int {
	switch {
	case card.Input.Kind == study.Volume:
		return 1
	case card.Input.Batch > 0:
		return card.Input.Batch
	case o.Provider != "" && o.Provider != onnx.CPU:
		return 32
	}
	return tilesCPU
}

// benchWhole compares a worker's whole way with the bare network.
func benchWhole(ctx context.Context, session *onnx.Session, card modelcard.Card, batch, rounds int, title string, show func(Figure)) error {
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := writeSlide(dir)
	if err != nil {
		return err
	}
	card.Input.Batch = batch
	block, instances, err := fullestBlock(ctx, card, files)
	if err != nil {
		return err
	}
	t, err := inference.Measure(ctx, &scores.Scorer{Objects: files, Index: files},
		scores.Question{Card: card, Session: session, Instances: instances, Block: block}, rounds)
	if err != nil {
		return err
	}
	f := higher(title+".vs_bare", t.Whole, "tiles/CPU-s", "onnxruntime", t.Bare)
	f.Ratio = t.Ratio
	show(f)
	return nil
}

// timed runs a sample over and over, and gives how long each run took in seconds
// and how many tiles a second that makes.
func timed(ctx context.Context, s sessions.Session, card modelcard.Card, batch, runners int, atLeast time.Duration) (times []float64, rate float64, err error) {
	in := sessions.Sample(card, batch)
	if _, err := s.Run(ctx, in); err != nil { // the first run also allocates
		return nil, 0, err
	}
	var mu sync.Mutex // held to add up
	var all sync.WaitGroup
	begun := time.Now()
	for range runners {
		all.Go(func() {
			for time.Since(begun) < atLeast {
				one := time.Now()
				_, e := s.Run(ctx, in)
				mu.Lock()
				times = append(times, time.Since(one).Seconds())
				if e != nil {
					err = e
				}
				mu.Unlock()
				if e != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return times, float64(batch*len(times)) / time.Since(begun).Seconds(), err
}

// benchBusy compares our way of running a network, one thread a run and as many
// runs as cores, with one session as the library makes it by default, while
// another process keeps one core busy.
func benchBusy(ctx context.Context, r *onnx.Runtime, rounds int, show func(Figure)) error {
	network, err := graph.ResNet18(1)
	if err != nil {
		return err
	}
	cores := runtime.GOMAXPROCS(0)
	ours, err := r.Session(network, onnx.SessionOptions{})
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := r.Session(network, onnx.SessionOptions{Threads: cores, Spin: true})
	if err != nil {
		return err
	}
	defer theirs.Close()
	neighbor := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
	if err := neighbor.Start(); err != nil {
		return fmt.Errorf("keep a core busy: %w", err)
	}
	defer func() {
		_ = neighbor.Process.Kill()
		_ = neighbor.Wait() // it was killed
	}()
	sum := ours.Summary()
	card := modelcard.Card{Input: modelcard.Input{Name: sum.Inputs[0].Name, Kind: study.Patches, Type: modelcard.TypeFloat32, Layout: modelcard.LayoutNCHW,
		Values: modelcard.ValuesRGB, Width: 224, Height: 224}}
	var mine, other, ratios []float64
	for range max(1, rounds) {
		_, a, err := timed(ctx, ours, card, tilesCPU, cores, busyTime)
		if err != nil {
			return err
		}
		_, b, err := timed(ctx, theirs, card, tilesCPU, 1, busyTime)
		if err != nil {
			return err
		}
		mine, other, ratios = append(mine, a), append(other, b), append(ratios, a/b)
	}
	f := higher("score.vs_default_busy", quantile(mine, 0.5), "tiles/s", "default session", quantile(other, 0.5))
	f.Ratio = quantile(ratios, 0.5)
	show(f)
	return nil
}
