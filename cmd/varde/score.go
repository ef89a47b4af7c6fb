package main

import (
	"os"

	"github.com/spf13/cobra"

	"varde/cmd/varde/settings"
)

func scoreVerb() *cobra.Command {
	var o scoring
	c := &cobra.Command{
		Use:   "score --model MODEL FILE|FOLDER…",
		Short: "Score DICOM files with no service at all, and print what was found as JSON",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.out = cmd.OutOrStdout()
			return o.run(cmd.Context(), args)
		},
	}
	f := c.Flags()
	f.StringVar(&o.model, "model", "", "a reference model, a model of --dir (ID or ID@VERSION), or a folder with a card.toml")
	f.StringVar(&o.dir, "dir", "", "data folder whose models may be named")
	f.StringVar(&o.library, "onnx-library", os.Getenv("VARDE_ONNX_LIBRARY"), "path of libonnxruntime")
	f.IntVar(&o.workers, "workers", 0, "blocks at once; 0 for one a core")
	f.StringVar(&o.charset, "charset", settings.Defaults().Charset, "character set of files that name none")
	f.Bool("json", true, "print JSON, one study a line; there is no other form")
	_ = c.MarkFlagRequired("model")
	return c
}
