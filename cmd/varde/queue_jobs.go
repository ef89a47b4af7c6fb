package main

import (
	"context"

	"github.com/spf13/cobra"

	"varde/study"
)

// A jobLine is a job as the command line prints it.
type jobLine struct {
	ID      string    `json:"id"`
	Study   study.UID `json:"study"`
	Task    string    `json:"task"`
	Model   string    `json:"model"`
	Part    int       `json:"part"`
	Pool    string    `json:"pool"`
	Lane    string    `json:"lane"`
	State   string    `json:"state"`
	Made    string    `json:"made_at"`
	Fails   int       `json:"fails"`
	Lost    int       `json:"lost"`
	Worker  string    `json:"worker,omitempty"`
	Problem string    `json:"error,omitempty"`
}

func jobLineOf(j study.JobRow) jobLine {
	return jobLine{ID: j.ID, Study: j.Study, Task: string(j.Task), Model: j.Model.String(), Part: j.Part, Pool: j.Pool, Lane: j.Lane.String(),
		State: j.State, Made: j.CreatedAt.UTC().Format(lineTime), Fails: j.Fails, Lost: j.Lost, Worker: j.Worker, Problem: j.Error}
}

func jobsVerb() *cobra.Command {
	var f study.JobFilter
	c := deskVerb("jobs", "List jobs, the oldest first", cobra.NoArgs, func(ctx context.Context, d *desk, _ []string) error {
		rows, err := d.Ledger.Jobs(ctx, f)
		for _, j := range rows {
			l := jobLineOf(j)
			d.print(l, "%s  %-8s %-8s %-8s %-9s %s  %s %s", l.ID, l.State, l.Task, l.Pool, l.Lane, l.Made, l.Study, l.Problem)
		}
		return err
	})
	c.Flags().StringVar(&f.State, "state", study.JobFailed, "ready, enqueued, running, failed; empty for all of these")
	c.Flags().StringVar((*string)(&f.Study), "study", "", "of this study only")
	c.Flags().IntVar(&f.Limit, "limit", 100, "lines")
	return c
}

func cancelVerb() *cobra.Command {
	var reason string
	c := deskVerb("cancel STUDY --reason TEXT", "End the work of models on a study; it is read like one of which AI says nothing", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			if err := d.Ledger.Cancel(ctx, study.UID(args[0]), d.Who, reason); err != nil {
				return err
			}
			d.print(map[string]any{"study": args[0], "canceled": true}, "the work on study %s is canceled", args[0])
			return nil
		})
	return reasoned(c, &reason)
}
