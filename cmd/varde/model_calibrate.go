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
	"varde/models/calibration"
	"varde/models/modelcard"
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
	case study.Said(o.reason) == "" && !o.try:
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
func (o *calibrating) fit(card modelcard.Card, path, who string) (calibration.File, error) {
	if card.Flag.By == modelcard.FlagLabels {
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
