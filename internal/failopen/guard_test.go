package failopen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestGuard_OpensAfterThreeFailuresAndRecoversByItself(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	require.True(t, r.Ping(t.Context(), "test"))

	for range 2 {
		require.NoError(t, server.Kill())
		breakOpen(t, r)
		require.NoError(t, server.Restart(t.Context()))
		requireRecovery(t, r)

		require.NoError(t, server.Freeze())
		breakOpen(t, r)
		require.NoError(t, server.Thaw())
		requireRecovery(t, r)
	}
}

func TestGuard_RefusesCallsWithoutMakingThemWhileOpen(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log := &stacktest.Journal{}
	r := openWithoutProber(t, server.URL(), log)
	require.NoError(t, server.Kill())
	breakOpen(t, r)
	since := r.guard.Status().Since
	before := log.String()

	made := 0
	for range 1000 {
		require.False(t, r.guard.Do(t.Context(), "test", func(context.Context) error { made++; return nil }))
	}

	require.Zero(t, made)
	require.WithinDuration(t, time.Now(), since, 10*time.Second)
	require.Equal(t, before, log.String())
	require.Equal(t, 1, strings.Count(before, "backend=redis source=test class=refused "))
}

func TestGuard_LogsTheEndOfAnOutage(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log := &stacktest.Journal{}
	r := openWithoutProber(t, server.URL(), log)
	ctx, cancel := context.WithCancel(t.Context())
	var prober sync.WaitGroup
	prober.Go(func() { require.NoError(t, r.guard.Run(ctx)) })
	defer prober.Wait()
	defer cancel()

	require.NoError(t, server.Kill())
	breakOpen(t, r)
	require.NoError(t, server.Restart(t.Context()))
	requireRecovery(t, r)

	require.Contains(t, log.String(), `msg="Backend is unavailable, calls are refused" backend=redis name=shared reason=refused`)
	again := regexp.MustCompile(`msg="Backend is available again" backend=redis name=shared away=\S+ refused=\d+ failed=3\n`)
	stacktest.Eventually(t, func() bool { return again.MatchString(log.String()) }) // calls pass before it is logged
}

func TestGuard_StatusReportsSinceWhenAndWhy(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openWithoutProber(t, server.URL(), io.Discard)
	closed := r.guard.Status()
	require.Equal(t, Status{Since: closed.Since}, closed)
	require.NoError(t, r.guard.Check(t.Context()))

	require.NoError(t, server.Freeze())
	breakOpen(t, r)
	opened := r.guard.Status()
	require.NoError(t, server.Thaw())

	require.Equal(t, Status{Open: true, Since: opened.Since, Reason: "timeout"}, opened)
	require.True(t, opened.Since.After(closed.Since))
	require.NoError(t, r.guard.Probe(t.Context()))
	require.Equal(t, "timeout", telemetry.Class(r.guard.Check(t.Context())))

	r.guard.close()
	require.False(t, r.guard.Status().Since.Before(opened.Since))
	require.NoError(t, r.guard.Check(t.Context()))
	require.Equal(t, Status{Disabled: true}, NewGuard(Options{}, nil).Status())
}

func TestGuard_OpensWhenThePasswordIsWrong(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log := &stacktest.Journal{}
	r := openWithoutProber(t, withPassword(t, server.URL(), "hunter2"), log) // the server wants none
	breakOpen(t, r)
	require.Equal(t, "auth", r.guard.Status().Reason)

	stacktest.RedisCommand(t, server, "CONFIG", "SET", "requirepass", "other")
	locked := openWithoutProber(t, withPassword(t, server.URL(), "hunter2"), log)
	breakOpen(t, locked)
	require.Equal(t, "auth", locked.guard.Status().Reason)

	require.Contains(t, log.String(), "level=ERROR")
	require.NotContains(t, log.String(), "hunter2")
}

func TestGuard_CountsTheCallsOfAnOutage(t *testing.T) {
	t.Parallel()
	guard := NewGuard(Options{URL: "redis://127.0.0.1:1", Failures: 2},
		telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry()))
	broken := errors.New("connection refused")
	fail := make(chan struct{})
	var entered, done sync.WaitGroup
	entered.Add(10)
	for range 10 {
		done.Go(func() {
			guard.Do(t.Context(), "test", func(context.Context) error {
				entered.Done()
				<-fail
				return broken
			})
		})
	}
	entered.Wait()
	close(fail)
	done.Wait()
	for range 5 {
		guard.Do(t.Context(), "test", func(context.Context) error { return nil })
	}

	current := guard.outage.Load()
	require.NotNil(t, current)
	require.Equal(t, "refused", current.class)
	require.Equal(t, int64(5), current.refused.Load())
	require.InDelta(t, 10, current.failed.Load(), 1) // one more when a call ends just as the breaker opens
}

