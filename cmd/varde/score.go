package main

import (
	"os"

	"github.com/spf13/cobra"

	"varde/cmd/varde/scoring"
	"varde/cmd/varde/settings"
)

func scoreVerb() *cobra.Command {
	var o scoring.Task
	c := &cobra.Command{
		Use:   "score --model MODEL FILE|FOLDER…",
		Short: "Score DICOM files with no service at all, and print what was found as JSON",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Out = cmd.OutOrStdout()
			return o.Run(cmd.Context(), args)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Model, "model", "", "a reference model, a model of --dir (ID or ID@VERSION), or a folder with a card.toml")
	f.StringVar(&o.Dir, "dir", "", "data folder whose models may be named")
	f.StringVar(&o.Library, "onnx-library", os.Getenv("VARDE_ONNX_LIBRARY"), "path of libonnxruntime")
	f.IntVar(&o.Workers, "workers", 0, "blocks at once; 0 for one a core")
	f.StringVar(&o.Charset, "charset", settings.Defaults().Charset, "character set of files that name none")
	f.Bool("json", true, "print JSON, one study a line; there is no other form")
	_ = c.MarkFlagRequired("model")
	return c
}
