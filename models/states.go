package models

import (
	"context"
	"fmt"
	"slices"
	"time"

	"varde/study"
)

// How old the registry's view of the states may be. A change made by this
// process is seen at once; one made by another within stale. The states are
// asked for from refresh on, by one caller, while the others go on with what is
// known; only from stale on must all wait.
const (
	refresh = 250 * time.Millisecond
	stale   = 500 * time.Millisecond
)

// askTime bounds one question to the ledger.
const askTime = 5 * time.Second

// moves lists where a model may go from each state. Live is reached through
// shadow, where a model runs in silence; withdrawn is the end.
var moves = map[study.ModelState][]study.ModelState{
	study.ModelDraft:     {study.ModelShadow, study.ModelWithdrawn},
	study.ModelShadow:    {study.ModelLive, study.ModelSuspended, study.ModelWithdrawn},
	study.ModelLive:      {study.ModelSuspended, study.ModelWithdrawn, study.ModelShadow},
	study.ModelSuspended: {study.ModelLive, study.ModelShadow, study.ModelWithdrawn},
}

// snapshot is the states at one moment.
type snapshot struct {
	at     time.Time
	latest map[study.ModelRef]study.ModelState
}

// of gives a model's state. One that was never decided on is a draft, and so is
// one whose network is not the one that was decided on.
func (s *snapshot) of(ref study.ModelRef) study.ModelState {
	if state, ok := s.latest[ref]; ok {
		return state
	}
	return study.ModelDraft
}

// fresh asks for the states now.
func (r *Registry) fresh(ctx context.Context) (*snapshot, error) {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	return r.ask(ctx)
}

// ask reads the states. refreshing is held.
func (r *Registry) ask(ctx context.Context) (*snapshot, error) {
	s := &snapshot{at: time.Now(), latest: map[study.ModelRef]study.ModelState{}}
	changes, err := r.states.Models(ctx)
	if err != nil {
		return nil, fmt.Errorf("read states of models: %w", err)
	}
	for _, c := range changes {
		s.latest[c.Model] = c.State
	}
	r.known.Store(s)
	return s, nil
}

// current gives states that are at most stale.
func (r *Registry) current() (*snapshot, error) {
	s := r.known.Load()
	age := stale
	if s != nil {
		age = time.Since(s.at)
	}
	if age < refresh {
		return s, nil
	}
	if age < stale {
		if !r.refreshing.TryLock() {
			return s, nil // someone is asking
		}
	} else {
		r.refreshing.Lock()
	}
	defer r.refreshing.Unlock()
	if s := r.known.Load(); s != nil && time.Since(s.at) < refresh {
		return s, nil // someone asked while we waited
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	return r.ask(ctx)
}

// Allowed reports whether a model may be run: nil while it is live or in shadow,
// an error that wraps [study.ErrWithheld] when it may not. It is asked before
// every batch of tiles and costs nanoseconds; a change made anywhere is seen
// within half a second. When the states cannot be read no model is allowed, and
// the error is of no kind, so that the work is tried again.
func (r *Registry) Allowed(ref study.ModelRef) error {
	s, err := r.current()
	if err != nil {
		return err
	}
	if state := s.of(ref); !state.Runs() {
		return fmt.Errorf("model %s is %s: %w", ref, state, study.ErrWithheld)
	}
	return nil
}

// State says what a model may do now.
func (r *Registry) State(ctx context.Context, ref study.ModelRef) (study.ModelState, error) {
	card, err := r.Card(ref)
	if err != nil {
		return "", err
	}
	s, err := r.fresh(ctx)
	if err != nil {
		return "", err
	}
	return s.of(card.Ref()), nil
}

// Set moves a model to a state and records who asked for it and why. A move that
// is not foreseen, or one that stops a model without a reason, wraps
// [study.ErrInvalid]. Only a reference model may go live straight from draft.
func (r *Registry) Set(ctx context.Context, ref study.ModelRef, state study.ModelState, by, reason string) error {
	card, err := r.Card(ref)
	if err != nil {
		return err
	}
	ref = card.Ref()
	stops := state == study.ModelSuspended || state == study.ModelWithdrawn
	switch {
	case by == "":
		return fmt.Errorf("move model %s to %s: nobody says so: %w", ref, state, study.ErrInvalid)
	case stops && reason == "":
		return fmt.Errorf("move model %s to %s: a reason is needed: %w", ref, state, study.ErrInvalid)
	}
	if state.Runs() {
		_, err := r.Network(ref)
		if err == nil && card.MIL != nil {
			_, err = r.Network(card.Second().Ref())
		}
		if err != nil {
			return fmt.Errorf("move model %s to %s: %w", ref, state, err)
		}
	}
	r.deciding.Lock()
	defer r.deciding.Unlock()
	s, err := r.fresh(ctx)
	if err != nil {
		return err
	}
	now := s.of(ref)
	straight := now == study.ModelDraft && state == study.ModelLive && isReference(card)
	if !slices.Contains(moves[now], state) && !straight {
		return fmt.Errorf("model %s from %s to %s; from there it may go to %v: %w", ref, now, state, moves[now], study.ErrInvalid)
	}
	if err := r.record(ctx, study.ModelChange{Model: ref, State: state, By: by, Reason: reason}); err != nil {
		return fmt.Errorf("move model %s to %s: %w", ref, state, err)
	}
	return nil
}

// record keeps a change and makes this process see it at once.
func (r *Registry) record(ctx context.Context, c study.ModelChange) error {
	c.At = time.Now().UTC()
	if err := r.states.SetModel(ctx, c); err != nil {
		return err
	}
	_, err := r.fresh(ctx)
	return err
}
