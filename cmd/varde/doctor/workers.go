package doctor

import (
	"context"
	"fmt"
	"strings"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/study"
)

// lookAtWorkers tells which workers are alive.
func lookAtWorkers(ctx context.Context, s settings.Settings) (all []Check) {
	d, err := house.OpenDesk(ctx, s)
	if err != nil {
		return nil // told of under the ledger
	}
	defer d.Ledger.Close()
	workers, err := d.Ledger.Workers(ctx)
	if err != nil {
		return []Check{verdict("workers", "", err, "see the ledger above")}
	}
	scoring := 0
	for _, w := range workers {
		k := verdict("worker", describeWorker(w), nil, "")
		if w.Slots == 0 && !w.Told.Leaving {
			k.Outcome, k.Remedy = Warn, "something that it needs is away; its log says what"
		}
		if w.Pool != study.PoolReport {
			scoring += w.Slots
		}
		all = append(all, k)
	}
	if scoring == 0 {
		all = append(all, Check{"workers", Warn, "none scores now", "start varde serve, or varde worker on the same store, queue and ledger"})
	}
	return all
}

// describeWorker is a worker in a line.
func describeWorker(w study.Worker) string {
	t := w.Told
	text := fmt.Sprintf("%s, pool %s, %d of %d jobs in hand", w.Name, w.Pool, t.InHand, w.Slots)
	for _, d := range t.Devices {
		text += fmt.Sprintf(", %s (%s, %d at once)", d.Name, d.Provider, d.Runners)
	}
	var speeds []string
	for _, m := range t.Models {
		speeds = append(speeds, fmt.Sprintf("%s %.1f tiles/s", m.Model, m.PerSecond))
	}
	if len(speeds) > 0 {
		text += ": " + strings.Join(speeds, ", ")
	}
	if t.Leaving {
		text += "; leaving"
	}
	return text
}
