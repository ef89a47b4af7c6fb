package main

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	"varde/models"
	"varde/oversight"
)

func compareVerb() *cobra.Command {
	var with string
	c := deskVerb("compare MODEL", "Hold a model, also one in shadow, against others on the same exams", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			e, err := d.entry(ctx, args[0])
			if err != nil {
				return err
			}
			all, err := d.Registry.Cards(ctx)
			if err != nil {
				return err
			}
			for _, other := range all {
				if other.Card.Ref() == e.Card.Ref() || with != "" && other.Card.Ref().String() != with {
					continue
				}
				pairs, err := d.Ledger.ResultPairs(ctx, e.Card.Ref(), other.Card.Ref())
				if err != nil {
					return err
				}
				if len(pairs) > 0 {
					d.showComparison(e, other, oversight.Compare(pairs))
				}
			}
			return nil
		})
	c.Flags().StringVar(&with, "with", "", "another model, ID@VERSION; all with exams in common when left out")
	return c
}

func (d *desk) showComparison(e, other models.Entry, c oversight.Comparison) {
	number := func(v float64) any {
		if math.IsNaN(v) {
			return nil
		}
		return v
	}
	d.print(map[string]any{"model": e.Card.Ref().String(), "with": other.Card.Ref().String(), "with_state": other.State, "n": c.N, "left_out": c.LeftOut,
		"agree": c.Agree, "agreement_low": number(c.Low), "agreement_high": number(c.High), "kappa": number(c.Kappa),
		"only_this_flags": c.First, "only_other_flags": c.Second, "differ_otherwise": c.Unsure,
		"scored": c.Scored, "difference_mean": c.Mean, "difference_sd": c.SD, "difference_largest": c.Most},
		"%s (%s) against %s (%s): %d exams, %d agree (95 %% interval %.3f to %.3f), kappa %.3f\n"+
			"  it alone flags %d, the other alone %d, otherwise different %d; %d left out\n  difference of %d probabilities: mean %+.3f, sd %.3f, largest %+.3f",
		e.Card.Ref(), e.State, other.Card.Ref(), other.State, c.N, c.Agree, c.Low, c.High, c.Kappa, c.First, c.Second, c.Unsure, c.LeftOut,
		c.Scored, c.Mean, c.SD, c.Most)
}
