package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
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

func TestNew_GivesTheContextTheIDOfTheRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/thing", func(c echo.Context) error {
			seen <- telemetry.RequestID(c.Request().Context())
			return c.NoContent(http.StatusNoContent)
		})
	})

	answer := site.get(t, "/thing", "X-Request-Id", "r-1")

	require.Equal(t, "r-1", answer.Header.Get("X-Request-Id"))
	require.Equal(t, "r-1", <-seen)
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
	reports := stacktest.StartSentry(t)
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
			case "password", "login":
				return fmt.Errorf("query: %w", &pgconn.PgError{Code: "28P01"})
			case "left":
				ctx, leave := context.WithCancel(c.Request().Context())
				leave()
				c.SetRequest(c.Request().WithContext(ctx))
				return fmt.Errorf("query: %w", ctx.Err())
			case "given-up":
				return fmt.Errorf("ask a neighbour: %w", context.Canceled) // of a call that the handler itself gave up
			}
			cause := map[string]error{"known": errConflict, "http": echo.ErrNotFound}[c.Param("token")]
			return fmt.Errorf("show letter %q: %w", c.QueryParam("note"), cause)
		})
	}, reports.DSN)

	for _, path := range []string{
		"known", "http", "cut", "away", "left", "given-up", "password", "login",
		"unknown?note=secret-note", "unknown?note=other", "panic", "late",
	} {
		site.send(t, http.MethodGet, "/letters/"+path, nil,
			"Cookie", "visit=secret-visit", "X-Request-Id", "req-1", "User-Agent", "secret-agent")
	}
	site.reporter.Close()

	bodies := strings.Join(reports.Requests(), "\n")
	require.Len(t, reports.Requests(), 4, "two equal errors are one alert, and so are two panics and two refusals")
	require.Contains(t, bodies, `"fingerprint":["postgresql/sqlstate_28P01"]`)
	require.Contains(t, bodies, `"source":"GET /letters/:token"`)
	require.Contains(t, bodies, `"id":"req-1"`)
	require.Contains(t, bodies, `"value":"ask a neighbour: context canceled"`)
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
				"password":  &pgconn.PgError{Code: "28P01"},
				"right":     &pgconn.PgError{Code: "42501"},
				"statement": &pgconn.PgError{Code: "42601"},
				"refused":   &net.OpError{Op: "dial", Err: errors.New("connection refused")},
				"deadline":  context.DeadlineExceeded,
				"unknown":   errors.New("no idea"),
			}[c.Param("error")])
		})
	})

	for path, status := range map[string]int{
		"errors/known": 409, "errors/http": 418, "errors/database": 503, "errors/password": 503,
		"errors/right": 503, "errors/statement": 500,
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

func TestDeadline_TheTimeOfAnUploadDoesNotCount(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/form", func(c echo.Context) error {
			ctx := c.Request().Context()
			if _, err := io.ReadAll(c.Request().Body); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return fmt.Errorf("the upload has used up the time: %w", ctx.Err())
			}
			if until, limited := ctx.Deadline(); !limited || time.Until(until) > timeout || time.Until(until) <= 0 {
				return errors.New("the upload has used up the time, or there is no deadline")
			}
			<-ctx.Done()
			return ctx.Err()
		}, Deadline(timeout))
		e.POST("/quick", func(c echo.Context) error {
			left := c.Request().Context()
			context.AfterFunc(left, func() {})
			return c.NoContent(http.StatusNoContent)
		}, Deadline(timeout))
	})
	upload, client := io.Pipe()
	go func() {
		for range 4 {
			time.Sleep(timeout / 2)
			_, _ = client.Write([]byte("x"))
		}
		_ = client.Close()
	}()

	answer := site.send(t, http.MethodPost, "/form", upload)

	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Contains(t, site.log.String(), "context deadline exceeded")
	require.NotContains(t, site.log.String(), "the upload has used up the time")
	require.Equal(t, http.StatusNoContent, site.send(t, http.MethodPost, "/quick", strings.NewReader("x")).StatusCode)
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
	_, err = site.Client().Do(request) //nolint:bodyclose // it fails, so there is no body
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

