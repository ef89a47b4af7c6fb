package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"varde/cmd/varde/doctor"
	"varde/cmd/varde/settings"
)

func doctorVerb() *cobra.Command {
	var l settings.Loader
	var asJSON bool
	var live string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that Varde stands on; each line OK, WARN or FAIL, and a remedy",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if live != "" {
				if _, err := url.Parse(live + "/healthz"); err != nil {
					return exitError{exitUsage, err}
				}
				return doctor.AskAlive(cmd.Context(), live)
			}
			checks := doctor.Examine(cmd.Context(), &l)
			failed := 0
			for _, k := range checks {
				k.Print(cmd.OutOrStdout(), asJSON)
				if k.Outcome == doctor.Fail {
					failed++
				}
			}
			if failed > 0 {
				return exitError{exitFound, fmt.Errorf("doctor: %d of %d checks failed", failed, len(checks))}
			}
			return nil
		},
	}
	c.AddCommand(destinationVerb())
	l.Bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().StringVar(&live, "live", "", "only ask whether the service at this URL is alive")
	return c
}
