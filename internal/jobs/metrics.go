package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/taskqueue"
)

// Metrics count what both backends enqueue and run.
type Metrics struct {
	processed *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	enqueued  *prometheus.CounterVec
}

// NewMetrics registers the metrics of jobs and tasks.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		processed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_jobs_processed_total",
			Help: "Runs of jobs and tasks, by result.",
		}, []string{"backend", "queue", "kind", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "app_jobs_duration_seconds",
			Help:    "Duration of runs of jobs and tasks.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30},
		}, []string{"backend", "kind"}),
		enqueued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_jobs_enqueue_total",
			Help: "Jobs and tasks to enqueue, by result: ok, duplicate, carried (the outbox sends the task later) or dropped.",
		}, []string{"backend", "kind", "result"}),
	}
	registry.MustRegister(m.processed, m.duration, m.enqueued)
	return m
}

// Private

// runRecord describes one run of a job or task for the log and the metrics.
type runRecord struct {
	backend Backend
	queue   string
	kind    string
	id      any
	attempt int
	started time.Time
	routine bool // its success is not worth a log line: transient tasks and recurring runs
}

// observe counts and logs one run that ended with err. A run that an operator
// cancelled did not fail, nor did a run that ended because the worker stops.
func (m *Metrics) observe(ctx context.Context, log *slog.Logger, r runRecord, err error) {
	took := time.Since(r.started)
	result := resultOf(ctx, err)
	m.processed.WithLabelValues(string(r.backend), r.queue, r.kind, result).Inc()
	m.duration.WithLabelValues(string(r.backend), r.kind).Observe(took.Seconds())

	level := slog.LevelInfo
	switch {
	case result == "failed":
		level = slog.LevelWarn
	case result == "later", result == "done" && r.routine && r.attempt == 1:
		level = slog.LevelDebug
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("result", result), slog.String("kind", r.kind), slog.Any("id", r.id), slog.Int("attempt", r.attempt),
		slog.String("took", took.Round(time.Microsecond).String()),
	}
	if result == "failed" {
		attributes = append(attributes, slog.Any("error", err))
	}
	message := "Job finished"
	if r.backend == Redis {
		message = "Task finished"
	}
	log.LogAttrs(ctx, level, message, attributes...)
}

// resultOf names the result of a run as metrics do.
func resultOf(ctx context.Context, err error) string {
	_, snoozed := isSnooze(err)
	switch {
	case errors.Is(err, taskqueue.ErrCancelled), err != nil && errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely):
		return "cancelled"
	case snoozed:
		return "later"
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return "returned"
	case err != nil:
		return "failed"
	}
	return "done"
}
