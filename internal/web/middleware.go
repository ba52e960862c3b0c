package web

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// Deadline bounds the work for one page. The work does not end with the
// client's connection: PostgreSQL would lose a connection for every shopper
// who is quicker than a page.
func Deadline(timeout time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), timeout)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			// A client that reads nothing must not hold the connection either.
			_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(timeout + 30*time.Second))
			return next(c)
		}
	}
}

// IsHead tells that the request wants the headers alone, for handlers whose
// answer has no end.
func IsHead(c echo.Context) bool {
	head, _ := c.Request().Context().Value(headKey{}).(bool)
	return head
}

// Private

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 30 * time.Second

// requestIDPattern is what is taken over from a proxy; anything else could
// forge lines in a log.
var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// headAsGet routes HEAD as GET. The server itself leaves out the body, because
// it looks at the request that it read and not at this copy.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

type headKey struct{}

// identify gives every request an id, for the log and the error pages.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !requestIDPattern.MatchString(id) {
			id = strings.ToLower(rand.Text())
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		return next(c)
	}
}

func requestID(c echo.Context) string {
	return c.Response().Header().Get(echo.HeaderXRequestID)
}

// observe logs and counts every request once it is answered.
func observe(log *slog.Logger, registry prometheus.Registerer) echo.MiddlewareFunc {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "app_http_request_duration_seconds",
		Help:    "How long requests took, by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"method", "route", "status"})
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "app_http_requests_in_flight",
		Help: "Requests that are being answered, event streams among them.",
	})
	registry.MustRegister(duration, inFlight)

	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			inFlight.Inc()
			defer inFlight.Dec()
			started := time.Now()
			failure := next(c)
			cutShort := failure != nil && c.Response().Committed
			if failure != nil {
				// Answered here, so that the status is known to the log.
				c.Error(failure)
			}
			took := time.Since(started)
			status := c.Response().Status
			route := route(c)
			duration.WithLabelValues(method(c.Request().Method), route, strconv.Itoa(status)).Observe(took.Seconds())

			level := slog.LevelInfo
			attributes := []slog.Attr{
				slog.String("method", c.Request().Method),
				slog.String("route", route),
				slog.Int("status", status),
				slog.String("took", took.Round(time.Microsecond).String()),
				slog.Int64("bytes", c.Response().Size),
				slog.String("request_id", requestID(c)),
			}
			if status >= 500 || cutShort {
				level = slog.LevelError
				if failure != nil {
					attributes = append(attributes, slog.String("error", telemetry.Scrub(failure.Error())))
					var panicked *telemetry.Panic
					if errors.As(failure, &panicked) {
						attributes = append(attributes, slog.String("stack", panicked.Stack))
					}
				}
			}
			if _, refused := Refusal(c); refused || isHealthCheck(c) {
				// Asked all the time, also while the answer is no; a flood must not
				// fill the log either.
				level = slog.LevelDebug
			}
			log.LogAttrs(c.Request().Context(), level, "Request", attributes...)
			return nil
		}
	}
}

// route is the pattern that the request matches, which has no secrets in it.
func route(c echo.Context) string {
	if c.Path() == "" {
		return "none"
	}
	return c.Path()
}

// method keeps the label's values few whatever clients send.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	}
	return "other"
}

func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			err = telemetry.Recovered(cause)
		}()
		return next(c)
	}
}

// secureHeaders allows a page nothing but what the store itself serves.
func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		return next(c)
	}
}

// refuseCrossOrigin is the store's protection against cross-site request
// forgery. It needs no tokens, so pages are the same for everybody.
func refuseCrossOrigin(protection *http.CrossOriginProtection) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return echo.NewHTTPError(http.StatusForbidden).SetInternal(err)
			}
			return next(c)
		}
	}
}

// limitBody bounds what a client may send, in size and in time.
func limitBody(limit int64, timeout time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
				return next(c)
			}
			if r.ContentLength > limit {
				return echo.NewHTTPError(http.StatusRequestEntityTooLarge)
			}
			_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(timeout))
			r.Body = patientBody{http.MaxBytesReader(c.Response(), r.Body, limit)}
			return next(c)
		}
	}
}

// patientBody tells a client that is too slow from a backend that is.
type patientBody struct{ io.ReadCloser }

func (b patientBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = echo.NewHTTPError(http.StatusRequestTimeout).SetInternal(err)
	}
	return n, err
}

// limitRedis bounds how long Redis may hold up a request in all.
func limitRedis(budget time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.SetRequest(c.Request().WithContext(failopen.WithBudget(c.Request().Context(), budget)))
			return next(c)
		}
	}
}
