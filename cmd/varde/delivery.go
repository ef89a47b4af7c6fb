package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"varde/study"
)

// A deliveryLine is a delivery as the command line prints it.
type deliveryLine struct {
	ID          string    `json:"id"`
	Study       study.UID `json:"study"`
	Object      study.UID `json:"sop_instance_uid"`
	Kind        string    `json:"kind"`
	Destination string    `json:"destination"`
	Status      string    `json:"status"`
	Tries       int       `json:"tries"`
	At          string    `json:"at"`
	Next        string    `json:"next_at"`
	Problem     string    `json:"error,omitempty"`
}

func deliveryVerb() *cobra.Command {
	c := &cobra.Command{Use: "delivery", Short: "See what was sent to archives and what could not be, and try it again"}
	var status string
	var limit int
	list := deskVerb("list", "List deliveries, those that were tried last first", cobra.NoArgs, func(ctx context.Context, d *desk, _ []string) error {
		if status == "all" {
			status = ""
		}
		rows, err := d.Ledger.Deliveries(ctx, status, limit)
		for _, r := range rows {
			l := deliveryLine{r.ID, r.Study, r.Report, r.Kind, r.Destination, r.Status, r.Tries, whenever(r.At), whenever(r.NextAt), r.Error}
			d.print(l, "%-9s %-12s %-8s %3d tries  %s  %q %s", l.Status, l.Destination, l.Kind, l.Tries, l.At, l.ID, l.Problem)
		}
		return err
	})
	list.Flags().StringVar(&status, "status", "failed", "waiting, sent, delivered, failed, dropped, withheld, held; all for any")
	list.Flags().IntVar(&limit, "limit", 100, "lines")

	var reason string
	var failed bool
	retry := deskVerb("retry [ID…] --reason TEXT", "Try again what was given up", cobra.ArbitraryArgs, func(ctx context.Context, d *desk, args []string) error {
		if failed {
			rows, err := d.Ledger.Deliveries(ctx, "failed", 100000)
			if err != nil {
				return err
			}
			for _, r := range rows {
				args = append(args, r.ID)
			}
		}
		if len(args) == 0 && !failed {
			return exitError{exitUsage, fmt.Errorf("no delivery is named; varde delivery list lists those that failed: %w", study.ErrInvalid)}
		}
		for _, id := range args {
			if err := d.Ledger.RetryDelivery(ctx, id, d.Who, reason); err != nil {
				return err
			}
			d.print(map[string]any{"delivery": id, "status": "waiting"}, "%q waits again", id)
		}
		return nil
	})
	retry.Flags().BoolVar(&failed, "failed", false, "all that were given up")
	c.AddCommand(list, reasoned(retry, &reason), dropVerb(), recallVerb())
	return c
}

// whenever writes a time that may not be.
func whenever(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(lineTime)
}

// isInvalid reports whether another try of the same cannot be.
func isInvalid(err error) bool { return errors.Is(err, study.ErrInvalid) }
