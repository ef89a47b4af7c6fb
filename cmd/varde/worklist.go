package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
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
			cases, _, err := d.Ledger.Worklist(ctx, study.WorklistFilter{Limit: limit})
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
					"rule": c.Study.Place.Rule, "deadline": c.Study.Place.Deadline, "remarks": c.Study.Remarks, "why": why, "ai_state": c.AI(), "status": c.Study.Status, "modality": c.Study.Modality, "accession": c.Study.Accession},
					"%3d  %-2s %-12s %-9s %s  %v", i+1, c.Study.Modality, c.AI(), c.Study.Status, c.Study.UID, why)
			}
			return nil
		})
	c.Flags().IntVar(&limit, "limit", 50, "rows")
	c.Flags().StringVar(&lang, "lang", "en", "language of the reasons: en, nb, da")
	return c
}

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

func userVerb() *cobra.Command {
	var role, name string
	var days int
	c := &cobra.Command{Use: "user", Short: "Let people and machines in"}
	token := deskVerb("token", "Make a bearer token; it is printed once and kept as a hash", cobra.NoArgs,
		func(ctx context.Context, d *desk, _ []string) error {
			t := study.Token{Role: role, Name: name, MadeAt: time.Now()}
			if days > 0 {
				t.Expires = t.MadeAt.AddDate(0, 0, days)
			}
			text, err := newToken(ctx, d, t)
			if err != nil {
				return err
			}
			d.print(map[string]any{"token": text, "role": role, "name": name}, "%s", text)
			return nil
		})
	token.Flags().StringVar(&role, "role", "", strings.Join(webui.Roles, ", "))
	token.Flags().StringVar(&name, "name", "", "who bears it, for the audit trail")
	token.Flags().IntVar(&days, "days", 365, "how long it holds; 0 for ever")
	_ = token.MarkFlagRequired("role")
	c.AddCommand(token)
	return c
}
