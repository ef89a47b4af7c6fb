package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// A figure is one line of a benchmark: ours beside a peer's or a limit's in the
// same run. Ratio is how many times better than the peer; above 1 is better.
type figure struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Peer      string  `json:"peer"`
	PeerValue float64 `json:"peer_value"`
	Ratio     float64 `json:"ratio"`
}

// missing is the peer's name where it isn't installed.
const missing = "missing"

// A bench measures some figures and hands each to show as soon as it is known.
type bench func(cmd *cobra.Command, rounds int, show func(figure)) error

func benchVerb() *cobra.Command {
	var asJSON bool
	var rounds int
	benches := map[string]bench{"ingest": benchIngest, "score": benchScore, "slide": benchSlide, "scale": benchScale, "worklist": benchWorklist, "simulate": benchSimulate, "overhead": benchOverhead, "start": benchStart,
		"stock": benchStock, "traffic": benchTraffic, "fair": benchFair, "qido": benchQIDO, // the last four are the parts of ingest
		"load": benchLoad} // which takes half an hour
	all := []string{"ingest", "score", "slide", "scale", "worklist", "simulate", "overhead", "start"}
	names := append([]string{"all", "stock", "traffic", "fair", "qido", "load"}, all...)
	c := &cobra.Command{
		Use:       "bench {all|ingest|stock|traffic|fair|qido|load|score|slide|scale|worklist|simulate|overhead|start}",
		Short:     "Measure, each figure beside a peer or a limit in the same run",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			run := all
			if args[0] != "all" {
				run = args
			}
			show := func(f figure) { f.print(cmd.OutOrStdout(), asJSON) }
			for _, name := range run {
				if err := benches[name](cmd, rounds, show); err != nil {
					return fmt.Errorf("bench %s: %w", name, err)
				}
			}
			return nil
		},
	}
	c.Flags().Float64("large-gb", 4, "size of the long object that is sent, in GB")
	c.Flags().Int("slide-side", 50000, "side of the drawn slide, in pixels")
	c.Flags().Int("blocks", 24, "blocks of the slide that the network is shown; all of it takes many minutes")
	c.Flags().Float64("minutes", 30, "how long exams come, for load")
	modelFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().IntVar(&rounds, "rounds", 3, "how often each is measured; the median counts")
	return c
}

func (f figure) print(w io.Writer, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(w).Encode(f)
		return
	}
	if f.Peer == missing {
		fmt.Fprintf(w, "%-34s %10.3f %-12s (peer missing)\n", f.Name, f.Value, f.Unit)
		return
	}
	fmt.Fprintf(w, "%-34s %10.3f %-12s %s %.3f, ratio %.2f\n", f.Name, f.Value, f.Unit, f.Peer, f.PeerValue, f.Ratio)
}

// lower is a figure of which less is better.
func lower(name string, value float64, unit, peer string, peerValue float64) figure {
	return figure{name, value, unit, peer, peerValue, peerValue / value}
}

// higher is a figure of which more is better.
func higher(name string, value float64, unit, peer string, peerValue float64) figure {
	return figure{name, value, unit, peer, peerValue, value / peerValue}
}

// alone is a figure whose peer isn't installed.
func alone(name string, value float64, unit string) figure {
	return figure{Name: name, Value: value, Unit: unit, Peer: missing}
}

// quantile gives the value below which the share q of the values lies.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
