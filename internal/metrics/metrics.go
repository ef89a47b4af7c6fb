// Package metrics counts what Varde does, for Prometheus.
//
//	New       the counters, and a collector that asks the ledger at each scrape
//	Handler   the page /metrics
//
// Names begin with varde_, carry their unit, and never a patient: labels are
// lanes, states, models, tasks and status words only.
package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"varde/study"
)

// A Source knows how much there is of everything.
type Source interface {
	Counts(ctx context.Context) (study.Counts, error)
}

// Metrics holds the counters of one process. Its methods may be called from many
// goroutines; on a nil *Metrics they do nothing.
type Metrics struct {
	registry  *prometheus.Registry
	instances *prometheus.CounterVec
	bytes     prometheus.Counter
	run       *prometheus.HistogramVec
	jobs      *prometheus.CounterVec
	tiles     *prometheus.CounterVec
	messages  *prometheus.CounterVec
	network   *prometheus.CounterVec
}

// scrapeLimit is how long one scrape may ask the ledger.
const scrapeLimit = 5 * time.Second

// New makes the counters. source may be nil in a process that has no ledger.
func New(source Source) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		instances: counter("varde_ingest_instances_total", "Objects received, by door and outcome.", "door", "outcome"),
		bytes:     prometheus.NewCounter(prometheus.CounterOpts{Name: "varde_ingest_bytes_total", Help: "Bytes of objects received and kept."}),
		run: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "varde_job_run_seconds",
			Help: "How long jobs ran, by task.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)}, []string{"task", "model"}),
		jobs:     counter("varde_jobs_done_total", "Jobs that ended, by task and outcome.", "task", "outcome"),
		tiles:    counter("varde_tiles_total", "Tiles scored, by model.", "model"),
		network:  counter("varde_network_run_seconds_total", "Time that networks ran, by model. Its rate by the number of workers is how busy they are.", "model"),
		messages: counter("varde_hl7_messages_total", "HL7 messages answered, by type and acknowledgment.", "type", "answer"),
	}
	m.registry.MustRegister(m.instances, m.bytes, m.run, m.jobs, m.tiles, m.messages, m.network,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if source != nil {
		m.registry.MustRegister(ledger{source})
	}
	if crew, ok := source.(Crew); ok {
		m.registry.MustRegister(workers{crew})
	}
	return m
}

// Handler serves the metrics in Prometheus' text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Received counts one object that came in by a door (dimse, stow) with an
// outcome (stored, duplicate, conflict, refused).
func (m *Metrics) Received(door, outcome string, bytes int64) {
	if m == nil {
		return
	}
	m.instances.WithLabelValues(door, outcome).Inc()
	m.bytes.Add(float64(bytes))
}

// heard are the messages that are counted by their own type; what strangers make
// up is one.
var heard = map[string]bool{"ORM^O01": true, "OMI^O23": true, "OML^O21": true, "OMG^O19": true,
	"ADT^A08": true, "ADT^A31": true, "ADT^A40": true, "ORU^R01": true}

// Heard counts one HL7 message (ORM^O01, ADT^A40 …) that was answered (AA, AE, AR).
func (m *Metrics) Heard(kind, answer string) {
	if m == nil {
		return
	}
	if !heard[kind] {
		kind = "other"
	}
	m.messages.WithLabelValues(kind, answer).Inc()
}

// Ran counts one job.
func (m *Metrics) Ran(j study.Job, took time.Duration, err error) {
	if m == nil {
		return
	}
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.jobs.WithLabelValues(string(j.Task), outcome).Inc()
	m.run.WithLabelValues(string(j.Task), j.Model.String()).Observe(took.Seconds())
	if j.Task == study.TaskScore && err == nil {
		m.tiles.WithLabelValues(j.Model.String()).Add(float64(j.Block.Planned()))
	}
}

// ledger asks the source at each scrape, so that no gauge goes stale.
type ledger struct{ source Source }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe sends nothing: the ledger is an unchecked collector, since which
// lanes and states there are depends on what it holds.
func (ledger) Describe(chan<- *prometheus.Desc) {}

// Collect asks for the counts once and sends them as gauges.
func (l ledger) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	up := desc("varde_ledger_up", "1 when the ledger answered this scrape.")
	c, err := l.source.Counts(ctx)
	if err != nil {
		ch <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, 0)
		return
	}
	ch <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, 1)
	studies := desc("varde_studies", "Studies, by status.", "status")
	for s, n := range c.Studies {
		ch <- prometheus.MustNewConstMetric(studies, prometheus.GaugeValue, float64(n), string(s))
	}
	jobs := desc("varde_jobs", "Jobs, by pool, lane and state.", "pool", "lane", "state")
	oldest := desc("varde_oldest_ready_seconds", "Age of the oldest job that waits.", "pool", "lane")
	for _, j := range c.Jobs {
		ch <- prometheus.MustNewConstMetric(jobs, prometheus.GaugeValue, float64(j.Count), j.Pool, j.Lane.String(), j.State)
		if j.State == "ready" && !j.Oldest.IsZero() {
			ch <- prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, time.Since(j.Oldest).Seconds(), j.Pool, j.Lane.String())
		}
	}
	deliveries := desc("varde_deliveries", "Deliveries, by status.", "status")
	for s, n := range c.Deliveries {
		ch <- prometheus.MustNewConstMetric(deliveries, prometheus.GaugeValue, float64(n), s)
	}
}

// BuildInfo tells which build runs and which ONNX Runtime it found.
func (m *Metrics) BuildInfo(version, runtime, library string, workers int) {
	if m == nil {
		return
	}
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "varde_build_info", Help: "1; the labels tell the build."},
		[]string{"version", "onnxruntime", "library_sha256", "workers"})
	m.registry.MustRegister(g)
	g.WithLabelValues(version, runtime, library, strconv.Itoa(workers)).Set(1)
}

// Network counts one run of a model's network.
func (m *Metrics) Network(model study.ModelRef, took time.Duration) {
	if m == nil {
		return
	}
	m.network.WithLabelValues(model.String()).Add(took.Seconds())
}
