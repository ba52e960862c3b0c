package failopen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestGuard_StaysOpenWhileOnlySmallPacketsPass(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	relay := stacktest.StartRelay(t, addressOf(t, server.URL()))
	log := &stacktest.Journal{}
	r := openProbed(t, strings.Replace(server.URL(), addressOf(t, server.URL()), relay.Address(), 1), log)
	pages := browse(t, r)
	pages.await(t, 20)

	relay.LoseAbove(400)
	stacktest.Eventually(t, func() bool { return isOpen(r) })
	pages.forget()
	requireRecoveryNot(t, r)

	require.Equal(t, "timeout", telemetry.Class(r.guard.Check(t.Context())))
	require.Zero(t, pages.good(), "every call is refused")
	require.Equal(t, 1, openings(log))
	pages.show(t, log)
	relay.LoseAbove(0)
	requireRecovery(t, r)
	require.Equal(t, 1, openings(log))
}

func TestGuard_LeavesAServerThatLostTheAddressOfRedis(t *testing.T) {
	t.Parallel()
	for name, demote := range map[string]func(t *testing.T, old *devstack.Redis){
		"MASTERDOWN": func(t *testing.T, old *devstack.Redis) {
			t.Helper()
			stacktest.RedisCommand(t, old, "CONFIG", "SET", "replica-serve-stale-data", "no")
			stacktest.RedisCommand(t, old, "REPLICAOF", "127.0.0.1", "1")
		},
		"LOADING": func(t *testing.T, old *devstack.Redis) {
			t.Helper()
			primary := stacktest.Redis(t)
			stacktest.RedisCommand(t, primary, "CONFIG", "SET", "requirepass", "", "repl-diskless-sync-delay", 0)
			for i := range 2000 {
				stacktest.RedisCommand(t, primary, "SET", i, strings.Repeat("x", 1000))
			}
			stacktest.RedisCommand(t, old, "CONFIG", "SET", "key-load-delay", 10_000, "loading-process-events-interval-bytes", 1024)
			host, port, _ := strings.Cut(addressOf(t, primary.URL()), ":")
			stacktest.RedisCommand(t, old, "REPLICAOF", host, port)
			stacktest.Eventually(t, func() bool {
				err := stacktest.RedisClient(t, old).Get(t.Context(), "1").Err()
				return err != nil && telemetry.Class(err) == "loading"
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := stacktest.Redis(t), stacktest.Redis(t)
			for _, server := range []*devstack.Redis{old, fresh} {
				stacktest.RedisCommand(t, server, "CONFIG", "SET", "requirepass", "") // any password is right
			}
			relay := stacktest.StartRelay(t, addressOf(t, old.URL()))
			log := &stacktest.Journal{}
			r := openProbed(t, "redis://"+relay.Address()+"/0", log)
			pages := browse(t, r)
			pages.await(t, 20)

			relay.Direct(addressOf(t, fresh.URL()))
			demote(t, old)

			stacktest.Eventually(t, func() bool {
				pages.forget()
				pages.await(t, 100)
				return pages.goodOf(100) == 200
			}, "all calls of a hundred pages succeed")
			require.LessOrEqual(t, openings(log), 2)
			pages.show(t, log)
		})
	}
}

func TestGuard_NamesARedisInClusterMode(t *testing.T) {
	t.Parallel()
	server := stacktest.RedisCluster(t)
	log := &stacktest.Journal{}
	r := openProbed(t, server.URL(), log)

	fault := r.guard.Check(t.Context())
	pages := browse(t, r)
	requireRecoveryNot(t, r)

	require.ErrorContains(t, fault, "cluster: Redis refuses calls: it is in cluster mode")
	require.ErrorContains(t, r.guard.Check(t.Context()), "cluster: Redis refuses calls: it is in cluster mode")
	require.Zero(t, pages.good())
	require.Equal(t, 1, openings(log))
	require.Equal(t, 2, strings.Count(log.String(), "\n"), "the failure and the outage are one line each")
	pages.show(t, log)
}

func TestGuard_OpensWhenCallsFindAClusterBeforeTheCheck(t *testing.T) {
	t.Parallel()
	r := openProbed(t, stacktest.RedisCluster(t).URL(), &stacktest.Journal{})

	for range 3 {
		require.False(t, isOpen(r))
		require.False(t, r.Run(t.Context(), "test", limitScript, []string{"a", "b"}, nil, nil))
	}

	require.True(t, isOpen(r))
	require.Equal(t, "cluster", r.guard.Status().Reason)
	requireRecoveryNot(t, r)
}

func TestGuard_BacksOffWhenCallsFailSoonAfterEachRecovery(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log := &stacktest.Journal{}
	r := openWithoutProber(t, server.URL(), log)
	r.guard.relapseWithin = 3 * time.Second
	probe(t, r)
	fail, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	defer callers.Wait()
	defer stop()
	began := time.Now()
	callers.Go(func() {
		for fail.Err() == nil {
			r.guard.Do(t.Context(), "test", func(context.Context) error { return errors.New("broken, unlike the probes") })
			time.Sleep(time.Millisecond)
		}
	})

	stacktest.Eventually(t, func() bool { return r.guard.Status().Openings == 5 })
	require.Greater(t, time.Since(began), 3*time.Second, "the third and fourth closing took a second and two")
	fault := r.guard.Check(t.Context())
	require.ErrorContains(t, fault, "flapping: calls of Redis fail soon after each recovery, the last time because of other")
	require.ErrorContains(t, fault, "calls were suspended 5 times within ")
	require.Equal(t, 5, openings(log))
	flaps := `msg="Backend fails again soon after each recovery" backend=redis name=shared reason=other times=5 `
	require.Equal(t, 1, strings.Count(log.String(), flaps))

	// From now on, all is one outage.
	stacktest.Eventually(t, func() bool { return r.guard.Status().Openings == 6 })
	require.Equal(t, 5, openings(log))
	stop()
	stacktest.Eventually(t, func() bool { return r.guard.Status().Openings == 0 })
	require.NoError(t, r.guard.Check(t.Context()))
	stacktest.Eventually(t, func() bool { return strings.Count(log.String(), "Backend is available again") == openings(log) })
}

func TestGuard_DoesNotBackOffWhenCallsSucceededAfterEachRecovery(t *testing.T) {
	t.Parallel()
	r := openProbed(t, stacktest.Redis(t).URL(), &stacktest.Journal{})
	call := func(err error) { r.guard.Do(t.Context(), "test", func(context.Context) error { return err }) }

	for range 8 {
		for range 40 {
			call(nil)
		}
		for range 3 {
			call(errors.New("Redis restarts"))
		}
		require.True(t, isOpen(r))
		stacktest.Eventually(t, func() bool { return !isOpen(r) })
	}

	require.Equal(t, relapse{openings: 1, since: r.guard.last.Load().since}, r.guard.last.Load().relapse)
	require.NoError(t, r.guard.Check(t.Context()))
}

func TestRelapse_DoublesUpToABound(t *testing.T) {
	t.Parallel()
	series := relapse{openings: 1}

	for _, atLeast := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 30, 30, 30} {
		steady := series.steady()
		require.GreaterOrEqual(t, steady, atLeast*time.Second)
		require.LessOrEqual(t, steady, atLeast*time.Second*5/4)
		require.Equal(t, series.openings >= 5, series.flaps())
		series = series.next()
	}
}

