package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
)

func TestThrottle_RefusesWithStatusHeadersAndPage(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, nil,
		throttle.Throttle("req-ip", 2, time.Hour, throttle.PerIP),
		throttle.Blocklist("blocked", func(r *throttle.Request) bool { return r.Path == "/blocked" }))

	require.Equal(t, http.StatusOK, site.get(t, "/").StatusCode)
	program := site.get(t, "/", "Accept", "application/json")
	throttled := site.get(t, "/")
	inJSON := site.get(t, "/", "Accept", "application/json")
	blocked := site.get(t, "/blocked")

	require.Regexp(t, `^"req-ip";r=0;t=\d+$`, program.Header.Get("RateLimit"))
	require.Equal(t, `"req-ip";q=2;w=3600`, program.Header.Get("RateLimit-Policy"))
	require.Empty(t, program.Header.Get("Retry-After"))
	require.Equal(t, http.StatusTooManyRequests, throttled.StatusCode)
	require.Contains(t, throttled.body, "<h1>429</h1>")
	require.Equal(t, "no-store", throttled.Header.Get("Cache-Control"))
	require.Regexp(t, `^[1-9]\d*$`, throttled.Header.Get("Retry-After"))
	require.Equal(t, `"req-ip";r=0;t=`+throttled.Header.Get("Retry-After"), throttled.Header.Get("RateLimit"))
	require.Equal(t, "2", throttled.Header.Get("RateLimit-Limit"))
	require.Equal(t, "0", throttled.Header.Get("RateLimit-Remaining"))
	require.Equal(t, throttled.Header.Get("Retry-After"), throttled.Header.Get("RateLimit-Reset"))
	require.NotEmpty(t, throttled.Header.Get("Content-Security-Policy"))
	require.Equal(t, http.StatusTooManyRequests, inJSON.StatusCode)
	require.Contains(t, inJSON.body, `"error":"Too Many Requests"`)
	require.Equal(t, http.StatusForbidden, blocked.StatusCode)
	require.Empty(t, blocked.Header.Get("Retry-After"))
	require.NotContains(t, site.log.String(), "status=429", "a flood must not fill the log")
	require.Contains(t, site.series(t), "code=429")
}

func TestThrottle_NeverRefusesHealthChecks(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, nil, throttle.Throttle("req-ip", 1, time.Hour, throttle.PerIP))
	site.health.Booted()

	for range 5 {
		require.Equal(t, http.StatusOK, site.get(t, "/up").StatusCode)
		require.Equal(t, http.StatusOK, site.get(t, "/health").StatusCode)
	}
	require.Equal(t, http.StatusOK, site.get(t, "/").StatusCode)
	require.Equal(t, http.StatusTooManyRequests, site.get(t, "/nowhere").StatusCode)
	require.Equal(t, http.StatusTooManyRequests, site.get(t, "/health/").StatusCode, "only the exact paths are exempt")
}

func TestThrottle_AClientCannotChooseItsAddress(t *testing.T) {
	t.Parallel()
	direct := newLimitedSite(t, nil, throttle.Throttle("req-ip", 1, time.Hour, throttle.PerIP))
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	proxied := newLimitedSite(t, trusted, throttle.Throttle("req-ip", 1, time.Hour, throttle.PerIP))

	for i, spoofed := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
		require.Equal(t, i > 0, direct.get(t, "/", spoofed, "192.0.2.1").StatusCode == http.StatusTooManyRequests, spoofed)
	}
	require.Equal(t, "192.0.2.1", proxied.get(t, "/ip", "X-Forwarded-For", "6.6.6.6, 192.0.2.1").body)
	require.Equal(t, http.StatusTooManyRequests, proxied.get(t, "/ip", "X-Forwarded-For", "7.7.7.7, 192.0.2.1").StatusCode)
	require.Equal(t, "192.0.2.2", proxied.get(t, "/ip", "X-Forwarded-For", "192.0.2.1, 192.0.2.2").body)
}

func TestThrottle_BansByStatusAndByNote(t *testing.T) {
	t.Parallel()
	ban := throttle.Ban{After: 2, Within: time.Hour, For: time.Hour}
	key := func(r *throttle.Request) string { return r.URL.Query().Get("who") }
	notFound := func(_ *throttle.Request, status int) bool { return status == http.StatusNotFound }
	declined := func(r *throttle.Request, _ int) bool { return r.Noted("declined") }
	site := newLimitedSite(t, nil,
		throttle.Allow2BanByOutcome("missing", ban, key, notFound), throttle.Allow2BanByOutcome("noted", ban, key, declined))

	for range 2 {
		require.Equal(t, http.StatusNotFound, site.get(t, "/nowhere?who=guesser").StatusCode)
		require.Equal(t, http.StatusOK, site.get(t, "/declined?who=payer").StatusCode)
		require.Equal(t, http.StatusOK, site.get(t, "/?who=visitor").StatusCode)
	}

	require.Equal(t, http.StatusForbidden, site.get(t, "/?who=guesser").StatusCode)
	require.Equal(t, http.StatusForbidden, site.get(t, "/?who=payer").StatusCode)
	require.Equal(t, http.StatusOK, site.get(t, "/?who=visitor").StatusCode)
}

func TestThrottle_CountsByAccountAndLeavesTheFormForTheHandler(t *testing.T) {
	t.Parallel()
	account := func(r *throttle.Request) string { return r.Account("email") }
	site := newLimitedSite(t, nil, throttle.Throttle("login-account", 2, time.Hour, account))
	login := func(email string) answer {
		form := url.Values{"email": {email}}.Encode()
		return site.send(t, http.MethodPost, "/login", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
	}

	require.Equal(t, "ada@example.com", login("ada@example.com").body)
	require.Equal(t, " ADA@example.com", login(" ADA@example.com").body)
	require.Equal(t, http.StatusTooManyRequests, login("Ada@Example.com").StatusCode)
	require.Equal(t, "bob@example.com", login("bob@example.com").body)
}

// Private

func newLimitedSite(t *testing.T, trusted []netip.Prefix, rules ...throttle.Rule) *site {
	t.Helper()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	redis, err := failopen.Open(failopen.NewGuard(failopen.Options{}, reporter))
	require.NoError(t, err)
	s := &site{log: &stacktest.Journal{}}
	given := options(t, s.log)
	given.Clients = throttle.NewClients(trusted, 64, slog.New(slog.NewTextHandler(s.log, nil)))
	given.Throttle, err = throttle.New(throttle.Options{
		Redis: redis, Clients: given.Clients, Rules: rules, Log: slog.New(slog.DiscardHandler), Registry: given.Registry,
	})
	require.NoError(t, err)
	s.health = given.Health
	s.registry = given.Registry.(*prometheus.Registry)
	s.Server = httptest.NewServer(New(given, testPages(func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		e.GET("/ip", func(c echo.Context) error { return c.String(http.StatusOK, c.RealIP()) })
		e.GET("/declined", func(c echo.Context) error {
			throttle.Note(c.Request().Context(), "declined")
			return c.NoContent(http.StatusOK)
		}, Deadline(time.Minute))
		e.POST("/login", func(c echo.Context) error {
			return c.String(http.StatusOK, c.FormValue("email"))
		})
	})))
	t.Cleanup(s.Close)
	return s
}
