package throttle

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
)

func TestOutage_TheLimitHoldsThroughItAndItsEnd(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(t *testing.T, server *devstack.Redis, guard *failopen.Guard){
		"frozen and thawed": func(t *testing.T, server *devstack.Redis, guard *failopen.Guard) {
			require.NoError(t, server.Freeze())
			awaitOpen(t, guard, true)
			require.NoError(t, server.Thaw())
			awaitOpen(t, guard, false)
		},
		"killed and started without its data": func(t *testing.T, server *devstack.Redis, guard *failopen.Guard) {
			require.NoError(t, server.Kill())
			awaitOpen(t, guard, true)
			require.NoError(t, server.Restart(t.Context()))
			awaitOpen(t, guard, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			redis, guard := open(t, server)
			const clients, limit = 8, 1000
			w := newWorld(t, redis, []Rule{Throttle("ip", limit, time.Hour, PerIP), Fail2Ban("scanners", scanners, PerIP, scans)})
			for range 3 {
				w.get("203.0.113.9", "/.env")
			}
			var passed [clients]atomic.Int64
			var flood sync.WaitGroup
			var over atomic.Bool
			for i := range clients {
				flood.Go(func() {
					for !over.Load() || passed[i].Load() < limit {
						if w.get(fmt.Sprintf("192.0.2.%d", i), "/") == Passed {
							passed[i].Add(1)
						}
						time.Sleep(time.Millisecond) // of a flood that leaves the machine to others
					}
				})
			}

			fault(t, server, guard)
			require.Equal(t, Banned, w.get("203.0.113.9", "/"))
			over.Store(true)
			flood.Wait()

			for i := range clients {
				w.pass(100, fmt.Sprintf("192.0.2.%d", i), "/")
				require.EqualValues(t, limit, passed[i].Load())
				require.Equal(t, Throttled, w.get(fmt.Sprintf("192.0.2.%d", i), "/"))
			}
			require.Positive(t, w.decisions(t, "ip", backendLocal, "passed"), "some were decided in the outage")
			require.Positive(t, w.decisions(t, "ip", backendRedis, "passed"), "and some were not")
		})
	}
}

func TestOutage_StartsFromTheCountsOfAllProcessesAndDividesTheRest(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	rules := []Rule{Throttle("ip", 100, time.Hour, PerIP)}
	halved := func(o *Options) { o.FallbackDivisor = 2 }
	firstRedis, _ := open(t, server)
	secondRedis, guard := open(t, server)
	first, second := newWorld(t, firstRedis, rules), newWorld(t, secondRedis, rules, halved)

	require.Equal(t, 59, first.pass(59, "192.0.2.1", "/"))
	require.Equal(t, 1, second.pass(1, "192.0.2.1", "/"))
	require.NoError(t, server.Kill())
	second.get("203.0.113.1", "/")
	second.get("203.0.113.1", "/")
	second.get("203.0.113.1", "/")
	awaitOpen(t, guard, true)

	// 40 are left, and this is one of two processes.
	require.Equal(t, 20, second.pass(100, "192.0.2.1", "/"))
	require.Equal(t, 50, second.pass(100, "192.0.2.2", "/"))
	second.clock.advance(time.Hour)
	require.Equal(t, 50, second.pass(100, "192.0.2.1", "/"))
}

func TestOutage_AKeyOverItsLimitNeedsNoRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	redis, _ := open(t, server)
	w := newWorld(t, redis, []Rule{Throttle("ip", 10, time.Hour, PerIP)})

	w.pass(1000, "192.0.2.1", "/")

	require.Equal(t, 10, w.decisions(t, "ip", backendRedis, "passed"))
	require.Equal(t, 1, w.decisions(t, "ip", backendRedis, "throttled"), "which is how Redis knows of it")
	require.Equal(t, 989, w.decisions(t, "ip", backendLocal, "throttled"))
}

func TestClock_AStepCostsNoMoreThanOneFreshWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutRedis(t), []Rule{Throttle("ip", 10, time.Minute, PerIP), Fail2Ban("scanners", scanners, PerIP, scans)})
	require.Equal(t, 10, w.pass(100, "192.0.2.1", "/"))
	for range 3 {
		w.get("192.0.2.2", "/.env")
	}

	w.clock.advance(-24 * time.Hour)

	require.Equal(t, 10, w.pass(100, "192.0.2.1", "/"))
	require.Zero(t, w.pass(100, "192.0.2.1", "/"))
	require.Equal(t, Banned, w.get("192.0.2.2", "/"))
	require.LessOrEqual(t, w.protected.banned(entryID{"scanners", "192.0.2.2", time.Minute}, w.clock.now(), scanners.For), scanners.For)
	_, refused := w.Check(request("192.0.2.1", "/"))
	require.LessOrEqual(t, refused.Reset, time.Minute)
	w.clock.advance(48 * time.Hour)
	require.Equal(t, Passed, w.get("192.0.2.2", "/"))
	require.Equal(t, 10, w.pass(100, "192.0.2.1", "/"))
}

// Private

func awaitOpen(t *testing.T, guard *failopen.Guard, want bool) {
	t.Helper()
	stacktest.Eventually(t, func() bool { return guard.Status().Open == want })
}
