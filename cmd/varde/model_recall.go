package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"varde/oversight"
)

// recallOfVerb tells how far a recall has come.
func recallOfVerb() *cobra.Command {
	return deskVerb("recall MODEL", "Show how far it has come that results of a stopped model are taken back from whoever has them", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			e, err := d.entry(ctx, args[0])
			if err != nil {
				return err
			}
			r, err := d.Ledger.RecallOf(ctx, e.Card.Ref())
			if err != nil {
				return err
			}
			if d.asJSON {
				return oversight.WriteRecallJSON(d.out, e.State, r)
			}
			fmt.Fprintf(d.out, "%s is %s; %d exams called back, notes for %d still to be written, for %d they could not be\n", r.Model, e.State, r.Exams, r.Open, r.Failed)
			for _, at := range r.Destinations {
				fmt.Fprintf(d.out, "%-16s has something of %d exams; %d notes, %d taken, %d given up; %d exams without a note\n",
					at.Destination, at.Exams, at.Notes, at.Delivered, at.Failed, at.Untold)
			}
			if r.Done() {
				fmt.Fprintln(d.out, "done: every destination has taken what takes back what it has")
			}
			return nil
		})
}
