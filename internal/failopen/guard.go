// Package failopen is the only door to Redis for everything that must go on
// without it. Its calls never return an error: they return a value and whether
// there is one, so that no caller can turn an outage into a failed request.
package failopen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"slipway/internal/telemetry"
)

// Guard stands between the program and one Redis. It bounds every call in
// time and stops calling while Redis is away. Users are never the ones who try
// whether it is back: a prober of its own does (see Run).
type Guard struct {
	options  Options
	reporter *telemetry.Reporter
	metrics  *guardMetrics

	breaker  atomic.Pointer[gobreaker.CircuitBreaker[struct{}]]
	outage   atomic.Pointer[outage] // nil while calls are made
	opened   chan struct{}
	closedAt atomic.Int64 // Unix nanoseconds
	inFlight chan struct{}
}

// Status is what a guard does at the moment.
type Status struct {
	Disabled bool      // there is no Redis by configuration
	Open     bool      // Redis is away and calls are refused
	Since    time.Time // when Open last changed, or the guard was made
	Reason   string    // the class of the failure that opened it (see telemetry.Class); empty unless Open
}

// NewGuard guards the Redis of options, and sees to it that reporter hears of
// every failure.
func NewGuard(options Options, reporter *telemetry.Reporter) *Guard {
	options = options.withDefaults()
	g := &Guard{
		options:  options,
		reporter: reporter,
		opened:   make(chan struct{}, 1),
		inFlight: make(chan struct{}, options.MaxInFlight),
	}
	if !g.Disabled() {
		g.metrics = options.Metrics.of(options.Name)
		g.close()
	}
	return g
}

// Do runs call unless Redis is known to be away, and tells whether it went
// well. Source names the caller in logs and metrics as "Type.method"; there are
// few of them. The context that call gets ends with the timeout, the request's
// budget or the request itself.
func (g *Guard) Do(ctx context.Context, source string, call func(context.Context) error) bool {
	if g.Disabled() {
		return false
	}
	figures := g.metrics.source(source)
	if away := g.outage.Load(); away != nil {
		away.refused.Add(1)
		figures.count(outcomeOpen)
		return false
	}
	budget := budgetOf(ctx)
	allowed := min(g.options.Timeout, budget.left())
	if allowed <= 0 {
		figures.count(outcomeBudget)
		g.reporter.Report("Redis", source, errBudget)
		return false
	}
	select {
	case g.inFlight <- struct{}{}:
		defer func() { <-g.inFlight }()
	default:
		figures.count(outcomeBulkhead)
		g.reporter.Report("Redis", source, errInFlight)
		return false
	}

	started := time.Now()
	_, err := g.breaker.Load().Execute(func() (struct{}, error) {
		bounded, cancel := context.WithDeadline(ctx, started.Add(allowed))
		defer cancel()
		err := g.recovering(bounded, call)
		deadline, _ := bounded.Deadline()
		if timedOut(err) && deadline.Before(started.Add(min(g.options.Timeout, budget.whole()))) {
			err = fmt.Errorf("%w: %w", errHurried, err)
		}
		return struct{}{}, err
	})
	took := time.Since(started)
	budget.spend(took)
	g.account(source, figures, took, err)
	return err == nil
}

// Disabled tells that there is no Redis by configuration.
func (g *Guard) Disabled() bool { return g.options.URL == "" }

// Options are those of the guarded Redis, for whoever needs a client of its
// own (see QuickOptions).
func (g *Guard) Options() Options { return g.options }

// Status tells whether calls are refused, since when and why.
func (g *Guard) Status() Status {
	if g.Disabled() {
		return Status{Disabled: true}
	}
	if away := g.outage.Load(); away != nil {
		return Status{Open: true, Since: away.since, Reason: away.class}
	}
	return Status{Since: time.Unix(0, g.closedAt.Load())}
}

// Open tells that Redis is away and calls are refused, and since when.
func (g *Guard) Open() (bool, time.Time) {
	status := g.Status()
	return status.Open, status.Since
}