func TestNew_RefusesFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	written := 0
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/letters", func(c echo.Context) error {
			written++
			return c.NoContent(http.StatusOK)
		})
		e.POST("/answers/:token", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	for _, foreign := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		answer := site.send(t, http.MethodPost, "/letters", nil, foreign...)
		require.Equal(t, http.StatusForbidden, answer.StatusCode, foreign)
		require.Contains(t, answer.body, "<h1>403</h1>")
		require.Equal(t, http.StatusOK, site.send(t, http.MethodPost, "/answers/1", nil, foreign...).StatusCode, "it is open to other sites")
	}
	require.Zero(t, written)

	for _, own := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", site.URL}, {}} {
		require.Equal(t, http.StatusOK, site.send(t, http.MethodPost, "/letters", nil, own...).StatusCode, own)
	}
	require.Equal(t, http.StatusOK, site.get(t, "/", "Sec-Fetch-Site", "cross-site").StatusCode)
}

func TestNew_TakesFormsOfItsPublicAddress(t *testing.T) {
	t.Parallel()
	forms := func(e *echo.Echo) {
		e.POST("/letters", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	}
	public := newSiteAt(t, "HTTPS://Public.Example.com:443/", forms)
	port := newSiteAt(t, "http://public.example.com:8080", forms)
	unknown := newSite(t, forms)

	for _, one := range []struct {
		site         *site
		host, origin string
		status       int
	}{
		{public, "app:3000", "https://public.example.com", 200},
		{public, "public.example.com", "https://public.example.com", 200},
		{public, "public.example.com:443", "https://public.example.com", 200},
		{public, "PUBLIC.example.com", "https://public.example.com", 200},
		{public, "app:3000", "https://Public.example.com:443", 200},
		{public, "app:3000", "http://public.example.com", 403},
		{public, "app:3000", "https://public.example.com:8443", 403},
		{public, "app:3000", "https://evil.example", 403},
		{public, "app:3000", "https://public.example.com.evil.example", 403},
		{public, "app:3000", "null", 403},
		{public, "app:3000", "public.example.com", 403},
		{port, "app:3000", "http://public.example.com:8080", 200},
		{port, "app:3000", "http://public.example.com", 403},
		{unknown, "Public.example.com:80", "http://public.example.com", 200},
		{unknown, "public.example.com:8080", "http://public.example.com", 403},
		{unknown, "app:3000", "https://public.example.com", 403},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, one.site.URL+"/letters", nil)
		require.NoError(t, err)
		request.Host = one.host
		request.Header.Set("Origin", one.origin)
		response, err := one.site.Client().Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())

		require.Equal(t, one.status, response.StatusCode, "%s from %s", one.host, one.origin)
	}
}

func TestNew_EveryResponseHasSecurityHeaders(t *testing.T) {
	t.Parallel()
	routes := func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	}
	plain, secure := newSiteAt(t, "http://public.example.com", routes), newSiteAt(t, "https://public.example.com", routes)

	for _, path := range []string{"/", "/nowhere", "/up"} {
		header := plain.get(t, path).Header

		require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'self'")
		require.Contains(t, header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.NotContains(t, header.Get("Content-Security-Policy"), "unsafe")
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Equal(t, "same-origin", header.Get("Referrer-Policy"))
		require.Contains(t, header.Get("Permissions-Policy"), "geolocation=()")
		require.Equal(t, "same-origin", header.Get("Cross-Origin-Opener-Policy"))
		require.Equal(t, "same-origin", header.Get("Cross-Origin-Resource-Policy"))
		require.Empty(t, header.Get("Strict-Transport-Security"))
		strict := "max-age=31536000"
		if path == "/up" {
			strict = "" // it may be asked for by HTTP, and by any name
		}
		require.Equal(t, strict, secure.get(t, path).Header.Get("Strict-Transport-Security"), path)
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
