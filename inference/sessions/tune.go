package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"syscall"
	"time"

	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

const (
	// tuningTime bounds a tuning. What was not measured by then is not
	// chosen.
	tuningTime = 10 * time.Second
	// trialTime is for how long one setting is measured, and trialRuns how often
	// at least.
	trialTime = 300 * time.Millisecond
	trialRuns = 3
	// worthwhile is by how much a larger batch must be faster to be chosen: a
	// smaller one leaves the processor sooner to whoever is more urgent.
	worthwhile = 1.03
	// worthThreads is by how much several threads must be faster on one image.
	worthThreads = 1.5
	// sampleSide is the side of a sample where a card takes images as they are,
	// and samplePlanes how thick a volume is beside its halo.
	sampleSide   = 512
	samplePlanes = 16
)

// batches are the sizes that are tried on a processor. More gain nothing there:
// the tensors between the layers no longer fit its cache.
var batches = [...]int{1, 4, 8}

// A Profile is how a network is put into the memory of a processor.
type Profile struct {
	Threads int  // for one run; 1 is for throughput
	Lean    bool // memory is given back after each run
}

// A Tuning is what was found best for a network on a machine. It changes no
// number: a setting that gives other bits than a batch of one on one thread is not
// chosen.
type Tuning struct {
	Network study.Hash `json:"network_sha256"`
	CPU     string     `json:"cpu"`
	Cores   int        `json:"cores"`
	Library study.Hash `json:"library_sha256"`
	Batch   int        `json:"batch"`   // tiles in one run
	Threads int        `json:"threads"` // for a single image when nobody else wants them; 1 = never more
	Lean    bool       `json:"lean"`
	Trials  []Trial    `json:"trials"`
	At      time.Time  `json:"at"`
}

// A Trial is one setting that was measured.
type Trial struct {
	Batch   int  `json:"batch"`
	Threads int  `json:"threads"`
	Lean    bool `json:"lean,omitempty"`
	// Rate is tiles for each second of processor time, or with several threads
	// for each second on the wall.
	Rate  float64 `json:"tiles_per_second"`
	Fault string  `json:"fault,omitempty"` // why it can't be chosen
}

// A Prover finds out how networks run best on this machine, and remembers.
type Prover struct {
	Open    func(network []byte, p Profile) (Session, error)
	Dir     string // where tunings are kept
	CPU     string // class of the processor
	Library study.Hash
	Cores   int
	Gate    Gate // each run waits for its turn in the last lane; nil = none
	// Quiet returns when nothing is to be scored here, or with the end of ctx. Each
	// run waits for it too: one between two of a job would keep the second waiting.
	// nil = always.
	Quiet func(ctx context.Context) error
}

// Known gives the tuning of a network on this very machine and runtime.
func (c *Prover) Known(network study.Hash) (Tuning, bool) {
	var k Tuning
	b, err := os.ReadFile(c.path(network))
	if err != nil || json.Unmarshal(b, &k) != nil {
		return k, false // it is measured anew
	}
	return k, k.Network == network && k.CPU == c.CPU && k.Cores == c.Cores && k.Library == c.Library && k.Batch > 0
}

func (c *Prover) path(network study.Hash) string {
	return filepath.Join(c.Dir, network.String()+".json")
}

// Measure tunes a network within ten seconds of its own work, and keeps what
// it finds. It takes one processor at a time but for a few single runs, and only
// while nothing else is to be done.
func (c *Prover) Measure(ctx context.Context, card modelcard.Card, network []byte) (Tuning, error) {
	k := Tuning{Network: card.SHA256, CPU: c.CPU, Cores: c.Cores, Library: c.Library, Batch: 1, Threads: 1, At: time.Now().UTC().Truncate(time.Second)}
	m := &trials{Prover: c, card: card, left: tuningTime}
	if err := c.quiet(ctx); err != nil {
		return k, fmt.Errorf("tune %s: %w", card.Ref(), err)
	}
	for _, lean := range []bool{false, true} {
		if err := m.narrow(ctx, network, lean); err != nil {
			return k, fmt.Errorf("tune %s: %w", card.Ref(), err)
		}
	}
	if err := m.wide(ctx, network); err != nil {
		return k, fmt.Errorf("tune %s: %w", card.Ref(), err)
	}
	k.Trials = m.all
	k.choose()
	if err := c.keep(k); err != nil {
		return k, fmt.Errorf("keep the tuning of %s: %w", card.Ref(), err)
	}
	return k, nil
}

