package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"slipway/internal/devstack/stacktest"
)

func TestPublish_ReachesTheFollowersInEveryProcess(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	one, two := startProcess(t, server.URL()), startProcess(t, server.URL())
	mugs := []*page{one.open(t, "mugs"), one.open(t, "lamps,mugs"), two.open(t, "mugs")}
	lamps := two.open(t, "lamps")

	require.True(t, publisher.Publish(t.Context(), Fragment{Topics: []string{"mugs"}, HTML: "<b id=mug>3</b>"}))
	require.True(t, publisher.Publish(t.Context(), Fragment{Topics: []string{"lamps", "boats"}, HTML: "<b id=lamp>1</b>"}))

	for _, page := range mugs {
		require.Equal(t, "<b id=mug>3</b>", page.fragment(t).data)
	}
	require.Equal(t, "<b id=lamp>1</b>", lamps.fragment(t).data)
	require.Equal(t, "<b id=lamp>1</b>", mugs[1].fragment(t).data)
}

func TestServe_APageThatReconnectsGetsTheMissedEvents(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	first := process.open(t, "mugs")
	publish(t, publisher, "mugs", "one")
	seen := first.fragment(t).id
	first.close()
	publish(t, publisher, "mugs", "two")
	publish(t, publisher, "lamps", "not for this page")
	publish(t, publisher, "mugs", "three")
	process.waitFor(t, publisher)

	byHeader := process.open(t, "mugs", "Last-Event-ID", seen)
	bySince := process.openAt(t, "/?topics=mugs&since="+seen)
	byBoth := process.openAt(t, "/?topics=mugs&since=1", "Last-Event-ID", seen) // the browser knows better than the page
	publish(t, publisher, "mugs", "four")

	for _, page := range []*page{byHeader, bySince, byBoth} {
		for _, expected := range []string{"two", "three", "four"} {
			require.Equal(t, expected, page.event(t).data)
		}
	}
}

func TestServe_APageThatIsUpToDateGetsNoOldEvent(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	publish(t, publisher, "lamps", "not for this page")
	process.waitFor(t, publisher)

	page := process.open(t, "mugs")

	// The page gets the number of the last event without an event.
	require.Equal(t, fmt.Sprint(process.hub.Last()), page.mark(t).id)
}

func TestServe_APageWithTooOldANumberMustReload(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	old := publish(t, publisher, "mugs", "before the process started")
	publish(t, publisher, "mugs", "before the process started")
	process := startProcess(t, server.URL())

	page := process.openAt(t, fmt.Sprintf("/?topics=mugs&since=%d", old))
	rendered := process.openAt(t, fmt.Sprintf("/?topics=mugs&since=%d", process.hub.Last()))
	silent := process.open(t, "mugs")
	publish(t, publisher, "mugs", "now")

	require.Equal(t, "resync", page.event(t).event)
	require.Equal(t, "now", page.event(t).data)
	require.Equal(t, "now", rendered.event(t).data)
	require.Equal(t, "now", silent.event(t).data)
}

func TestServe_StoresABoundedNumberOfEvents(t *testing.T) {
	t.Parallel()
	hub := newHub(t, StreamOptions{Lifetime: time.Minute, Limit: 10})
	hub.markConnected(1000, false)
	for i := range int64(maxRecent + 10) {
		hub.deliver(event{number: 1001 + i, Fragment: Fragment{Topics: []string{"mugs"}}})
	}

	old, _ := hub.join(newStream([]string{"mugs"}), 1009)
	later, _ := hub.join(newStream([]string{"mugs"}), 1010)

	require.False(t, old.complete)
	require.True(t, later.complete)
	require.Len(t, later.missed, maxRecent)
}

func TestHub_OpenPagesReloadAfterMissedEvents(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	publish(t, publisher, "mugs", "one")
	process.waitFor(t, publisher)
	page := process.open(t, "mugs")

	// All at once, so that the hub cannot reconnect in time to receive the message.
	_, err := stacktest.RedisClient(t, server).TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
		pipe.Incr(t.Context(), sequenceKey)
		pipe.Publish(t.Context(), channel, "a message without a subscriber")
		return nil
	})
	require.NoError(t, err)

	require.Equal(t, "resync", page.event(t).event)
	require.Equal(t, fmt.Sprint(process.hub.Last()), page.mark(t).id)
	publish(t, publisher, "mugs", "two")
	require.Equal(t, "two", page.event(t).data)
}

