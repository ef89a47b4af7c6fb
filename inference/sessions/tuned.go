package sessions

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"varde/models/modelcard"
	"varde/study"
)

// A Tuner puts networks into the memory of the processors as their tuning
// says. A network that has none is used as it is, and tuned meanwhile.
type Tuner struct {
	Prover *Prover
	Log    *slog.Logger // nil: silent
	// Fixed is how many tiles go into one run whatever was measured; 0 = as
	// measured. A card's own batch goes before it.
	Fixed int
}

// Load makes a session. It is tuned in the background if need be, and Close
// waits for that.
func (t *Tuner) Load(card modelcard.Card, network []byte) (Session, error) {
	k, known := t.Prover.Known(card.SHA256)
	s, err := t.Prover.Open(network, Profile{Threads: 1, Lean: known && k.Lean})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	u := &tuned{Session: s, stop: stop}
	switch {
	case known:
		err = t.apply(u, k, card, network)
	case card.Input.Kind != "": // not a second network, whose input is the first one's
		u.measuring.Go(func() { t.tune(ctx, u, card, network) })
	}
	if err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return u, nil
}

// tune measures a network and uses what is found at once, but for the memory,
// which the next session will spare.
func (t *Tuner) tune(ctx context.Context, u *tuned, card modelcard.Card, network []byte) {
	k, err := t.Prover.Measure(ctx, card, network)
	if err == nil {
		err = t.apply(u, k, card, network)
	}
	log := t.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case ctx.Err() != nil: // the session is no longer wanted
	case err != nil:
		log.WarnContext(ctx, "network not tuned", "model", card.Ref().String(), "err", err)
	default:
		log.InfoContext(ctx, "network tuned", "model", card.Ref().String(), "batch", k.Batch, "threads", k.Threads, "lean", k.Lean)
	}
}

// apply has a session run as tuned.
func (t *Tuner) apply(u *tuned, k Tuning, card modelcard.Card, network []byte) error {
	batch := k.Batch
	if t.Fixed > 0 {
		batch = t.Fixed
	}
	u.batch.Store(int64(batch))
	if k.Threads < 2 || card.Input.Kind == study.Patches {
		return nil
	}
	s, err := t.Prover.Open(network, Profile{Threads: k.Threads, Lean: k.Lean})
	if err != nil {
		return err
	}
	u.wide.Store(&wide{s, k.Threads})
	return nil
}

// A tuned session runs a network as its tuning says.
type tuned struct {
	Session
	batch     atomic.Int64
	wide      atomic.Pointer[wide]
	stop      func()
	measuring sync.WaitGroup
}

// wide is the same network for one image at a time.
type wide struct {
	session Session
	threads int
}

// Batch is how many tiles go into one run; 0 = not measured yet.
func (u *tuned) Batch() int { return int(u.batch.Load()) }

// Threads is how many threads may work on one image.
func (u *tuned) Threads() int {
	if w := u.wide.Load(); w != nil {
		return w.threads
	}
	return 1
}

// Wide is the session for that.
func (u *tuned) Wide() Session {
	if w := u.wide.Load(); w != nil {
		return w.session
	}
	return u.Session
}

// Close ends a tuning under way and closes the sessions.
func (u *tuned) Close() error {
	u.stop()
	u.measuring.Wait()
	all := []Session{u.Session}
	if w := u.wide.Load(); w != nil {
		all = append(all, w.session)
	}
	return shut(all)
}
