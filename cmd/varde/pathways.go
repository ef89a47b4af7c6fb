package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/varde/settings"
	"varde/study"
	"varde/worldlist/pathway"
)

func pathwayVerb() *cobra.Command {
	c := &cobra.Command{Use: "pathway", Short: "See the legal clocks: pathways, their steps and limits"}
	var l settings.Loader
	var asJSON bool
	l.Bind(c.PersistentFlags(), "pathways", "country")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "print as JSON")
	with := func(use, short string, args cobra.PositionalArgs, do func(cmd *cobra.Command, t *pathway.Tables, args []string) error) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.Load(); err != nil {
				return exitError{exitFound, err}
			}
			t, err := l.PathwayTables()
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
