package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"varde/models"
	"varde/oversight"
	"varde/study"
)

// stateVerbs change what a model may do, and tell what became of its exams.
func stateVerbs() []*cobra.Command {
	return []*cobra.Command{
		promoteVerb(),
		changeVerb("shadow MODEL", "Run a model in silence: its results reach no reader", to(study.ModelShadow), "share"),
		changeVerb("suspend MODEL", "Stop a model within a second; two persons may let it speak again", to(study.ModelSuspended)),
		changeVerb("withdraw MODEL", "Stop a model for good", to(study.ModelWithdrawn)),
		shareVerb(),
		decideVerb("confirm MODEL", "Confirm what another person proposed for a model", true),
		decideVerb("decline MODEL", "Decline what is proposed for a model, or take it back", false),
		affectedVerb(),
		recallOfVerb(),
		compareVerb(),
	}
}

// A stateWish is what the flags of a verb ask for.
type stateWish struct {
	to, reason, share string
	beside            bool
}

// next says what a model in a state is to do.
type next func(models.Entry, stateWish) (study.ModelState, error)

func to(s study.ModelState) next {
	return func(models.Entry, stateWish) (study.ModelState, error) { return s, nil }
}

func promoteVerb() *cobra.Command {
	return changeVerb("promote MODEL", "A draft runs in shadow; that a shadow or suspended model speaks is proposed, and another person confirms",
		func(e models.Entry, w stateWish) (study.ModelState, error) {
			to := study.ModelState(w.to)
			switch {
			case to == study.ModelShadow, to == study.ModelLive:
				return to, nil
			case to != "":
				return "", exitError{exitUsage, fmt.Errorf("--to %s: live or shadow is meant", w.to)}
			case e.State == study.ModelDraft:
				return study.ModelShadow, nil
			case e.State == study.ModelShadow, e.State == study.ModelSuspended:
				return study.ModelLive, nil
			}
			return "", fmt.Errorf("a %s model has nowhere to be promoted to: %w", e.State, study.ErrRefused)
		}, "to", "share", "beside")
}

func shareVerb() *cobra.Command {
	c := changeVerb("share MODEL", "Change the share of exams that a model is asked about; a larger one of a live model is proposed",
		func(e models.Entry, w stateWish) (study.ModelState, error) {
			if w.share == "" {
				return "", exitError{exitUsage, errors.New("say which share with --share, as 10%")}
			}
			return e.State, nil
		}, "share", "beside")
	return c
}

// changeVerb makes a verb that changes what a model may do, or proposes it where
// it takes two. flags names those that it has beside --reason.
func changeVerb(use, short string, state next, flags ...string) *cobra.Command {
	var w stateWish
	c := deskVerb(use, short, cobra.ExactArgs(1), sharing(func(ctx context.Context, d *desk, args []string) error {
		if strings.TrimSpace(w.reason) == "" {
			return exitError{exitUsage, errors.New("a change of what a model may do needs --reason")}
		}
		e, err := d.entry(ctx, args[0])
		if err != nil {
			return err
		}
		c := study.ModelChange{Model: e.Card.Ref(), By: d.Who, Reason: w.reason, Beside: w.beside}
		if c.State, err = state(e, w); err != nil {
			return err
		}
		if w.share != "" {
			if c.Share, err = study.ParseShare(w.share); err != nil {
				return exitError{exitUsage, err}
			}
		}
		if c.NeedsTwo(study.ModelChange{State: e.State, Share: e.Share, Beside: e.Beside}) {
			return d.propose(ctx, c)
		}
		if err := d.Registry.Change(ctx, c); err != nil {
			return err
		}
		d.print(line(e.Card, c.State), "%s: %s → %s, for %s of the exams", e.Card.Ref(), e.State, c.State, c.Share)
		return nil
	}))
	f := c.Flags()
	f.StringVar(&w.reason, "reason", "", "why, for the audit trail")
	if slices.Contains(flags, "to") {
		f.StringVar(&w.to, "to", "", "live or shadow; the next step when left out")
	}
	if slices.Contains(flags, "share") {
		f.StringVar(&w.share, "share", "", "of the exams that the model is meant for, as 10%; all when left out")
	}
	if slices.Contains(flags, "beside") {
		f.BoolVar(&w.beside, "beside", false, "ask it whatever other live versions are asked, so that readers hear both")
	}
	return c
}

// entry finds a model with what it may do.
func (d *desk) entry(ctx context.Context, text string) (models.Entry, error) {
	ref, err := d.Registry.Resolve(text)
	if err != nil {
		return models.Entry{}, err
	}
	all, err := d.Registry.Cards(ctx)
	if err != nil {
		return models.Entry{}, err
	}
	i := slices.IndexFunc(all, func(e models.Entry) bool { return e.Card.Ref() == ref })
	if i < 0 {
		return models.Entry{}, fmt.Errorf("model %s is not kept here; varde model add keeps it: %w", ref, study.ErrNotFound)
	}
	return all[i], nil
}

func (d *desk) council() models.Council {
	return models.Council{Registry: d.Registry, Proposals: d.Ledger}
}

// propose asks for what another person is to confirm.
func (d *desk) propose(ctx context.Context, c study.ModelChange) error {
	p, err := d.council().Propose(ctx, c)
	if err != nil {
		return err
	}
	d.print(map[string]any{"proposal": p.ID, "model": c.Model.ID, "version": c.Model.Version, "state": p.Change.From, "to": c.State,
		"share": c.Share.String(), "by": c.By, "expires_at": p.Expires},
		"%s to %s for %s of the exams is proposed by %s; until %s another person may confirm it: varde model confirm %s",
		c.Model, c.State, c.Share, c.By, p.Expires.Format("2006-01-02 15:04"), c.Model)
	return nil
}

func decideVerb(use, short string, confirm bool) *cobra.Command {
	var reason string
	c := deskVerb(use, short, cobra.ExactArgs(1), sharing(func(ctx context.Context, d *desk, args []string) error {
		if !confirm && strings.TrimSpace(reason) == "" {
			return exitError{exitUsage, errors.New("to decline needs --reason")}
		}
		e, err := d.entry(ctx, args[0])
		if err != nil {
			return err
		}
		p, err := d.council().Decide(ctx, e.Card.Ref(), confirm, d.Who, cmp.Or(reason, "confirmed"))
		if err != nil {
			return err
		}
		state := e.State
		if confirm {
			state = p.Change.State
		}
		d.print(line(e.Card, state), "%s: what %s proposed is %s; it is %s", e.Card.Ref(), p.Change.By, p.Status, state)
		return nil
	}))
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit trail")
	return c
}

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
