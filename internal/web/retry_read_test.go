package web

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestRetryRead_RunsAReadOnceMoreWhenItsConnectionBroke(t *testing.T) {
	t.Parallel()
	broken := fmt.Errorf("find row: %w", &pgconn.PgError{Code: "57P01"})
	for name, expected := range map[string]struct {
		method   string
		failures []error // of the first runs
		runs     int32
		status   int
	}{
		"nothing fails":           {http.MethodGet, nil, 1, 200},
		"a connection broke":      {http.MethodGet, []error{broken}, 2, 200},
		"the next one broke too":  {http.MethodGet, []error{broken, broken}, 2, 503},
		"the database refuses":    {http.MethodGet, []error{&pgconn.PgError{Code: "28000"}}, 1, 503},
		"the deadline passed":     {http.MethodGet, []error{context.DeadlineExceeded}, 1, 503},
		"the application refuses": {http.MethodGet, []error{errConflict}, 1, 409},
		"a HEAD is a read":        {http.MethodHead, []error{broken}, 2, 200},
		"a POST is a change":      {http.MethodPost, []error{broken}, 1, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runs atomic.Int32
			handle := func(c echo.Context) error {
				run := int(runs.Add(1))
				c.Response().Header().Add("Set-Cookie", fmt.Sprintf("run=%d", run))
				if run <= len(expected.failures) {
					return expected.failures[run-1]
				}
				return c.String(http.StatusOK, "the page")
			}
			site := newSite(t, func(e *echo.Echo) {
				e.GET("/", handle, RetryRead)
				e.POST("/", handle, RetryRead)
			})

			answer := site.send(t, expected.method, "/", nil)

			require.Equal(t, expected.status, answer.StatusCode)
			require.Equal(t, expected.runs, runs.Load())
			require.Equal(t, []string{fmt.Sprintf("run=%d", expected.runs)}, answer.Header.Values("Set-Cookie"), "only of the last run")
			require.NotEmpty(t, answer.Header.Get("X-Request-Id"))
		})
	}
}

func TestRetryRead_DoesNotRetryAResponseThatHasBegun(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error {
			runs.Add(1)
			if err := c.String(http.StatusOK, "the beginning"); err != nil {
				return err
			}
			return &pgconn.PgError{Code: "57P01"}
		}, RetryRead)
	})

	require.Equal(t, "the beginning", site.get(t, "/").body)
	require.EqualValues(t, 1, runs.Load())
}
