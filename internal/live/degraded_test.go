package live

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

func TestHub_TellsPagesWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*devstack.Redis) error{"stopped": (*devstack.Redis).Kill, "frozen": (*devstack.Redis).Freeze} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			publisher := newPublisher(t, server.URL())
			process := startProcess(t, server.URL())
			open := process.open(t, "mugs")
			require.Equal(t, live, open.news(t))
			require.Zero(t, process.gauge(t, "app_live_degraded"))

			require.NoError(t, begin(server))

			require.Equal(t, degraded, open.news(t))
			during := process.open(t, "mugs")
			require.Equal(t, degraded, during.news(t))
			require.Equal(t, 1.0, process.gauge(t, "app_live_degraded"))

			if name == "stopped" {
				require.NoError(t, server.Restart(t.Context()))
			}
			require.NoError(t, server.Thaw())

			for _, page := range []*page{open, during} {
				require.Equal(t, resync, page.news(t))
			}
			require.Zero(t, process.gauge(t, "app_live_degraded"))
			require.Equal(t, live, process.open(t, "mugs").news(t))
			eventuallyPublish(t, publisher, "mugs", "one")
			for _, page := range []*page{open, during} {
				require.Equal(t, "one", page.fragment(t).data)
			}
		})
	}
}

func TestHub_WithoutRedisPagesAskByThemselves(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Minute, Limit: 100})

	early := process.open(t, "mugs")

	require.Equal(t, live, early.news(t))
	require.Equal(t, degraded, early.news(t))
	require.Equal(t, degraded, process.open(t, "mugs").news(t))
}

func TestHub_AShortAbsenceIsNotToldToPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub("", nil, StreamOptions{Limit: 10}, nil, prometheus.NewRegistry())
		hub.connected(5, false)
		s := newStream("mugs")
		_, ok := hub.join(s, 5)
		require.True(t, ok)

		hub.lost()
		time.Sleep(grace - time.Millisecond)
		hub.lost() // a second try that failed
		hub.connected(5, false)
		time.Sleep(10 * grace)
		require.Empty(t, s.events)

		hub.lost()
		time.Sleep(grace - time.Millisecond)
		require.Empty(t, s.events)
		time.Sleep(2 * time.Millisecond)
		require.Equal(t, degraded, (<-s.events).news)
		hub.lost()
		time.Sleep(10 * grace)
		require.Empty(t, s.events, "pages are told once")
		hub.connected(5, false)
		require.Equal(t, resync, (<-s.events).news, "while Redis was away, changes made no events")
	})
}

func TestHub_AChangeDuringAnAbsenceMayHaveMadeNoEvent(t *testing.T) {
	t.Parallel()
	hub := newHub(t, "", StreamOptions{Limit: 10})
	hub.connected(5, false)
	s := newStream("mugs")
	_, ok := hub.join(s, 5)
	require.True(t, ok)

	hub.connected(5, false) // only the connection broke
	require.Empty(t, s.events)
	hub.connected(5, true)

	require.Len(t, s.events, 1)
	require.Equal(t, resync, (<-s.events).news)
	late, _ := hub.join(newStream("mugs"), 5)
	require.False(t, late.complete)
	made, _ := hub.join(newStream("mugs"), hub.Last())
	require.True(t, made.complete)
}

func TestHub_NoticesAPeerThatVanishesWithoutAWord(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	relay, address := startRelay(t, server)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, address)
	page := process.open(t, "mugs")
	publish(t, publisher, "mugs", "one")
	require.Equal(t, "one", page.fragment(t).data)

	vanished := time.Now()
	relay.blackHole()
	publish(t, publisher, "mugs", "into the void")

	require.Eventually(t, func() bool {
		return strings.Contains(process.log.String(), "[Hub.listen] Redis error: timeout: receive live events")
	}, patience, 10*time.Millisecond)
	noticed := time.Since(vanished)
	t.Logf("noticed after %s", noticed.Round(10*time.Millisecond))
	require.Less(t, noticed, 3*silence+silence/2, "two silences, and time for a busy machine")
	require.Equal(t, "resync", page.event(t).event)
	eventuallyPublish(t, publisher, "mugs", "two")
	require.Equal(t, "two", page.fragment(t).data)
}

func TestServe_BeginsWithWhatItIsGiven(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Minute, Limit: 100})
	process.opening = "<b id=lookers>\n3</b>"

	first := process.open(t, "mugs").event(t)

	require.Equal(t, record{event: "fragment", data: "<b id=lookers>\n3</b>"}, first)
}
