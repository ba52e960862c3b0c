// Package failopen calls a Redis that the program can do without. Each call is
// bounded in time and made through a circuit breaker, and reports only whether
// it went well: no caller can turn an outage of Redis into a failed request.
package failopen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"slipway/internal/telemetry"
)

// Guard is the circuit breaker of one Redis. It bounds every call in time, and
// refuses calls while Redis is unavailable. Only a probe closes the breaker
// again, never a caller: see Run.
type Guard struct {
	options  Options
	reporter *telemetry.Reporter
	metrics  *guardMetrics

	breaker  atomic.Pointer[gobreaker.CircuitBreaker[struct{}]]
	outage   atomic.Pointer[outage] // nil while the breaker is closed
	last     atomic.Pointer[outage] // the newest; nil before the first
	opened   chan struct{}          // wakes Run
	closedAt atomic.Int64           // Unix nanoseconds
	inFlight chan struct{}

	relapseWithin time.Duration // an outage that begins this soon after the last is its relapse
}

// Status is the state of a guard at one moment.
type Status struct {
	Disabled bool      // no Redis is configured
	Open     bool      // Redis is unavailable and calls are refused
	Since    time.Time // when Open last changed, or when the guard was made
	Reason   string    // class of the failure that opened the breaker, see telemetry.Class; empty unless Open

	// Set while the breaker flaps: it opens again and again, each time soon after
	// it has closed.
	Openings   int       // how often it has opened
	FlapsSince time.Time // when it opened first
	LastReason string    // class of the failure that opened it last
}

// NewGuard makes a guard of the Redis in options. It reports every failure to
// reporter, which may be nil when no Redis is configured.
func NewGuard(options Options, reporter *telemetry.Reporter) *Guard {
	options = options.withDefaults()
	options.connections = newConnections()
	g := &Guard{
		options:       options,
		reporter:      reporter,
		opened:        make(chan struct{}, 1),
		inFlight:      make(chan struct{}, options.MaxInFlight),
		relapseWithin: 30 * time.Second,
	}
	if !g.Disabled() {
		g.metrics = options.Metrics.ofGuard(g)
		g.close()
	}
	return g
}

// Do makes a call unless the breaker is open, and reports whether it went well.
// Source names the caller in logs and metrics as "Type.Method". The context of
// the call ends with ctx, the timeout or the budget of the request, whichever
// comes first.
func (g *Guard) Do(ctx context.Context, source string, call func(context.Context) error) bool {
	if g.Disabled() {
		return false
	}
	metrics := g.metrics.ofSource(source)
	if current := g.outage.Load(); current != nil {
		current.refused.Add(1)
		metrics.count(outcomeOpen)
		return false
	}
	budget := budgetOf(ctx)
	allowed := min(g.options.Timeout, budget.left())
	if allowed <= 0 {
		metrics.count(outcomeBudget)
		g.reporter.Report(telemetry.Redis, source, errBudget)
		return false
	}
	select {
	case g.inFlight <- struct{}{}:
		defer func() { <-g.inFlight }()
	default:
		metrics.count(outcomeBulkhead)
		g.reporter.Report(telemetry.Redis, source, errInFlight)
		return false
	}

	started := time.Now()
	_, err := g.breaker.Load().Execute(func() (struct{}, error) {
		bounded, cancel := context.WithDeadline(ctx, started.Add(allowed))
		defer cancel()
		err := recoverPanic(bounded, call)
		deadline, _ := bounded.Deadline()
		if timedOut(err) && deadline.Before(started.Add(min(g.options.Timeout, budget.whole()))) {
			err = fmt.Errorf("%w: %w", errShortDeadline, err)
		}
		return struct{}{}, err
	})
	took := time.Since(started)
	budget.spend(took)
	g.record(source, metrics, took, err)
	telemetry.TraceOf(ctx).AddSpan(telemetry.RedisSpan, source, started, took, failureOf(err))
	return err == nil
}

// Disabled reports that no Redis is configured.
func (g *Guard) Disabled() bool { return g.options.URL == "" }

// Options returns the options of the guarded Redis, with their defaults filled
// in, for a caller that makes a client with QuickOptions.
func (g *Guard) Options() Options { return g.options }

// Status reports whether calls are refused, since when and why, and whether the
// breaker flaps.
func (g *Guard) Status() Status {
	if g.Disabled() {
		return Status{Disabled: true}
	}
	current, last, closedAt := g.outage.Load(), g.last.Load(), time.Unix(0, g.closedAt.Load())
	status := Status{Since: closedAt}
	if current != nil {
		status = Status{Open: true, Since: current.since, Reason: current.class}
	}
	if last != nil && last.relapse.flaps() && (status.Open || time.Since(closedAt) < g.relapseWithin) {
		status.Openings, status.FlapsSince, status.LastReason = last.relapse.openings, last.relapse.since, last.class
	}
	return status
}

