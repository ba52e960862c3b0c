package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// summaryEvery is the time between two log lines about one kind of failure.
const summaryEvery = 30 * time.Second

// maxKinds bounds the kinds of failure that have log lines of their own at one
// time. Beyond it, failures of one backend and class share the source "others".
const maxKinds = 256

// Reporter is the one path on which failures reach logs, metrics and Sentry. It
// logs the first failure of a kind at once, and while the kind continues, one
// line every 30 seconds with the number of further failures. Its methods may be
// called by several goroutines, return no errors, and wait only for the log.
type Reporter struct {
	log      *slog.Logger
	failures *prometheus.CounterVec
	sentry   *Sentry     // nil sends no alerts
	copyTo   func(Alert) // gets each alert; nil: nobody does

	mutex   sync.Mutex
	closed  bool
	kinds   map[failureKind]*failureRun
	outages map[*Outage]struct{}
	periods map[Backend]*failurePeriod
	drops   map[Backend]*dropRun
}

// NewReporter returns a reporter that writes to log and counts in registry. It
// sends no alerts before SendTo.
func NewReporter(log *slog.Logger, registry prometheus.Registerer) *Reporter {
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_backend_failures_total",
		Help: "Failed calls of a backend, by backend (pg, redis or mail), calling method and class of error.",
	}, []string{"backend", "source", "class"})
	registry.MustRegister(failures)
	return &Reporter{
		log:      log,
		failures: failures,
		kinds:    map[failureKind]*failureRun{},
		outages:  map[*Outage]struct{}{},
		periods:  map[Backend]*failurePeriod{},
		drops:    map[Backend]*dropRun{},
	}
}

// SendTo makes the reporter send alerts to sentry, which may be nil. Call it
// before any other method.
func (r *Reporter) SendTo(sentry *Sentry) { r.sentry = sentry }

// CopyTo makes the reporter pass each alert to receive as well, also those that Sentry
// does not get because it got an equal one just before. It must not block. Call it
// before any other method.
func (r *Reporter) CopyTo(receive func(Alert)) { r.copyTo = receive }

// Report logs and counts a failed call of backend. The source names the caller,
// as "Type.method". A nil error and context.Canceled are ignored.
//
// Sentry gets an alert at once when only an operator can correct the failure,
// and otherwise when the backend has failed for a minute: a planned restart
// causes no alert.
func (r *Reporter) Report(backend Backend, source string, err error) {
	defer r.recoverPanic()
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	class := Class(err)
	r.failures.WithLabelValues(string(backend), source, class).Inc()
	kind := failureKind{backend, source, class}
	if r.addFailure(kind, err) {
		r.logFailure(kind, err)
	}
	if r.extendPeriod(backend) || needsOperator(class) {
		r.send(backendAlert(backend, source, class, err))
	}
}

// Unexpected sends Sentry an alert about an error that the code does not handle:
// one that became a page of status 500, the last failure of a job, a panic (see
// Recovered). The source says where and has few values; id, which may be empty,
// finds the log line that the caller writes. A nil error is ignored; the caller
// knows whether a cancelled context explains another one.
func (r *Reporter) Unexpected(source, id string, err error) {
	defer r.recoverPanic()
	if err == nil {
		return
	}
	r.send(unexpectedAlert(source, id, err))
}

// Close logs the suppressed failures and dropped tasks, and waits up to two
// seconds until queued alerts are sent. It may be called again.
func (r *Reporter) Close() {
	r.mutex.Lock()
	r.closed = true
	for outage := range r.outages {
		outage.alertTimer.Stop()
	}
	for _, run := range r.kinds {
		run.timer.Stop()
	}
	dropping := slices.Collect(maps.Keys(r.drops))
	for _, run := range r.drops {
		if run.timer != nil {
			run.timer.Stop()
		}
	}
	r.mutex.Unlock()

	r.flush(func(failureKind, *failureRun) bool { return true })
	for _, backend := range dropping {
		r.logDropped(backend)
	}
	r.sentry.Close()
}

// Private

// recoverPanic is deferred by every method: a bug in the reporter, or an error
// whose Error method panics, must not stop the caller.
func (r *Reporter) recoverPanic() {
	if cause := recover(); cause != nil {
		r.log.Error("Reporter of failures panicked", "panic", truncate(Scrub(fmt.Sprint(cause))))
	}
}

func (r *Reporter) send(a alert) {
	if r.copyTo != nil {
		r.copyTo(Alert{a})
	}
	r.sentry.enqueue(a)
}

func (r *Reporter) logFailure(kind failureKind, err error, attributes ...any) {
	values := []any{"backend", string(kind.backend), "source", kind.source, "class", kind.class, "error", truncate(Scrub(err.Error()))}
	r.log.Log(context.Background(), severity(kind.class), "Backend call failed", append(values, attributes...)...)
}

// failurePeriod is a period in which calls of a backend fail again and again.
type failurePeriod struct{ began, last time.Time }

const (
	periodGap       = 30 * time.Second // without a failure, this ends a period
	persistentAfter = time.Minute      // a period or outage of this length causes an alert
)

// extendPeriod adds a failure to the backend's period and reports whether the
// backend has failed for persistentAfter.
func (r *Reporter) extendPeriod(backend Backend) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := time.Now()
	current, known := r.periods[backend]
	if !known || now.Sub(current.last) > periodGap {
		r.periods[backend] = &failurePeriod{began: now, last: now}
		return false
	}
	current.last = now
	return now.Sub(current.began) >= persistentAfter
}
