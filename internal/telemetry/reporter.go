package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// summaryEvery is how often one kind of failure is logged while it goes on.
const summaryEvery = 30 * time.Second

// maxKinds bounds the kinds of failure that are told apart.
const maxKinds = 256

// Reporter is the one path for failures of a backend that no caller sees. The
// first failure of a kind is logged at once; while it goes on, one line every
// 30 seconds tells how many there were.
type Reporter struct {
	log      *slog.Logger
	failures *prometheus.CounterVec
	now      func() time.Time

	mutex sync.Mutex
	kinds map[failureKind]*failureRun
}

// NewReporter logs to log and counts in registry.
func NewReporter(log *slog.Logger, registry prometheus.Registerer) *Reporter {
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_backend_failures_total",
		Help: "Failures of a backend that the program carried on without.",
	}, []string{"backend", "source", "class"})
	registry.MustRegister(failures)
	return &Reporter{log: log, failures: failures, now: time.Now, kinds: map[failureKind]*failureRun{}}
}

// Report tells that a call of backend ("Redis", "PostgreSQL") failed. Source
// is who called, as "Type.method". Cancelled calls are not failures.
func (r *Reporter) Report(backend, source string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	class := Class(err)
	r.failures.WithLabelValues(backend, source, class).Inc()

	suppressed, within, loud := r.count(failureKind{backend, source, class})
	if !loud {
		return
	}
	line := fmt.Sprintf("[%s] %s error: %s: %s", source, backend, class, Scrub(err.Error()))
	if suppressed > 0 {
		r.log.Warn(line, "suppressed", suppressed, "within", within.Round(time.Second).String())
		return
	}
	r.log.Warn(line)
}

// Returned tells that a backend that was away since then is in use again.
func (r *Reporter) Returned(backend string, since time.Time) {
	r.log.Info(backend+" is back", "away", r.now().Sub(since).Round(time.Millisecond).String())
}

// Scrub hides what a message may hold of credentials: the user part of
// addresses and password fields.
func Scrub(message string) string {
	message = userinfo.ReplaceAllString(message, "://***@")
	return password.ReplaceAllString(message, "${1}${2}***")
}

// Private

var (
	userinfo = regexp.MustCompile(`://[^\s"'` + "`" + `]*@`) // to the last @: a password may hold one
	password = regexp.MustCompile(`(?i)(password|passwd|secret|token)("?\s*[=:]\s*)('[^']*'|"[^"]*"|[^\s&]+)`)
)

type failureKind struct{ backend, source, class string }

type failureRun struct {
	loggedAt   time.Time
	suppressed int
}

// count says whether this failure is to be logged, and how many of its kind
// were not since the last line, which was within ago.
func (r *Reporter) count(kind failureKind) (suppressed int, within time.Duration, loud bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()

	run, known := r.kinds[kind]
	if !known {
		if len(r.kinds) >= maxKinds {
			clear(r.kinds)
		}
		r.kinds[kind] = &failureRun{loggedAt: r.now()}
		return 0, 0, true
	}
	within = r.now().Sub(run.loggedAt)
	if within < summaryEvery {
		run.suppressed++
		return 0, within, false
	}
	suppressed, run.suppressed, run.loggedAt = run.suppressed, 0, r.now()
	return suppressed, within, true
}
