package throttle

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
)

var (
	everything = func(*Request) bool { return true }
	scans      = func(r *Request) bool { return r.Path == "/.env" }
	scanners   = Ban{After: 3, Within: time.Minute, For: 10 * time.Minute}
)

func at(path string) func(*Request) bool { return func(r *Request) bool { return r.Path == path } }

func TestThrottle_LetsExactlyTheLimitPassInAPeriod(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Throttle("ip", 5, time.Minute, PerIP)})

		require.Equal(t, 5, w.pass(20, "192.0.2.1", "/"))
		require.Equal(t, 5, w.pass(20, "192.0.2.2", "/"))
		w.clock.advance(time.Minute - time.Millisecond)
		require.Zero(t, w.pass(1, "192.0.2.1", "/"))
		w.clock.advance(time.Millisecond)
		require.Equal(t, 5, w.pass(20, "192.0.2.1", "/"))
	})
}

func TestThrottle_OfAThousandAtOnceAHundredPass(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Throttle("ip", 100, time.Hour, PerIP)})
		var passed atomic.Int64
		var crowd sync.WaitGroup

		for range 1000 {
			crowd.Go(func() {
				if w.get("192.0.2.1", "/") == Passed {
					passed.Add(1)
				}
			})
		}
		crowd.Wait()

		require.EqualValues(t, 100, passed.Load())
	})
}

func TestThrottle_ProcessesShareALimitThroughRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	rules := []Rule{Throttle("ip", 100, time.Hour, PerIP)}
	var passed atomic.Int64
	var crowd sync.WaitGroup

	for range 4 {
		redis, _ := open(t, server)
		w := newWorld(t, redis, rules)
		for range 4 { // more would wait for a connection for too long
			crowd.Go(func() { passed.Add(int64(w.pass(50, "192.0.2.1", "/"))) })
		}
	}
	crowd.Wait()

	require.EqualValues(t, 100, passed.Load())
}

func TestThrottle_CountsAClientThatDisconnects(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	rules := []Rule{Throttle("ip", 10, time.Hour, PerIP)}
	first, _ := open(t, server)
	second, _ := open(t, server)
	one, other := newWorld(t, first, rules), newWorld(t, second, rules)
	gone, leave := context.WithCancel(t.Context())
	leave()

	for range 9 {
		one.Check(request("192.0.2.1", "/").WithContext(gone))
	}

	require.Equal(t, 1, other.pass(5, "192.0.2.1", "/"))
}

func TestThrottle_ARequestRefusedByOneRuleIsNotCountedByALaterOne(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	rules := []Rule{Throttle("first", 1, time.Hour, PerIP), Throttle("second", 3, time.Hour, func(*Request) string { return "all" })}
	first, _ := open(t, server)
	second, _ := open(t, server)
	one, other := newWorld(t, first, rules), newWorld(t, second, rules)
	for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		require.Equal(t, Passed, one.get(ip, "/"))
		require.Equal(t, Throttled, other.get(ip, "/"), "as Redis knows and this process does not")
	}

	require.NoError(t, server.Kill())

	require.Equal(t, Passed, other.get("192.0.2.3", "/"))
	require.Equal(t, Passed, other.get("192.0.2.4", "/"))
	require.Equal(t, Passed, other.get("192.0.2.5", "/"))
	require.Equal(t, Throttled, other.get("192.0.2.6", "/"))
}

func TestThrottle_LimitAndPeriodMayDependOnTheRequest(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Varying("ip", func(r *Request) (int, time.Duration) {
			if r.Below("/api/") {
				return 2, time.Second
			}
			return 4, time.Minute
		}, PerIP)})

		require.Equal(t, 2, w.pass(10, "192.0.2.1", "/api/x"))
		require.Equal(t, 4, w.pass(10, "192.0.2.1", "/"))
		w.clock.advance(time.Second)
		require.Equal(t, 2, w.pass(10, "192.0.2.1", "/api/x"))
		require.Zero(t, w.pass(10, "192.0.2.1", "/"))
	})
}

func TestThrottle_ZeroDisablesItAndAnEmptyKeySkipsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutRedis(t), []Rule{
		Throttle("no-limit", 0, time.Minute, PerIP),
		Throttle("no-period", 1, 0, PerIP),
		Throttle("not-its-business", 1, time.Minute, func(*Request) string { return "" }),
		Fail2Ban("no-strikes", Ban{Within: time.Minute, For: time.Minute}, PerIP, everything),
	})

	require.Equal(t, 100, w.pass(100, "192.0.2.1", "/"))
}

func TestThrottle_BackoffAllowsLessAndLess(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Throttle("login", 2, time.Second, PerIP).Backoff(3)})
		w.clock.at = time.UnixMilli(w.clock.at.UnixMilli() / 64000 * 64000)
		var passed []int

		for range 64 {
			passed = append(passed, w.pass(5, "192.0.2.1", "/login"))
			w.clock.advance(time.Second)
		}

		// 2 in a second, 4 in eight, 6 in sixty-four.
		total := 0
		for _, n := range passed {
			total += n
		}
		require.Equal(t, []int{2, 2, 0, 0, 0, 0, 0, 0, 2, 0}, passed[:10])
		require.Equal(t, 6, total)
	})
}

