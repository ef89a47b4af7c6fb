package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"varde/study"
)

type pauseLine struct {
	Pool   string `json:"pool"`
	Lane   string `json:"lane"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	Since  string `json:"since"`
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
