package web

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/edge"
	"slipway/internal/edge/httpcache"
	"slipway/internal/telemetry"
)

// Private

// observer logs, counts and traces requests.
type observer struct {
	log     *slog.Logger
	metrics *requestMetrics
	tracer  *telemetry.Tracer
	asked   func(r *http.Request) // gets each request, health checks excepted
}

// observeServed logs and counts a request that the edge has served from its cache. It
// is logged for debugging only, because there may be many thousands in a second.
func (o *observer) observeServed(served httpcache.Served) {
	o.asked(served.Request)
	o.metrics.count(served.Request.Method, served.Label, served.Status, served.Took)
	o.metrics.countBytes(served.Label, nil, int64(served.Bytes))
	if served.Stale {
		o.metrics.stale.WithLabelValues(served.Label).Inc()
	}
	ctx := served.Request.Context()
	if !o.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	o.log.LogAttrs(ctx, slog.LevelDebug, "Request served from the cache",
		slog.String("method", served.Request.Method), slog.String("route", served.Label), slog.Int("status", served.Status),
		slog.String("took", served.Took.Round(time.Microsecond).String()), slog.Int("bytes", served.Bytes),
		slog.Bool("stale", served.Stale), slog.String("request_id", served.Request.Header.Get(edge.RequestID)))
}

// observe logs, counts and traces every request after its response is written, also
// when that outlives its handler (see Outlive). Requests of the edge, for which nobody
// waits, are neither counted nor traced, and logged for debugging only. An event stream
// counts until it has begun.
func (o *observer) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		handle := httpcache.HandleOf(c.Request())
		handle.Label(route(c))
		o.metrics.inFlight.Inc()
		outlives := false
		defer func() {
			if !outlives {
				o.metrics.inFlight.Dec()
			}
		}()
		started := time.Now()
		var began time.Time
		c.Response().Before(func() { began = time.Now() })
		trace, body := o.startTrace(c), countBody(c.Request())
		failure := next(c)
		if response := outlivingOf(c); response != nil {
			outlives = true
			o.endTrace(trace, c, false)
			o.metrics.count(requestMethod(c), route(c), c.Response().Status, time.Since(started))
			response.observeEnd(o.log, o.metrics, c, started, body)
			return nil
		}
		truncated := failure != nil && c.Response().Committed
		if failure != nil {
			c.Error(failure) // writes the error page, and so sets the status to log
		}
		took := time.Since(started)
		o.endTrace(trace, c, truncated)
		if !handle.InBackground() {
			counted := took
			if isEventStream(c) {
				counted = began.Sub(started)
			}
			o.metrics.count(requestMethod(c), route(c), c.Response().Status, counted)
			o.metrics.countBytes(route(c), body, c.Response().Size)
			if !isHealthCheck(c) {
				o.asked(c.Request())
			}
		}
		logRequest(o.log, c, took, failure, truncated)
		return nil
	}
}

// startTrace begins the trace of a request. Its id is that of the request, which the
// edge has made or accepted from a proxy: the header traceparent is not read, because
// any client can send one.
func (o *observer) startTrace(c echo.Context) *telemetry.Trace {
	if o.tracer == nil || isHealthCheck(c) || httpcache.HandleOf(c.Request()).InBackground() {
		return nil
	}
	ctx, trace := o.tracer.Start(c.Request().Context(), telemetry.Subject{
		ID: requestID(c), Kind: telemetry.RequestTrace, Name: methodLabel(requestMethod(c)) + " " + route(c),
	})
	c.SetRequest(c.Request().WithContext(ctx))
	return trace
}

func (o *observer) endTrace(trace *telemetry.Trace, c echo.Context, truncated bool) {
	if trace != nil {
		status := c.Response().Status
		o.tracer.End(trace, strconv.Itoa(status), status >= http.StatusInternalServerError || truncated)
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
