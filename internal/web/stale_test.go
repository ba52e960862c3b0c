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

func TestStale_ServesTheLastPageWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	fresh := store.get(t, "/products/mug")
	require.Equal(t, http.StatusOK, fresh.StatusCode)
	require.Empty(t, fresh.Header.Get("X-Served-Stale"))

	store.fail(&pgconn.PgError{Code: "57P03"})
	store.advance(90 * time.Second)
	stale := store.get(t, "/products/mug", "Cookie", "cart=ada")

	require.Equal(t, http.StatusOK, stale.StatusCode)
	require.Contains(t, stale.body, "page of mug")
	require.Equal(t, "1", stale.Header.Get("X-Served-Stale"))
	require.Equal(t, "90", stale.Header.Get("Age"))
	require.Equal(t, "public, max-age=0, stale-if-error=600", stale.Header.Get("Cache-Control"))
	require.Equal(t, "text/html; charset=UTF-8", stale.Header.Get("Content-Type"))
	require.Equal(t, "drawn with it", stale.Header.Get("X-Page"))
	require.Empty(t, stale.Header.Get("Set-Cookie"), "of the run that failed")
	require.NotEqual(t, fresh.Header.Get("X-Request-Id"), stale.Header.Get("X-Request-Id"))
	require.Equal(t, http.StatusServiceUnavailable, store.get(t, "/products/lamp").StatusCode, "nobody has asked for it before")

	store.fail(nil)
	require.Empty(t, store.get(t, "/products/mug").Header.Get("X-Served-Stale"))
}

func TestStale_KeepsNothingOfAVisitor(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	ada := store.get(t, "/products/mug?utm_source=ada&sort=name", "Cookie", "cart=ada", "User-Agent", "Adas browser", "X-Forwarded-For", "192.0.2.1")
	require.Contains(t, ada.body, "cart=ada")
	require.Contains(t, ada.Header.Get("Set-Cookie"), "seen=ada")

	store.fail(&pgconn.PgError{Code: "57P03"})
	eve := store.get(t, "/products/mug?sort=name")

	require.Equal(t, "1", eve.Header.Get("X-Served-Stale"))
	require.Contains(t, eve.body, "for everybody")
	for _, text := range []string{eve.body, fmt.Sprint(eve.Header)} {
		require.NotContains(t, text, "ada")
		require.NotContains(t, text, "Adas")
		require.NotContains(t, text, "192.0.2.1")
	}
	require.Empty(t, eve.Header.Get("Set-Cookie"))
}

func TestStale_DoesNotKeepAPageThatSetsACookieForEverybody(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	require.Equal(t, http.StatusOK, store.get(t, "/products/cookie").StatusCode)

	store.fail(&pgconn.PgError{Code: "57P03"})

	require.Equal(t, http.StatusServiceUnavailable, store.get(t, "/products/cookie").StatusCode)
}

func TestStale_IsForADatabaseThatIsAwayAlone(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	store.get(t, "/products/mug")

	for status, err := range map[int]error{409: errSoldOut, 500: errors.New("a mistake"), 404: echo.NewHTTPError(404)} {
		store.fail(err)
		require.Equal(t, status, store.get(t, "/products/mug").StatusCode)
	}
}

func TestStale_ForgetsWhatIsTooOld(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	store.get(t, "/products/mug")
	store.fail(&pgconn.PgError{Code: "57P03"})

	store.advance(10 * time.Minute)
	require.Equal(t, http.StatusOK, store.get(t, "/products/mug").StatusCode)
	store.advance(time.Second)
	require.Equal(t, http.StatusServiceUnavailable, store.get(t, "/products/mug").StatusCode)
}

