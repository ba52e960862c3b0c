package httpcache

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFill_EventsPassAtOnce(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{"Content-Type: text/event-stream", "Cache-Control: public, max-age=60"})
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n", i)
			require.NoError(t, http.NewResponseController(w).Flush())
			<-next
		}
	})
	response, err := http.Get(s.url)
	require.NoError(t, err)
	defer response.Body.Close()

	lines := bufio.NewScanner(response.Body)
	for i := range 3 {
		require.True(t, lines.Scan())
		require.Equal(t, fmt.Sprintf("data: %d", i), lines.Text())
		next <- struct{}{}
	}
	require.Zero(t, s.cache.Stats().Keys)
}

func TestFill_ALargeBodyPassesAndIsNotStored(t *testing.T) {
	t.Parallel()
	for _, flushed := range []bool{false, true} {
		s := newSite(t, Options{MaxItemSize: 100}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			for range 30 {
				fmt.Fprint(w, strings.Repeat("x", 10))
				if flushed {
					w.(http.Flusher).Flush()
				}
			}
		})

		for range 2 {
			require.Equal(t, strings.Repeat("x", 300), s.get("/").body)
		}
		require.Equal(t, 2, s.calls())
	}
}

func TestFill_ABodyShorterThanItSaysIsNotStored(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", "Content-Length: 10"})
		fmt.Fprint(w, "short")
	})

	_, err := s.try(http.MethodGet, "/", "")

	require.Error(t, err)
	require.Zero(t, s.cache.Stats().Keys)
}

func TestFill_InterimResponsesPassAndLeaveNoTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "page")
	})
	var interim []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		interim = append(interim, fmt.Sprint(code, header.Get("Link")))
		return nil
	}}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, s.url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()

	got := s.get("/")

	require.Equal(t, []string{"103</a.css>; rel=preload"}, interim)
	require.Empty(t, response.Header.Get("Link"))
	require.Equal(t, "hit", got.header.Get("X-Cache"))
	require.Empty(t, got.header.Get("Link"))
}

func TestFill_TrailersPass(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", "Trailer: X-Sum"})
		fmt.Fprint(w, "page")
		w.Header().Set("X-Sum", "1")
	})

	for range 2 {
		require.Equal(t, "1", s.get("/").trailer.Get("X-Sum"))
	}
}

func TestPolicy_IdentifiedVisitorsBypassTheStore(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{PrivateCookies: []string{"session"}}, says("Cache-Control: s-maxage=60"))
	s.get("/")

	for _, field := range []string{"Cookie: a=b; session=1", "Authorization: Bearer x"} {
		got := s.get("/", field)
		require.Equal(t, "bypass", got.header.Get("X-Cache"), field)
		require.NotEqual(t, "1", got.body, field)
	}
	require.Equal(t, "1", s.get("/", "Cookie: a=b").body)
}

func TestPolicy_WhatIsPublicIsForIdentifiedVisitorsToo(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{PrivateCookies: []string{"session"}}, says("Cache-Control: public, max-age=60"))

	require.Equal(t, "miss", s.get("/", "Cookie: session=1").header.Get("X-Cache"))
	require.Equal(t, "hit", s.get("/", "Cookie: session=2").header.Get("X-Cache"))
	require.Equal(t, "hit", s.get("/").header.Get("X-Cache"))
	require.Equal(t, "bypass", s.get("/other", "Authorization: Bearer x").header.Get("X-Cache"))
}

func TestPurge_RemovesWhatHasATag(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Surrogate-Key", "all "+r.URL.Path[1:])
	})
	for _, path := range []string{"/mug", "/cup"} {
		s.get(path)
	}

	require.Equal(t, 1, s.cache.Purge("mug", "none"))

	require.Equal(t, "miss", s.get("/mug").header.Get("X-Cache"))
	require.Equal(t, "hit", s.get("/cup").header.Get("X-Cache"))
	require.Equal(t, 2, s.cache.Purge("all"))
	require.Empty(t, s.cache.store.tags.keys)
}

func TestStore_StaysWithinItsSize(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{Size: 64 << 10, MaxItemSize: 8 << 10}, func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), []string{"Cache-Control: public, max-age=60", "Surrogate-Key: a"})
		fmt.Fprint(w, strings.Repeat("x", 4<<10))
	})
	for i := range 100 {
		s.get(fmt.Sprint("/", i))
	}

	eventually(t, func() bool { return s.cache.Stats().Bytes <= 64<<10 })
	require.Positive(t, s.cache.Stats().Evictions)
	require.LessOrEqual(t, len(s.cache.store.tags.keys["a"]), s.cache.Stats().Keys)
}
