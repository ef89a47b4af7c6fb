package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"varde/study"
)

func decideVerb(use, short string, confirm bool) *cobra.Command {
	var reason string
	c := deskVerb(use, short, cobra.ExactArgs(1), sharing(func(ctx context.Context, d *desk, args []string) error {
		if !confirm && study.Said(reason) == "" {
			return exitError{exitUsage, errors.New("to decline needs --reason")}
		}
		e, err := d.entry(ctx, args[0])
		if err != nil {
			return err
		}
		p, err := d.council().Decide(ctx, e.Card.Ref(), confirm, d.Who, cmp.Or(study.Said(reason), "confirmed"))
		if err != nil {
			return err
		}
		state := e.State
		if confirm {
			state = p.Change.State
		}
		d.print(line(e.Card, state), "%s: what %s proposed is %s; it is %s", e.Card.Ref(), p.Change.By, p.Status, state)
		return nil
	}))
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit trail")
	return c
}