// Dropped counts and logs that work of a kind was dropped because Redis did not
// take it. It does nothing when no Redis is configured.
func (g *Guard) Dropped(kind string) {
	if !g.Disabled() {
		g.reporter.Dropped(telemetry.Redis, kind)
	}
}

// Refused reports that work of a kind was not sent to Redis because of a fault of
// its caller. It does nothing when no Redis is configured.
func (g *Guard) Refused(kind string, fault error) {
	if !g.Disabled() {
		g.reporter.Unexpected("enqueue "+kind, "", fault)
		g.reporter.Dropped(telemetry.Redis, kind)
	}
}

// Private

// These errors say that a call was not made, or had less time than usual. None
// of them is a failure of Redis.
var (
	errBudget        = &refusalError{"budget", "call not made: the request has used up its time for Redis"}
	errInFlight      = &refusalError{"bulkhead", "call not made: too many calls of Redis are in progress"}
	errShortDeadline = errors.New("the caller's deadline left less time than usual")
)

// refusalError is an error that names its own class, see telemetry.Class.
type refusalError struct{ class, text string }

func (e *refusalError) Error() string { return e.text }
func (e *refusalError) Class() string { return e.class }

// outage is the time from the opening of the breaker to its closing.
type outage struct {
	since   time.Time
	class   string // of the failure that opened the breaker
	relapse relapse
	refused atomic.Int64 // calls that were not made
	failed  atomic.Int64 // calls that opened the breaker or were in progress then
}

// record counts the outcome of a call and reports its failure.
func (g *Guard) record(source string, metrics *sourceMetrics, took time.Duration, err error) {
	switch {
	case err == nil:
		metrics.count(outcomeOK)
	case errors.Is(err, gobreaker.ErrOpenState):
		metrics.count(outcomeOpen)
		return
	case errors.Is(err, redis.Nil):
		metrics.count(outcomeMiss)
	case errors.Is(err, context.Canceled):
		metrics.count(outcomeCancelled)
	default:
		metrics.count(outcomeOf(telemetry.Class(err)))
		current := g.outage.Load()
		if current != nil {
			current.failed.Add(1)
		}
		if purged := current != nil && strings.Contains(err.Error(), net.ErrClosed.Error()); !purged {
			g.reporter.Report(telemetry.Redis, source, err)
		}
	}
	metrics.observe(took)
}

// close lets calls through again. It makes a new breaker, because the library's
// own half-open state would let calls of users be the probes.
func (g *Guard) close() {
	g.closedAt.Store(time.Now().UnixNano())
	g.outage.Store(nil)
	g.metrics.state.Set(0)
	g.breaker.Store(g.newBreaker())
}

// newBreaker makes a breaker that opens when too many calls fail. Its hooks run
// under its lock, in the goroutine of the call.
func (g *Guard) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	var cause error
	var failed int64
	var recovered bool
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         g.options.Name,
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		Timeout:      365 * 24 * time.Hour,
		IsExcluded: func(err error) bool {
			cause = err
			return !countsForBreaker(err)
		},
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			failed = int64(counts.TotalFailures)
			recovered = counts.TotalSuccesses >= 10*counts.TotalFailures
			mostFailed := counts.Requests >= 20 && counts.TotalFailures*2 >= counts.Requests
			return int(counts.ConsecutiveFailures) >= g.options.Failures || mostFailed
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.open(cause, failed, recovered)
			}
		},
	})
}

// open refuses calls from now on, ends all connections and wakes Run. Recovered
// says that calls mostly succeeded since the breaker closed, so that this outage is
// no relapse of the last one. It does nothing while the breaker is open. It must
// not block: the breaker calls it under its lock.
func (g *Guard) open(cause error, failed int64, recovered bool) {
	now := time.Now()
	begun := &outage{since: now, class: telemetry.Class(cause), relapse: relapse{openings: 1, since: now}}
	if last := g.last.Load(); last != nil && !recovered && now.Sub(time.Unix(0, g.closedAt.Load())) < g.relapseWithin {
		begun.relapse = last.relapse.next()
	}
	begun.failed.Store(failed - 1) // record counts the last one
	if !g.outage.CompareAndSwap(nil, begun) {
		return
	}
	g.last.Store(begun)
	g.options.connections.purge()
	g.metrics.state.Set(1)
	g.metrics.opened.Inc()
	select {
	case g.opened <- struct{}{}:
	default:
	}
}

func recoverPanic(ctx context.Context, call func(context.Context) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = telemetry.Recovered(cause)
		}
	}()
	return call(ctx)
}

// failureOf is the error of a call, without the reply that a key does not exist.
func failureOf(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