func TestHub_NoPageReloadsWhenNoEventWasMissed(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	publish(t, publisher, "mugs", "one")
	process.waitFor(t, publisher)
	page := process.open(t, "mugs")

	require.NoError(t, stacktest.RedisClient(t, server).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
	process.listening(t, server)
	publish(t, publisher, "mugs", "two")

	require.Equal(t, "two", page.event(t).data)
}

func TestHub_SurvivesARedisThatLosesItsData(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	old := publish(t, publisher, "mugs", "one")
	process.waitFor(t, publisher)
	open := process.open(t, "mugs")

	require.NoError(t, server.Restart(t.Context()))

	require.Equal(t, "resync", open.event(t).event)
	back := process.openAt(t, fmt.Sprintf("/?topics=mugs&since=%d", old))
	require.Equal(t, "resync", back.event(t).event)
	// A page made since then has seen all that there is.
	made := process.openAt(t, fmt.Sprintf("/?topics=mugs&since=%d", process.hub.Last()))
	eventuallyPublish(t, publisher, "two")
	for _, page := range []*page{open, back, made} {
		require.Equal(t, "two", page.event(t).data)
	}
}

func TestHub_AFlushedRedisLosesNoEvent(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	page := process.open(t, "mugs")
	publish(t, publisher, "mugs", "one")
	require.Equal(t, "one", page.event(t).data)

	require.NoError(t, stacktest.RedisClient(t, server).FlushAll(t.Context()).Err())
	publish(t, publisher, "mugs", "two")

	require.Equal(t, "two", page.event(t).data)
}

func TestHub_ConnectsToARedisThatStartsLater(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	require.NoError(t, server.Kill())
	process := startHub(t, server.URL(), StreamOptions{Lifetime: time.Minute, Limit: 100})
	page := process.openAt(t, "/?topics=mugs&since=0")
	require.Zero(t, process.hub.Last())

	require.NoError(t, server.Restart(t.Context()))

	// What happened between is unknown.
	require.Equal(t, "resync", page.event(t).event)
	made := process.openAt(t, "/?topics=mugs&since=0")
	require.Equal(t, "resync", made.event(t).event)
	eventuallyPublish(t, newPublisher(t, server.URL()), "one")
	require.Equal(t, "one", page.event(t).data)
}

func TestHub_NoticesAPeerThatFallsSilent(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	page := process.open(t, "mugs")

	require.NoError(t, server.Freeze())
	stacktest.Eventually(t, func() bool {
		return strings.Contains(process.log.String(), `backend=redis source=Hub.listen class=timeout error="receive live events`)
	})
	require.NoError(t, server.Thaw())

	process.listening(t, server)
	eventuallyPublish(t, publisher, "one")
	require.Equal(t, "one", page.fragment(t).data)
}

func TestHub_AQuietPeerIsNotDead(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	process := startProcess(t, server.URL())

	// Long enough for the question and its answer.
	require.Never(t, func() bool { return process.log.String() != "" }, 2*pingAfter+pingAfter/2, 100*time.Millisecond)
}

func TestHub_RunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	gone := stacktest.Redis(t)
	require.NoError(t, gone.Kill())

	for _, address := range []string{"", server.URL(), gone.URL()} {
		started := time.Now()
		process := startHub(t, address, StreamOptions{Lifetime: time.Minute, Limit: 1})
		process.stop()
		require.Less(t, time.Since(started), 10*time.Second)
	}
}

func TestHub_SkipsMessagesThatItCannotRead(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	page := process.open(t, "mugs")

	for _, nonsense := range []string{"", "nonsense", "x 1 {}", "1 x {}", "99 98 {", `99 98 "mug"`, `99 {}`} {
		require.NoError(t, stacktest.RedisClient(t, server).Publish(t.Context(), channel, nonsense).Err())
	}
	publish(t, publisher, "mugs", "one")

	require.Equal(t, "one", page.event(t).data)
}

func TestServe_LinesOfHTMLArriveUnchanged(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	page := process.open(t, "mugs")

	publish(t, publisher, "mugs", "<p>\r\nid: 1\n\nevent: evil\rdata: x\n</p>\n — 🏮 مرحبا")

	require.Equal(t, "<p>\nid: 1\n\nevent: evildata: x\n</p>\n — 🏮 مرحبا", page.event(t).data)
	publish(t, publisher, "mugs", "next")
	require.Equal(t, "next", page.event(t).data)
}

func TestServe_AStreamEndsAfterItsLifetimeAndReconnectsSoon(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, waits bool) {
		process := startHub(t, "", StreamOptions{Lifetime: time.Second, Limit: 100})
		process.waits = waits
		page := process.open(t, "mugs")

		last := page.last(t)

		require.LessOrEqual(t, last.retry, 100)
		require.Positive(t, last.retry)
		process.empty(t)
	})
}

