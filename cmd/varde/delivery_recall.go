package main

import (
	"context"

	"github.com/spf13/cobra"

	"varde/study"
)

// dropVerb ends a delivery that was given up.
func dropVerb() *cobra.Command {
	var reason string
	return reasoned(deskVerb("drop ID… --reason TEXT", "Give up for good what was given up: nobody is told of it any more", cobra.MinimumNArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			for _, id := range args {
				if err := d.Ledger.DropDelivery(ctx, id, d.Who, reason); err != nil {
					return err
				}
				d.print(map[string]any{"delivery": id, "status": "dropped"}, "%q is given up for good", id)
			}
			return nil
		}), &reason)
}

// recallVerb takes back what a stopped model has told.
func recallVerb() *cobra.Command {
	var reason, of string
	c := deskVerb("recall MODEL --reason TEXT", "Tell destinations that results of a suspended model, which they have, do not hold any more; of a withdrawn one they are told by themselves", cobra.ExactArgs(1),
		sharing(func(ctx context.Context, d *desk, args []string) error {
			e, err := d.entry(ctx, args[0])
			if err != nil {
				return err
			}
			uid := study.UID(of)
			if of != "" {
				if uid, err = study.ParseUID(of); err != nil {
					return exitError{exitUsage, err}
				}
			}
			n, err := d.Ledger.Recall(ctx, e.Card.Ref(), uid, d.Who, reason)
			if err != nil {
				return err
			}
			d.print(map[string]any{"model": e.Card.Ref().String(), "results": n}, "%d results of %s are called back", n, e.Card.Ref())
			return nil
		}))
	c.Flags().StringVar(&of, "study", "", "only in the study with this UID; all when left out")
	return reasoned(c, &reason)
}
