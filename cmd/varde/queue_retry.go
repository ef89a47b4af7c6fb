package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"varde/study"
)

func retryVerb() *cobra.Command {
	var reason, uid string
	var failed bool
	c := deskVerb("retry [JOB…] --reason TEXT", "Have jobs that failed done again, or a study asked anew", cobra.ArbitraryArgs,
		func(ctx context.Context, d *desk, args []string) error {
			if uid != "" {
				if err := d.Ledger.RetryStudy(ctx, study.UID(uid), d.Who, reason); err != nil {
					return err
				}
				d.print(map[string]any{"study": uid, "asked_anew": true}, "study %s is asked anew", uid)
				return nil
			}
			if failed {
				rows, err := d.Ledger.Jobs(ctx, study.JobFilter{State: study.JobFailed, Limit: 10000})
				if err != nil {
					return err
				}
				for _, j := range rows {
					args = append(args, j.ID)
				}
			}
			if len(args) == 0 && !failed {
				return exitError{exitUsage, fmt.Errorf("no job is named; varde queue jobs lists those that failed: %w", study.ErrInvalid)}
			}
			return d.retryAll(ctx, args, reason, failed)
		})
	c.Flags().StringVar(&uid, "study", "", "have everything asked anew about this study")
	c.Flags().BoolVar(&failed, "failed", false, "all jobs that failed")
	return reasoned(c, &reason)
}

// retryAll tries jobs again, one after the other. Of a study that is asked anew the
// others need no more: with lenient that is no error.
func (d *desk) retryAll(ctx context.Context, ids []string, reason string, lenient bool) error {
	for _, id := range ids {
		anew, err := d.Ledger.Retry(ctx, id, d.Who, reason)
		switch {
		case err != nil && lenient && isInvalid(err):
			d.print(map[string]any{"job": id, "skipped": err.Error()}, "%s: left as it is: %v", id, err)
			continue
		case err != nil:
			return err
		}
		what := "waits again"
		if anew {
			what = "its study is asked anew"
		}
		d.print(map[string]any{"job": id, "study_asked_anew": anew}, "%s: %s", id, what)
	}
	return nil
}
