package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/varde/settings"
)

// The outcomes of a check.
const (
	checkOK   = "OK"
	checkWarn = "WARN"
	checkFail = "FAIL"
)

// A check is one line of the doctor: what was looked at, what was found, and
// what to do about it when it isn't as it should be.
type check struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Found   string `json:"found"`
	Remedy  string `json:"remedy,omitempty"`
}

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
				return askAlive(cmd.Context(), live)
			}
			checks := examine(cmd.Context(), &l)
			failed := 0
			for _, k := range checks {
				k.print(cmd.OutOrStdout(), asJSON)
				if k.Outcome == checkFail {
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

func (k check) print(w io.Writer, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(w).Encode(k)
		return
	}
	fmt.Fprintf(w, "%-4s  %-16s %s\n", k.Outcome, k.Name, k.Found)
	if k.Remedy != "" && k.Outcome != checkOK {
		fmt.Fprintf(w, "      %-16s → %s\n", "", k.Remedy)
	}
}

// askAlive is the health check of a container.
func askAlive(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return exitError{exitUsage, err}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
