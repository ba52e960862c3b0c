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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/telemetry"
)

func TestNew_GivesEveryRequestAnID(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	require.Regexp(t, `^[a-z0-9]{26}$`, site.get(t, "/").Header.Get("X-Request-Id"))
	require.Equal(t, "proxy-1.A_b", site.get(t, "/", "X-Request-Id", "proxy-1.A_b").Header.Get("X-Request-Id"))
	for _, forged := range []string{"two words", `"quote"`, "level=ERROR", strings.Repeat("x", 129), "é"} {
		require.Regexp(t, `^[a-z0-9]{26}$`, site.get(t, "/", "X-Request-Id", forged).Header.Get("X-Request-Id"), forged)
	}
	require.Contains(t, site.log.String(), "request_id=proxy-1.A_b")
}

func TestNew_APanicBecomesAPageWithoutDetails(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/panic", func(echo.Context) error { panic("broken at postgres://app:hunter2@db/app") })
	})

	answer := site.get(t, "/panic")

	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.Equal(t, "<h1>500</h1>"+answer.Header.Get("X-Request-Id"), answer.body)
	require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	require.Contains(t, site.log.String(), "level=ERROR msg=\"Request finished\" method=GET route=/panic status=500")
	require.Contains(t, site.log.String(), "web_test.go")
	require.NotContains(t, site.log.String(), "hunter2")
}

func TestNew_AlertsForUnexpectedErrorsAndPanics(t *testing.T) {
	t.Parallel()
	reports := newReports(t)
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/letters/:token", func(c echo.Context) error {
			switch c.Param("token") {
			case "panic":
				panic("secret-cause")
			case "late":
				_ = c.String(http.StatusOK, "the beginning")
				panic("too late for a page")
			case "cut":
				_ = c.String(http.StatusOK, "the beginning")
				return errors.New("the client disconnected")
			case "away":
				return &pgconn.PgError{Code: "57P03"}
			case "left":
				return fmt.Errorf("query: %w", context.Canceled)
			}
			cause := map[string]error{"known": errConflict, "http": echo.ErrNotFound}[c.Param("token")]
			return fmt.Errorf("show letter %q: %w", c.QueryParam("note"), cause)
		})
	}, reports.address)

	for _, path := range []string{"known", "http", "cut", "away", "left", "unknown?note=secret-note", "unknown?note=other", "panic", "late"} {
		site.send(t, http.MethodGet, "/letters/"+path, nil,
			"Cookie", "visit=secret-visit", "X-Request-Id", "req-1", "User-Agent", "secret-agent")
	}
	site.reporter.Close()

	bodies := strings.Join(reports.all(), "\n")
	require.Len(t, reports.all(), 2, "two equal errors are one alert, and so are two panics")
	require.Contains(t, bodies, `"source":"GET /letters/:token"`)
	require.Contains(t, bodies, `"id":"req-1"`)
	require.Contains(t, bodies, `"type":"panic"`)
	require.Contains(t, bodies, "web_test.go")
	for _, secret := range []string{"secret-note", "secret-visit", "secret-agent", "127.0.0.1:" + site.port()} {
		require.NotContains(t, bodies, secret)
	}
	require.Contains(t, site.log.String(), "backend=pg source=web.handleError class=sqlstate_57P03 ")
}

func TestNew_EveryErrorHasItsStatus(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/errors/:error", func(c echo.Context) error {
			return fmt.Errorf("show page: %w", map[string]error{
				"known":     errConflict,
				"http":      echo.NewHTTPError(http.StatusTeapot),
				"database":  &pgconn.PgError{Code: "57P03"},
				"statement": &pgconn.PgError{Code: "42601"},
				"refused":   &net.OpError{Op: "dial", Err: errors.New("connection refused")},
				"deadline":  context.DeadlineExceeded,
				"unknown":   errors.New("no idea"),
			}[c.Param("error")])
		})
	})

	for path, status := range map[string]int{
		"errors/known": 409, "errors/http": 418, "errors/database": 503, "errors/statement": 500,
		"errors/refused": 503, "errors/deadline": 503, "errors/unknown": 500, "no/such/page": 404,
	} {
		answer := site.get(t, "/"+path)

		require.Equal(t, status, answer.StatusCode, path)
		require.Contains(t, answer.body, fmt.Sprintf("<h1>%d</h1>", status))
		require.Equal(t, status == 503, answer.Header.Get("Retry-After") != "", path)
		require.NotContains(t, answer.body, "no idea")
	}
	require.Equal(t, http.StatusMethodNotAllowed, site.send(t, http.MethodDelete, "/errors/known", nil).StatusCode)
}

