package inference

import (
	"context"
	"errors"
	"fmt"

	"varde/models"
	"varde/models/calibration"
	"varde/study"
)

// Calibrations gives what a site's labelled cases made of a model's number.
type Calibrations interface {
	// Calibration gives the one that holds for a model, and wraps
	// [study.ErrNotFound] when none does.
	Calibration(ctx context.Context, model study.ModelRef) (study.Calibration, error)
	// Calibrations gives all of a model, the first one first.
	Calibrations(ctx context.Context, model study.ModelRef) ([]study.Calibration, error)
}

// Calibrated reads a calibration and makes sure that it was made for this very
// network, card and number. Anything else wraps [study.ErrInvalid].
func Calibrated(card models.Card, kept study.Calibration) (*calibration.File, error) {
	f, err := calibration.Parse(kept.File)
	switch {
	case err != nil:
		return nil, fmt.Errorf("calibration of %s: %w", card.Ref(), err)
	case f.Hash != kept.SHA256:
		return nil, fmt.Errorf("calibration of %s has SHA-256 %s, and %s was recorded: %w", card.Ref(), f.Hash, kept.SHA256, study.ErrInvalid)
	case f.Model != card.Ref().String() || f.SHA256 != card.SHA256 || f.Card != card.Hash || f.Output != card.Flag.By:
		return nil, fmt.Errorf("calibration %s is of %s of %s with network %s and card %s, and not of %s: %w",
			f.Hash.Short(), f.Output, f.Model, f.SHA256.Short(), f.Card.Short(), card.Ref(), study.ErrInvalid)
	}
	return &f, nil
}

// calibration gives the calibration that holds for a card. One that can't be used
// is none, which is written to the log: the result then says that its probability
// is not calibrated.
func (w *Worker) calibration(ctx context.Context, card models.Card) (*calibration.File, error) {
	if w.Calibrations == nil {
		return nil, nil
	}
	kept, err := w.Calibrations.Calibration(ctx, card.Ref())
	if errors.Is(err, study.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := Calibrated(card, kept)
	if err != nil {
		w.log().ErrorContext(ctx, "calibration not used", "model", card.Ref().String(), "err", err)
		return nil, nil
	}
	return f, nil
}

// calibration gives the calibration that a recorded result bears, which need not
// hold any more. Without one among those that are kept it is none, and the
// comparison says so.
func (r *Replayer) calibration(ctx context.Context, card models.Card, recorded study.Hash) (*calibration.File, error) {
	if r.Calibrations == nil || recorded == (study.Hash{}) {
		return nil, nil
	}
	all, err := r.Calibrations.Calibrations(ctx, card.Ref())
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.SHA256 == recorded && !c.Withdrawn() {
			if f, err := Calibrated(card, c); err == nil {
				return f, nil
			}
		}
	}
	return nil, nil
}
