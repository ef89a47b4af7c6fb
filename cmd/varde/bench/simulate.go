package bench

import (
	"context"
	"time"

	"varde/worldlist/order"
	"varde/worldlist/rehearsal"
	"varde/worldlist/simulation"
)

// simulateLimit is how long a million exams may take.
const simulateLimit = 10.0 // s

// benchSimulate draws a million exams and reads them by the worklist's own rule.
func benchSimulate(ctx context.Context, ask Options, show func(Figure)) error {
	p := simulation.Profile{Readers: []int{3}, Streams: []simulation.Stream{{Name: "ct", PerHour: []float64{16.2}, Minutes: 10,
		Models: []simulation.Model{{Name: "m", Prevalence: 0.1, Sensitivity: 0.9, Specificity: 0.9, Minutes: 2}}}}}
	p.Days = 1e6 / p.Streams[0].PerHour[0] / 24
	var took []float64
	for n := range ask.Rounds {
		began := time.Now()
		if _, err := simulation.Compare(simulation.Question{Source: p.Source(uint64(n)), Ward: simulation.Ward{Readers: p.Readers}, Passes: 1, Names: p.StreamNames(),
			Rules: []simulation.Rule{simulation.Placed(rehearsal.Ours, order.Place)}}); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
	}
	show(lower("simulate.million_exams_s", quantile(took, 0.5), "s", "limit", simulateLimit))
	return nil
}
