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
