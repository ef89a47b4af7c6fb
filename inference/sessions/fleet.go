package sessions

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

const (
	// noneFor is how long a job that no device here can run waits for one, before
	// it goes back to the line for others.
	noneFor = 10 * time.Second
	// agrees is how far a device's answer to a sample may lie from the
	// processor's, by the largest number of the answer; agreesHalf in half
	// precision. It is a check of the device, no validation of the model.
	agrees     = 1e-2
	agreesHalf = 5e-2
)

// A Fleet hands out sessions by what a card lists: on the first provider that has
// a device here, on the processor where the card lists it, and nowhere else.
type Fleet struct {
	CPU     *Pool
	Gate    Gate // of the processors
	Devices []*Device
	Networks
	// Why says of a provider why it has no device here; nil: it has none.
	Why  func(provider string) string
	Idle int // networks that are kept on a device though nobody uses them; 0 = 4

	once  sync.Once
	pools map[*Device]*Pool // set once

	mu    sync.Mutex      // held to count
	users map[*Device]int // guarded by mu
}

// Acquire gives the session of a model and what to call when done with it. A card
// none of whose providers is here is an error that wraps [study.ErrBusy]: its jobs
// wait for a worker that has one.
func (f *Fleet) Acquire(ctx context.Context, card modelcard.Card) (Session, func(), error) {
	var why []string
	for _, provider := range card.Executors() {
		if provider == modelcard.ProviderCPU {
			return f.processor(ctx, card, strings.Join(why, "; "))
		}
		d := f.least(provider)
		if d == nil {
			why = append(why, f.absence(provider))
			continue
		}
		s, release, err := f.on(ctx, d, card)
		if err == nil {
			return s, release, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		why = append(why, fmt.Sprintf("%s: %v", d, err))
	}
	select {
	case <-time.After(noneFor):
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return nil, nil, fmt.Errorf("%s lists %s and no cpu: %s: %w", card.Ref(), strings.Join(card.Providers, ", "), strings.Join(why, "; "), study.ErrBusy)
}

func (f *Fleet) absence(provider string) string {
	if f.Why != nil {
		if why := f.Why(provider); why != "" {
			return why
		}
	}
	return "no device of " + provider + " here"
}

// least gives the device of a provider that has the fewest users.
func (f *Fleet) least(provider string) *Device {
	f.mu.Lock()
	defer f.mu.Unlock()
	var best *Device
	for _, d := range f.Devices {
		if d.Provider == provider && d.Err() == nil && (best == nil || f.users[d] < f.users[best]) {
			best = d
		}
	}
	return best
}

// processor gives the session on the processor; why is empty unless the card would
// rather have another.
func (f *Fleet) processor(ctx context.Context, card modelcard.Card, why string) (Session, func(), error) {
	s, release, err := f.CPU.Acquire(ctx, card)
	if err != nil || why == "" {
		return s, release, err
	}
	return &instead{Session: s, what: card.Ref().String(), gate: f.Gate, why: why}, release, nil
}

// on gives the session on a device.
func (f *Fleet) on(ctx context.Context, d *Device, card modelcard.Card) (Session, func(), error) {
	f.once.Do(f.open)
	s, release, err := f.pools[d].Acquire(ctx, card)
	if err != nil {
		return nil, nil, err
	}
	f.count(d, 1)
	return s, sync.OnceFunc(func() {
		f.count(d, -1)
		release()
	}), nil
}

func (f *Fleet) count(d *Device, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == nil {
		f.users = map[*Device]int{}
	}
	f.users[d] += n
}

// open makes a pool for each device.
func (f *Fleet) open() {
	f.pools = map[*Device]*Pool{}
	for _, d := range f.Devices {
		f.pools[d] = &Pool{Networks: f.Networks, Idle: f.Idle, Load: func(card modelcard.Card, network []byte) (Session, error) {
			return f.load(d, card, network)
		}}
	}
}

// load puts a network on a device, and trusts it there when a sample gives what
// the processor gives.
func (f *Fleet) load(d *Device, card modelcard.Card, network []byte) (Session, error) {
	s, err := d.Load(card, network)
	if err != nil {
		return nil, err
	}
	spare := sync.OnceValues(func() (Session, error) { return f.CPU.Load(card, network) })
	b := &onDevice{Batcher: &Batcher{What: card.Ref().String() + " on " + d.String(), Device: d, Session: s, Gate: f.Gate,
		Apart: card.Input.Kind == study.Volume || card.Input.Kind == "" || card.Input.Batch == 1}, spare: spare}
	if card.AllowsCPU() {
		b.Batcher.Spare = spare
	}
	if err := b.agree(card); err != nil {
		_ = b.Close() // what is wrong with the device says more
		return nil, err
	}
	return b, nil
}

// Close closes all sessions that nobody uses.
func (f *Fleet) Close() error {
	f.once.Do(f.open)
	var all []Session
	for _, d := range f.Devices {
		all = append(all, closer{f.pools[d]})
	}
	return shut(append(all, closer{f.CPU}))
}

// closer lets a pool be closed like a session.
type closer struct{ *Pool }

// Run is not for pools.
func (closer) Run(context.Context, map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	return nil, study.ErrRefused
}

// onDevice is a batcher with the same network on the processor, if that was ever
// needed.
type onDevice struct {
	*Batcher
	spare func() (Session, error)
	used  bool // the spare was loaded for the check
}

// agree compares device and processor on a sample.
func (b *onDevice) agree(card modelcard.Card) error {
	if card.Input.Kind == "" { // a second network, whose input is the first one's
		return nil
	}
	b.used = true
	cpu, err := b.spare()
	if err != nil {
		return err
	}
	in := Sample(card, max(1, card.Input.Batch))
	ask := func(gate Gate, s Session) (out map[string]pixel.Tensor, err error) {
		err = gated(context.Background(), gate, study.Turn{What: "sample for " + b.What, Lane: study.Backfill}, func() error {
			out, err = s.Run(context.Background(), in)
			return err
		})
		return out, err
	}
	want, err := ask(b.Gate, cpu)
	if err != nil {
		return err
	}
	got, err := ask(b.Device.Gate, b.Session)
	if err != nil {
		return err
	}
	limit := agrees
	if card.Engine.FP16 {
		limit = agreesHalf
	}
	for name, w := range want {
		if far := distance(got[name].Data, w.Data); !(far <= limit) {
			return fmt.Errorf("its %s of a sample differs from the cpu's by %.2g of the largest number; it is not trusted with this network", name, far)
		}
	}
	return nil
}

// Close closes both sessions.
func (b *onDevice) Close() error {
	all := []Session{b.Session}
	if b.used {
		if s, err := b.spare(); err == nil {
			all = append(all, s)
		}
	}
	return shut(all)
}

// distance gives how far numbers lie apart, by the largest of those that are
// wanted; infinity when they can't be compared.
func distance(got, want any) float64 {
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	if !g.IsValid() || g.Type() != w.Type() || g.Len() != w.Len() {
		return math.Inf(1)
	}
	x, ok := got.([]float32)
	if !ok {
		return 0 // classes and counts may fall either way
	}
	y := want.([]float32)
	most, largest := 0.0, 1e-6
	for i := range y {
		d := math.Abs(float64(x[i] - y[i]))
		if math.IsNaN(d) && !(math.IsNaN(float64(x[i])) && math.IsNaN(float64(y[i]))) {
			return math.Inf(1)
		}
		if !math.IsNaN(d) {
			most, largest = max(most, d), max(largest, math.Abs(float64(y[i])))
		}
	}
	return most / largest
}

// gated runs f in its turn.
func gated(ctx context.Context, g Gate, turn study.Turn, f func() error) error {
	if g == nil {
		return f()
	}
	return g.Run(ctx, turn, func(int) error { return f() })
}

// An instead is a session on the processor of a card that would rather have
// another provider. Its share says so.
type instead struct {
	Session
	what string
	gate Gate
	why  string
}

// Share is one block's.
func (s *instead) Share(lane study.Lane) Share { return &insteadShare{s, lane} }

// Batch is that of the session.
func (s *instead) Batch() int {
	if b, ok := s.Session.(interface{ Batch() int }); ok {
		return b.Batch()
	}
	return 0
}

type insteadShare struct {
	*instead
	lane study.Lane
}

// End ends nothing: nobody waits for others.
func (*insteadShare) End() {}

// Ran says that it was the processor, and why.
func (s *insteadShare) Ran() (provider, fallback string) { return modelcard.ProviderCPU, s.why }

// Run runs in the turn of its lane.
func (s *insteadShare) Run(ctx context.Context, in map[string]pixel.Tensor) (out map[string]pixel.Tensor, err error) {
	err = gated(ctx, s.gate, study.Turn{What: s.what, Lane: s.lane}, func() error {
		out, err = s.Session.Run(ctx, in)
		return err
	})
	return out, err
}