func TestStale_DrawsAPageForEverybodyOnceInAWhile(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	for range 20 {
		store.get(t, "/products/mug")
		store.advance(100 * time.Millisecond)
	}
	require.Equal(t, 1, store.drawnForEverybody())

	store.advance(copyEvery)
	store.get(t, "/products/mug")
	require.Equal(t, 2, store.drawnForEverybody())

	// A crawler: one copy in every pause, whatever it asks for.
	for i := range 10 {
		store.get(t, fmt.Sprintf("/products/crawled-%d", i))
	}
	require.Equal(t, 2, store.drawnForEverybody())
}

func TestStale_MadeUpAddressesPushNothingOut(t *testing.T) {
	t.Parallel()
	store := newStaleStore(t, 1<<20)
	for i := range 50 {
		store.get(t, fmt.Sprintf("/products/mug?page=%d&nonsense=%d", i, i))
		store.advance(copyEvery)
	}

	require.Len(t, store.stale.copies.byAddress, 1)
	store.get(t, "/products/mug?sort=name")
	require.Len(t, store.stale.copies.byAddress, 2)
}

func TestStale_StaysWithinItsSize(t *testing.T) {
	t.Parallel()
	copies := newCopies(100_000)
	page := func(name string, size int) *pageCopy {
		return &pageCopy{address: name, body: make([]byte, size)}
	}

	for i := range 100 {
		copies.put(page(fmt.Sprint(i), 9000))
		_, kept := copies.get("0")
		require.True(t, kept, "what is asked for stays")
	}
	require.LessOrEqual(t, copies.held, int64(100_000))
	require.Len(t, copies.byAddress, 9)
	require.Equal(t, copies.order.Len(), len(copies.byAddress))

	copies.put(page("huge", 50_000))
	_, kept := copies.get("huge")
	require.False(t, kept, "it would push out all others")

	copies.put(page("0", 50))
	require.Equal(t, int64(8*(9000+2+copyOverhead)+50+1+copyOverhead), copies.held)
}

func TestStale_KeepsNothingWhereItIsSwitchedOff(t *testing.T) {
	t.Parallel()
	store := newStaleStoreOf(t, NewStale(0, 1<<20, prometheus.NewRegistry()))
	store.get(t, "/products/mug")
	store.fail(&pgconn.PgError{Code: "57P03"})

	require.Equal(t, http.StatusServiceUnavailable, store.get(t, "/products/mug").StatusCode)
	require.Zero(t, store.drawnForEverybody())
}

// Private

// staleStore is a store whose one page tells all that it knows of its visitor.
type staleStore struct {
	*site
	stale *Stale

	mutex     sync.Mutex
	failure   error
	everybody int
	at        time.Time
}

func newStaleStore(t *testing.T, size int64) *staleStore {
	t.Helper()
	return newStaleStoreOf(t, NewStale(10*time.Minute, size, prometheus.NewRegistry()))
}

func newStaleStoreOf(t *testing.T, stale *Stale) *staleStore {
	t.Helper()
	s := &staleStore{stale: stale, at: time.Now()}
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
		e.GET("/products/:slug", s.show, Deadline(time.Minute), s.stale.Serve(sorted))
	})
	return s
}

func (s *staleStore) show(c echo.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if visitor, err := c.Cookie("cart"); err == nil {
		c.SetCookie(&http.Cookie{Name: "seen", Value: visitor.Value})
	}
	if c.Param("slug") == "cookie" {
		c.SetCookie(&http.Cookie{Name: "session", Value: "new"})
	}
	if s.failure != nil {
		return fmt.Errorf("find product: %w", s.failure)
	}
	who := "for a visitor"
	if ForEverybody(c) {
		s.everybody++
		who = "for everybody"
	}
	r := c.Request()
	c.Response().Header().Set("X-Page", "drawn with it")
	return c.HTML(http.StatusOK, strings.Join([]string{"page of " + c.Param("slug"), who, r.URL.String(), r.RemoteAddr, fmt.Sprint(r.Header), c.RealIP()}, "\n"))
}

func (s *staleStore) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failure = err
}

func (s *staleStore) advance(d time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.at = s.at.Add(d)
}

func (s *staleStore) drawnForEverybody() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.everybody
}
