package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/varde/scu"
	"varde/study"
)

func sendVerb() *cobra.Command {
	var as speaker
	var asJSON bool
	sender := &scu.Sender{}
	c := &cobra.Command{
		Use:   "send HOST:PORT FILE|FOLDER…",
		Short: "Send DICOM files by C-STORE: all that can be sent, and each of the others by name",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if sender.Dialer, err = as.dialer(args[0]); err != nil {
				return err
			}
			found := scu.Find(args[1:])
			began := time.Now()
			out := sender.Send(cmd.Context(), args[0], found.Objects)
			out.Unsent = append(found.Broken, out.Unsent...)
			of := out.Sent + len(out.Unsent)
			if asJSON {
				_ = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sent": out.Sent, "of": of, "not_dicom": found.NotDICOM,
					"not_sent": append([]scu.Unsent{}, out.Unsent...), "broken_associations": out.Broke, "seconds": time.Since(began).Seconds()})
			} else {
				tellSent(cmd, out, of, found.NotDICOM, time.Since(began))
			}
			switch {
			case of == 0:
				return fmt.Errorf("none of the %d files is DICOM: %w", found.NotDICOM, study.ErrInvalid)
			case len(out.Unsent) > 0:
				return fmt.Errorf("%d of %d objects were not sent to %s at %s; each is named with its cause", len(out.Unsent), of, sender.Dialer.Called, args[0])
			}
			return nil
		},
	}
	as.bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print the outcome as JSON")
	c.Flags().IntVar(&sender.Retries, "retries", 5, "how often in a row to call again a node that breaks off or has no room now, after 1, 2, 4 … seconds; 0 for never")
	return c
}

// tellSent says what became of the files: the causes where faults are said, the count
// where results are.
func tellSent(cmd *cobra.Command, out scu.Outcome, of, others int, took time.Duration) {
	for _, u := range out.Unsent {
		fmt.Fprintf(cmd.ErrOrStderr(), "not sent: %s: %s\n", u.Name, u.Why)
	}
	if out.Sent == 0 {
		return // the error that follows says it all
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d of %d objects sent in %.1f s; %d files were not DICOM\n", out.Sent, of, took.Seconds(), others)
	if out.Broke > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "the association broke %d times, and was opened anew for what had not been answered for\n", out.Broke)
	}
}

func echoVerb() *cobra.Command {
	var as speaker
	c := &cobra.Command{
		Use:   "echo HOST:PORT",
		Short: "Ask a DICOM node whether it is there (C-ECHO)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := as.dialer(args[0])
			if err != nil {
				return err
			}
			began := time.Now()
			if err := scu.Echo(cmd.Context(), d, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s at %s answers in %d ms\n", d.Called, args[0], time.Since(began).Milliseconds())
			return nil
		},
	}
	as.bind(c.Flags())
	return c
}
