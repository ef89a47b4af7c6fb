package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/inference"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/internal/onnx"
	"varde/models/modelcard"
	"varde/queue"
	"varde/study"
)

// replayVerb makes results anew and says whether they are bit by bit the same.
func replayVerb() *cobra.Command {
	var model string
	var rev int
	c := deskVerb("replay STUDY", "Make a result anew from what is stored, and say whether it is bit by bit the same", cobra.ExactArgs(1),
		sharing(func(ctx context.Context, d *desk, args []string) (err error) {
			uid, err := study.ParseUID(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			results, err := d.resultsOf(ctx, uid, rev, model)
			if err != nil {
				return err
			}
			r, done, err := d.replayer(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, done()) }()
			unequal := 0
			for _, recorded := range results {
				got, err := r.Replay(ctx, recorded)
				if err != nil {
					return errors.Join(err, d.tellReplay(ctx, recorded, "could not run"))
				}
				d.printReplay(got)
				verdict := "bit-equal"
				if !got.Equal {
					unequal++
					verdict = "differs"
				}
				if err := d.tellReplay(ctx, recorded, verdict); err != nil {
					return err
				}
			}
			if unequal > 0 {
				return exitError{exitFound, fmt.Errorf("%d of %d results differ from their record", unequal, len(results))}
			}
			return nil
		}))
	c.Flags().StringVar(&model, "model", "", "ID@VERSION; all models that have a result when left out")
	c.Flags().IntVar(&rev, "rev", 0, "revision of the study, also one that a later one has replaced; 0 for the latest")
	return c
}

// resultsOf gives the results that a person asked for: those that a network made,
// unless one is asked for by name.
func (d *desk) resultsOf(ctx context.Context, uid study.UID, rev int, model string) ([]study.Result, error) {
	s, err := d.Ledger.Study(ctx, uid)
	if err != nil {
		return nil, err
	}
	if rev == 0 {
		rev = s.Rev
	}
	all, err := d.Ledger.ResultsOf(ctx, uid, rev)
	if err != nil {
		return nil, err
	}
	var out []study.Result
	for _, r := range all {
		if model == "" && r.Parameters != "" && r.AI != study.OutOfScope || model == r.Model.String() || model == r.Model.ID {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("revision %d of study %s has no result %s that a network made; varde result show lists what there is: %w", rev, uid, model, study.ErrNotFound)
	}
	return out, nil
}

// replayer is who makes results anew, with the runtime that a service would load.
func (d *desk) replayer(ctx context.Context) (*inference.Replayer, func() error, error) {
	objects, err := d.OpenObjects(ctx)
	if err != nil {
		return nil, nil, err
	}
	runtime, err := onnx.Open(onnx.Options{Library: d.ONNXLibrary})
	if err != nil {
		return nil, nil, errors.Join(err, objects.Close())
	}
	pool := &sessions.Pool{Networks: d.Registry, Load: func(_ modelcard.Card, network []byte) (sessions.Session, error) {
		return runtime.Session(network, onnx.SessionOptions{})
	}}
	i := runtime.Info()
	scorer := &scores.Scorer{Objects: objects, Index: d.Ledger, Gate: queue.NewGate(d.Runners(), house.RunLimit, logger(d.Settings)),
		Ran: study.Provenance{Runtime: i.Version, Library: i.SHA256, Route: i.Route, Provider: onnx.CPU, Varde: settings.Version, CPU: onnx.CPUClass()}}
	r := &inference.Replayer{Records: d.Ledger, Card: d.Registry.Card, Sessions: pool, Objects: objects, Scorer: scorer, Runners: d.Runners(), Calibrations: d.Ledger}
	return r, func() error { return errors.Join(pool.Close(), objects.Close()) }, nil
}

// tellReplay writes into the audit who made a result anew, and what came of it.
func (d *desk) tellReplay(ctx context.Context, r study.Result, verdict string) error {
	return d.Ledger.Audit(ctx, d.Who, fmt.Sprintf("replayed %s, revision %d: %s", r.Model, r.Rev, verdict), "study "+string(r.Study))
}

func (d *desk) printReplay(r inference.Replay) {
	verdict := "bit-equal"
	switch {
	case !r.Ran:
		verdict = "could not run"
	case !r.Equal:
		verdict = "differs"
	}
	d.print(r, "%s on revision %d of study %s: %s; %d of %d parts equal, %d objects read", r.Model, r.Rev, r.Study, verdict, r.PartsEqual, r.Parts, r.Objects)
	if d.asJSON {
		return
	}
	if r.Lost > 0 {
		d.print(nil, "  %d parts had failed and were not asked again", r.Lost)
	}
	for _, x := range r.Differs {
		d.print(nil, "  %s: recorded %s, now %s", x.What, x.Recorded, x.Now)
	}
	if r.Ran && r.Values == 0 && !r.Equal {
		d.print(nil, "  every value is the same all the same")
	}
	if l := r.Largest; l != nil {
		d.print(nil, "  %d values differ; the largest difference is %g at %s: recorded %s, now %s", r.Values, l.By, l.Where, l.Recorded, l.Now)
	}
}