func TestGuard_OneGoodProbeDoesNotCloseIt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	relay := stacktest.StartRelay(t, addressOf(t, server.URL()))
	relay.Admit(func(int) bool { return false })
	r := openProbed(t, strings.Replace(server.URL(), addressOf(t, server.URL()), relay.Address(), 1), &stacktest.Journal{})
	breakOpen(t, r)

	probes := make(chan int, 1000)
	relay.Admit(func(connection int) bool {
		probes <- connection
		return connection%2 == 0
	})
	for range 20 {
		<-probes
		require.True(t, isOpen(r))
	}

	relay.Admit(func(int) bool { return true })
	requireRecovery(t, r)
}

// Private

func openings(log *stacktest.Journal) int {
	return strings.Count(log.String(), "Backend is unavailable, calls are refused")
}

// pages are those of visitors who browse until the test ends. Each makes two calls.
type pages struct {
	mutex sync.Mutex
	took  []time.Duration
	calls []int // that succeeded, by page
}

// limitScript is as long and uses as many keys as the script of the rate limiter.
var limitScript = NewScript(`
	local sum = 0
	for _, key in ipairs(KEYS) do
		sum = sum + redis.call('INCR', key)
		redis.call('PEXPIRE', key, 60000)
	end
	return sum
`)

// browse requests pages without end.
func browse(t *testing.T, r *Redis) *pages {
	t.Helper()
	p := &pages{}
	ctx, leave := context.WithCancel(context.Background())
	var visitors sync.WaitGroup
	for range 4 {
		visitors.Go(func() {
			for ctx.Err() == nil {
				p.open(WithBudget(ctx, 300*time.Millisecond), r)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	t.Cleanup(func() {
		leave()
		visitors.Wait()
	})
	return p
}

func (p *pages) open(request context.Context, r *Redis) {
	var keys []string
	for i := range 6 {
		keys = append(keys, fmt.Sprintf("slipway:throttle:%d:%064d", i, i))
	}
	began := time.Now()
	calls := 0
	if r.Run(request, "limiter", limitScript, keys, nil, nil) {
		calls++
	}
	if _, lookup := r.Get(request, "cache", "slipway:cache:home"); lookup != Unavailable {
		calls++
	}
	took := time.Since(began)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.took, p.calls = append(p.took, took), append(p.calls, calls)
}

func (p *pages) forget() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.took, p.calls = nil, nil
}

func (p *pages) await(t *testing.T, count int) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		return len(p.calls) >= count
	})
}

func (p *pages) good() (calls int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, one := range p.calls {
		calls += one
	}
	return calls
}

// goodOf counts the calls of the first pages that succeeded.
func (p *pages) goodOf(count int) (calls int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, one := range p.calls[:count] {
		calls += one
	}
	return calls
}

func (p *pages) show(t *testing.T, log *stacktest.Journal) {
	t.Helper()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	slices.Sort(p.took)
	t.Logf("%d pages, median %s, slowest %s; the breaker opened %d times, %d lines of log",
		len(p.took), p.took[len(p.took)/2], p.took[len(p.took)-1], openings(log), strings.Count(log.String(), "\n"))
}
