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

// WantsJSON reports whether a client asks for JSON rather than for a page.
func WantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// Private

// handleError writes the error page, or JSON, for an error that a handler returns.
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
			// Random, so that clients do not all return in the same second.
			header.Set("Retry-After", strconv.Itoa(3+rand.IntN(5)))
		}
		if WantsJSON(c.Request()) {
			body := map[string]any{"status": status, "error": http.StatusText(status), "request_id": requestID(c)}
			_ = c.JSON(status, body) // fails only when the client has disconnected
			return
		}
		// The error may be that the request's context has ended.
		c.SetRequest(c.Request().WithContext(context.WithoutCancel(c.Request().Context())))
		if err := Render(c, status, pages.ErrorPage(c, status, requestID(c))); err != nil {
			options.Log.WarnContext(c.Request().Context(), "Error page was not sent", "status", status, "error", err)
		}
	}
}

// report reports panics, errors of status 500, and an unavailable database. It
// does not report a truncated response, because mostly the client disconnected, nor
// a request that ended because its client did.
func report(reporter *telemetry.Reporter, c echo.Context, status int, err error) {
	var panicked *telemetry.Panic
	switch {
	case errors.As(err, &panicked), status == http.StatusInternalServerError && !c.Response().Committed && !clientLeft(c, err):
		reporter.Unexpected(methodLabel(c.Request().Method)+" "+route(c), requestID(c), err)
	case status == http.StatusServiceUnavailable && postgres.Unusable(err):
		reporter.Report(telemetry.PG, "web.handleError", err)
	}
}

func clientLeft(c echo.Context, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(c.Request().Context().Err(), context.Canceled)
}

// statusOf returns the HTTP status of an error. The application's own errors are
// those for which known does not return 0.
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
	if postgres.Unusable(err) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
