package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestList_ShowsBansAndKeysOverTheirLimit(t *testing.T) {
	t.Parallel()
	redis, _ := open(t, stacktest.Redis(t))
	w := newWorld(t, redis, []Rule{Throttle("ip", 2, time.Hour, PerIP), Fail2Ban("scanners", scanners, PerIP, scans)})
	for range 3 {
		w.get("2001:db8::1", "/.env")
		w.get("192.0.2.1", "/")
		w.get("192.0.2.2", "/.env")
	}
	w.get("192.0.2.3", "/")

	entries, ok := List(t.Context(), redis)

	require.True(t, ok)
	require.Len(t, entries, 3)
	for i := range entries {
		require.Positive(t, entries[i].Left)
		entries[i].Left = 0
	}
	require.ElementsMatch(t, []Entry{
		{Kind: "ban", Rule: "scanners", Key: "2001:db8::/64"}, {Kind: "ban", Rule: "scanners", Key: "192.0.2.2"},
		{Kind: "over", Rule: "ip", Key: "192.0.2.1"},
	}, entries)
}

func TestReset_ClearsTheMemoryOfEveryProcess(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		what                    string
		ended                   int
		scanner, hasty, another Result
	}{
		"all":            {"", 6, Passed, Passed, Passed},
		"a rule":         {"ip", 4, Banned, Passed, Passed},
		"an address":     {"192.0.2.1", 2, Banned, Passed, Throttled},
		"a network":      {"2001:db8:0:0:9::9", 2, Passed, Throttled, Throttled},
		"a key of List":  {"2001:db8::/64", 2, Passed, Throttled, Throttled},
		"nobody's":       {"203.0.113.77", 0, Banned, Throttled, Throttled},
		"another's rule": {"login", 0, Banned, Throttled, Throttled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			rules := []Rule{Throttle("ip", 2, time.Hour, PerIP), Fail2Ban("scanners", scanners, PerIP, scans)}
			var processes []*world
			for range 2 {
				redis, _ := open(t, server)
				processes = append(processes, newWorld(t, redis, rules))
			}
			for range 3 {
				for _, w := range processes {
					w.get("2001:db8::1", "/.env")
					w.get("192.0.2.1", "/")
					w.get("192.0.2.2", "/")
				}
			}
			operator, _ := open(t, server)

			ended, ok := Reset(t.Context(), operator, one.what, 64)

			require.True(t, ok)
			require.Equal(t, one.ended, ended)
			for _, w := range processes {
				require.Equal(t, Throttled, w.get("192.0.2.1", "/"), "from memory, until a second has passed")
				w.clock.advance(time.Second)
				w.get("203.0.113.1", "/") // any request makes the process call Redis
				require.Equal(t, one.hasty, w.get("192.0.2.1", "/"))
				require.Equal(t, one.another, w.get("192.0.2.2", "/"))
				require.Equal(t, one.scanner, w.get("2001:db8::1", "/"))
			}
		})
	}
}

func TestReset_ReachesAProcessThatRefusesAllRequests(t *testing.T) {
	t.Parallel()
	redis, _ := open(t, stacktest.Redis(t))
	w := newWorld(t, redis, []Rule{Throttle("ip", 2, time.Hour, PerIP)})
	w.pass(5, "192.0.2.1", "/")
	_, ok := Reset(t.Context(), redis, "", 64)
	require.True(t, ok)

	w.clock.advance(time.Second)
	w.get("192.0.2.1", "/") // hears of it

	require.Equal(t, Passed, w.get("192.0.2.1", "/"))
}

func TestReset_DeletesAnAccountByItsName(t *testing.T) {
	t.Parallel()
	redis, _ := open(t, stacktest.Redis(t))
	w := newWorld(t, redis, []Rule{Throttle("account", 1, time.Hour, func(r *Request) string { return r.Account("email") }).Protected()})
	require.Equal(t, 1, w.pass(5, "192.0.2.1", "/?email=ada@example.com"))

	ended, ok := Reset(t.Context(), redis, " ADA@example.com", 64)

	require.True(t, ok)
	require.Equal(t, 2, ended)
}

func TestOperator_LearnsThatRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	redis, _ := open(t, server)
	require.NoError(t, server.Kill())

	_, listed := List(t.Context(), redis)
	_, reset := Reset(t.Context(), redis, "", 64)

	require.False(t, listed)
	require.False(t, reset)
}
