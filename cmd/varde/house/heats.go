package house

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"varde/study"
	"varde/worldlist/viewer"
)

// heats tells the slide page what models have scored, also while they are at it.
type heats struct{ h *House }

// Asked gives the models that a revision was planned for, as far as their cards
// are still here.
func (s heats) Asked(ctx context.Context, uid study.UID, rev int) ([]viewer.Asked, error) {
	cards, err := s.h.Registry.Cards(ctx)
	if err != nil {
		return nil, err
	}
	var all []viewer.Asked
	for _, e := range cards {
		if e.Card.Input.Kind != study.Patches {
			continue
		}
		plan, err := s.h.Ledger.ModelPlan(ctx, uid, rev, e.Card.Ref())
		if errors.Is(err, study.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a := viewer.Asked{Name: e.Card.Name, Plan: plan}
		if l, err := layer(e.Card); err == nil {
			a.Map = &viewer.Map{Index: l.Index, Probability: l.Probability, Low: l.Low, High: l.High, Threshold: l.Threshold}
		}
		all = append(all, a)
	}
	return all, nil
}

// Parts gives the parts that are over.
func (s heats) Parts(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error) {
	return s.h.Ledger.Parts(ctx, uid, rev, m)
}

// maxPart bounds the object of a part, as the worker that writes it does.
const maxPart = 64 << 20

// Part reads what one job found.
func (s heats) Part(ctx context.Context, key string) (study.Part, error) {
	var p study.Part
	body, err := s.h.Objects.Range(ctx, key, 0, -1)
	if err != nil {
		return p, err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxPart+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return p, fmt.Errorf("read part %s: %w", key, err)
	}
	if len(b) > maxPart {
		return p, fmt.Errorf("part %s is longer than %d bytes: %w", key, maxPart, study.ErrInvalid)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("part %s: %w: %w", key, study.ErrInvalid, err)
	}
	return p, nil
}
