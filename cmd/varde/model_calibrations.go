package main

import (
	"fmt"
	"strings"
	"time"

	"varde/inference/findings"
	"varde/models/calibration"
	"varde/models/modelcard"
	"varde/study"
)

// printCalibration writes what a person must know of a calibration to judge it.
func printCalibration(d *desk, f calibration.File) {
	d.print(nil, "calibration %s of %s, %s: %s, %d cases, %d positive, by %s on %s", f.Hash.Short(), f.Model, f.Output, f.Method,
		f.Cases.N, f.Cases.Positives, f.By, f.At.Format(time.DateOnly))
	if f.Note != "" {
		d.print(nil, "cases: %s", f.Note)
	}
	if f.Dated() {
		d.print(nil, "cases from %s to %s, %s", f.From.Format(time.DateOnly), f.To.Format(time.DateOnly), f.Place)
	} else {
		d.print(nil, "it does not say when and where its cases are from: readers are told no percentage")
	}
	if f.Errors != nil {
		printErrors(d, f.Errors)
	}
	before := "the model's own number is no probability"
	if f.Before.Known {
		before = fmt.Sprintf("Brier %.4f, ECE %.4f before", f.Before.Brier, f.Before.ECE)
	}
	d.print(nil, "%s; Brier %.4f, ECE %.4f after, each case by a curve that has not seen it", before, f.After.Brier, f.After.ECE)
	d.print(nil, "%-22s %7s %9s  %-9s %s", "scores", "cases", "positive", "predicted", "observed (95 %)")
	for _, b := range f.Bins {
		d.print(nil, "%-22s %7d %9d  %6.1f %%  %.1f %% (%.1f–%.1f)", strings.TrimSpace(fmt.Sprintf("%.4g – %.4g", b.Low, b.High)), b.N, b.Positives,
			100*b.Predicted, 100*b.Observed, 100*b.From, 100*b.To)
	}
}

// printErrors writes how often the model was wrong.
func printErrors(d *desk, e *calibration.Errors) {
	for _, one := range []struct {
		what string
		rate *study.Rate
	}{{"flagged, and nothing was there", e.Wrong}, {"not flagged, and something was there", e.Missed}} {
		if one.rate == nil {
			d.print(nil, "%s: too few cases", one.what)
			continue
		}
		d.print(nil, "%s: %.1f %% (%.1f–%.1f) of %d", one.what, 100*one.rate.Share, 100*one.rate.Low, 100*one.rate.High, one.rate.N)
	}
}

// showCalibrations prints the calibrations of a model: the one that holds whole,
// and the earlier ones a line each.
func (d *desk) showCalibrations(card modelcard.Card, all []study.Calibration) {
	if len(all) == 0 || all[len(all)-1].Withdrawn() {
		d.print(nil, "no local calibration holds: probabilities are the model's own")
	}
	for i, c := range all {
		switch f, err := findings.Calibrated(card, c); {
		case c.Withdrawn():
			d.print(nil, "%s  calibration ended by %s: %s", c.At.Format("2006-01-02 15:04:05"), c.By, c.Reason)
		case err != nil:
			d.print(nil, "%s  calibration %s can't be used: %v", c.At.Format("2006-01-02 15:04:05"), c.SHA256.Short(), err)
		case i == len(all)-1:
			printCalibration(d, *f)
		default:
			d.print(nil, "%s  calibration %s by %s, %d cases: %s", c.At.Format("2006-01-02 15:04:05"), c.SHA256.Short(), c.By, f.Cases.N, c.Reason)
		}
	}
}
