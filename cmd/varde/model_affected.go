package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"varde/oversight"
	"varde/study"
)

func affectedVerb() *cobra.Command {
	var state string
	var asCSV bool
	c := deskVerb("affected MODEL", "List the exams that a live model was asked about, by what became of them", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			if state != "" && !slices.Contains(study.ExamStates[:], state) {
				return exitError{exitUsage, fmt.Errorf("--state %s: one of %s is meant", state, strings.Join(study.ExamStates[:], ", "))}
			}
			e, err := d.entry(ctx, args[0])
			if err != nil {
				return err
			}
			ref := e.Card.Ref()
			switch {
			case asCSV:
				return oversight.WriteAffected(ctx, d.out, d.Ledger, ref)
			case d.asJSON:
				return oversight.WriteAffectedJSON(ctx, d.out, d.Ledger, ref, state)
			}
			counts, err := d.Ledger.AffectedCounts(ctx, ref)
			if err != nil {
				return err
			}
			fmt.Fprintf(d.out, "%s is %s\n", ref, e.State)
			for _, s := range study.ExamStates {
				fmt.Fprintf(d.out, "%-10s %6d\n", s, counts[s])
			}
			return oversight.EachAffected(ctx, d.Ledger, ref, state, func(x study.AffectedExam) error {
				_, err := fmt.Fprintf(d.out, "%-10s %-64s %-16s %s\n", x.State, x.Study, x.Accession, x.AI)
				return err
			})
		})
	c.Flags().StringVar(&state, "state", "", "only those: "+strings.Join(study.ExamStates[:], ", "))
	c.Flags().BoolVar(&asCSV, "csv", false, "print as CSV, a line for each object and destination")
	return c
}
