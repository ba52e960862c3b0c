package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestStale_ServesTheCachedPageWhileTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	fresh := site.get(t, "/items/mug")
	require.Equal(t, http.StatusOK, fresh.StatusCode)
	require.Empty(t, fresh.Header.Get("X-Served-Stale"))

	site.fail(&pgconn.PgError{Code: "57P03"})
	site.advance(90 * time.Second)
	stale := site.get(t, "/items/mug", "Cookie", "visit=ada")

	require.Equal(t, http.StatusOK, stale.StatusCode)
	require.Contains(t, stale.body, "page of mug")
	require.Equal(t, "1", stale.Header.Get("X-Served-Stale"))
	require.Equal(t, "90", stale.Header.Get("Age"))
	require.Equal(t, "public, max-age=0, stale-if-error=600", stale.Header.Get("Cache-Control"))
	require.Equal(t, "text/html; charset=UTF-8", stale.Header.Get("Content-Type"))
	require.Equal(t, "set by the handler", stale.Header.Get("X-Page"))
	require.Empty(t, stale.Header.Get("Set-Cookie"), "the failed run set it")
	require.NotEqual(t, fresh.Header.Get("X-Request-Id"), stale.Header.Get("X-Request-Id"))
	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/lamp").StatusCode, "this page was never requested")

	site.fail(&pgconn.PgError{Code: "28P01"}) // refused
	require.Equal(t, "1", site.get(t, "/items/mug").Header.Get("X-Served-Stale"))
	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/lamp").StatusCode)

	site.fail(nil)
	require.Empty(t, site.get(t, "/items/mug").Header.Get("X-Served-Stale"))
}

func TestStale_CachesNothingOfAVisitor(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	ada := site.get(t, "/items/mug?utm_source=ada&sort=name",
		"Cookie", "visit=ada", "User-Agent", "Adas browser", "X-Forwarded-For", "192.0.2.1")
	require.Contains(t, ada.body, "visit=ada")
	require.Contains(t, ada.Header.Get("Set-Cookie"), "seen=ada")

	site.fail(&pgconn.PgError{Code: "57P03"})
	eve := site.get(t, "/items/mug?sort=name")

	require.Equal(t, "1", eve.Header.Get("X-Served-Stale"))
	require.Contains(t, eve.body, "for the cache")
	for _, text := range []string{eve.body, fmt.Sprint(eve.Header)} {
		require.NotContains(t, text, "ada")
		require.NotContains(t, text, "Adas")
		require.NotContains(t, text, "192.0.2.1")
	}
	require.Empty(t, eve.Header.Get("Set-Cookie"))
}

func TestStale_DoesNotCacheAPageThatSetsACookie(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	require.Equal(t, http.StatusOK, site.get(t, "/items/cookie").StatusCode)

	site.fail(&pgconn.PgError{Code: "57P03"})

	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/cookie").StatusCode)
}

func TestStale_ServesNoCachedPageForOtherErrors(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	site.get(t, "/items/mug")

	for status, err := range map[int]error{409: errConflict, 500: errors.New("a bug"), 404: echo.NewHTTPError(404)} {
		site.fail(err)
		require.Equal(t, status, site.get(t, "/items/mug").StatusCode)
	}
}

func TestStale_DoesNotServeAPageOlderThanMaxAge(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	site.get(t, "/items/mug")
	site.fail(&pgconn.PgError{Code: "57P03"})

	site.advance(10 * time.Minute)
	require.Equal(t, http.StatusOK, site.get(t, "/items/mug").StatusCode)
	site.advance(time.Second)
	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/mug").StatusCode)
}

func TestStale_RendersForTheCacheAtMostOnceInRenderEvery(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	for range 20 {
		site.get(t, "/items/mug")
		site.advance(100 * time.Millisecond)
	}
	require.Equal(t, 1, site.cacheRenders())

	site.advance(renderEvery)
	site.get(t, "/items/mug")
	require.Equal(t, 2, site.cacheRenders())

	// A crawler that requests many pages causes one render in renderPause.
	for i := range 10 {
		site.get(t, fmt.Sprintf("/items/crawled-%d", i))
	}
	require.Equal(t, 2, site.cacheRenders())
}