func (c *Prover) quiet(ctx context.Context) error {
	if c.Quiet == nil {
		return ctx.Err()
	}
	return c.Quiet(ctx)
}

// choose takes the best of the trials.
func (k *Tuning) choose() {
	best := 0.0
	for _, t := range k.Trials {
		if t.Fault == "" && t.Threads == 1 {
			best = max(best, t.Rate)
		}
	}
	chosen := false
	for _, lean := range []bool{true, false} { // memory first, when it costs no time
		for _, t := range k.Trials {
			if !chosen && t.Fault == "" && t.Threads == 1 && t.Lean == lean && t.Rate*worthwhile >= best {
				k.Batch, k.Lean, chosen = t.Batch, t.Lean, true
			}
		}
	}
	var one float64
	for _, t := range k.Trials {
		if t.Fault == "" && t.Threads == 1 && t.Batch == 1 && !t.Lean {
			one = t.Rate
		}
		if t.Fault == "" && t.Threads > 1 && one > 0 && t.Rate >= worthThreads*one {
			k.Threads = t.Threads
		}
	}
}

// keep writes a tuning whole or not at all.
func (c *Prover) keep(k Tuning) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.Dir, ".tuning-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.path(k.Network))
	}
	if err != nil {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// trials are those of one network.
type trials struct {
	*Prover
	card modelcard.Card
	left time.Duration // of the time for all
	want map[string]pixel.Tensor
	all  []Trial
}

// narrow measures batches on one thread.
func (m *trials) narrow(ctx context.Context, network []byte, lean bool) error {
	s, err := m.Open(network, Profile{Threads: 1, Lean: lean})
	if err != nil {
		return err
	}
	defer func() { _ = shut([]Session{s}) }() // it was for the measurement alone
	for _, n := range batches {
		if n > 1 && m.card.Input.Kind == study.Volume || m.card.Input.Batch > 0 && n != 1 && n != m.card.Input.Batch {
			continue
		}
		if err := m.try(ctx, s, Trial{Batch: n, Threads: 1, Lean: lean}); err != nil {
			return err
		}
	}
	return nil
}

// wide measures one image on all cores.
func (m *trials) wide(ctx context.Context, network []byte) error {
	if m.Cores < 2 || m.card.Input.Kind == study.Patches || m.card.Engine.Threads == 1 {
		return nil
	}
	n := m.Cores
	if m.card.Engine.Threads > 0 {
		n = min(n, m.card.Engine.Threads)
	}
	s, err := m.Open(network, Profile{Threads: n})
	if err != nil {
		return err
	}
	defer func() { _ = shut([]Session{s}) }()
	return m.try(ctx, s, Trial{Batch: 1, Threads: n})
}

// try measures one setting. What the network can't do is the trial's fault; an
// error is an end of ctx.
func (m *trials) try(ctx context.Context, s Session, t Trial) error {
	in := Sample(m.card, t.Batch)
	fastest, cpu, runs := time.Duration(math.MaxInt64), time.Duration(0), 0
	var out map[string]pixel.Tensor
	for spent := time.Duration(0); runs <= trialRuns || spent < trialTime; runs++ {
		if m.left <= 0 {
			if runs <= 1 {
				t.Fault = "no time left to measure it"
			}
			break
		}
		took, err := m.once(ctx, t.Threads, func() (err error) {
			out, err = s.Run(ctx, in)
			return err
		})
		m.left -= took.wall
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errCrowded):
			t.Fault = "the processors are busy"
		case err != nil:
			t.Fault = err.Error()
		}
		if t.Fault != "" {
			break
		}
		if runs == 0 { // it also allocates
			continue
		}
		spent, cpu, fastest = spent+took.wall, cpu+took.cpu, min(fastest, took.wall)
	}
	if t.Fault == "" {
		t.Rate = float64(t.Batch*(runs-1)) / cpu.Seconds()
		if t.Threads > 1 {
			t.Rate = float64(t.Batch) / fastest.Seconds()
		}
		if m.want == nil {
			m.want = out
		} else if !beginsWith(out, m.want, t.Batch) {
			t.Fault = "it gives other bits than one tile on one thread"
		}
	}
	m.all = append(m.all, t)
	return nil
}