func TestClose_EndsAllStreamsAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, waits bool) {
		process := startHub(t, "", StreamOptions{Lifetime: time.Hour, Limit: 100})
		process.waits = waits
		var pages []*page
		for range 50 {
			pages = append(pages, process.open(t, "mugs"))
		}

		process.hub.Close()

		for _, page := range pages {
			require.Positive(t, page.last(t).retry)
		}
		process.empty(t)
		status, _ := process.get(t)
		require.Equal(t, 503, status)
	})
}

func TestServe_RefusesStreamsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, waits bool) {
		process := startHub(t, "", StreamOptions{Lifetime: time.Hour, Limit: 2})
		process.waits = waits
		one, _ := process.open(t, "mugs"), process.open(t, "mugs")

		status, header := process.get(t)
		one.close()

		require.Equal(t, 503, status)
		require.NotEmpty(t, header.Get("Retry-After"))
		stacktest.Eventually(t, func() bool { status, _ := process.get(t); return status == 200 })
	})
}

func TestServe_SetsTheHeadersOfAnEventStream(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Second, Limit: 2})

	_, header := process.get(t)

	require.Equal(t, "text/event-stream", header.Get("Content-Type"))
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	require.Equal(t, "no", header.Get("X-Accel-Buffering"))
}

func TestServe_EndsTheStreamOfABrowserThatReadsNothing(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, waits bool) {
		process := startHub(t, "", StreamOptions{Lifetime: time.Hour, Limit: 10})
		process.waits = waits
		process.hub.markConnected(1, false)
		connection := process.dial(t, "/?topics=mugs")
		defer connection.Close()
		stacktest.Eventually(t, func() bool { return process.streams() == 1 })

		large := strings.Repeat("x", 1<<20)
		for i := range int64(40) { // more than sockets hold, fewer than a stream queues
			process.hub.deliver(event{number: 2 + i, Fragment: Fragment{Topics: []string{"mugs"}, HTML: large}})
		}

		require.Eventually(t, func() bool { return process.streams() == 0 }, 4*writeTimeout, 10*time.Millisecond)
	})
}

func TestServe_ASlowBrowserMissesNoEvent(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, waits bool) {
		process := startHub(t, "", StreamOptions{Lifetime: time.Hour, Limit: 10})
		process.waits = waits
		process.hub.markConnected(1, false)
		large := strings.Repeat("x", 256<<10)
		deliver := func(number int64) {
			process.hub.deliver(event{number: number, Fragment: Fragment{Topics: []string{"mugs"}, HTML: large}})
		}
		var browsers []net.Conn
		for range 4 {
			browser := process.dial(t, "/?topics=mugs")
			defer browser.Close()
			browsers = append(browsers, browser)
		}
		stacktest.Eventually(t, func() bool { return process.streams() == len(browsers) })

		// More than the sockets hold, then more than the streams queue, and then
		// still more while there is room again.
		last := int64(1)
		for process.queued() < 2 {
			last++
			deliver(last)
			time.Sleep(time.Millisecond) // the streams send what the sockets hold
		}
		for range 100 {
			last++
			deliver(last)
		}
		contents := make([]bytes.Buffer, len(browsers))
		for range 20 {
			for i, browser := range browsers {
				if _, err := io.CopyN(&contents[i], browser, 512<<10); !errors.Is(err, io.EOF) {
					require.NoError(t, err)
				}
			}
			last++
			deliver(last)
		}

		for i, browser := range browsers {
			_, err := io.Copy(&contents[i], browser)
			require.NoError(t, err)
			number := int64(1)
			for line := range bytes.SplitSeq(contents[i].Bytes(), []byte("\n")) {
				if id, isID := bytes.CutPrefix(line, []byte("id: ")); isID && string(id) != "1" {
					number++
					require.Equal(t, strconv.FormatInt(number, 10), string(id), "the browser was given an event after one that it never got")
				}
			}
			require.Less(t, number, last)
		}
	})
}

func TestHub_ManyPagesComeAndGo(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	publisher := newPublisher(t, server.URL())
	process := startProcess(t, server.URL())
	publishing, stop := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	publishers.Go(func() {
		for i := 0; publishing.Err() == nil; i++ {
			publisher.Publish(publishing, Fragment{Topics: []string{fmt.Sprintf("topic%d", i%4)}, HTML: "x"})
		}
	})

	var visitors errgroup.Group
	for i := range 40 {
		visitors.Go(func() error {
			for range 10 {
				if err := process.visit(fmt.Sprintf("/?topics=topic%d,mugs", i%4), i%2 == 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := visitors.Wait()
	stop()
	publishers.Wait()

	require.NoError(t, err)
	process.empty(t)
	require.Zero(t, process.gauge(t, "app_live_streams"))
}
