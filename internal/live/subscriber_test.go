package live

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

func TestHub_SurvivesAPeerThatIsNoRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	for _, greets := range []bool{false, true} {
		for _, reply := range stacktest.Nonsense() {
			t.Run(fmt.Sprintf("%t %.40q", greets, reply), func(t *testing.T) {
				t.Parallel()
				impostor := stacktest.StartImpostor(t, server, reply, greets)
				process := startHub(t, impostor.URL(), StreamOptions{Lifetime: time.Minute, Limit: 10})
				stacktest.Eventually(t, func() bool { return strings.Contains(process.log.String(), "source=Hub.listen") })
				stacktest.Eventually(t, func() bool { return impostor.Seen() > 5 })
				page := process.open(t, "mugs")

				impostor.StepAside()

				require.Equal(t, "resync", page.event(t).event)
				require.LessOrEqual(t, strings.Count(process.log.String(), "source=Hub.listen"), 4, "once for each class of failure")
				process.hub.deliver(event{number: process.hub.Last() + 1, Fragment: Fragment{Topics: []string{"mugs"}, HTML: "one"}})
				require.Equal(t, "one", page.event(t).data)
			})
		}
	}
	t.Cleanup(func() {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		require.Less(t, memory.Sys, uint64(1<<30), "of the whole test process")
	})
}

func TestHub_EventsArriveAgainAfterTheClockOfRedisWasSetBack(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, server *devstack.Redis){
		"flushed": func(t *testing.T, server *devstack.Redis) {
			t.Helper()
			stacktest.RedisCommand(t, server, "FLUSHALL")
		},
		"restarted": func(t *testing.T, server *devstack.Redis) {
			t.Helper()
			require.NoError(t, server.Restart(t.Context()))
		},
	} {
		for _, heard := range []string{"by the channel", "when it connected"} {
			t.Run(name+", heard "+heard, func(t *testing.T) {
				t.Parallel()
				server := stacktest.Redis(t)
				publisher := newPublisher(t, server.URL())
				ahead := func() int64 { // by one day
					stacktest.RedisCommand(t, server, "SET", sequenceKey, time.Now().Add(24*time.Hour).UnixMicro())
					return publish(t, publisher, "mugs", "one")
				}
				if heard == "when it connected" {
					ahead()
				}
				process := startProcess(t, server.URL())
				page := process.open(t, "mugs")
				tomorrow := ahead()
				require.Equal(t, "one", page.event(t).data)

				lose(t, server)
				eventuallyPublish(t, publisher, "two")

				require.Equal(t, "resync", page.event(t).event)
				process.waitFor(t, publisher)
				publish(t, publisher, "mugs", "three")
				for next := page.event(t); next.data != "three"; next = page.event(t) {
					require.Equal(t, "two", next.data)
				}
				returned := process.openAt(t, fmt.Sprintf("/?topics=mugs&since=%d", tomorrow))
				require.Equal(t, "resync", returned.event(t).event, "a page from before has missed events")
				made := process.openAt(t, fmt.Sprintf("/?topics=mugs&since=%d", process.hub.Last()))
				publish(t, publisher, "mugs", "four")
				require.Equal(t, "four", made.event(t).data)
				require.Equal(t, name == "flushed", strings.Contains(process.log.String(), "numbers of live events went back"))
			})
		}
	}
}

func TestHub_AnEventDuringAReconnectIsNotMissed(t *testing.T) {
	t.Parallel()
	fragment := func(number, previous int64) event {
		return event{number: number, previous: previous, Fragment: Fragment{Topics: []string{"mugs"}, HTML: fmt.Sprint(number)}}
	}
	for name, reconnect := range map[string]struct {
		number   int64 // of the newest event when the hub asks
		early    []event
		expected []string
	}{
		"none":                         {50, nil, nil},
		"one before it asks":           {60, []event{fragment(60, 50)}, []string{"60"}},
		"one after it asks":            {50, []event{fragment(60, 50)}, []string{"60"}},
		"one before and one after":     {60, []event{fragment(60, 50), fragment(70, 60)}, []string{"60", "70"}},
		"missed":                       {60, nil, []string{"resync"}},
		"missed, then one":             {70, []event{fragment(70, 60)}, []string{"resync"}},
		"missed, then two":             {70, []event{fragment(70, 60), fragment(80, 70)}, []string{"resync", "80"}},
		"missed, then one after":       {60, []event{fragment(70, 60)}, []string{"resync", "70"}},
		"data lost":                    {0, nil, []string{"resync"}},
		"data lost, then one":          {60, []event{fragment(60, 0)}, []string{"resync"}},
		"clock set back, one after":    {10, []event{fragment(20, 10)}, []string{"resync", "20"}},
		"clock set back while it asks": {60, []event{fragment(60, 50), fragment(20, 0)}, []string{"60", "resync"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := newHub(t, StreamOptions{Limit: 10})
			hub.markConnected(50, false)
			s := newStream([]string{"mugs"})
			_, ok := hub.join(s, 50)
			require.True(t, ok)

			hub.markConnected(reconnect.number, false, reconnect.early...)

			var sent []string
			for len(s.events) > 0 {
				next := <-s.events
				what := string(next.status)
				if what == "" {
					what = fmt.Sprint(next.number)
				}
				sent = append(sent, what)
			}
			require.Equal(t, reconnect.expected, sent)
		})
	}
}

func TestHub_StoresABoundedSizeOfEvents(t *testing.T) {
	t.Parallel()
	hub := newHub(t, StreamOptions{Limit: 10})
	hub.markConnected(1, false)

	for i := range int64(100) {
		hub.deliver(event{number: 2 + i, Fragment: Fragment{HTML: strings.Repeat("x", 1<<20)}})
	}

	require.Len(t, hub.recent, 31) // a fragment is a little longer as it is sent
	require.InDelta(t, 31<<20, hub.bytes, 31*100)
	require.EqualValues(t, 70, hub.known)
}
