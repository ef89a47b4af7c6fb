// Package bench measures, each figure beside a peer or a limit in the same run. [Run]
// makes the measurements of one name, or of all: what comes in (ingest, and its parts
// stock, traffic, fair and qido), what is scored (score, slide), how it grows (scale,
// load), what readers wait for (worklist, simulate) and what Varde itself takes
// (overhead, start). Services that are measured are this program in processes of
// their own, and peers are what is installed; a peer that is missing is said, and
// fails nothing.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Options say what is measured, and how much of it.
type Options struct {
	Rounds    int     // how often each is measured; the median counts
	LargeGB   float64 // size of the long object that is sent
	SlideSide int     // of the drawn slide, in pixels
	Blocks    int     // of the slide that the network is shown
	Studies   int     // in the ledger, for worklist
	Minutes   float64 // how long exams come, for load

	// With OneModel, score measures one model alone.
	OneModel bool
	Model    string // its name, or a folder with a card.toml
	Dir      string // data folder whose models may be named
	Provider string // who runs it: cpu, cuda:0
	Batch    int    // tiles in one run; 0 for what suits the provider

	Notices io.Writer // gets a line for what could not be measured
}

// A Figure is one line of a benchmark: ours beside a peer's or a limit's in the
// same run. Ratio is how many times better than the peer; above 1 is better.
type Figure struct {
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
type bench func(ctx context.Context, ask Options, show func(Figure)) error

// all are the benchmarks of the name all, in their order. Of the others, four are the
// parts of ingest, and load takes half an hour.
func all() []string {
	return []string{"ingest", "score", "slide", "scale", "worklist", "simulate", "overhead", "start"}
}

// Names lists what [Run] knows; all stands for the usual ones.
func Names() []string {
	return append([]string{"all", "stock", "traffic", "fair", "qido", "load"}, all()...)
}

// Run measures what one of [Names] stands for, and shows each figure as soon as it is
// known.
func Run(ctx context.Context, name string, ask Options, show func(Figure)) error {
	benches := map[string]bench{"ingest": benchIngest, "score": benchScore, "slide": benchSlide, "scale": benchScale, "worklist": benchWorklist,
		"simulate": benchSimulate, "overhead": benchOverhead, "start": benchStart,
		"stock": benchStock, "traffic": benchTraffic, "fair": benchFair, "qido": benchQIDO, "load": benchLoad}
	names := all()
	if name != "all" {
		names = []string{name}
	}
	for _, name := range names {
		if err := benches[name](ctx, ask, show); err != nil {
			return fmt.Errorf("bench %s: %w", name, err)
		}
	}
	return nil
}

// Print writes a figure as a line of text, or as JSON.
func (f Figure) Print(w io.Writer, asJSON bool) {
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
func lower(name string, value float64, unit, peer string, peerValue float64) Figure {
	return Figure{name, value, unit, peer, peerValue, peerValue / value}
}

// higher is a figure of which more is better.
func higher(name string, value float64, unit, peer string, peerValue float64) Figure {
	return Figure{name, value, unit, peer, peerValue, value / peerValue}
}

// alone is a figure whose peer isn't installed.
func alone(name string, value float64, unit string) Figure {
	return Figure{Name: name, Value: value, Unit: unit, Peer: missing}
}

// quantile gives the value below which the share q of the values lies.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
