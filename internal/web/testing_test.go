package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/assets"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/health"
	"slipway/internal/telemetry"
)

var errConflict = errors.New("conflict")

// site is a server with the routes of a test.
type site struct {
	*httptest.Server
	health   *health.Health
	registry *prometheus.Registry
	reporter *telemetry.Reporter
	log      *stacktest.Journal
}

// newSite starts a server with these routes. It sends alerts to the DSN in sentry,
// if there is one.
func newSite(t *testing.T, routes func(*echo.Echo), sentry ...string) *site {
	t.Helper()
	return newSiteAt(t, "", routes, sentry...)
}

// newSiteAt is newSite for a public address.
func newSiteAt(t *testing.T, baseURL string, routes func(*echo.Echo), sentry ...string) *site {
	t.Helper()
	s := &site{log: &stacktest.Journal{}}
	given := options(t, s.log)
	given.BaseURL = baseURL
	s.reporter = given.Reporter
	for _, address := range sentry {
		opened, err := telemetry.OpenSentry(telemetry.SentryOptions{DSN: address}, prometheus.NewRegistry())
		require.NoError(t, err)
		s.reporter.SendTo(opened)
	}
	t.Cleanup(s.reporter.Close)
	s.health = given.Health
	s.registry = given.Registry.(*prometheus.Registry)
	s.Server = newServer(t, given, testPages(routes))
	return s
}

// newServer serves pages until the test ends.
func newServer(t *testing.T, options Options, pages Pages) *httptest.Server {
	t.Helper()
	handler := New(options, pages)
	t.Cleanup(handler.Close)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func options(t *testing.T, log *stacktest.Journal) Options {
	t.Helper()
	registry := prometheus.NewRegistry()
	return Options{
		Log:            slog.New(slog.NewTextHandler(log, nil)),
		Registry:       registry,
		Reporter:       telemetry.NewReporter(slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry()),
		Health:         health.New(registry),
		RedisBudget:    100 * time.Millisecond,
		MaxRequestBody: 1024,
		CacheSize:      1 << 20,
		MaxCacheItem:   64 << 10,
		StaleFor:       10 * time.Minute,

		CrossOriginRoutes: []string{"POST /answers/{token}"},
	}
}

// testPages implements Pages with routes of a test.
type testPages func(*echo.Echo)

func (p testPages) Routes(e *echo.Echo) { p(e) }

func (testPages) Assets() *assets.Assets { return nil }

func (testPages) PrivateCookies() []string { return []string{"session"} }

func (testPages) ErrorStatus(err error) int {
	if errors.Is(err, errConflict) {
		return http.StatusConflict
	}
	return 0
}

func (testPages) ErrorPage(_ echo.Context, status int, requestID string) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		if ctx.Err() != nil {
			return ctx.Err() // pages of an application stop too when the context ends
		}
		_, err := fmt.Fprintf(w, "<h1>%d</h1>%s", status, requestID)
		return err
	})
}

func (s *site) port() string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// answer is a response with its body as text.
type answer struct {
	*http.Response
	body string
}

func (s *site) get(t *testing.T, path string, header ...string) answer {
	t.Helper()
	return s.send(t, http.MethodGet, path, nil, header...)
}

// send sends a request. The header alternates names and values.
func (s *site) send(t *testing.T, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := s.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{Response: response, body: string(content)}
}

// series returns the labels of each metric of the registry, one line each.
func (s *site) series(t *testing.T) string {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	var lines strings.Builder
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			fmt.Fprintln(&lines, strings.Join(labels, " "))
		}
	}
	return lines.String()
}