// Dropped tells that work of a kind was dropped because Redis did not take it.
// Where there is none, that is meant.
func (g *Guard) Dropped(kind string) {
	if !g.Disabled() {
		g.reporter.Dropped("Redis", kind)
	}
}

// Private

// Why a call was not made, or was not given the time that it needed. None says
// anything about Redis.
var (
	errBudget   = &notMade{"budget", "the time that Redis may take from this request is used up"}
	errInFlight = &notMade{"bulkhead", "as many calls as there may be are under way already"}
	errHurried  = errors.New("little time was left")
)

// notMade is an error that names its own class.
type notMade struct{ class, text string }

func (n *notMade) Error() string { return n.text }
func (n *notMade) Class() string { return n.class }

// outage is a time in which no calls are made.
type outage struct {
	since   time.Time
	class   string // of the failure that began it
	refused atomic.Int64
	failed  atomic.Int64 // calls: those that began it, and those under way then
}

// account counts what became of a call, and reports what went wrong.
func (g *Guard) account(source string, figures *sourceMetrics, took time.Duration, err error) {
	switch {
	case err == nil:
		figures.count(outcomeOK)
	case errors.Is(err, gobreaker.ErrOpenState):
		figures.count(outcomeOpen)
		return
	case errors.Is(err, redis.Nil):
		figures.count(outcomeMiss)
	case errors.Is(err, context.Canceled):
		figures.count(outcomeCancelled)
	default:
		figures.count(outcomeOf(telemetry.Class(err)))
		g.reporter.Report("Redis", source, err)
		if away := g.outage.Load(); away != nil {
			away.failed.Add(1)
		}
	}
	figures.observe(took)
}

// close lets calls through again. The breaker is made anew, because only the
// prober may close it and the library's own way back is through its users.
func (g *Guard) close() {
	g.closedAt.Store(time.Now().UnixNano())
	g.outage.Store(nil)
	g.metrics.state.Set(0)
	g.breaker.Store(g.newBreaker())
}

// newBreaker makes a breaker that stops all calls when too many fail. What it
// calls runs under its lock, in the goroutine of the call.
func (g *Guard) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	var cause error
	var failed int64
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         g.options.Name,
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		Timeout:      365 * 24 * time.Hour,
		IsExcluded: func(err error) bool {
			cause = err
			return !infrastructure(err)
		},
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			failed = int64(counts.TotalFailures)
			return int(counts.ConsecutiveFailures) >= g.options.Failures || counts.Requests >= 20 && counts.TotalFailures*2 >= counts.Requests
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.open(cause, failed)
			}
		},
	})
}

// open refuses calls from now on, and wakes the prober. It must not wait.
func (g *Guard) open(cause error, failed int64) {
	away := &outage{since: time.Now(), class: telemetry.Class(cause)}
	away.failed.Store(failed - 1) // the last is counted by its own call
	g.outage.Store(away)
	g.metrics.state.Set(1)
	g.metrics.opened.Inc()
	select {
	case g.opened <- struct{}{}:
	default:
	}
}

func (g *Guard) recovering(ctx context.Context, call func(context.Context) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = telemetry.Recovered(cause)
		}
	}()
	return call(ctx)
}

// infrastructure tells failures of Redis or the way to it from answers that a
// working Redis gives: those say nothing about the next call.
func infrastructure(err error) bool {
	if err == nil {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errHurried) {
		return false
	}
	said := answer(err)
	if said == "" || strings.HasPrefix(said, "ERR max number of clients") || strings.HasPrefix(said, "ERR AUTH") {
		return true
	}
	for _, harmless := range []string{"WRONGTYPE", "NOSCRIPT", "OOM ", "READONLY", "MISCONF", "NOPERM", "ERR "} {
		if strings.HasPrefix(said, harmless) {
			return false
		}
	}
	return !errors.Is(err, redis.Nil)
}

// answer is what Redis has said, empty where it has not. The task queue's
// library keeps the words of an answer to a script, and not the error.
func answer(err error) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		return reply.Error()
	}
	_, said, _ := strings.Cut(err.Error(), "redis eval error: ")
	return said
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