func TestNew_AnErrorIsJSONForAClientThatAcceptsJSON(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(*echo.Echo) {})

	program := site.get(t, "/nowhere", "Accept", "application/json")
	browser := site.get(t, "/nowhere", "Accept", "text/html,application/json;q=0.9")

	require.JSONEq(t, `{"status": 404, "error": "Not Found", "request_id": "`+program.Header.Get("X-Request-Id")+`"}`, program.body)
	require.Equal(t, "application/json", program.Header.Get("Content-Type"))
	require.Contains(t, browser.body, "<h1>404</h1>")
}

func TestDeadline_EndsTheWorkAndStillSendsThePage(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/slow", func(c echo.Context) error {
			<-c.Request().Context().Done()
			return fmt.Errorf("query: %w", c.Request().Context().Err())
		}, Deadline(20*time.Millisecond))
	})

	answer := site.get(t, "/slow")

	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Contains(t, answer.body, "<h1>503</h1>")
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
}

func TestDeadline_AClientThatDisconnectsDoesNotEndTheWork(t *testing.T) {
	t.Parallel()
	began, left, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/letter", func(c echo.Context) error {
			outer := c.Request().Context()
			close(began)
			<-left
			ended <- outer.Err()
			return nil
		}, Deadline(time.Minute))
	})
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, site.URL+"/letter", nil)
	require.NoError(t, err)

	go func() {
		<-began
		leave()
	}()
	_, err = site.Client().Do(request)
	require.ErrorIs(t, err, context.Canceled)
	close(left)

	require.NoError(t, <-ended)
}

func TestNew_HeadIsGetWithoutTheBody(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/page", func(c echo.Context) error {
			c.Response().Header().Set("X-Page", "yes")
			return c.String(http.StatusOK, "hello")
		})
		e.GET("/endless", func(c echo.Context) error {
			if IsHead(c) {
				return c.NoContent(http.StatusNoContent)
			}
			return c.NoContent(http.StatusOK)
		})
	})

	head, missing := site.send(t, http.MethodHead, "/page", nil), site.send(t, http.MethodHead, "/nowhere", nil)

	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Equal(t, "yes", head.Header.Get("X-Page"))
	require.Equal(t, int64(5), head.ContentLength)
	require.Empty(t, head.body)
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
	require.Empty(t, missing.body)
	require.Equal(t, http.StatusServiceUnavailable, site.send(t, http.MethodHead, "/up", nil).StatusCode)
	require.Equal(t, http.StatusNoContent, site.send(t, http.MethodHead, "/endless", nil).StatusCode)
	require.Equal(t, http.StatusOK, site.send(t, http.MethodGet, "/endless", nil).StatusCode)
}

func TestNew_LimitsBodies(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/form", func(c echo.Context) error {
			content, err := io.ReadAll(c.Request().Body)
			if err != nil {
				return fmt.Errorf("read form: %w", err)
			}
			return c.String(http.StatusOK, fmt.Sprint(len(content)))
		})
		e.POST("/button", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})
	body := func(size int) io.Reader { return strings.NewReader(strings.Repeat("x", size)) }
	chunked := func(size int) io.Reader { return io.MultiReader(body(size)) } // without Content-Length

	require.Equal(t, "1024", site.send(t, http.MethodPost, "/form", body(1024)).body)
	require.Equal(t, "1024", site.send(t, http.MethodPost, "/form", chunked(1024)).body)
	require.Equal(t, "0", site.send(t, http.MethodPost, "/form", nil).body)
	for _, large := range []io.Reader{body(1025), chunked(1025), chunked(10 << 20)} {
		answer := site.send(t, http.MethodPost, "/form", large)
		require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
		require.Contains(t, answer.body, "<h1>413</h1>")
	}
	// The Content-Length alone is enough, even if the handler does not read the body.
	require.Equal(t, http.StatusRequestEntityTooLarge, site.send(t, http.MethodPost, "/button", body(1025)).StatusCode)
}

func TestLimitBody_EndsARequestThatIsSentTooSlowly(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.HTTPErrorHandler = handleError(options(t, &stacktest.Journal{}), testPages(nil))
	e.Use(limitBody(1024, 100*time.Millisecond))
	e.POST("/form", func(c echo.Context) error {
		_, err := io.ReadAll(c.Request().Body)
		return err
	})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(10*time.Second)))

	_, err = fmt.Fprint(connection, "POST /form HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nx=")
	require.NoError(t, err)
	answer, err := io.ReadAll(connection)

	// ReadAll returns, so the connection is closed too.
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 408 Request Timeout\r\n")
}

