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

// maxInFlight is how many calls one process has under way at most. Beyond it
// calls are refused: Redis is slow, and waiting makes it no faster.
const maxInFlight = 256

// Guard stands between the program and one Redis. It bounds every call in
// time and stops calling while Redis is away. Users are never the ones who try
// whether it is back: a prober of its own does (see Run).
type Guard struct {
	url      string
	timeout  time.Duration
	reporter *telemetry.Reporter

	breaker  atomic.Pointer[gobreaker.CircuitBreaker[struct{}]]
	opened   chan struct{}
	since    atomic.Int64 // Unix nanoseconds of the last change of state
	inFlight chan struct{}
}

// NewGuard guards the Redis at url, with timeout for each call. An empty url
// disables it: every call is refused at once.
func NewGuard(url string, timeout time.Duration, reporter *telemetry.Reporter) *Guard {
	g := &Guard{
		url:      url,
		timeout:  timeout,
		reporter: reporter,
		opened:   make(chan struct{}, 1),
		inFlight: make(chan struct{}, maxInFlight),
	}
	g.close()
	return g
}

// Do runs call unless Redis is known to be away, and tells whether it went
// well. Source names the caller in logs as "Type.method". The context that
// call gets ends with the timeout, the request's budget or the request itself.
func (g *Guard) Do(ctx context.Context, source string, call func(context.Context) error) bool {
	if g.Disabled() {
		return false
	}
	budget := budgetOf(ctx)
	allowed := min(g.timeout, budget.left())
	if allowed <= 0 {
		g.reporter.Report("Redis", source, errBudget)
		return false
	}
	select {
	case g.inFlight <- struct{}{}:
		defer func() { <-g.inFlight }()
	default:
		g.reporter.Report("Redis", source, errInFlight)
		return false
	}

	started := time.Now()
	_, err := g.breaker.Load().Execute(func() (struct{}, error) {
		bounded, cancel := context.WithDeadline(ctx, started.Add(allowed))
		defer cancel()
		err := g.recovering(bounded, call)
		deadline, _ := bounded.Deadline()
		if timedOut(err) && deadline.Before(started.Add(min(g.timeout, budget.whole()))) {
			err = fmt.Errorf("%w: %w", errHurried, err)
		}
		return struct{}{}, err
	})
	budget.spend(time.Since(started))

	if err != nil && !errors.Is(err, gobreaker.ErrOpenState) && !errors.Is(err, redis.Nil) {
		g.reporter.Report("Redis", source, err)
	}
	return err == nil
}

// Disabled tells that there is no Redis by configuration.
func (g *Guard) Disabled() bool { return g.url == "" }

// Open tells that Redis is away and calls are refused, and since when.
func (g *Guard) Open() (bool, time.Time) {
	return g.breaker.Load().State() != gobreaker.StateClosed, time.Unix(0, g.since.Load())
}

// Private

// Why a call was not made, or was not given the time that it needed. None says
// anything about Redis.
var (
	errBudget   = errors.New("the time that Redis may take from this request is used up")
	errInFlight = fmt.Errorf("%d calls are under way already", maxInFlight)
	errHurried  = errors.New("little time was left")
)

// close lets calls through again. The breaker is made anew, because only the
// prober may close it and the library's own way back is through its users.
func (g *Guard) close() {
	g.since.Store(time.Now().UnixNano())
	g.breaker.Store(gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "redis",
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		Timeout:      365 * 24 * time.Hour,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= 3 || counts.Requests >= 20 && counts.TotalFailures*2 >= counts.Requests
		},
		IsExcluded: func(err error) bool { return !infrastructure(err) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			// Runs under the breaker's own lock: only a send that cannot block.
			if to == gobreaker.StateOpen {
				g.since.Store(time.Now().UnixNano())
				select {
				case g.opened <- struct{}{}:
				default:
				}
			}
		},
	}))
}

func (g *Guard) recovering(ctx context.Context, call func(context.Context) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic in a call of Redis: %v", cause)
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
	var reply redis.Error
	if !errors.As(err, &reply) || strings.HasPrefix(reply.Error(), "ERR max number of clients") {
		return true
	}
	for _, harmless := range []string{"WRONGTYPE", "NOSCRIPT", "OOM ", "READONLY", "MISCONF", "NOPERM", "ERR "} {
		if strings.HasPrefix(reply.Error(), harmless) {
			return false
		}
	}
	return reply != redis.Nil
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
