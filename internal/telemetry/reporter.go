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

// summaryEvery is how often one kind of failure is logged while it goes on.
const summaryEvery = 30 * time.Second

// maxKinds bounds the kinds of failure that are told apart at one time. Beyond
// it, those of one backend and class are taken together.
const maxKinds = 256

// Reporter is the one path for what goes wrong behind a request's back. The
// first failure of a kind is logged at once; while it goes on, one line every
// 30 seconds tells how many more there were. It never fails, and never waits
// for anything but the log.
type Reporter struct {
	log      *slog.Logger
	failures *prometheus.CounterVec
	sentry   *Sentry // nil: nobody is told

	mutex   sync.Mutex
	closed  bool
	kinds   map[failureKind]*failureRun
	outages map[*Outage]struct{}
	spells  map[string]*spell   // by backend
	drops   map[string]*dropRun // by backend
}

// NewReporter logs to log and counts in registry.
func NewReporter(log *slog.Logger, registry prometheus.Registerer) *Reporter {
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_backend_failures_total",
		Help: "Failures of a backend that the program carried on without.",
	}, []string{"backend", "source", "class"})
	registry.MustRegister(failures)
	return &Reporter{
		log:      log,
		failures: failures,
		kinds:    map[failureKind]*failureRun{},
		outages:  map[*Outage]struct{}{},
		spells:   map[string]*spell{},
		drops:    map[string]*dropRun{},
	}
}

// SendTo has sentry told what a person should know, too. Call it before the
// reporter is used.
func (r *Reporter) SendTo(sentry *Sentry) { r.sentry = sentry }

// Report tells that a call of backend ("Redis", "PostgreSQL") failed. Source
// is who called, as "Type.method". Cancelled calls are not failures.
//
// Sentry hears at once of what only a person can mend, and of everything else
// when it has gone on for a minute: a planned restart pages nobody.
func (r *Reporter) Report(backend, source string, err error) {
	defer r.survive()
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	class := Class(err)
	r.failures.WithLabelValues(backend, source, class).Inc()
	kind := failureKind{backend, source, class}
	if r.isFirst(kind, err) {
		r.write(kind, err)
	}
	if r.lasts(backend) || needsAPerson(class) {
		r.sentry.tell(backendAlarm(backend, source, class, err))
	}
}

// Unexpected tells Sentry of an error that ends here and that nobody foresaw:
// one that became a page of status 500, the last failure of a job, a panic (see
// Recovered). Source is where, of few values; id finds the line in the log that
// the caller writes.
func (r *Reporter) Unexpected(source, id string, err error) {
	defer r.survive()
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	r.sentry.tell(unexpectedAlarm(source, id, err))
}

// Close writes what has not been logged yet and lets Sentry be told, for two
// seconds at most.
func (r *Reporter) Close() {
	r.mutex.Lock()
	r.closed = true
	for outage := range r.outages {
		outage.lasting.Stop()
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
		r.tellDropped(backend)
	}
	r.sentry.Close()
}

// Private

// survive keeps a mistake in the reporter, or an error that cannot say what it
// is, from doing harm to who reports.
func (r *Reporter) survive() {
	if cause := recover(); cause != nil {
		r.log.Error("The reporter failed", "panic", cut(Scrub(fmt.Sprint(cause))))
	}
}

// write logs a failure. This line is what operators look for.
func (r *Reporter) write(kind failureKind, err error, attributes ...any) {
	line := fmt.Sprintf("[%s] %s error: %s: %s", kind.source, kind.backend, kind.class, cut(Scrub(err.Error())))
	r.log.Log(context.Background(), severity(kind.class), line, attributes...)
}

// spell is a time in which a backend failed again and again.
type spell struct{ began, last time.Time }

// A spell is over when nothing fails for spellGap, and a matter for people
// when it lasts for lastingAfter.
const (
	spellGap     = 30 * time.Second
	lastingAfter = time.Minute
)

// lasts notes a failure and tells whether the backend has failed for a minute.
func (r *Reporter) lasts(backend string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := time.Now()
	current, known := r.spells[backend]
	if !known || now.Sub(current.last) > spellGap {
		r.spells[backend] = &spell{began: now, last: now}
		return false
	}
	current.last = now
	return now.Sub(current.began) >= lastingAfter
}