func TestThrottle_SlidingAllowsNoBurstAroundTheEndOfAWindow(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		rules := []Rule{Throttle("ip", 10, 10*time.Second, PerIP)}
		fixed := newWorld(t, redis, rules)
		sliding := newWorld(t, redis, rules, func(o *Options) { o.Sliding = true })

		for _, w := range []*world{fixed, sliding} {
			w.clock.advance(9 * time.Second)
		}
		require.Equal(t, 10, fixed.pass(10, "192.0.2.1", "/"))
		require.Equal(t, 10, sliding.pass(10, "192.0.2.2", "/"))
		for _, w := range []*world{fixed, sliding} {
			w.clock.advance(time.Second)
		}

		require.Equal(t, 10, fixed.pass(10, "192.0.2.1", "/"))
		_, refused := sliding.Check(request("192.0.2.2", "/"))
		require.Equal(t, Throttled, refused.Result)
		// The one that was refused counts too.
		require.InDelta(t, time.Second, refused.Reset, float64(10*time.Millisecond))
		sliding.clock.advance(5 * time.Second)
		require.Equal(t, 4, sliding.pass(10, "192.0.2.2", "/"))
	})
}

func TestRules_AreEvaluatedInTheOrderOfRackAttack(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		seen := func(r *Request) string { return r.URL.Query().Get("key") }
		w := newWorld(t, redis, []Rule{
			Track("seen", time.Hour, seen),
			Throttle("first", 2, time.Hour, seen),
			Throttle("second", 3, time.Hour, func(*Request) string { return "all" }),
			Fail2Ban("scanners", scanners, PerIP, scans),
			Blocklist("blocked", at("/blocked")),
			Safelist("safe", at("/safe")),
			Safelist("safe-too", func(r *Request) bool { return r.URL.Query().Has("safe") }),
		})

		require.Equal(t, 10, w.pass(10, "192.0.2.1", "/safe?key=1"))
		require.Equal(t, Passed, w.get("192.0.2.1", "/blocked?safe"))
		require.Equal(t, Blocked, w.get("192.0.2.1", "/blocked?key=1"))
		require.Equal(t, Banned, w.get("192.0.2.1", "/.env?key=1"))

		// None of those was counted by the throttles, and what the first refuses
		// is not counted by the second.
		require.Equal(t, 2, w.pass(50, "192.0.2.1", "/?key=1"))
		require.Equal(t, 1, w.pass(50, "192.0.2.1", "/?key=2"))
		require.Zero(t, w.pass(1, "192.0.2.1", "/?key=3"))
		tracked := w.decisions(t, "seen", backendRedis, resultTracked) + w.decisions(t, "seen", backendLocal, resultTracked)
		require.Equal(t, 3, tracked)
	})
}

func TestFail2Ban_RefusesTheRequestAndThenAllOfTheKey(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Fail2Ban("scanners", scanners, PerIP, scans)})

		for range 2 {
			require.Equal(t, Banned, w.get("192.0.2.1", "/.env"))
			require.Equal(t, Passed, w.get("192.0.2.1", "/"))
		}
		require.Equal(t, Banned, w.get("192.0.2.1", "/.env"))

		require.Equal(t, Banned, w.get("192.0.2.1", "/"))
		require.Equal(t, Passed, w.get("192.0.2.2", "/"))
		w.clock.advance(10*time.Minute - time.Millisecond)
		require.Equal(t, Banned, w.get("192.0.2.1", "/"))
	})
}

func TestFail2Ban_EndsWithItsTime(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		// In real time: the ban in Redis lives by Redis's clock.
		w := newWorld(t, redis, []Rule{Fail2Ban("scanners", Ban{After: 1, Within: time.Minute, For: 300 * time.Millisecond}, PerIP, scans)})
		w.now = time.Now

		require.Equal(t, Banned, w.get("192.0.2.1", "/.env"))

		stacktest.Eventually(t, func() bool { return w.get("192.0.2.1", "/") == Passed })
	})
}

func TestFail2Ban_StrikesOfAnotherWindowDoNotCount(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Fail2Ban("scanners", scanners, PerIP, scans)})

		for range 5 {
			require.Equal(t, Banned, w.get("192.0.2.1", "/.env"))
			require.Equal(t, Banned, w.get("192.0.2.1", "/.env"))
			require.Equal(t, Passed, w.get("192.0.2.1", "/"))
			w.clock.advance(time.Minute)
		}
	})
}

func TestFail2Ban_ABanOfOneProcessIsTheBanOfAll(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	rules := []Rule{Fail2Ban("scanners", scanners, PerIP, scans)}
	first, _ := open(t, server)
	second, _ := open(t, server)
	one, other := newWorld(t, first, rules), newWorld(t, second, rules)

	one.get("192.0.2.1", "/.env")
	other.get("192.0.2.1", "/.env")
	one.get("192.0.2.1", "/.env")

	require.Equal(t, Banned, other.get("192.0.2.1", "/"))
	require.NoError(t, server.Kill())
	require.Equal(t, Banned, one.get("192.0.2.1", "/"))
	require.Equal(t, Banned, other.get("192.0.2.1", "/"))
}

