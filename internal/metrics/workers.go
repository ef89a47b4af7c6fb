package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"varde/study"
)

// A Crew knows the workers that are alive. A [Source] that is one too shows them.
type Crew interface {
	Workers(ctx context.Context) ([]study.Worker, error)
}

// workers asks who is alive at each scrape. Whichever process is scraped tells of
// all: take the greatest over processes, not the sum.
type workers struct{ crew Crew }

// Describe sends nothing: pools and models come and go.
func (workers) Describe(chan<- *prometheus.Desc) {}

// Collect asks once and sends gauges.
func (w workers) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	all, err := w.crew.Workers(ctx)
	if err != nil {
		return // varde_ledger_up tells
	}
	alive, slots, busy, speed := map[string]int{}, map[string]int{}, map[string]int{}, map[string]float64{}
	for _, k := range all {
		alive[k.Pool]++
		slots[k.Pool] += k.Slots
		busy[k.Pool] += k.Told.InHand
		for _, m := range k.Told.Models {
			speed[m.Model] += m.PerSecond
		}
	}
	gauge := func(d *prometheus.Desc, v float64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	number := desc("varde_workers", "Workers that are alive, by pool.", "pool")
	offered := desc("varde_worker_slots", "Jobs that the living workers do at once, by pool.", "pool")
	inHand := desc("varde_worker_jobs", "Jobs that the living workers have in hand, by pool.", "pool")
	for pool, n := range alive {
		gauge(number, float64(n), pool)
		gauge(offered, float64(slots[pool]), pool)
		gauge(inHand, float64(busy[pool]), pool)
	}
	pace := desc("varde_worker_tiles_per_second", "Tiles that the living workers together score in each second with this model in hand, as they learned.", "model")
	for model, v := range speed {
		gauge(pace, v, model)
	}
}
