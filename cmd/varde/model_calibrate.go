package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/inference/findings"
	"varde/models"
	"varde/models/calibration"
	"varde/study"
)

func calibrateModelVerb() *cobra.Command {
	var o calibrating
	c := deskVerb("calibrate MODEL [CASES.csv]", "Turn a model's number into a probability by this site's labelled cases", cobra.RangeArgs(1, 2), sharing(o.run))
	c.Long = "Reads a table of labelled cases (columns score, label, and weight if there is one), fits a\n" +
		"curve, and keeps it as the calibration that holds from then on. The card stays as it is, and\n" +
		"so does what is flagged. score is the number that decides: probability, or raw where a\n" +
		"calibration holds already, as varde result show and the API give it.\n\n" +
		"Readers are told natural frequencies, with when and where the cases are from: --from, --to\n" +
		"and --place say so."
	f := c.Flags()
	f.StringVar(&o.method, "method", calibration.Isotonic, "isotonic, or platt for fewer cases")
	f.StringVar(&o.reason, "reason", "", "why, for the audit trail")
	f.StringVar(&o.note, "note", "", "which cases these are, in words without patients")
	f.StringVar(&o.from, "from", "", "first day of the cases, YYYY-MM-DD")
	f.StringVar(&o.to, "to", "", "last day of the cases, YYYY-MM-DD")
	f.StringVar(&o.place, "place", "", "where they were examined, as readers are told it")
	f.BoolVar(&o.try, "try", false, "fit and print, and keep nothing")
	f.BoolVar(&o.end, "end", false, "from now on no calibration holds")
	return c
}

// A calibrating is one run of the verb model calibrate.
type calibrating struct {
	method, reason, note string
	from, to, place      string
	try, end             bool
	first, last          time.Time // from and to, once read
}

func (o *calibrating) run(ctx context.Context, d *desk, args []string) error {
	switch {
	case o.end == (len(args) == 2):
		return exitError{exitUsage, errors.New("give a table of cases, or --end")}
	case o.reason == "" && !o.try:
		return exitError{exitUsage, errors.New("a calibration changes what readers see; it needs --reason")}
	}
	if err := o.dated(); err != nil {
		return exitError{exitUsage, err}
	}
	card, _, err := d.find(ctx, args[0])
	if err != nil {
		return err
	}
	if o.end {
		if err := d.Ledger.SetCalibration(ctx, study.Calibration{Model: card.Ref(), By: d.Who, Reason: o.reason}); err != nil {
			return err
		}
		d.print(map[string]any{"model": card.Ref(), "calibration": nil}, "%s: no calibration holds from now on", card.Ref())
		return nil
	}
	f, err := o.fit(card, args[1], d.Who)
	if err != nil {
		return err
	}
	b, err := f.Encode()
	if err != nil {
		return err
	}
	if f, err = calibration.Parse(b); err != nil { // as it will be read
		return err
	}
	if !o.try {
		kept := study.Calibration{Model: card.Ref(), SHA256: f.Hash, File: b, By: d.Who, Reason: o.reason}
		if _, err := findings.Calibrated(card, kept); err != nil {
			return err
		}
		if err := d.Ledger.SetCalibration(ctx, kept); err != nil {
			return err
		}
	}
	if d.asJSON {
		d.print(map[string]any{"sha256": f.Hash, "kept": !o.try, "calibration": f}, "")
		return nil
	}
	printCalibration(d, f)
	if o.try {
		d.print(nil, "nothing was kept")
	}
	return nil
}

// maxPlace bounds the name of a place: it stands in a sentence.
const maxPlace = 80

// dated reads when and where the cases are from.
func (o *calibrating) dated() error {
	if o.end || o.try && o.from == "" && o.to == "" && o.place == "" {
		return nil
	}
	o.place = strings.Join(strings.Fields(o.place), " ")
	if o.place == "" || len([]rune(o.place)) > maxPlace {
		return fmt.Errorf("readers are told where the cases are from; give --place in at most %d characters", maxPlace)
	}
	var err1, err2 error
	o.first, err1 = time.Parse(time.DateOnly, o.from)
	o.last, err2 = time.Parse(time.DateOnly, o.to)
	switch {
	case err1 != nil || err2 != nil:
		return errors.New("readers are told when the cases are from; give --from and --to as YYYY-MM-DD")
	case o.last.Before(o.first), o.last.After(time.Now()):
		return fmt.Errorf("--from %s --to %s: the last day is not before the first, and not to come", o.from, o.to)
	}
	return nil
}

// fit reads the table and fits the curve.
func (o *calibrating) fit(card models.Card, path, who string) (calibration.File, error) {
	if card.Flag.By == models.FlagLabels {
		return calibration.File{}, fmt.Errorf("%s is flagged by several labels; there is no one number to calibrate: %w", card.Ref(), study.ErrRefused)
	}
	table, err := os.Open(path)
	if err != nil {
		return calibration.File{}, fmt.Errorf("read cases: %w", err)
	}
	defer table.Close()
	cases, sum, err := calibration.ReadCases(table)
	if err != nil {
		return calibration.File{}, fmt.Errorf("%s: %w", path, err)
	}
	f, err := calibration.Fit(o.method, cases)
	if err != nil {
		return f, err
	}
	f.Model, f.SHA256, f.Card, f.Output = card.Ref().String(), card.SHA256, card.Hash, card.Flag.By
	f.From, f.To, f.Place = o.first, o.last, o.place
	f.Errors = calibration.Judge(cases, card.Flag.Flagged, card.Flag.Uncertain)
	f.By, f.At, f.Note, f.Cases.SHA256 = who, time.Now().UTC().Truncate(time.Second), o.note, sum
	return f, nil
}

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
func (d *desk) showCalibrations(card models.Card, all []study.Calibration) {
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