func TestNew_RefusesFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	written := 0
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/letters", func(c echo.Context) error {
			written++
			return c.NoContent(http.StatusOK)
		})
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	for _, foreign := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		answer := site.send(t, http.MethodPost, "/letters", nil, foreign...)
		require.Equal(t, http.StatusForbidden, answer.StatusCode, foreign)
		require.Contains(t, answer.body, "<h1>403</h1>")
	}
	require.Zero(t, written)

	for _, own := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", site.URL}, {}} {
		require.Equal(t, http.StatusOK, site.send(t, http.MethodPost, "/letters", nil, own...).StatusCode, own)
	}
	require.Equal(t, http.StatusOK, site.get(t, "/", "Sec-Fetch-Site", "cross-site").StatusCode)
}

func TestNew_EveryResponseHasSecurityHeaders(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	for _, path := range []string{"/", "/nowhere", "/up"} {
		header := site.get(t, path).Header

		require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'self'")
		require.Contains(t, header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.NotContains(t, header.Get("Content-Security-Policy"), "unsafe")
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Equal(t, "same-origin", header.Get("Referrer-Policy"))
	}
}

func TestNew_BoundsTheTimeThatARequestWaitsForRedis(t *testing.T) {
	t.Parallel()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := failopen.NewGuard(failopen.Options{URL: "redis://127.0.0.1:1", Timeout: time.Minute}, reporter)
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error {
			for range 10 {
				guard.Do(c.Request().Context(), "test", func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
			}
			return c.NoContent(http.StatusOK)
		})
	})
	started := time.Now()

	require.Equal(t, http.StatusOK, site.get(t, "/").StatusCode)

	require.Less(t, time.Since(started), 5*time.Second)
}

func TestObserve_CountsByRouteAndNeverByPath(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/letters/:token", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	site.get(t, "/letters/secret-token")
	site.get(t, "/wp-admin/secret-path")
	site.send(t, "BREW", "/letters/secret-token", nil)

	series := site.series(t)
	require.Contains(t, series, "method=GET route=/letters/:token status=200")
	require.Contains(t, series, "method=GET route=none status=404")
	require.Contains(t, series, "method=other")
	require.NotContains(t, series, "secret")
	require.NotContains(t, site.log.String(), "secret")
}

func TestObserve_LogsTheErrorOfATruncatedResponse(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/file", func(c echo.Context) error {
			if err := c.String(http.StatusOK, "the beginning"); err != nil {
				return err
			}
			return errors.New("the disk is gone")
		})
	})

	answer := site.get(t, "/file")

	require.Equal(t, "the beginning", answer.body)
	require.Contains(t, site.log.String(), `level=ERROR msg="Request finished" method=GET route=/file status=200`)
	require.Contains(t, site.log.String(), "the disk is gone")
}

func TestRender_SendsNothingWhenRenderingFails(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error {
			return Render(c, http.StatusOK, templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
				_, _ = io.WriteString(w, "<h1>half a page")
				return errors.New("rendering fails")
			}))
		})
	})

	answer := site.get(t, "/")

	require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	require.NotContains(t, answer.body, "half a page")
}

func TestNew_ServesUpAndHealth(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(*echo.Echo) {})

	booting := site.get(t, "/up")
	site.health.Booted()
	booted := site.get(t, "/up")
	healthy := site.get(t, "/health")

	require.Equal(t, http.StatusServiceUnavailable, booting.StatusCode)
	require.Equal(t, "booting\n", booting.body)
	require.Equal(t, http.StatusOK, booted.StatusCode)
	require.Equal(t, http.StatusOK, healthy.StatusCode)
	require.JSONEq(t, `{"status": "ok", "checks": {}}`, healthy.body)
}

// Private

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
	s := &site{log: &stacktest.Journal{}}
	given := options(t, s.log)
	s.reporter = given.Reporter
	for _, address := range sentry {
		opened, err := telemetry.OpenSentry(telemetry.SentryOptions{DSN: address}, prometheus.NewRegistry())
		require.NoError(t, err)
		s.reporter.SendTo(opened)
	}
	t.Cleanup(s.reporter.Close)
	s.health = given.Health
	s.registry = given.Registry.(*prometheus.Registry)
	s.Server = httptest.NewServer(New(given, testPages(routes)))
	t.Cleanup(s.Close)
	return s
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
	}
}

// testPages implements Pages with routes of a test.
type testPages func(*echo.Echo)

func (p testPages) Routes(e *echo.Echo) { p(e) }

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

// reports is a test server in place of Sentry. It stores the requests.
type reports struct {
	address string
	mutex   sync.Mutex
	bodies  []string
}

func newReports(t *testing.T) *reports {
	t.Helper()
	r := &reports{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.bodies = append(r.bodies, string(body))
	}))
	t.Cleanup(server.Close)
	r.address = strings.Replace(server.URL, "://", "://key@", 1) + "/1"
	return r
}

func (r *reports) all() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.bodies)
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
