package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"varde/models"
	"varde/study"
)

// stateVerbs change what a model may do, and tell what became of its exams.
func stateVerbs() []*cobra.Command {
	return []*cobra.Command{
		promoteVerb(),
		changeVerb("shadow MODEL", "Run a model in silence: its results reach no reader", to(study.ModelShadow), "share"),
		changeVerb("suspend MODEL", "Stop a model within a second; two persons may let it speak again", to(study.ModelSuspended)),
		changeVerb("withdraw MODEL", "Stop a model for good", to(study.ModelWithdrawn)),
		shareVerb(),
		decideVerb("confirm MODEL", "Confirm what another person proposed for a model", true),
		decideVerb("decline MODEL", "Decline what is proposed for a model, or take it back", false),
		affectedVerb(),
		recallOfVerb(),
		compareVerb(),
	}
}

// A stateWish is what the flags of a verb ask for.
type stateWish struct {
	to, reason, share string
	beside            bool
}

// next says what a model in a state is to do.
type next func(models.Entry, stateWish) (study.ModelState, error)

func to(s study.ModelState) next {
	return func(models.Entry, stateWish) (study.ModelState, error) { return s, nil }
}

// entry finds a model with what it may do.
func (d *desk) entry(ctx context.Context, text string) (models.Entry, error) {
	ref, err := d.Registry.Resolve(text)
	if err != nil {
		return models.Entry{}, err
	}
	all, err := d.Registry.Cards(ctx)
	if err != nil {
		return models.Entry{}, err
	}
	i := slices.IndexFunc(all, func(e models.Entry) bool { return e.Card.Ref() == ref })
	if i < 0 {
		return models.Entry{}, fmt.Errorf("model %s is not kept here; varde model add keeps it: %w", ref, study.ErrNotFound)
	}
	return all[i], nil
}

func (d *desk) council() models.Council {
	return models.Council{Registry: d.Registry, Proposals: d.Ledger}
}
