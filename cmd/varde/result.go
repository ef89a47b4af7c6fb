package main

import (
	"context"

	"github.com/spf13/cobra"

	"varde/study"
)

func resultVerb() *cobra.Command {
	c := &cobra.Command{Use: "result", Short: "See results"}
	c.AddCommand(deskVerb("show STUDY", "Show what the models found in a study", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			uid, err := study.ParseUID(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			c, err := d.Ledger.Case(ctx, uid)
			if err != nil {
				return err
			}
			if d.asJSON {
				d.print(map[string]any{"study_uid": uid, "status": c.Study.Status, "ai_state": c.AI(), "note": c.Study.Note,
					"results": c.Results, "reports": c.Reports}, "")
				return nil
			}
			d.print(nil, "study %s is %s; AI: %s %s", uid, c.Study.Status, c.AI(), c.Study.Note)
			for _, r := range c.Results {
				d.print(nil, "  %s sha256 %s: %s, %d findings, %d of %d tiles, %.2f s %s", r.Model, r.Model.SHA256.Short(), r.AI,
					len(r.Findings), r.Seen, r.Planned, r.Seconds, r.Reason)
			}
			for _, r := range c.Reports {
				d.print(nil, "  report %s %s", r.Kind, r.UID)
				for _, to := range r.Deliveries {
					d.print(nil, "    %s: %s after %d tries %s", to.Destination, to.Status, to.Tries, to.Error)
				}
			}
			return nil
		}), exportVerb(), replayVerb())
	return c
}
