package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"varde/report"
	"varde/store"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/pathway"
	"varde/worldlist/screening"
)

// tables reads the pathways that are in force.
func (s Settings) tables() (*pathway.Tables, error) { return pathway.Load(s.Pathways, s.Country) }

// ledgerOptions are the ledger's choices: how studies are placed, by which tables
// orders are timed, and how examinations of screenings are read.
func (s Settings) ledgerOptions() (store.LedgerOptions, *pathway.Tables, error) {
	t, err := s.tables()
	if err != nil {
		return store.LedgerOptions{}, nil, err
	}
	programs, err := screening.Load(s.Screening)
	if err != nil {
		return store.LedgerOptions{}, nil, err
	}
	o := store.LedgerOptions{Place: worldlist.Place, Timer: t.Read, Verified: s.verified()}
	if len(programs.All) > 0 {
		o.Screener = programs.Plan
	}
	return o, t, nil
}

// screenings are how far examinations of screenings are; nil where the site has no
// program, and the pages say nothing of any.
func (h *house) screenings() worldlist.Screenings {
	if h.Screening == "" {
		return nil
	}
	return h.ledger
}

// lookEvery is how often the line is looked at for deadlines that pass or are at
// risk, and for models that nobody answers for.
const lookEvery = 30 * time.Second

// watchLine moves studies up when the clock says so, while nothing else happens to
// them. First it places anew what an older rule placed, and times anew what other
// tables timed.
func (h *house) watchLine(ctx context.Context) error {
	for tick := time.NewTicker(lookEvery); ; {
		if err := h.lookAtLine(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "waiting line not looked at; tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
	}
}

func (h *house) lookAtLine(ctx context.Context) error {
	if !h.placed {
		n, err := h.ledger.PlaceByRule(ctx, worldlist.Rule)
		if err != nil {
			return err
		}
		timed, err := h.ledger.TimeAgain(ctx, h.pathways.Version)
		if err != nil {
			return err
		}
		if h.placed = true; n+timed > 0 {
			h.log.InfoContext(ctx, "studies placed anew", "rule", worldlist.Rule, "studies", n, "pathways", h.pathways.Version, "timed", timed)
		}
	}
	return h.outlook.Watch(ctx, h.ledger, h.log)
}

func pathwayVerb() *cobra.Command {
	c := &cobra.Command{Use: "pathway", Short: "See the legal clocks: pathways, their steps and limits"}
	var l loader
	var asJSON bool
	l.bindSome(c.PersistentFlags(), "pathways", "country")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "print as JSON")
	with := func(use, short string, args cobra.PositionalArgs, do func(cmd *cobra.Command, t *pathway.Tables, args []string) error) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.load(); err != nil {
				return exitError{exitFound, err}
			}
			t, err := l.tables()
			if err != nil {
				return exitError{exitFound, err}
			}
			return do(cmd, t, args)
		}})
	}
	with("list", "List the pathways that are in force", cobra.NoArgs, func(cmd *cobra.Command, t *pathway.Tables, _ []string) error {
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(t)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		for _, p := range t.Pathways {
			fmt.Fprintf(w, "%s\t%s\tfrom %s\t%s\t%s\n", p.Code, p.Country, p.ValidFrom, p.Name.In(l.Lang), limitOf(p))
		}
		return w.Flush()
	})
	with("show CODE", "Show the steps of a pathway, and where its limits are written", cobra.ExactArgs(1), func(cmd *cobra.Command, t *pathway.Tables, args []string) error {
		p, ok := t.On(args[0], time.Now())
		if !ok {
			return exitError{exitFound, fmt.Errorf("pathway %q; varde pathway list names them: %w", args[0], study.ErrNotFound)}
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(p)
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "%s  %s\n%s\n", p.Code, p.Name.In(l.Lang), p.Source)
		for _, s := range p.Steps {
			fmt.Fprintf(out, "  %-16s %s\n", s.Code, stepOf(s, l.Lang))
		}
		return nil
	})
	with("check", "Check the site's pathways; every fault at once", cobra.NoArgs, func(cmd *cobra.Command, t *pathway.Tables, _ []string) error {
		fmt.Fprintf(cmd.OutOrStdout(), "%d pathways are sound, tables %s\n", len(t.Pathways), t.Version)
		return nil
	})
	return c
}

// limitOf is the limit within which an examination of a pathway is read.
func limitOf(p pathway.Pathway) string {
	for _, s := range p.Steps {
		if s.Reads {
			return stepOf(s, "en")
		}
	}
	return ""
}

// stepOf is a step in one line.
func stepOf(s pathway.Step, lang string) string {
	from := strings.Join(s.From, " or ")
	if s.After != "" {
		from = "the end of " + s.After
	}
	unit := s.Unit
	if unit == "" {
		unit = pathway.Calendar
	}
	text := fmt.Sprintf("%d %s days from %s: %s", s.Days, unit, from, s.Name.In(lang))
	if s.Reads {
		text += " (examinations are read in it)"
	}
	return text
}

// verified reports whether a destination wants to know what readers make of results.
func (s Settings) verified() bool {
	return slices.ContainsFunc(s.Destinations, func(d Destination) bool {
		return slices.Contains(d.Kinds, report.KindVerified) || slices.Contains(d.Kinds, report.KindFinalMessage)
	})
}
