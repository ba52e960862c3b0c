package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gate is a handler that reports each call and waits until it may go on.
type gate struct {
	entered chan *http.Request
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan *http.Request, 100), open: make(chan struct{})} }

func (g *gate) wait(r *http.Request) {
	g.entered <- r
	<-g.open
}

// together sends n requests at once. It returns after until holds and open was
// called, with all replies.
func together(s *site, n int, until func() bool, open func()) []reply {
	replies := make([]reply, n)
	var asking sync.WaitGroup
	for i := range n {
		asking.Go(func() { replies[i] = s.get("/") })
	}
	eventually(s.t, until)
	open()
	asking.Wait()
	return replies
}

func TestFetch_ManyRequestsAskTheHandlerOnce(t *testing.T) {
	t.Parallel()
	g := newGate()
	answer := says("Cache-Control: public, max-age=60")
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) { g.wait(r); answer(w, r) })

	replies := together(s, 30, func() bool { return len(g.entered) == 1 }, func() { close(g.open) })

	collapsed := 0
	for _, one := range replies {
		require.Equal(t, "1", one.body)
		if one.header.Get("X-Cache") == "hit" {
			collapsed++
		}
	}
	require.Equal(t, 29, collapsed)
	require.Equal(t, 1, s.calls())
}

func TestFetch_ALeaderThatLeavesFailsNobody(t *testing.T) {
	t.Parallel()
	g := newGate()
	answer := says("Cache-Control: public, max-age=60")
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		g.wait(r)
		require.NoError(t, r.Context().Err())
		answer(w, r)
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
		}
		left <- err
	}()
	asked := <-g.entered
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	follower := make(chan reply, 1)
	go func() { follower <- s.get("/") }()
	require.NoError(t, asked.Context().Err())
	close(g.open)

	require.Equal(t, "1", (<-follower).body)
	require.Equal(t, 1, s.calls())
}

func TestFetch_AFillHasADeadline(t *testing.T) {
	t.Parallel()
	first := true
	s := newSite(t, Options{FillTimeout: 20 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if first {
			<-r.Context().Done()
		}
		first = false
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "half a page")
	})

	require.Equal(t, "half a page", s.get("/slow").body)
	require.Equal(t, "miss", s.get("/slow").header.Get("X-Cache"), "what was cut short is not stored")
}

func TestFetch_PrivatePagesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		w.(http.Flusher).Flush()
		g.wait(r)
		fmt.Fprint(w, "page")
	})

	replies := together(s, 10, func() bool { return len(g.entered) == 10 }, func() { close(g.open) })

	for _, one := range replies {
		require.Equal(t, "page", one.body)
		require.Equal(t, "miss", one.header.Get("X-Cache"))
	}
}

func TestFetch_AfterAPrivatePageNobodyWaits(t *testing.T) {
	t.Parallel()
	g := newGate()
	first := true
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		if first {
			first = false
			return
		}
		g.wait(r) // before the cache can know that this response is private too
	})
	s.get("/")

	together(s, 10, func() bool { return len(g.entered) == 10 }, func() { close(g.open) })

	require.Equal(t, 11, s.calls())
}

func TestFetch_ThoseWhoWaitForAnotherVariantAsk(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Kind") == "1" {
			g.wait(r)
		}
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", "Vary: X-Kind"})
		fmt.Fprint(w, r.Header.Get("X-Kind"))
	})
	one, two := make(chan reply, 1), make(chan reply, 1)
	go func() { one <- s.get("/", "X-Kind: 1") }()
	<-g.entered
	go func() { two <- s.get("/", "X-Kind: 2") }()
	close(g.open)

	require.Equal(t, "1", (<-one).body)
	require.Equal(t, "2", (<-two).body)
}

func TestFetch_APanicReachesTheServerAndReleasesThoseWhoWait(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "half a page")
		panic(http.ErrAbortHandler)
	})

	for range 2 {
		_, err := s.try(http.MethodGet, "/", "")
		require.Error(t, err)
	}
	require.Equal(t, 2, s.calls())
}

func TestRefresh_AStaleResponseIsServedWhileOneRequestRefreshesIt(t *testing.T) {
	t.Parallel()
	g := newGate()
	answer := says("Cache-Control: public, max-age=60, stale-while-revalidate=30", `Etag: "a"`)
	first := true
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if !first {
			g.wait(r)
		}
		first = false
		answer(w, r)
	})
	s.get("/", "Cookie: a=b")
	s.pass(61 * time.Second)

	for range 5 {
		got := s.get("/", "Cookie: a=b", "Range: bytes=0-")
		require.Equal(t, "1", got.body)
		require.Equal(t, "stale", got.header.Get("X-Cache"))
	}
	asked := <-g.entered
	require.Equal(t, `"a"`, asked.Header.Get("If-None-Match"))
	require.Empty(t, asked.Header.Get("Cookie"))
	require.Empty(t, asked.Header.Get("Range"))
	close(g.open)
	eventually(t, func() bool { return s.get("/").body == "2" })
	require.Equal(t, 2, s.calls())

	s.pass(95 * time.Second)
	require.Equal(t, "3", s.get("/").body, "after the window the request waits")
}

func TestRefresh_AreBoundedAndEndWithClose(t *testing.T) {
	t.Parallel()
	g := newGate()
	answer := says("Cache-Control: public, max-age=60, stale-while-revalidate=30")
	refreshing := false
	s := newSite(t, Options{Refreshes: 2}, func(w http.ResponseWriter, r *http.Request) {
		if refreshing {
			g.wait(r)
		}
		answer(w, r)
	})
	for i := range 5 {
		s.get(fmt.Sprint("/", i))
	}
	s.pass(61 * time.Second)
	refreshing = true

	for i := range 5 {
		require.Equal(t, "stale", s.get(fmt.Sprint("/", i)).header.Get("X-Cache"))
	}
	eventually(t, func() bool { return len(g.entered) == 2 })
	close(g.open)
	s.cache.Close()
	require.Equal(t, 7, s.calls())
}

func TestPurge_AResponseMadeMeanwhileIsNotStored(t *testing.T) {
	t.Parallel()
	for name, purge := range map[string]func(*site){
		"tag":    func(s *site) { s.cache.Purge("mug") },
		"all":    func(s *site) { s.cache.PurgeAll() },
		"unsafe": func(s *site) { s.send(http.MethodPost, "/", "") },
	} {
		g := newGate()
		answer := says("Cache-Control: public, max-age=60", "Surrogate-Key: mug cup")
		s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				return
			}
			if r.Header.Get("X-Wait") != "" {
				g.wait(r)
			}
			answer(w, r)
		})
		old := make(chan reply, 1)
		go func() { old <- s.get("/", "X-Wait: 1") }()
		<-g.entered

		purge(s)
		require.Equal(t, "1", s.get("/").body, "%s: a request after the purge does not wait for the older fill", name)
		close(g.open)
		require.Equal(t, "2", (<-old).body, name)
		require.Equal(t, "1", s.get("/").body, name)
	}
}
