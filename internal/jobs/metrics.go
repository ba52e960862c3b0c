package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/history"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/telemetry"
)

// Metrics count what both backends enqueue and run.
type Metrics struct {
	processed *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	wait      *prometheus.HistogramVec
	enqueued  *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	stuck     *prometheus.GaugeVec

	history    *history.Recorder // nil: runs are not recorded
	unreadable *occasionally     // logs kinds with args that this release cannot read
}

// NewMetrics registers the metrics of jobs and tasks.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		unreadable: newOccasionally(time.Minute),
		processed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_jobs_processed_total",
			Help: "Runs of jobs and tasks, by result.",
		}, []string{"backend", "queue", "kind", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "app_jobs_duration_seconds",
			Help:    "Duration of runs of jobs and tasks.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30},
		}, []string{"backend", "kind"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "app_jobs_wait_seconds",
			Help: "How long jobs and tasks had been due when a worker began them. " +
				"Tasks count at their first attempt only, with their snoozes.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 30, 120, 600, 3600},
		}, []string{"backend", "queue"}),
		enqueued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_jobs_enqueue_total",
			Help: "Jobs and tasks to enqueue, by result: ok, duplicate, carried (the outbox sends the task later) or dropped.",
		}, []string{"backend", "kind", "result"}),
	}
	m.inFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "app_jobs_in_flight",
		Help: "Jobs and tasks that this process runs now.",
	}, []string{"backend"})
	m.stuck = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "app_jobs_stuck",
		Help: "Runs of this process whose handlers ignore the end of their context.",
	}, []string{"backend", "kind"})
	registry.MustRegister(m.processed, m.duration, m.wait, m.enqueued, m.inFlight, m.stuck)
	return m
}

// RecordTo adds every run to the history of jobs too.
func (m *Metrics) RecordTo(recorder *history.Recorder) { m.history = recorder }

// Private

// startAtZero shows counters before their first increase, which is none otherwise.
func (m *Metrics) startAtZero(backend Backend, kinds Handlers) {
	for _, kind := range kinds.Kinds() {
		m.enqueued.WithLabelValues(string(backend), kind, "ok")
		if backend == Redis {
			m.enqueued.WithLabelValues(string(backend), kind, "dropped")
		}
	}
}

// unknownWait is the wait of a run of which nobody knows when it was due.
const unknownWait time.Duration = -1

// runRecord describes one run of a job or task for the log and the metrics.
type runRecord struct {
	backend Backend
	queue   string
	kind    string
	id      any
	attempt int
	started time.Time
	waited  time.Duration // from due to start, or unknownWait
	final   bool          // no attempt follows when it failed
	routine bool          // its success is not worth a log line: transient tasks, recurring runs, and the relay of durable tasks
}

// observe counts and logs one run that ended with err. A run that an operator
// cancelled did not fail, nor did a run that ended because the worker stops.
func (m *Metrics) observe(ctx context.Context, log *slog.Logger, r runRecord, err error) {
	ended := time.Now()
	took := ended.Sub(r.started)
	result := resultOf(ctx, err)
	m.processed.WithLabelValues(string(r.backend), r.queue, r.kind, result).Inc()
	m.duration.WithLabelValues(string(r.backend), r.kind).Observe(took.Seconds())
	if r.waited >= 0 && result != "later" && result != "returned" { // those begin once more
		m.wait.WithLabelValues(string(r.backend), r.queue).Observe(r.waited.Seconds())
	}
	if m.history != nil {
		m.history.Observe(history.Run{
			Backend: r.backend, Queue: r.queue, Kind: r.kind, Result: result, Ended: ended, Took: took, Waited: r.waited,
		})
	}

	var unreadable *unreadableError
	if _, waits := isSnooze(err); waits && errors.As(err, &unreadable) {
		m.unreadable.do(r.kind, func() {
			log.WarnContext(ctx, "Work waits for a worker of another release, because this one cannot read its args",
				"kind", r.kind, "id", r.id, "error", telemetry.Scrub(unreadable.Error()))
		})
	}
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
	if id := telemetry.RequestID(ctx); id != "" {
		attributes = append(attributes, slog.String("request_id", id))
	}
	if result == "failed" {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	log.LogAttrs(ctx, level, r.message(result), attributes...)
}

func (r runRecord) message(result string) string {
	noun, verb := "Job", "finished"
	if r.backend == Redis {
		noun = "Task"
	}
	if result == "failed" && r.final {
		verb = "failed for good"
	}
	return noun + " " + verb
}

// resultOf names the result of a run as metrics do.
func resultOf(ctx context.Context, err error) string {
	_, snoozed := isSnooze(err)
	switch {
	case errors.Is(err, ErrExpired):
		return "expired"
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
