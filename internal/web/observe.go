package web

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/edge"
	"slipway/internal/edge/httpcache"
	"slipway/internal/telemetry"
)

// Private

// observeServed logs and counts a request that the edge has served from its cache. It
// is logged for debugging only, because there may be many thousands in a second.
func observeServed(log *slog.Logger, metrics *requestMetrics) func(httpcache.Served) {
	return func(served httpcache.Served) {
		metrics.count(served.Request.Method, served.Label, served.Status, served.Took)
		metrics.countBytes(served.Label, nil, int64(served.Bytes))
		if served.Stale {
			metrics.stale.WithLabelValues(served.Label).Inc()
		}
		ctx := served.Request.Context()
		if !log.Enabled(ctx, slog.LevelDebug) {
			return
		}
		log.LogAttrs(ctx, slog.LevelDebug, "Request served from the cache",
			slog.String("method", served.Request.Method), slog.String("route", served.Label), slog.Int("status", served.Status),
			slog.String("took", served.Took.Round(time.Microsecond).String()), slog.Int("bytes", served.Bytes),
			slog.Bool("stale", served.Stale), slog.String("request_id", served.Request.Header.Get(edge.RequestID)))
	}
}

// observe logs and counts every request after its response is written. A response that
// outlives its handler (see Outlive) is counted when that returns. Requests of the edge, for which nobody waits, are
// not counted, and logged for debugging only.
func observe(log *slog.Logger, metrics *requestMetrics) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			handle := httpcache.HandleOf(c.Request())
			handle.Label(route(c))
			metrics.inFlight.Inc()
			outlives := false
			defer func() {
				if !outlives {
					metrics.inFlight.Dec()
				}
			}()
			started := time.Now()
			var began time.Time
			c.Response().Before(func() { began = time.Now() })
			body := countBody(c.Request())
			failure := next(c)
			if response := outlivingOf(c); response != nil {
				outlives = true
				metrics.count(requestMethod(c), route(c), c.Response().Status, time.Since(started))
				response.observeEnd(log, metrics, c, started, body)
				return nil
			}
			truncated := failure != nil && c.Response().Committed
			if failure != nil {
				c.Error(failure) // writes the error page, and so sets the status to log
			}
			took := time.Since(started)
			if !handle.InBackground() {
				counted := took
				if isEventStream(c) {
					counted = began.Sub(started)
				}
				metrics.count(requestMethod(c), route(c), c.Response().Status, counted)
				metrics.countBytes(route(c), body, c.Response().Size)
			}
			logRequest(log, c, took, failure, truncated)
			return nil
		}
	}
}

// logRequest logs a request: as an error when its status is 500 or more or its
// response is truncated, for debugging only when it is a health check or was
// refused, which may be a flood, or when nobody waits for it, and else as information.
func logRequest(log *slog.Logger, c echo.Context, took time.Duration, failure error, truncated bool) {
	level := slog.LevelInfo
	attributes := requestAttributes(c.Request().Method, route(c), c.Response().Status, took, c.Response().Size, requestID(c))
	if c.Response().Status >= 500 || truncated {
		level = slog.LevelError
		if failure != nil {
			attributes = append(attributes, slog.String("error", telemetry.Scrub(failure.Error())))
		}
		var panicked *telemetry.Panic
		if errors.As(failure, &panicked) {
			attributes = append(attributes, slog.String("stack", panicked.Stack))
		}
	}
	background := httpcache.HandleOf(c.Request()).InBackground() && level == slog.LevelInfo
	if _, refused := Refusal(c); refused || isHealthCheck(c) || background {
		level = slog.LevelDebug
	}
	log.LogAttrs(c.Request().Context(), level, requestFinished, attributes...)
}

// requestFinished is the message of the line about a request.
const requestFinished = "Request finished"

// requestAttributes are what every line about a request has.
func requestAttributes(method, route string, status int, took time.Duration, bytes int64, id string) []slog.Attr {
	return []slog.Attr{
		slog.String("method", method),
		slog.String("route", route),
		slog.Int("status", status),
		slog.String("took", took.Round(time.Microsecond).String()),
		slog.Int64("bytes", bytes),
		slog.String("request_id", id),
	}
}

// route returns the pattern of the matching route, such as /items/:id, or
// "none". Unlike the path, it has few values and contains no secret.
func route(c echo.Context) string {
	if c.Path() == "" {
		return "none"
	}
	return c.Path()
}

// requestMethod is what the client sent: headAsGet has made GET of HEAD.
func requestMethod(c echo.Context) string {
	if IsHead(c) {
		return http.MethodHead
	}
	return c.Request().Method
}

// isEventStream reports whether the response lasts for as long as a page is open, which
// is no duration to compare with others.
func isEventStream(c echo.Context) bool {
	return c.Response().Committed && c.Response().Header().Get(echo.HeaderContentType) == "text/event-stream"
}
