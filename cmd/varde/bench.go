package main

import (
	"github.com/spf13/cobra"

	"varde/cmd/varde/bench"
	"varde/internal/onnx"
)

func benchVerb() *cobra.Command {
	var ask bench.Options
	var asJSON bool
	c := &cobra.Command{
		Use:       "bench {all|ingest|stock|traffic|fair|qido|load|score|slide|scale|worklist|simulate|overhead|start}",
		Short:     "Measure, each figure beside a peer or a limit in the same run",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: bench.Names(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.OneModel, ask.Notices = cmd.Flags().Changed("model"), cmd.ErrOrStderr()
			return bench.Run(cmd.Context(), args[0], ask, func(f bench.Figure) { f.Print(cmd.OutOrStdout(), asJSON) })
		},
	}
	f := c.Flags()
	f.Float64Var(&ask.LargeGB, "large-gb", 4, "size of the long object that is sent, in GB")
	f.IntVar(&ask.SlideSide, "slide-side", 50000, "side of the drawn slide, in pixels")
	f.IntVar(&ask.Blocks, "blocks", 24, "blocks of the slide that the network is shown; all of it takes many minutes")
	f.IntVar(&ask.Studies, "studies", 1_000_000, "in the ledger, for worklist; one in ten is still to be read")
	f.Float64Var(&ask.Minutes, "minutes", 30, "how long exams come, for load")
	f.StringVar(&ask.Model, "model", "", "measure this model: a reference model, a model of --dir, or a folder with a card.toml")
	f.StringVar(&ask.Dir, "dir", "", "data folder whose models may be named")
	f.StringVar(&ask.Provider, "provider", onnx.CPU, "who runs it: cpu, cuda:0, tensorrt:0, openvino:0, webgpu")
	f.IntVar(&ask.Batch, "batch", 0, "tiles in one run; 0 for 4 on the cpu and 32 elsewhere")
	f.BoolVar(&asJSON, "json", false, "one JSON object a line")
	f.IntVar(&ask.Rounds, "rounds", 3, "how often each is measured; the median counts")
	return c
}