func TestStale_InventedQueriesEvictNothing(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	for i := range 50 {
		site.get(t, fmt.Sprintf("/items/mug?page=%d&nonsense=%d", i, i))
		site.advance(renderEvery)
	}

	require.Len(t, site.stale.pages.byAddress, 1)
	site.get(t, "/items/mug?sort=name")
	require.Len(t, site.stale.pages.byAddress, 2)
}

func TestPageCache_StaysWithinItsCapacity(t *testing.T) {
	t.Parallel()
	cache := newPageCache(100_000)
	page := func(name string, size int) *cachedPage {
		return &cachedPage{address: name, body: make([]byte, size)}
	}

	for i := range 100 {
		cache.put(page(fmt.Sprint(i), 9000))
		_, cached := cache.get("0")
		require.True(t, cached, "a page in use stays")
	}
	require.LessOrEqual(t, cache.size, int64(100_000))
	require.Len(t, cache.byAddress, 9)
	require.Equal(t, cache.order.Len(), len(cache.byAddress))

	cache.put(page("huge", 50_000))
	_, cached := cache.get("huge")
	require.False(t, cached, "it would evict all others")

	cache.put(page("0", 50))
	require.Equal(t, int64(8*(9000+2+pageOverhead)+50+1+pageOverhead), cache.size)
}

func TestStale_CachesNothingWhenMaxAgeIsZero(t *testing.T) {
	t.Parallel()
	site := newStaleSiteOf(t, NewStale(0, 1<<20, prometheus.NewRegistry()))
	site.get(t, "/items/mug")
	site.fail(&pgconn.PgError{Code: "57P03"})

	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/mug").StatusCode)
	require.Zero(t, site.cacheRenders())
}

// Private

// staleSite has one page, which shows everything that its request contains.
type staleSite struct {
	*site
	stale *Stale

	mutex   sync.Mutex
	failure error
	renders int
	at      time.Time
}

func newStaleSite(t *testing.T) *staleSite {
	t.Helper()
	return newStaleSiteOf(t, NewStale(10*time.Minute, 1<<20, prometheus.NewRegistry()))
}

func newStaleSiteOf(t *testing.T, stale *Stale) *staleSite {
	t.Helper()
	s := &staleSite{stale: stale, at: time.Now()}
	stale.now = func() time.Time {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		return s.at
	}
	sorted := func(c echo.Context) url.Values {
		if c.QueryParam("sort") != "name" {
			return nil
		}
		return url.Values{"sort": {"name"}}
	}
	s.site = newSite(t, func(e *echo.Echo) {
		e.GET("/items/:slug", s.show, Deadline(time.Minute), s.stale.Serve(sorted))
	})
	return s
}

func (s *staleSite) show(c echo.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if visitor, err := c.Cookie("visit"); err == nil {
		c.SetCookie(&http.Cookie{Name: "seen", Value: visitor.Value})
	}
	if c.Param("slug") == "cookie" {
		c.SetCookie(&http.Cookie{Name: "session", Value: "new"})
	}
	if s.failure != nil {
		return fmt.Errorf("find row: %w", s.failure)
	}
	who := "for a visitor"
	if IsForCache(c) {
		s.renders++
		who = "for the cache"
	}
	r := c.Request()
	c.Response().Header().Set("X-Page", "set by the handler")
	return c.HTML(http.StatusOK, strings.Join([]string{
		"page of " + c.Param("slug"), who, r.URL.String(), r.RemoteAddr, fmt.Sprint(r.Header), c.RealIP(),
	}, "\n"))
}

func (s *staleSite) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failure = err
}

func (s *staleSite) advance(d time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.at = s.at.Add(d)
}

func (s *staleSite) cacheRenders() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.renders
}
