package web

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Private

// handleError gives every error that a handler returns its status and page.
func handleError(options Options, pages Pages) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		status := statusOf(err, pages.ErrorStatus)
		report(options.Reporter, c, status, err)
		if c.Response().Committed {
			return
		}
		header := c.Response().Header()
		header.Set("Cache-Control", "no-store")
		if status == http.StatusServiceUnavailable {
			// Spread, so that they do not all come back in the same second.
			header.Set("Retry-After", strconv.Itoa(3+rand.IntN(5)))
		}
		if wantsJSON(c.Request()) {
			_ = c.JSON(status, map[string]any{"status": status, "error": http.StatusText(status), "request_id": requestID(c)})
			return
		}
		// The page's own time may be what has run out.
		c.SetRequest(c.Request().WithContext(context.WithoutCancel(c.Request().Context())))
		if err := Render(c, status, pages.ErrorPage(c, status, requestID(c))); err != nil {
			options.Log.WarnContext(c.Request().Context(), "Error page was not sent", "status", status, "error", err)
		}
	}
}

// report tells people of what nobody foresaw, and of a database that is away.
// An answer that was cut short is mostly a client that has gone.
func report(reporter *telemetry.Reporter, c echo.Context, status int, err error) {
	var panicked *telemetry.Panic
	switch {
	case errors.As(err, &panicked), status == http.StatusInternalServerError && !c.Response().Committed:
		reporter.Unexpected(method(c.Request().Method)+" "+route(c), requestID(c), err)
	case status == http.StatusServiceUnavailable && postgres.Unavailable(err):
		reporter.Report(telemetry.PG, "web.handleError", err)
	}
}

// statusOf is the one place where errors become statuses.
func statusOf(err error, known func(error) int) int {
	var httpError *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &httpError):
		return httpError.Code
	}
	if status := known(err); status != 0 {
		return status
	}
	if postgres.Unavailable(err) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