func TestGuard_StaysOpenWhileRedisTakesNoWrites(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	require.NoError(t, server.Freeze())
	breakOpen(t, r)
	require.NoError(t, server.Thaw())
	stacktest.RedisCommand(t, server, "REPLICAOF", "127.0.0.1", "1")
	requireRecoveryNot(t, r)

	stacktest.RedisCommand(t, server, "REPLICAOF", "NO", "ONE")

	requireRecovery(t, r)
}

func TestGuard_ErrorRepliesDoNotOpenIt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())

	for range 30 {
		stacktest.RedisCommand(t, server, "LPUSH", "sum", "not a number")
		require.False(t, r.Command(t.Context(), "test", "get", []string{"sum"}, nil)) // WRONGTYPE
		require.False(t, isOpen(r))
	}

	stacktest.RedisCommand(t, server, "REPLICAOF", "127.0.0.1", "1")
	for range 30 {
		require.False(t, r.Ping(t.Context(), "test")) // READONLY
		require.False(t, isOpen(r))
	}
	require.Error(t, r.guard.Probe(t.Context()))
	stacktest.RedisCommand(t, server, "REPLICAOF", "NO", "ONE")

	stacktest.RedisCommand(t, server, "CONFIG", "SET", "maxmemory", "1")
	for range 30 {
		ok := r.guard.Do(t.Context(), "test", func(ctx context.Context) error {
			// Wrapped, as the task queue does it.
			return fmt.Errorf("enqueue: %w", r.client.Set(ctx, "key", 1, 0).Err()) // OOM
		})
		require.False(t, ok)
		require.False(t, isOpen(r))
	}
	require.True(t, r.Command(t.Context(), "test", "exists", []string{"other"}, nil))
}

func TestGuard_OpensWhenRedisHasTooManyClients(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	admin := stacktest.RedisClient(t, server).Conn()
	defer admin.Close()
	require.NoError(t, admin.Do(t.Context(), "CONFIG", "SET", "maxclients", "1").Err())
	r := open(t, server.URL())

	breakOpen(t, r)

	require.NoError(t, admin.Do(t.Context(), "CONFIG", "SET", "maxclients", "100").Err())
	requireRecovery(t, r)

	// Seen by a client as a broken connection, as above, or in words.
	for range 3 {
		require.False(t, isOpen(r))
		r.guard.Do(t.Context(), "test", func(ctx context.Context) error {
			return r.client.Eval(ctx, `return redis.error_reply('ERR max number of clients reached')`, nil).Err()
		})
	}
	require.True(t, isOpen(r))
}

func TestGuard_ACancelledCallIsNoFailure(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log := &stacktest.Journal{}
	r := openWithoutProber(t, server.URL(), log)

	for range 5 {
		ctx, leave := context.WithCancel(t.Context())
		require.False(t, r.guard.Do(ctx, "test", func(ctx context.Context) error {
			leave()
			<-ctx.Done()
			return fmt.Errorf("wait for a connection: %w", ctx.Err())
		}))
		require.False(t, r.Ping(ctx, "test"))
	}

	require.False(t, isOpen(r))
	require.Empty(t, log.String())
}

func TestGuard_AShortDeadlineIsNoFailure(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	slow := func(ctx context.Context) error {
		return r.client.Do(ctx, "BLPOP", "nothing", "0.1").Err()
	}

	// A Redis that takes 100 ms: the third call of each request has no time left.
	for range 5 {
		request := WithBudget(t.Context(), 250*time.Millisecond)
		for range 3 {
			r.guard.Do(request, "test", slow)
		}
		page, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		require.False(t, r.guard.Do(page, "test", slow))
		cancel()
	}

	require.False(t, isOpen(r))
}

