package models_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"varde/models"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

// shelf is an object store in memory.
type shelf struct {
	mu      sync.Mutex
	objects map[string][]byte
	away    bool
}

func (s *shelf) Put(_ context.Context, key string, r io.Reader, _ int64) error {
	b, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return study.ErrBusy
	}
	s.objects[key] = b
	return err
}

func (s *shelf) Range(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[key]
	switch {
	case s.away:
		return nil, study.ErrBusy
	case !ok:
		return nil, fmt.Errorf("%s: %w", key, study.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *shelf) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	s.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.objects))
	s.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) && !yield(k, nil) {
				return
			}
		}
	}
}

// shared is a registry on a folder of its own, beside others on the same states and
// shelf.
func shared(t *testing.T, states models.States, s *shelf) *models.Registry {
	t.Helper()
	r, err := models.Open(t.TempDir(), states)
	if err == nil {
		err = r.Share(t.Context(), s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestModelThatOneProcessAddsIsThereForAll(t *testing.T) {
	states, s := &memory{}, &shelf{objects: map[string][]byte{}}
	a, b := shared(t, states, s), shared(t, states, s)
	network := cardtest.Plain(t, 1)
	card, err := a.Add(t.Context(), []byte(cardtest.Card(network, "1")), network, "ann")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := b.Cards(t.Context())
	if err != nil || len(entries) != 1 || entries[0].Card.Hash != card.Hash || entries[0].State != study.ModelDraft {
		t.Fatalf("%+v, %v", entries, err)
	}
	if got, err := b.Network(card.Ref()); err != nil || !bytes.Equal(got, network) {
		t.Errorf("its network: %d bytes, %v", len(got), err)
	}
	c := shared(t, states, s) // asked for one that it has not heard of
	if got, err := c.Card(card.Ref()); err != nil || got.Hash != card.Hash {
		t.Errorf("%v", err)
	}
	other := cardtest.Plain(t, 2)
	if _, err := shared(t, states, s).Add(t.Context(), []byte(cardtest.Card(other, "1")), other, "bo"); !errors.Is(err, study.ErrRefused) {
		t.Errorf("another model of the same version: %v", err)
	}
	if _, err := c.Card(study.ModelRef{ID: "plain", Version: "9"}); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("one that nobody has: %v", err)
	}
}

// TestNewProcessMovesNoModel is about what was decided: a process with an empty
// folder that adds what it comes with must not undo it.
func TestNewProcessMovesNoModel(t *testing.T) {
	states, s := &memory{}, &shelf{objects: map[string][]byte{}}
	a := shared(t, states, s)
	if err := a.AddReference(t.Context(), "varde"); err != nil {
		t.Fatal(err)
	}
	entries, err := a.Cards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ref := entries[0].Card.Ref()
	if err := a.Set(t.Context(), ref, study.ModelSuspended, "ann", "drill"); err != nil {
		t.Fatal(err)
	}
	before := len(states.log)
	for _, r := range []*models.Registry{shared(t, states, s), alone(t, states)} {
		if err := r.AddReference(t.Context(), "varde"); err != nil {
			t.Fatal(err)
		}
		if state, err := r.State(t.Context(), ref); err != nil || state != study.ModelSuspended {
			t.Errorf("%s is %s, %v", ref, state, err)
		}
	}
	if len(states.log) != before {
		t.Errorf("changed was %+v", states.log[before:])
	}
}

// alone is a registry without a shelf.
func alone(t *testing.T, states models.States) *models.Registry {
	t.Helper()
	r, err := models.Open(t.TempDir(), states)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestModelThatWasMeddledWithOnItsWayIsRefused(t *testing.T) {
	network := cardtest.Plain(t, 1)
	for name, harm := range map[string]func(*shelf){
		"another network": func(s *shelf) { s.objects["models/plain@1/plain.onnx"] = cardtest.Plain(t, 2) },
		"another card and network": func(s *shelf) {
			other := cardtest.Plain(t, 2)
			s.objects["models/plain@1/plain.onnx"], s.objects["models/plain@1/card.toml"] = other, []byte(cardtest.Card(other, "1"))
		},
		"the card of another": func(s *shelf) { s.objects["models/plain@1/card.toml"] = []byte(cardtest.Card(network, "2")) },
	} {
		t.Run(name, func(t *testing.T) {
			states, s := &memory{}, &shelf{objects: map[string][]byte{}}
			card, err := shared(t, states, s).Add(t.Context(), []byte(cardtest.Card(network, "1")), network, "ann")
			if err != nil {
				t.Fatal(err)
			}
			harm(s)
			b := shared(t, states, s)
			if _, err := b.Card(card.Ref()); !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%v", err)
			}
			if entries, err := b.Cards(t.Context()); err != nil || len(entries) != 0 || b.Faults() == nil {
				t.Errorf("%d models, %v, faults %v", len(entries), err, b.Faults())
			}
		})
	}
}

func TestModelIsFetchedWhenTheShelfIsBack(t *testing.T) {
	states, s := &memory{}, &shelf{objects: map[string][]byte{}}
	network := cardtest.Plain(t, 1)
	own := alone(t, states) // it was here before there was a shelf
	card, err := own.Add(t.Context(), []byte(cardtest.Card(network, "1")), network, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Share(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	b := shared(t, states, s)
	s.away = true
	if _, err := b.Card(card.Ref()); !errors.Is(err, study.ErrBusy) {
		t.Errorf("the shelf is away: %v", err)
	}
	s.away = false
	if _, err := shared(t, states, s).Card(card.Ref()); err != nil {
		t.Errorf("it is back: %v", err)
	}
}
