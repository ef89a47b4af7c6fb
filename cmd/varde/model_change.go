package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"varde/study"
)

// changeVerb makes a verb that changes what a model may do, or proposes it where
// it takes two. flags names those that it has beside --reason.
func changeVerb(use, short string, state next, flags ...string) *cobra.Command {
	var w stateWish
	c := deskVerb(use, short, cobra.ExactArgs(1), sharing(func(ctx context.Context, d *desk, args []string) error {
		if study.Said(w.reason) == "" {
			return exitError{exitUsage, errors.New("a change of what a model may do needs --reason")}
		}
		e, err := d.entry(ctx, args[0])
		if err != nil {
			return err
		}
		c := study.ModelChange{Model: e.Card.Ref(), By: d.Who, Reason: w.reason, Beside: w.beside}
		if c.State, err = state(e, w); err != nil {
			return err
		}
		if w.share != "" {
			if c.Share, err = study.ParseShare(w.share); err != nil {
				return exitError{exitUsage, err}
			}
		}
		if c.NeedsTwo(study.ModelChange{State: e.State, Share: e.Share, Beside: e.Beside}) {
			return d.propose(ctx, c)
		}
		if err := d.Registry.Change(ctx, c); err != nil {
			return err
		}
		d.print(line(e.Card, c.State), "%s: %s → %s, for %s of the exams", e.Card.Ref(), e.State, c.State, c.Share)
		return nil
	}))
	f := c.Flags()
	f.StringVar(&w.reason, "reason", "", "why, for the audit trail")
	if slices.Contains(flags, "to") {
		f.StringVar(&w.to, "to", "", "live or shadow; the next step when left out")
	}
	if slices.Contains(flags, "share") {
		f.StringVar(&w.share, "share", "", "of the exams that the model is meant for, as 10%; all when left out")
	}
	if slices.Contains(flags, "beside") {
		f.BoolVar(&w.beside, "beside", false, "ask it whatever other live versions are asked, so that readers hear both")
	}
	return c
}

// propose asks for what another person is to confirm.
func (d *desk) propose(ctx context.Context, c study.ModelChange) error {
	p, err := d.council().Propose(ctx, c)
	if err != nil {
		return err
	}
	d.print(map[string]any{"proposal": p.ID, "model": c.Model.ID, "version": c.Model.Version, "state": p.Change.From, "to": c.State,
		"share": c.Share.String(), "by": c.By, "expires_at": p.Expires},
		"%s to %s for %s of the exams is proposed by %s; until %s another person may confirm it: varde model confirm %s",
		c.Model, c.State, c.Share, c.By, p.Expires.Format("2006-01-02 15:04"), c.Model)
	return nil
}
