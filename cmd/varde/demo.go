package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"varde/cmd/varde/demo"
	"varde/cmd/varde/settings"
	"varde/study"
)

func demoVerb() *cobra.Command {
	d := demo.Demo{Settings: settings.Defaults()}
	var dir string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Draw synthetic studies, push them through the whole house, and show the result",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"en", "nb", "da"}, d.Lang) {
				return exitError{exitUsage, fmt.Errorf("--lang %q is none of en, nb, da: %w", d.Lang, study.ErrInvalid)}
			}
			d.Out = cmd.OutOrStdout()
			return d.Run(cmd.Context(), dir)
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "dir", "", "keep everything in this folder; without it, all is removed at the end")
	f.BoolVar(&d.Exit, "exit", false, "end after the result instead of serving on; 0 only if every step held")
	f.BoolVar(&d.AsJSON, "json", false, "print the result as JSON")
	f.StringVar(&d.DICOMAddr, "dicom-addr", d.DICOMAddr, "address of the DICOM listener; another port is taken when it is in use")
	f.StringVar(&d.HTTPAddr, "http-addr", d.HTTPAddr, "address of the pages; another port is taken when it is in use")
	f.StringVar(&d.ONNXLibrary, "onnx-library", "", "path of libonnxruntime")
	f.StringVar(&d.Lang, "lang", d.Lang, "language of the reports: en, nb, da")
	return c
}
