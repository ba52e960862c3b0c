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

func TestHub_DegradesPagesWhileRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*devstack.Redis) error{"stopped": (*devstack.Redis).Kill, "frozen": (*devstack.Redis).Freeze} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			publisher := newPublisher(t, server.URL())
			process := startProcess(t, server.URL())
			open := process.open(t, "mugs")
			require.Equal(t, statusLive, open.status(t))
			require.Zero(t, process.gauge(t, "app_live_degraded"))

			require.NoError(t, begin(server))

			require.Equal(t, statusDegraded, open.status(t))
			during := process.open(t, "mugs")
			require.Equal(t, statusDegraded, during.status(t))
			require.Equal(t, 1.0, process.gauge(t, "app_live_degraded"))

			if name == "stopped" {
				require.NoError(t, server.Restart(t.Context()))
			}
			require.NoError(t, server.Thaw())

			for _, page := range []*page{open, during} {
				require.Equal(t, statusResync, page.status(t))
			}
			require.Zero(t, process.gauge(t, "app_live_degraded"))
			require.Equal(t, statusLive, process.open(t, "mugs").status(t))
			eventuallyPublish(t, publisher, "one")
			for _, page := range []*page{open, during} {
				require.Equal(t, "one", page.fragment(t).data)
			}
		})
	}
}

func TestHub_WithoutRedisPagesPoll(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Minute, Limit: 100})

	early := process.open(t, "mugs")

	require.Equal(t, statusLive, early.status(t))
	require.Equal(t, statusDegraded, early.status(t))
	require.Equal(t, statusDegraded, process.open(t, "mugs").status(t))
}

func TestHub_AShortOutageDegradesNoPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub("", nil, StreamOptions{Limit: 10}, nil, prometheus.NewRegistry())
		hub.markConnected(5, false)
		s := newStream([]string{"mugs"})
		_, ok := hub.join(s, 5)
		require.True(t, ok)

		hub.markDisconnected()
		time.Sleep(degradedAfter - time.Millisecond)
		hub.markDisconnected() // a second try that failed
		hub.markConnected(5, false)
		time.Sleep(10 * degradedAfter)
		require.Empty(t, s.events)

		hub.markDisconnected()
		time.Sleep(degradedAfter - time.Millisecond)
		require.Empty(t, s.events)
		time.Sleep(2 * time.Millisecond)
		require.Equal(t, statusDegraded, (<-s.events).status)
		hub.markDisconnected()
		time.Sleep(10 * degradedAfter)
		require.Empty(t, s.events, "each page gets the status once")
		hub.markConnected(5, false)
		require.Equal(t, statusResync, (<-s.events).status, "while Redis was unavailable, changes made no events")
	})
}

func TestHub_PagesReloadAfterAnOutage(t *testing.T) {
	t.Parallel()
	hub := newHub(t, StreamOptions{Limit: 10})
	hub.markConnected(5, false)
	s := newStream([]string{"mugs"})
	_, ok := hub.join(s, 5)
	require.True(t, ok)

	hub.markConnected(5, false) // only the connection broke
	require.Empty(t, s.events)
	hub.markConnected(5, true)

	require.Len(t, s.events, 1)
	require.Equal(t, statusResync, (<-s.events).status)
	late, _ := hub.join(newStream([]string{"mugs"}), 5)
	require.False(t, late.complete)
	made, _ := hub.join(newStream([]string{"mugs"}), hub.Last())
	require.True(t, made.complete)
}

func TestHub_NoticesAPeerThatVanishes(t *testing.T) {
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

	stacktest.Eventually(t, func() bool {
		return strings.Contains(process.log.String(), `backend=redis source=Hub.listen class=timeout error="receive live events`)
	})
	noticed := time.Since(vanished)
	t.Logf("noticed after %s", noticed.Round(10*time.Millisecond))
	require.Less(t, noticed, 3*pingAfter+pingAfter/2, "two silences, and time for a busy machine")
	require.Equal(t, "resync", page.event(t).event)
	eventuallyPublish(t, publisher, "two")
	require.Equal(t, "two", page.fragment(t).data)
}

func TestServe_BeginsWithItsOpening(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Minute, Limit: 100})
	process.opening = "<b id=lookers>\n3</b>"

	first := process.open(t, "mugs").event(t)

	require.Equal(t, record{event: "fragment", data: "<b id=lookers>\n3</b>"}, first)
}
