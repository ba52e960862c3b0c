// Package jobs runs work behind the pages: jobs in PostgreSQL (River), which
// commit with the change that caused them, and tasks in Redis (asynq), which
// are many, quick and soon out of date.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"
)

// Backend labels metrics and logs.
type Backend string

// The two backends.
const (
	PG    Backend = "pg"
	Redis Backend = "redis"
)

// Metrics count what both backends work and enqueue.
type Metrics struct {
	processed *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	enqueued  *prometheus.CounterVec
}

// NewMetrics registers the figures of the job runtime.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		processed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_jobs_processed_total",
			Help: "Jobs and tasks that were worked, by result.",
		}, []string{"backend", "queue", "kind", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "app_jobs_duration_seconds",
			Help:    "How long jobs and tasks took.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30},
		}, []string{"backend", "kind"}),
		enqueued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_jobs_enqueue_total",
			Help: "Jobs and tasks that were enqueued, and tasks that were dropped while Redis was away.",
		}, []string{"backend", "kind", "result"}),
	}
	registry.MustRegister(m.processed, m.duration, m.enqueued)
	return m
}

// Private

// work is one run of a job or task, for the log and the metrics.
type work struct {
	backend Backend
	queue   string
	kind    string
	id      any
	attempt int
	started time.Time
	routine bool // whose success is no news: transient tasks, and what is done by the clock
}

// finish counts one run and logs it: what went wrong for people to read, what
// went well for whoever looks for it. A run that ends because the worker stops
// is handed back and did not fail, nor did one that an operator cancelled.
func (m *Metrics) finish(ctx context.Context, log *slog.Logger, w work, err error) {
	took := time.Since(w.started)
	result := "done"
	_, later := isLater(err)
	switch {
	case errors.Is(err, errCancelled), err != nil && errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely):
		result = "cancelled"
	case later:
		result = "later"
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		result = "returned"
	case err != nil:
		result = "failed"
	}
	m.processed.WithLabelValues(string(w.backend), w.queue, w.kind, result).Inc()
	m.duration.WithLabelValues(string(w.backend), w.kind).Observe(took.Seconds())

	level := slog.LevelInfo
	switch {
	case result == "failed":
		level = slog.LevelWarn
	case result == "later", result == "done" && w.routine && w.attempt == 1:
		level = slog.LevelDebug // what happens often and is no news
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{slog.String("kind", w.kind), slog.Any("id", w.id), slog.Int("attempt", w.attempt), slog.String("took", took.Round(time.Microsecond).String())}
	if result == "failed" {
		attributes = append(attributes, slog.Any("error", err))
	}
	noun := "Job"
	if w.backend == Redis {
		noun = "Task"
	}
	log.LogAttrs(ctx, level, noun+" "+result, attributes...)
}
