package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// unavailable is an error of a PostgreSQL that cannot be used.
var unavailable = &pgconn.PgError{Code: "57P03"}

func TestShare_ServesEverybodyOnePage(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)

	first := site.get(t, "/items/mug", "Cookie", "theme=dark", "User-Agent", "Adas browser")
	second := site.get(t, "/items/mug")

	require.Equal(t, first.body, second.body)
	require.Equal(t, 1, site.runs())
	require.NotContains(t, first.body, "dark")
	require.Contains(t, first.body, "for everybody")
	require.Equal(t, "private, no-cache", second.Header.Get("Cache-Control"), "other caches keep nothing")
	require.Equal(t, "hit", second.Header.Get("X-Cache"))
	require.NotEqual(t, first.Header.Get("X-Request-Id"), second.Header.Get("X-Request-Id"))
	require.Contains(t, second.Header.Get("Content-Security-Policy"), "default-src")
	require.Empty(t, second.Header.Get("RateLimit"))
	require.Contains(t, site.series(t), "method=GET route=/items/:slug status=2xx")
}

func TestShare_KeepsNothingOfAnIdentifiedVisitor(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)
	ada := site.get(t, "/items/mug", "Cookie", "session=ada", "User-Agent", "Adas browser", "X-Forwarded-For", "192.0.2.1")
	require.Contains(t, ada.body, "for session=ada")
	stacktest.Eventually(t, func() bool { return site.runs() == 2 }) // the copy for others

	site.fail(unavailable)
	eve := site.get(t, "/items/mug")

	require.Contains(t, eve.body, "for everybody")
	for _, text := range []string{eve.body, fmt.Sprint(eve.Header)} {
		require.NotContains(t, text, "ada")
	}
}

func TestShare_TheStoredPageReplacesErrors(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)
	fresh := site.get(t, "/items/mug")
	require.Contains(t, fresh.body, "<p hidden data-when-stale>Old.</p>")
	site.expire(t)

	for name, err := range map[string]error{
		"unavailable": unavailable, "refused": &pgconn.PgError{Code: "28P01"}, "a bug": errors.New("a bug"),
	} {
		site.fail(err)
		for _, cookie := range []string{"", "session=ada"} {
			stale := site.get(t, "/items/mug", "Cookie", cookie)
			require.Equal(t, http.StatusOK, stale.StatusCode, name)
			require.Contains(t, stale.body, "<p>Old.</p>", name)
			require.Equal(t, "1", stale.Header.Get("X-Served-Stale"), name)
			require.Equal(t, "stale", stale.Header.Get("X-Cache"), name)
			require.NotEmpty(t, stale.Header.Get("Age"), name)
		}
	}
	require.GreaterOrEqual(t, site.get(t, "/items/lamp").StatusCode, 500, "this page was never requested")
	require.Contains(t, site.series(t), "route=/items/:slug")

	site.fail(nil)
	stacktest.Eventually(t, func() bool { return site.get(t, "/items/mug").Header.Get("X-Served-Stale") == "" })
}

func TestShare_AnAnswerOfTheApplicationIsNotReplaced(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)
	site.get(t, "/items/mug")
	site.expire(t)

	for status, err := range map[int]error{409: errConflict, 404: echo.NewHTTPError(404)} {
		site.fail(err)
		require.Equal(t, status, site.get(t, "/items/mug").StatusCode)
	}
}

func TestShare_KeepsNoPageThatSetsACookie(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)
	for range 2 {
		require.NotEqual(t, "hit", site.get(t, "/items/cookie").Header.Get("X-Cache"))
	}
}

func TestShare_InventedParametersMakeNoOtherPage(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)
	first := site.get(t, "/items/mug?utm_source=ada&sort=name&gclid=1")
	require.Contains(t, first.body, "?sort=name ")
	require.Equal(t, `key-order, params, except=("sort")`, first.Header.Get("No-Vary-Search"))

	for i := range 20 {
		require.Equal(t, "hit", site.get(t, fmt.Sprintf("/items/mug?nonsense=%d&sort=name", i)).Header.Get("X-Cache"))
	}
	require.Equal(t, 1, site.runs())
	site.get(t, "/items/mug?sort=price")
	require.Equal(t, 2, site.runs())
}

func TestShare_IsCompressedOnceAndForAll(t *testing.T) {
	t.Parallel()
	site := newSharedSite(t)
	site.get(t, "/items/long")

	for range 2 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/items/long", nil)
		require.NoError(t, err)
		request.Header.Set("Accept-Encoding", "zstd, gzip")
		response, err := site.Client().Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, "zstd", response.Header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", response.Header.Get("Vary"))
		require.Equal(t, "hit", response.Header.Get("X-Cache"))
		require.Positive(t, response.ContentLength)
	}
	require.Contains(t, site.series(t), "result=hit")
}

func TestShare_WithoutACacheEveryPageIsItsVisitors(t *testing.T) {
	t.Parallel()
	s := &sharedSite{}
	log := &stacktest.Journal{}
	given := options(t, log)
	given.CacheSize = 0
	s.site = &site{Server: newServer(t, given, testPages(s.routes))}

	for range 2 {
		answer := s.get(t, "/items/mug")
		require.Contains(t, answer.body, "for a visitor")
		require.Empty(t, answer.Header.Get("X-Cache"))
	}
}

// Private

// sharedSite has one page, which shows everything that its request contains.
type sharedSite struct {
	*site

	mutex   sync.Mutex
	failure error
	calls   int
}

func newSharedSite(t *testing.T) *sharedSite {
	t.Helper()
	s := &sharedSite{}
	s.site = newSite(t, s.routes)
	return s
}

func (s *sharedSite) routes(e *echo.Echo) {
	limit := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("RateLimit", "of this client")
			return next(c)
		}
	}
	e.GET("/items/:slug", s.show, limit, Share(Sharing{Fresh: time.Second, Query: []string{"sort"}}), Deadline(time.Minute))
}

func (s *sharedSite) show(c echo.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.failure != nil {
		return fmt.Errorf("find row: %w", s.failure)
	}
	s.calls++
	if c.Param("slug") == "cookie" {
		c.SetCookie(&http.Cookie{Name: "seen", Value: "new"})
	}
	who := "a visitor"
	if cookie, err := c.Cookie("session"); err == nil {
		who = cookie.String()
	}
	if IsShared(c) {
		who = "everybody"
	}
	c.Response().Header().Set("Cache-Control", "private, no-cache")
	text := fmt.Sprintf("%s ?%s for %s %v<p hidden data-when-stale>Old.</p>", c.Param("slug"), c.QueryString(), who, c.Cookies())
	if c.Param("slug") == "long" {
		text += strings.Repeat("long ", 1000)
	}
	return c.HTML(http.StatusOK, text)
}

func (s *sharedSite) runs() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.calls
}

func (s *sharedSite) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failure = err
}

// expire waits until the stored pages are not fresh any more.
func (s *sharedSite) expire(t *testing.T) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		age := s.get(t, "/items/mug", "Cache-Control", "only-if-cached")
		return age.StatusCode == http.StatusGatewayTimeout
	})
}
