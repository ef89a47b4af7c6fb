package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/internal/metrics"
	"varde/study"
)

func queueVerb() *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "See the work that waits, pause it, try it again, or end it",
		Long: "What is changed here is changed by you, with a reason, and stands in the audit trail.\n" +
			"What is paused is begun by no worker; what runs already ends. A study whose models wait,\n" +
			"failed or were canceled has no result of AI, and every page says so."}
	c.AddCommand(showQueueVerb(), pauseVerb("pause", "Keep jobs from workers until they are resumed", false),
		pauseVerb("resume", "Give paused jobs to workers again", true), jobsVerb(), retryVerb(), cancelVerb())
	return c
}

// A queueLine is the queue as JSON.
type queueLine struct {
	Pools    []metrics.Scale `json:"pools"`
	Backlogs []backlogLine   `json:"backlogs"`
	Pauses   []pauseLine     `json:"pauses"`
}

type backlogLine struct {
	Pool    string  `json:"pool"`
	Lane    string  `json:"lane"`
	Model   string  `json:"model"`
	Jobs    int     `json:"jobs"`
	Tiles   int     `json:"tiles"`
	Seconds float64 `json:"work_seconds"`
	Learned bool    `json:"learned"`
	Overdue int     `json:"overdue"`
	Oldest  string  `json:"oldest"`
}

type pauseLine struct {
	Pool   string `json:"pool"`
	Lane   string `json:"lane"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	Since  string `json:"since"`
}

const lineTime = "2006-01-02T15:04:05Z"

// laneWord is a lane in words, also the one that is all of them.
func laneWord(l study.Lane) string {
	if l == study.EveryLane {
		return "all"
	}
	return l.String()
}

func showQueueVerb() *cobra.Command {
	return deskVerb("show", "Print the work that waits or is under way, in seconds, and what is paused", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			q, err := d.Ledger.Queue(ctx)
			if err != nil {
				return err
			}
			out := queueLine{Pools: []metrics.Scale{}, Backlogs: []backlogLine{}, Pauses: []pauseLine{}}
			var text []string
			for _, p := range q.Pauses {
				l := pauseLine{p.Pool, laneWord(p.Lane), p.By, p.Reason, p.At.UTC().Format(lineTime)}
				out.Pauses = append(out.Pauses, l)
				text = append(text, fmt.Sprintf("PAUSED  pool %s, lane %s, since %s by %s: %s", cmp.Or(l.Pool, "all"), l.Lane, l.Since, l.By, l.Reason))
			}
			for _, pool := range house.Pools() {
				s := metrics.ScaleOf(q, pool, time.Now())
				out.Pools = append(out.Pools, s)
				text = append(text, fmt.Sprintf("pool %-7s %6d jobs, %8.1f s for its %d workers, oldest %.0f s", pool, s.Jobs, s.DrainSeconds, s.Workers, s.OldestSeconds))
			}
			for _, b := range q.Backlogs {
				l := backlogLine{b.Pool, b.Lane.String(), b.Model.String(), b.Jobs, b.Tiles, b.Work.Seconds(), b.Learned, b.Overdue, b.Oldest.UTC().Format(lineTime)}
				out.Backlogs = append(out.Backlogs, l)
				text = append(text, fmt.Sprintf("%-7s %-9s %-32s %6d jobs %8d tiles %10.1f s", l.Pool, l.Lane, l.Model, l.Jobs, l.Tiles, l.Seconds))
			}
			d.print(out, "%s", strings.Join(text, "\n"))
			return nil
		})
}

func pauseVerb(use, short string, resume bool) *cobra.Command {
	var pool, lane, reason string
	c := deskVerb(use+" --reason TEXT", short, cobra.NoArgs, func(ctx context.Context, d *desk, _ []string) error {
		l, err := study.ParseLane(lane)
		if err != nil {
			return exitError{exitUsage, err}
		}
		p := study.Pause{Pool: pool, Lane: l, By: d.Who, Reason: reason}
		change, word := d.Ledger.Pause, "paused"
		if resume {
			change, word = d.Ledger.Resume, "resumed"
		}
		if err := change(ctx, p); err != nil {
			return fmt.Errorf("%w; varde queue show tells what is paused", err)
		}
		d.print(pauseLine{Pool: p.Pool, Lane: laneWord(p.Lane), By: p.By, Reason: p.Reason}, "%s: pool %s, lane %s", word, cmp.Or(p.Pool, "all"), laneWord(p.Lane))
		return nil
	})
	c.Flags().StringVar(&pool, "pool", "", "only of this pool of workers: cpu, gpu, report; empty for all")
	c.Flags().StringVar(&lane, "lane", "all", "only of this lane: stat, urgent, pathway, routine, backfill")
	return reasoned(c, &reason)
}

// reasoned adds the flag for a reason, which must be given.
func reasoned(c *cobra.Command, reason *string) *cobra.Command {
	c.Flags().StringVar(reason, "reason", "", "why; the audit trail keeps it with your name")
	_ = c.MarkFlagRequired("reason")
	return c
}

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
