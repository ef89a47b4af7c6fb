package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"varde/study"
	"varde/worldlist/rehearsal"
	"varde/worldlist/screening"
	"varde/worldlist/simulation"
)

// simulateVerb replays the department's exams through the rules of the order.
func simulateVerb() *cobra.Command {
	var t rehearsal.Trial
	var profile, readers, bands string
	run := func(ctx context.Context, d *desk, _ []string) (err error) {
		if t.Readers, err = numbers(readers); err != nil {
			return exitError{exitUsage, err}
		}
		if profile != "" {
			if t.Profile, err = readProfile(profile); err != nil {
				return exitError{exitUsage, err}
			}
		}
		if bands != "" {
			return d.replayScreening(ctx, bands, t.Days)
		}
		var h rehearsal.Historian
		if d.Ledger != nil {
			h = d.Ledger
		}
		outcome, err := t.Run(ctx, h, time.Now())
		if err != nil {
			return err
		}
		if d.asJSON {
			d.print(outcome, "")
			return nil
		}
		return d.printTrial(outcome)
	}
	c := deskVerb("simulate", "Replay the last days, or a profile, through the reading order: who would have waited how long", cobra.NoArgs, run)
	atDesk := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if profile == "" {
			return atDesk(cmd, args)
		}
		asJSON, err := cmd.Flags().GetBool("json")
		if err != nil {
			return err
		}
		return run(cmd.Context(), &desk{out: cmd.OutOrStdout(), asJSON: asJSON}, args) // a profile needs no ledger
	}
	f := c.Flags()
	f.StringVar(&bands, "screening", "", "TOML file of screening programs: how many would have been read once, and what that saves, instead of the order")
	f.StringVar(&profile, "profile", "", "TOML file of what comes and how good the models are; the history is not needed then")
	f.IntVar(&t.Days, "days", 90, "how many days of the history")
	f.StringSliceVar(&t.Models, "models", nil, "whose results count, ID or ID@VERSION, in shadow too; all that readers were shown when left out")
	f.StringVar(&readers, "readers", "", "how many read at once: one number, or 24 or 168 apart by commas, by the hour; as in the history when left out")
	f.IntVar(&t.Passes, "passes", 10, "how often everything is drawn anew; more make the intervals narrower")
	f.Uint64Var(&t.Seed, "seed", 1, "the same seed gives the same figures")
	return c
}

// replayScreening tells what the programs of a file would have done to the last days.
func (d *desk) replayScreening(ctx context.Context, file string, days int) error {
	p, err := screening.Load(file)
	if err != nil {
		return exitError{exitUsage, err}
	}
	all, err := rehearsal.ReplayScreening(ctx, d.Ledger, p, days, time.Now())
	if err != nil {
		return err
	}
	if d.asJSON {
		d.print(all, "")
		return nil
	}
	d.printScreening(all, days)
	return nil
}

func numbers(text string) (out []int, err error) {
	if text == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("readers %q is no list of numbers: %w", text, study.ErrInvalid)
		}
		out = append(out, n)
	}
	return out, nil
}

func readProfile(file string) (*simulation.Profile, error) {
	var p simulation.Profile
	meta, err := toml.DecodeFile(file, &p)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, err
		}
		return nil, fmt.Errorf("profile %s: %w: %w", file, study.ErrInvalid, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("profile %s has %s, which is unknown: %w", file, unknown[0], study.ErrInvalid)
	}
	return &p, p.Check()
}
