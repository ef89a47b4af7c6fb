package inference

import (
	"context"
	"errors"

	"varde/inference/findings"
	"varde/models/calibration"
	"varde/models/modelcard"
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

// calibration gives the calibration that holds for a card. One that can't be used
// is none, which is written to the log: the result then says that its probability
// is not calibrated.
func (w *Worker) calibration(ctx context.Context, card modelcard.Card) (*calibration.File, error) {
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
	f, err := findings.Calibrated(card, kept)
	if err != nil {
		w.log().ErrorContext(ctx, "calibration not used", "model", card.Ref().String(), "err", err)
		return nil, nil
	}
	return f, nil
}

// calibration gives the calibration that a recorded result bears, which need not
// hold any more. Without one among those that are kept it is none, and the
// comparison says so.
func (r *Replayer) calibration(ctx context.Context, card modelcard.Card, recorded study.Hash) (*calibration.File, error) {
	if r.Calibrations == nil || recorded == (study.Hash{}) {
		return nil, nil
	}
	all, err := r.Calibrations.Calibrations(ctx, card.Ref())
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.SHA256 == recorded && !c.Withdrawn() {
			if f, err := findings.Calibrated(card, c); err == nil {
				return f, nil
			}
		}
	}
	return nil, nil
}