// errCrowded says that several threads were asked for and one was granted.
var errCrowded = fmt.Errorf("others want the processors: %w", study.ErrBusy)

// cost is what a run took.
type cost struct{ wall, cpu time.Duration }

// once runs f in its turn, on a thread of its own whose processor time is
// counted: what else the machine does hardly matters.
func (m *trials) once(ctx context.Context, threads int, f func() error) (took cost, err error) {
	run := func(granted int) error {
		if granted < threads {
			return errCrowded
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		begun, cpu := time.Now(), threadTime()
		err := f()
		took = cost{time.Since(begun), threadTime() - cpu}
		if took.cpu <= 0 {
			took.cpu = took.wall
		}
		return err
	}
	if err := m.quiet(ctx); err != nil {
		return took, err
	}
	if m.Gate == nil {
		return took, run(threads)
	}
	err = m.Gate.Run(ctx, study.Turn{What: "tuning of " + m.card.Ref().String(), Lane: study.Backfill, Threads: threads}, run)
	return took, err
}

// threadTime is what this thread has used of a processor so far; 0 where the
// system does not tell.
func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD of Linux
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Sample makes tiles of the shape that a card takes, all alike and none of them
// flat.
func Sample(card modelcard.Card, tiles int) map[string]pixel.Tensor {
	in := card.Input
	width, height := in.Width, in.Height
	if width == 0 || height == 0 {
		width, height = sampleSide, sampleSide
	}
	channels := 1
	if in.Values == modelcard.ValuesRGB {
		channels = 3
	}
	t := pixel.Tensor{Shape: Shape(in.Layout, tiles, channels, width, height)}
	if in.Kind == study.Volume {
		t.Shape = []int64{1, 1, samplePlanes + 2*int64(in.HaloPlanes), int64(height), int64(width)}
	}
	each := 1
	for _, n := range t.Shape[1:] {
		each *= int(n)
	}
	if in.Type == modelcard.TypeUint8 {
		v := make([]uint8, each*int(t.Shape[0]))
		for i := range v {
			v[i] = uint8(i % each * 7919 % 251)
		}
		t.Data = v
	} else {
		v := make([]float32, each*int(t.Shape[0]))
		for i := range v {
			v[i] = float32(i%each*7919%1009)/500 - 1
		}
		t.Data = v
	}
	return map[string]pixel.Tensor{in.Name: t}
}

// beginsWith reports whether the answers for some tiles begin with that for the
// first of them, bit by bit.
func beginsWith(out, first map[string]pixel.Tensor, tiles int) bool {
	for name, want := range first {
		got := reflect.ValueOf(out[name].Data)
		n := reflect.ValueOf(want.Data).Len()
		if !got.IsValid() || got.Len() != n*tiles && tiles > 1 || got.Len() < n || !sameBits(got.Slice(0, n).Interface(), want.Data) {
			return false
		}
	}
	return len(out) == len(first)
}

func sameBits(a, b any) bool {
	x, ok := a.([]float32)
	y, also := b.([]float32)
	if !ok || !also {
		return reflect.DeepEqual(a, b)
	}
	return slices.EqualFunc(x, y, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
}

// Shape is that of n images as a card lays them out: NCHW or NHWC.
func Shape(layout string, n, channels, width, height int) []int64 {
	if layout == modelcard.LayoutNHWC {
		return []int64{int64(n), int64(height), int64(width), int64(channels)}
	}
	return []int64{int64(n), int64(channels), int64(height), int64(width)}
}