func TestAllow2Ban_LetsRequestsPassUntilTheBan(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{Allow2Ban("guests", scanners, PerIP, at("/guest"))})

		for range 3 {
			require.Equal(t, Passed, w.get("192.0.2.1", "/guest"))
		}

		require.Equal(t, Banned, w.get("192.0.2.1", "/"))
	})
}

func TestAllow2BanByOutcome_CountsStrikesByTheResponse(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		orders := func(r *Request) string {
			if r.Below("/orders/") {
				return r.IP
			}
			return ""
		}
		w := newWorld(t, redis, []Rule{
			Allow2BanByOutcome("guesses", scanners, orders, func(_ *Request, status int) bool { return status == http.StatusNotFound }),
			Allow2BanByOutcome("declined", scanners, PerIP, func(r *Request, _ int) bool { return r.Noted("declined") }),
		})

		for range 10 {
			require.Equal(t, Passed, w.answer("192.0.2.1", "/orders/mine", http.StatusOK))
			require.Equal(t, Passed, w.answer("192.0.2.1", "/nowhere", http.StatusNotFound))
		}
		for range 3 {
			require.Equal(t, Passed, w.answer("192.0.2.1", "/orders/guess", http.StatusNotFound))
		}
		require.Equal(t, Banned, w.get("192.0.2.1", "/orders/mine"))
		require.Equal(t, Passed, w.get("192.0.2.1", "/"))

		for range 3 {
			require.Equal(t, Passed, w.answer("192.0.2.2", "/pay", http.StatusUnprocessableEntity, "other", "declined"))
		}
		require.Equal(t, Banned, w.get("192.0.2.2", "/"))
	})
}

func TestNew_RefusesInvalidNamesOfRules(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{""}, {"a:b"}, {"Upper"}, {"twice", "twice"}, {strings.Repeat("x", 41)}} {
		var given []Rule
		for _, name := range names {
			given = append(given, Safelist(name, everything))
		}

		_, err := sortRules(given)

		require.ErrorContains(t, err, "a name must be unique", names)
	}
}

func TestLog_NamesARefusedKeyOnceAndMasked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutRedis(t), []Rule{
		Throttle("ip", 1, time.Hour, PerIP),
		Throttle("account", 1, time.Hour, func(r *Request) string { return r.Account("a") }),
		Fail2Ban("scanners", scanners, PerIP, scans),
	})

	for range 50 {
		w.get("192.0.2.77", "/.env")
		w.get("198.51.100.77", "/")
		w.get("2001:db8:1:2:3:4:5:6", "/")
	}
	w.get("203.0.113.77", "/?a=ada@example.com")
	w.get("203.0.113.78", "/?a=ada@example.com")

	require.Equal(t, 3, strings.Count(w.log.String(), `msg="Request rate limited"`), w.log.String())
	require.Equal(t, 1, strings.Count(w.log.String(), `msg="Client banned"`))
	require.Contains(t, w.log.String(), "key=192.0.2.0/24")
	require.Contains(t, w.log.String(), "key=198.51.100.0/24")
	require.Contains(t, w.log.String(), "key=2001:db8:1::/48")
	for _, address := range []string{"192.0.2.77", "198.51.100.77", "203.0.113.77", "203.0.113.78", "2001:db8:1:2"} {
		require.NotContains(t, w.log.String(), address)
	}
	require.NotContains(t, w.log.String(), "ada")
}

func TestMetrics_CountDecisionsAndBans(t *testing.T) {
	t.Parallel()
	redis, _ := open(t, stacktest.Redis(t))
	w := newWorld(t, redis, []Rule{
		Throttle("ip", 2, time.Hour, PerIP),
		Fail2Ban("scanners", scanners, PerIP, scans),
		Safelist("safe", at("/safe")),
		Blocklist("blocked", at("/blocked")),
	})

	w.pass(5, "192.0.2.1", "/")
	for range 5 {
		w.get("192.0.2.2", "/.env")
	}
	w.get("192.0.2.2", "/safe")
	w.get("192.0.2.2", "/blocked")

	require.Equal(t, 2, w.decisions(t, "ip", backendRedis, "passed"))
	require.Equal(t, 3, w.decisions(t, "ip", backendRedis, "throttled")+w.decisions(t, "ip", backendLocal, "throttled"))
	require.Equal(t, 5, w.decisions(t, "scanners", backendRedis, "banned")+w.decisions(t, "scanners", backendLocal, "banned"))
	require.Equal(t, 1, w.decisions(t, "safe", backendLocal, "safelisted"))
	require.Equal(t, 1, w.decisions(t, "blocked", backendLocal, "blocked"))
	families, err := w.registry.Gather()
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(families), `name:"app_throttle_bans"`)
	require.Equal(t, 1, w.protected.bans(w.clock.now()))
}
