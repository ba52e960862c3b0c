package throttle

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestMemory_AFloodOfKeysIsBoundedAndStillLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutRedis(t), []Rule{Throttle("ip", 10, time.Hour, PerIP)}, func(o *Options) { o.Entries = 640 })
	passed := 0

	for i := range 50_000 {
		passed += w.pass(1, fmt.Sprintf("192.0.%d.%d", i/256, i%256), "/")
	}

	require.LessOrEqual(t, w.traffic.size(), 640)
	// 640 clients with counts of their own, and 196 shared buckets with ten requests
	// each; some of these buckets are evicted and restart.
	require.Less(t, passed, 10_000)
	require.Greater(t, passed, 600)
}

func TestMemory_AFloodDoesNotEvictBansAndLogins(t *testing.T) {
	t.Parallel()
	login := func(r *Request) string { return r.URL.Query().Get("account") }
	w := newWorld(t, withoutRedis(t), []Rule{
		Throttle("ip", 10, time.Hour, PerIP), Throttle("login", 1, time.Hour, login).Protected(), Fail2Ban("scanners", scanners, PerIP, scans),
	}, func(o *Options) { o.Entries = 64 })
	for range 3 {
		w.get("203.0.113.1", "/.env")
	}
	require.Equal(t, Passed, w.get("203.0.113.2", "/?account=ada"))

	for i := range 10_000 {
		w.get(fmt.Sprintf("192.0.%d.%d", i/256, i%256), "/")
	}

	require.Equal(t, Banned, w.get("203.0.113.1", "/"))
	require.Equal(t, Throttled, w.get("198.51.100.1", "/?account=ada"))
}

func TestMemory_EvictsUselessEntries(t *testing.T) {
	t.Parallel()
	m := newMemory(1)
	now := time.Now()
	for i := range 1000 {
		m.count(entryID{"ip", fmt.Sprint(i), time.Minute}, now)
	}

	late := now.Add(3 * time.Minute)
	fine := 0
	for i := range 64 {
		if !m.count(entryID{"ip", fmt.Sprint("late", i), time.Minute}, late).shared {
			fine++
		}
	}

	require.Greater(t, fine, 10)
	require.LessOrEqual(t, m.size(), shardCount)
}

func TestMemory_ASharedBucketRefusesNoRequestWhileRedisReplies(t *testing.T) {
	t.Parallel()
	redis, _ := open(t, stacktest.Redis(t))
	w := newWorld(t, redis, []Rule{Throttle("ip", 2, time.Hour, PerIP)}, func(o *Options) { o.Entries = 1 })

	for i := range 250 {
		require.Equal(t, 2, w.pass(2, fmt.Sprintf("192.0.2.%d", i), "/"))
	}
}

func TestMemory_CountsExactlyUnderARace(t *testing.T) {
	t.Parallel()
	m := newMemory(100)
	id := entryID{"ip", "192.0.2.1", time.Hour}
	now := time.Now()
	var crowd sync.WaitGroup

	for range 8 {
		crowd.Go(func() {
			for range 1000 {
				m.count(id, now)
			}
		})
	}
	crowd.Wait()

	require.EqualValues(t, 8001, m.count(id, now).count)
}

func TestMemory_IgnoresRepliesFromBeforeAReset(t *testing.T) {
	t.Parallel()
	m := newMemory(100)
	id := entryID{"ip", "192.0.2.1", time.Hour}
	now := time.Now()
	m.reset(5)
	m.count(id, now)
	m.learn(id, now, 5, 100, 0)
	m.ban(id, now, time.Minute, 5)
	require.EqualValues(t, 101, m.count(id, now).count)

	m.reset(6)
	m.count(id, now)
	m.learn(id, now, 5, 100, 0) // on its way since before
	banned := m.ban(id, now, time.Minute, 5)

	require.EqualValues(t, 2, m.count(id, now).count)
	require.False(t, banned)
	require.Zero(t, m.bans(now))
	m.reset(5)
	require.EqualValues(t, 3, m.count(id, now).count, "an older number changes nothing")
}

func TestSharedBucket_IsTheNetworkAroundAClient(t *testing.T) {
	t.Parallel()
	require.Equal(t, "around 192.0.2.0/24", sharedBucket("192.0.2.77"))
	require.Equal(t, "around 2001:db8:1::/48", sharedBucket("2001:db8:1:2::/64"))
	require.Equal(t, "around 2001:db8:1::/48", sharedBucket("2001:db8:1:2::7"))
	require.Len(t, sharedBucket("account 0123456789abcdef"), len("around ")+3)
}

// Private

func (m *memory) size() (entries int) {
	for i := range m.shards {
		entries += len(m.shards[i].entries)
	}
	return entries
}
