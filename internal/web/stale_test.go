package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

func TestStale_ServesTheCachedPageWhileTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	fresh := site.visit(t, "/items/mug")
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
	ada := site.visit(t, "/items/mug?utm_source=ada&sort=name",
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
	require.Equal(t, http.StatusOK, site.visit(t, "/items/cookie").StatusCode)

	site.fail(&pgconn.PgError{Code: "57P03"})

	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/cookie").StatusCode)
}

func TestStale_ServesNoCachedPageForOtherErrors(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	site.visit(t, "/items/mug")

	for status, err := range map[int]error{409: errConflict, 500: errors.New("a bug"), 404: echo.NewHTTPError(404)} {
		site.fail(err)
		require.Equal(t, status, site.get(t, "/items/mug").StatusCode)
	}
}

func TestStale_DoesNotServeAPageOlderThanMaxAge(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	site.visit(t, "/items/mug")
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
		site.visit(t, "/items/mug")
		site.advance(100 * time.Millisecond)
	}
	require.Equal(t, 1, site.cacheRenders())

	site.advance(renderEvery)
	site.visit(t, "/items/mug")
	require.Equal(t, 2, site.cacheRenders())
}

func TestStale_HasACopyOfEveryPageThatWasJustVisited(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	for i := range 100 {
		require.Equal(t, http.StatusOK, site.get(t, fmt.Sprintf("/items/item-%d", i)).StatusCode)
	}
	site.settle(t)

	site.fail(&pgconn.PgError{Code: "57P03"})

	for i := range 100 {
		require.Contains(t, site.get(t, fmt.Sprintf("/items/item-%d", i)).body, fmt.Sprintf("page of item-%d\nfor the cache", i))
	}
}

func TestStale_NoVisitorWaitsForTheCache(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	begun, release := site.hold(10 * time.Second)
	started := time.Now()

	for range 3 {
		require.Contains(t, site.get(t, "/items/mug").body, "for a visitor")
	}
	<-begun
	require.Contains(t, site.get(t, "/items/lamp").body, "for a visitor")
	require.Less(t, time.Since(started), 5*time.Second)
	release()
	site.settle(t)

	require.Equal(t, 2, site.cacheRenders())
}

func TestStale_RenderingForTheCacheWaitsForRedisWithinABudget(t *testing.T) {
	t.Parallel()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := failopen.NewGuard(failopen.Options{URL: "redis://127.0.0.1:1", Timeout: time.Minute}, reporter)
	stale := newTestStale(t, time.Minute)
	rendered := make(chan time.Duration, 1)
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error {
			if !IsForCache(c) {
				return c.NoContent(http.StatusOK)
			}
			started := time.Now()
			for range 10 {
				guard.Do(c.Request().Context(), "test", func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
			}
			rendered <- time.Since(started)
			return c.NoContent(http.StatusOK)
		}, stale.Serve(nil))
	})

	require.Equal(t, http.StatusOK, site.get(t, "/").StatusCode)

	require.Less(t, <-rendered, renderTimeout/2)
}

func TestStale_APanicOfTheRunForTheCacheEndsNothing(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	require.Equal(t, http.StatusOK, site.get(t, "/items/panic").StatusCode)
	site.settle(t)

	require.Contains(t, site.visit(t, "/items/mug").body, "for a visitor")
	site.fail(&pgconn.PgError{Code: "57P03"})
	require.Contains(t, site.get(t, "/items/mug").body, "for the cache")
	require.Equal(t, http.StatusServiceUnavailable, site.get(t, "/items/panic").StatusCode)
}

func TestStale_InventedQueriesEvictNothing(t *testing.T) {
	t.Parallel()
	site := newStaleSite(t)
	for i := range 50 {
		site.visit(t, fmt.Sprintf("/items/mug?page=%d&nonsense=%d", i, i))
		site.advance(renderEvery)
	}

	require.Len(t, site.stale.pages.byAddress, 1)
	site.visit(t, "/items/mug?sort=name")
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
	site := newStaleSiteOf(t, newTestStale(t, 0))
	site.visit(t, "/items/mug")
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
	renders int // begun for the cache
	held    func()
	at      time.Time
}

func newStaleSite(t *testing.T) *staleSite {
	t.Helper()
	return newStaleSiteOf(t, newTestStale(t, 10*time.Minute))
}

// newTestStale is a cache that renders until the test ends.
func newTestStale(t *testing.T, maxAge time.Duration) *Stale {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	stale := NewStale(StaleOptions{
		MaxAge: maxAge, Size: 1 << 20, RedisBudget: 50 * time.Millisecond,
		Log: log, Reporter: telemetry.NewReporter(log, prometheus.NewRegistry()), Registry: prometheus.NewRegistry(),
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, stale.Run(ctx)) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return stale
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

// settle waits until every visited page is rendered for the cache: it gives each
// renderer one more page, and these pages end when all renderers have reached them.
func (s *staleSite) settle(t *testing.T) {
	t.Helper()
	var reached, ended sync.WaitGroup
	reached.Add(rendersAtOnce)
	ended.Add(rendersAtOnce)
	for range rendersAtOnce {
		s.stale.visited <- visitedPage{echo: echo.New(), address: &url.URL{Path: "/"}, handle: func(echo.Context) error {
			defer ended.Done()
			reached.Done()
			reached.Wait()
			return errConflict
		}}
	}
	ended.Wait()
}

// visit is get that also waits for the cache.
func (s *staleSite) visit(t *testing.T, path string, header ...string) answer {
	t.Helper()
	answer := s.get(t, path, header...)
	s.settle(t)
	return answer
}

// hold makes runs for the cache wait for release, or as long as most. Begun is
// closed when the first one waits.
func (s *staleSite) hold(most time.Duration) (begun chan struct{}, release func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	begun, released := make(chan struct{}), make(chan struct{})
	var first sync.Once
	s.held = func() {
		first.Do(func() { close(begun) })
		select {
		case <-released:
		case <-time.After(most):
		}
	}
	return begun, func() { close(released) }
}

func (s *staleSite) show(c echo.Context) error {
	if IsForCache(c) {
		s.mutex.Lock()
		held := s.held
		s.mutex.Unlock()
		if held != nil {
			held()
		}
		if c.Param("slug") == "panic" {
			panic("a bug")
		}
	}
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
