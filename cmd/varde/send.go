package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/varde/scu"
)

func sendVerb() *cobra.Command {
	var as speaker
	var asJSON bool
	c := &cobra.Command{
		Use:   "send HOST:PORT FILE|FOLDER…",
		Short: "Send DICOM files by C-STORE",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := as.dialer(args[0])
			if err != nil {
				return err
			}
			objects, skipped, err := scu.FromFiles(args[1:])
			if err != nil {
				return err
			}
			began := time.Now()
			sent, err := scu.Send(cmd.Context(), d, args[0], objects, nil)
			if asJSON {
				_ = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sent": sent, "of": len(objects),
					"not_dicom": skipped, "seconds": time.Since(began).Seconds()})
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%d of %d objects sent in %.1f s; %d files were not DICOM\n",
					sent, len(objects), time.Since(began).Seconds(), skipped)
			}
			return err
		},
	}
	as.bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print the outcome as JSON")
	return c
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
