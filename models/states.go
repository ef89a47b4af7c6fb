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

// snapshot is the states at one moment.
type snapshot struct {
	at     time.Time
	latest map[study.ModelRef]study.ModelChange
}

// of gives a model's state. One that was never decided on is a draft, and so is
// one whose network is not the one that was decided on.
func (s *snapshot) of(ref study.ModelRef) study.ModelState {
	if c, ok := s.latest[ref]; ok {
		return c.State
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
	s := &snapshot{at: time.Now(), latest: map[study.ModelRef]study.ModelChange{}}
	changes, err := r.states.Models(ctx)
	if err != nil {
		return nil, fmt.Errorf("read states of models: %w", err)
	}
	for _, c := range changes {
		s.latest[c.Model] = c
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
	if s.of(ref).Runs() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if s, err = r.fresh(ctx); err != nil {
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

// Set moves a model to a state, for all exams, and records who asked for it and
// why: [Registry.Change] with nothing else said.
func (r *Registry) Set(ctx context.Context, ref study.ModelRef, state study.ModelState, by, reason string) error {
	return r.Change(ctx, study.ModelChange{Model: ref, State: state, By: by, Reason: reason})
}

// Change changes what a model may do, by one person's word, and makes this process
// see it at once. What [study.ModelChange.Follows] has against it is the error:
// [study.ErrInvalid] for a step that is not foreseen, [study.ErrRefused] for one
// that takes two persons, see [Council]. A model whose network is damaged runs in
// no state.
func (r *Registry) Change(ctx context.Context, c study.ModelChange) error {
	ref, err := r.Fit(c.Model, c.State)
	if err != nil {
		return err
	}
	c.Model = ref
	r.deciding.Lock()
	defer r.deciding.Unlock()
	if err := r.record(ctx, c); err != nil {
		return fmt.Errorf("move model %s to %s: %w", ref, c.State, err)
	}
	return nil
}

// Fit names a model in full and reports whether it can be in a state at all: one
// that runs needs its networks as they were added ([study.ErrInvalid]).
func (r *Registry) Fit(ref study.ModelRef, state study.ModelState) (study.ModelRef, error) {
	card, err := r.Card(ref)
	if err != nil || !state.Runs() {
		return card.Ref(), err
	}
	_, err = r.Network(card.Ref())
	if err == nil && card.MIL != nil {
		_, err = r.Network(card.Second().Ref())
	}
	if err != nil {
		return card.Ref(), fmt.Errorf("move model %s to %s: %w", card.Ref(), state, err)
	}
	return card.Ref(), nil
}

// record keeps a change and makes this process see it at once. Whether it may be
// is for the ledger to say, in the transaction that keeps it: two processes may
// decide at the same moment.
func (r *Registry) record(ctx context.Context, c study.ModelChange) error {
	if err := r.states.SetModel(ctx, c); err != nil {
		return err
	}
	_, err := r.fresh(ctx)
	return err
}

// added records that a model is here, unless that is known already: what was
// decided of it stands, also when another process adds it.
func (r *Registry) added(ctx context.Context, ref study.ModelRef, by string) error {
	s, err := r.fresh(ctx)
	if err != nil {
		return err
	}
	if _, known := s.latest[ref]; known {
		return nil
	}
	first := r.record(ctx, study.ModelChange{Model: ref, State: study.ModelDraft, By: by, Reason: "added"})
	if first == nil {
		return nil
	}
	if s, err = r.fresh(ctx); err != nil {
		return err
	}
	if _, known := s.latest[ref]; known {
		return nil // another process was quicker
	}
	return first
}

// Proposals keeps what one person proposes until another decides. The ledger does.
type Proposals interface {
	// Proposals gives the open ones, the oldest first.
	Proposals(ctx context.Context) ([]study.ModelProposal, error)
	ProposeModel(ctx context.Context, c study.ModelChange) (study.ModelProposal, error)
	DecideModel(ctx context.Context, id string, confirm bool, by, remark string) (study.ModelProposal, error)
}

// A Council is where two persons let a model speak: one proposes, another
// confirms. The network is looked at both times.
type Council struct {
	Registry  *Registry
	Proposals Proposals
}

// Pending gives the proposals that wait for a second person, the oldest first.
func (c Council) Pending(ctx context.Context) ([]study.ModelProposal, error) {
	return c.Proposals.Proposals(ctx)
}

// Propose asks for a change that takes two persons. What could not be made by two
// either is refused as by [Registry.Change].
func (c Council) Propose(ctx context.Context, change study.ModelChange) (study.ModelProposal, error) {
	ref, err := c.Registry.Fit(change.Model, change.State)
	if err != nil {
		return study.ModelProposal{}, err
	}
	change.Model = ref
	return c.Proposals.ProposeModel(ctx, change)
}

// Decide confirms or declines the open proposal for a model.
// [study.ErrNotFound] when there is none.
func (c Council) Decide(ctx context.Context, ref study.ModelRef, confirm bool, by, remark string) (study.ModelProposal, error) {
	pending, err := c.Pending(ctx)
	if err != nil {
		return study.ModelProposal{}, err
	}
	i := slices.IndexFunc(pending, func(p study.ModelProposal) bool { return p.Change.Model == ref })
	if i < 0 {
		return study.ModelProposal{}, fmt.Errorf("nothing is proposed for model %s: %w", ref, study.ErrNotFound)
	}
	p := pending[i]
	if confirm {
		if _, err := c.Registry.Fit(ref, p.Change.State); err != nil {
			return p, err
		}
	}
	if p, err = c.Proposals.DecideModel(ctx, p.ID, confirm, by, remark); err != nil {
		return p, err
	}
	_, err = c.Registry.fresh(ctx) // this process sees it at once
	return p, err
}
