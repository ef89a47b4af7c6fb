package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/veil"
)

func worklistVerb() *cobra.Command {
	var limit int
	var lang string
	c := deskVerb("worklist", "List the studies that wait to be read, in reading order", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			in, ok := webui.ParseLang(lang)
			if !ok {
				return exitError{exitUsage, fmt.Errorf("language %q is none of en, nb, da", lang)}
			}
			// Whoever types is no reader and is shown all, as it holds now: of a model that was
			// stopped since, that it was stopped.
			all := veil.Veil{Cases: d.Ledger, Stalls: d.Ledger.Stalls, Blinds: func() bool { return false },
				Stopped: func(m study.ModelRef) bool { return errors.Is(d.Registry.Allowed(m), study.ErrWithheld) }}
			cases, _, err := all.InOrder(ctx, study.WorklistFilter{Limit: limit})
			if err != nil {
				return err
			}
			if !d.asJSON {
				f, err := order.NewOutlook(d.Ledger, nil, nil).Forecast(ctx)
				if err != nil {
					return err
				}
				for _, line := range order.OutlookWords(in, f) {
					d.print(nil, "%s", line)
				}
			}
			for i, c := range cases {
				why := order.Why(in, c.Study.Place, time.Now())
				if r := order.Remarks(in, c.Study); r != "" {
					why = append(why, r)
				}
				d.print(map[string]any{"n": i + 1, "study_uid": c.Study.UID, "class": c.Study.Place.Class, "key": c.Study.Place.Key,
					"rule": c.Study.Place.Rule, "deadline": c.Study.Place.Deadline, "remarks": c.Study.Remarks, "why": why, "ai_state": c.AI(), "ai_waits": c.Stall, "status": c.Study.Status, "modality": c.Study.Modality, "accession": c.Study.Accession},
					"%3d  %-2s %-12s %-9s %s  %v", i+1, c.Study.Modality, c.Mark(), c.Study.Status, c.Study.UID, why)
			}
			return nil
		})
	c.Flags().IntVar(&limit, "limit", 50, "rows")
	c.Flags().StringVar(&lang, "lang", "en", "language of the reasons: en, nb, da")
	return c
}
