package main

import (
	"os"

	"github.com/spf13/cobra"

	"varde/cmd/varde/modelcheck"
)

// checkModelVerb needs no data folder: it reads a model that is kept nowhere yet.
func checkModelVerb() *cobra.Command {
	var o modelcheck.Check
	c := &cobra.Command{
		Use: "check FOLDER", Short: "Check a card.toml and its network, and run its golden case; keep nothing", Args: cobra.ExactArgs(1),
		Long: "Holds card and network against each other, and lists every fault at once. What passes is run:\n" +
			"on its golden case, which must reproduce, or on an empty input, and speed and memory on this\n" +
			"machine are told. With --golden the first tiles of a study are run, and what went in and came\n" +
			"out is written into the folder as the golden case.",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Out = cmd.OutOrStdout()
			if err := o.Run(cmd.Context(), args[0]); err != nil {
				return exitError{exitFound, err}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Golden, "golden", "", "folder or file of a study that the golden case is recorded from")
	f.StringVar(&o.Library, "onnx-library", os.Getenv("VARDE_ONNX_LIBRARY"), "path of libonnxruntime")
	f.BoolVar(&o.Static, "static", false, "read the files alone; run nothing")
	f.BoolVar(&o.AsJSON, "json", false, "print as JSON")
	return c
}
