package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Private

// backlogMetrics shows what a backlog measured last. A scrape asks no backend. While a
// backend cannot be read, its numbers are unknown: they are missing, and not zero.
type backlogMetrics struct{ *Backlog }

var (
	depthMetric = prometheus.NewDesc("app_jobs_depth",
		"Jobs and tasks in each queue and state. Every process reports the same numbers. "+
			"Jobs, and tasks that failed or were cancelled, are counted up to 10000 a queue and state, "+
			"and those that neither wait nor run once a minute.",
		[]string{"backend", "queue", "state"}, nil)
	latencyMetric = prometheus.NewDesc("app_jobs_latency_seconds",
		"How long the oldest due job or task of the queue has waited for a worker.", []string{"backend", "queue"}, nil)
	backendUpMetric = prometheus.NewDesc("app_jobs_backend_up",
		"1 while the queues of the backend can be read, 0 while not.", []string{"backend"}, nil)
	sampleAgeMetric = prometheus.NewDesc("app_jobs_sample_age_seconds",
		"How long ago the queues of the backend were measured for the last time.", []string{"backend"}, nil)
	outboxMetric = prometheus.NewDesc("app_jobs_outbox_depth",
		"Durable tasks in the outbox, counted up to 10000 in each state. Each stays there for some seconds, until Redis has stored it.",
		nil, nil)
	workersMetric = prometheus.NewDesc("app_jobs_workers",
		"Worker processes by state: working, quiet, stopping, or dead while the heartbeat is missing. 0 when there is none.",
		[]string{"backend", "state"}, nil)
)

func (b backlogMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{depthMetric, latencyMetric, backendUpMetric, sampleAgeMetric, outboxMetric, workersMetric} {
		descriptions <- one
	}
}

func (b backlogMetrics) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(metric *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(metric, prometheus.GaugeValue, value, labels...)
	}
	for _, source := range b.sources {
		backend := string(source.backend)
		measured, fresh := source.latest()
		if !measured.at.IsZero() {
			gauge(sampleAgeMetric, time.Since(measured.at).Seconds(), backend)
		}
		if !fresh {
			gauge(backendUpMetric, 0, backend)
			continue
		}
		gauge(backendUpMetric, 1, backend)
		for _, queue := range measured.queues {
			gauge(latencyMetric, queue.Oldest.Seconds(), backend, queue.Queue)
			for state, count := range queue.Counts {
				gauge(depthMetric, float64(count), backend, queue.Queue, state)
			}
		}
		if source.backend != PG {
			continue
		}
		gauge(outboxMetric, float64(measured.outbox))
		for worker, number := range b.workers(measured) {
			gauge(workersMetric, float64(number), worker.backend, worker.state)
		}
	}
}

type workerLabels struct{ backend, state string }

// workers are the numbers of workers, also those that are 0: an alert for a missing worker
// could not see a missing number.
func (b backlogMetrics) workers(measured backlogReading) map[workerLabels]int {
	numbers := map[workerLabels]int{}
	for _, source := range b.sources {
		for _, state := range []State{Working, Quiet, Stopping, deadState} {
			numbers[workerLabels{string(source.backend), string(state)}] = 0
		}
	}
	for _, worker := range measured.workers {
		numbers[workerLabels{worker.Backend, worker.State}] = worker.Number
	}
	return numbers
}

// deadState is the state of a worker whose heartbeat is missing. No worker has it in the
// database.
const deadState State = "dead"
