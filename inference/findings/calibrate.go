package findings

import (
	"fmt"
	"slices"

	"varde/models/calibration"
	"varde/models/modelcard"
	"varde/study"
)

// Calibrated reads a calibration and makes sure that it was made for this very
// network, card and number. Anything else wraps [study.ErrInvalid].
func Calibrated(card modelcard.Card, kept study.Calibration) (*calibration.File, error) {
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

// calibrate turns the number that decided into a probability, where a calibration
// holds. Whether something is flagged, and in which order findings and slides
// come, was decided by the number itself before. A partial result keeps the
// model's own number, for no case was collected that was seen in part. Findings
// lose their probability: the site's cases say nothing of single findings, and two
// kinds of number would stand beside each other.
func (f Facts) calibrate(r *study.Result, number float64) {
	if f.Calibration == nil || r.Partial() || r.AI == study.Failed {
		return
	}
	p, ok := f.Calibration.Probability(number)
	if !ok {
		return
	}
	r.Probability, r.Raw, r.Calibrated = &p, &number, true
	r.Frequency = f.Calibration.Frequency(number)
	r.Ran.Calibration = f.Calibration.Hash
	r.Parameters += fmt.Sprintf("; calibration=%s %s (n=%d)", f.Calibration.Method, f.Calibration.Hash.Short(), f.Calibration.Cases.N)
	f.measured(r.Measurements, p)
	for i := range r.Findings {
		r.Findings[i].Probability = nil
	}
}

// calibrateSlides does the same to the slides of a case: the curve never turns
// two of them around.
func (f Facts) calibrateSlides(r *study.Result, all []glass) {
	if !r.Calibrated {
		return
	}
	for i := range r.Slides {
		r.Slides[i].Probability = nil
		p, ok := f.Calibration.Probability(all[i].number)
		if s := r.Slides[i].AI; ok && (s == study.Flagged || s == study.Uncertain || s == study.NotFlagged) {
			r.Slides[i].Probability = &p
			f.measured(r.Slides[i].Measurements, p)
		}
	}
}

// measured puts the calibrated probability where the model's own one stands among
// the measurements.
func (f Facts) measured(all []study.Measurement, p float64) {
	outputs := f.Card.Output
	if f.Card.MIL != nil {
		outputs = slices.Concat(outputs, f.Card.MIL.Output)
	}
	for _, o := range outputs {
		if o.Name != f.Card.Flag.By || !o.Probability || o.Measure.Zero() {
			continue
		}
		for i := range all {
			if all[i].Name == o.Measure {
				all[i].Value = value{out: o, value: p}.inUnit()
			}
		}
	}
}
