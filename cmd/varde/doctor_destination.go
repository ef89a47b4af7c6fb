package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"varde/cmd/varde/doctor"
	"varde/cmd/varde/settings"
	"varde/study"
)

// destinationVerb tries one destination with a test object, reads it back and
// compares.
func destinationVerb() *cobra.Command {
	var l settings.Loader
	var asJSON bool
	c := &cobra.Command{
		Use:   "destination NAME",
		Short: "Try a destination with a test object of no patient: send it, read it back, compare",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.Load(); err != nil {
				return exitError{exitFound, err}
			}
			n := slices.IndexFunc(l.Destinations, func(d settings.Destination) bool { return d.Name == args[0] })
			if n < 0 {
				return exitError{exitUsage, fmt.Errorf("no destination is called %q; varde config show lists them: %w", args[0], study.ErrNotFound)}
			}
			checks, failed := doctor.Try(cmd.Context(), l.Settings, l.Destinations[n]), 0
			for _, k := range checks {
				k.Print(cmd.OutOrStdout(), asJSON)
				if k.Outcome == doctor.Fail {
					failed++
				}
			}
			if failed > 0 {
				return exitError{exitFound, fmt.Errorf("doctor: destination %s: %d of %d checks failed", args[0], failed, len(checks))}
			}
			return nil
		},
	}
	l.Bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}