func TestGuard_TheContextOfACallEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	guard := newGuard()
	left := func(ctx context.Context) (left time.Duration) {
		guard.Do(ctx, "test", func(ctx context.Context) error {
			deadline, is := ctx.Deadline()
			require.True(t, is)
			left = time.Until(deadline)
			return nil
		})
		return left
	}
	timeout := guard.options.Timeout

	require.LessOrEqual(t, left(t.Context()), timeout)
	require.LessOrEqual(t, left(WithBudget(t.Context(), timeout/4)), timeout/4)
	short, cancel := context.WithTimeout(t.Context(), timeout/8)
	defer cancel()
	require.LessOrEqual(t, left(short), timeout/8)
}

func TestGuard_ABudgetBelowTheTimeoutStillOpensIt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openWithoutProber(t, server.URL(), io.Discard)
	require.NoError(t, server.Freeze())

	for range 3 {
		require.False(t, r.Ping(WithBudget(t.Context(), 50*time.Millisecond), "test"))
	}

	require.True(t, isOpen(r))
}

func TestWithBudget_BoundsAllCallsOfARequestTogether(t *testing.T) {
	t.Parallel()
	guard := newGuard()
	request := WithBudget(t.Context(), 300*time.Millisecond)
	started := time.Now()

	made := 0
	for range 50 {
		guard.Do(request, "test", func(ctx context.Context) error {
			made++
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			return nil
		})
	}

	require.LessOrEqual(t, made, 4)
	require.Less(t, time.Since(started), 2*time.Second)
	require.True(t, guard.Do(t.Context(), "test", func(context.Context) error { return nil }))
}

func TestGuard_RefusesCallsBeyondTheBulkhead(t *testing.T) {
	t.Parallel()
	guard := newGuard()
	release := make(chan struct{})
	var entered, done sync.WaitGroup
	entered.Add(guard.options.MaxInFlight)
	for range guard.options.MaxInFlight {
		done.Go(func() {
			guard.Do(t.Context(), "test", func(context.Context) error {
				entered.Done()
				<-release
				return nil
			})
		})
	}
	entered.Wait()

	refused := !guard.Do(t.Context(), "test", func(context.Context) error { return nil })
	close(release)
	done.Wait()

	require.True(t, refused)
	require.True(t, guard.Do(t.Context(), "test", func(context.Context) error { return nil }))
}

func TestGuard_APanicIsAFailureOfTheCallOnly(t *testing.T) {
	t.Parallel()
	guard := newGuard()

	require.False(t, guard.Do(t.Context(), "test", func(context.Context) error { panic("oops") }))

	require.True(t, guard.Do(t.Context(), "test", func(context.Context) error { return nil }))
}

func TestGuard_RunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	require.NoError(t, server.Kill())
	for _, probing := range []bool{false, true} {
		r := openWithoutProber(t, server.URL(), io.Discard)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.guard.Run(ctx) }()
		if probing {
			breakOpen(t, r)
		}

		cancel()

		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			require.Fail(t, "the prober does not end")
		}
	}
}

func TestLibraryLog_GoesToTheReporter(t *testing.T) {
	t.Parallel()
	var source string
	var reported error
	log := libraryLog{func(s string, err error) { source, reported = s, err }}

	log.Printf(t.Context(), "pool of %d: %w", 20, io.EOF)

	require.Equal(t, "redis.Client", source)
	require.ErrorIs(t, reported, io.EOF)
}

func BenchmarkGuard_Do(b *testing.B) {
	guard := newGuard()
	for name, ctx := range map[string]context.Context{"worker": b.Context(), "request": WithBudget(b.Context(), time.Hour)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				guard.Do(ctx, "benchmark", func(context.Context) error { return nil })
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		open := newGuard()
		for range 3 {
			open.Do(b.Context(), "benchmark", func(context.Context) error { return errors.New("broken") })
		}
		b.ReportAllocs()
		for b.Loop() {
			open.Do(b.Context(), "benchmark", func(context.Context) error { return nil })
		}
	})
}

// Private

// newGuard makes a guard for calls that need no Redis.
func newGuard() *Guard {
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return NewGuard(Options{URL: "redis://127.0.0.1:1", Timeout: timeout}, reporter)
}

func requireRecovery(t *testing.T, r *Redis) {
	t.Helper()
	// Promised is one second. The tests share their machine.
	stacktest.Eventually(t, func() bool { return r.Ping(t.Context(), "test") })
	require.False(t, isOpen(r))
}

// requireRecoveryNot watches some probes go by.
func requireRecoveryNot(t *testing.T, r *Redis) {
	t.Helper()
	require.Never(t, func() bool { return !isOpen(r) }, time.Second, 50*time.Millisecond)
}
