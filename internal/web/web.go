// Package web is the HTTP server around the store's pages: the order of
// middleware, error pages, rendering, signed cookies, and a shutdown that
// loses no request.
package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/health"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
)

// Options are what the server needs to know.
type Options struct {
	Log            *slog.Logger
	Registry       prometheus.Registerer
	Reporter       *telemetry.Reporter
	Health         *health.Health // for /up and /health, which are open to all
	RedisBudget    time.Duration  // of one request
	MaxRequestBody int64          // in bytes

	Clients  *throttle.Clients // tells who a request is from; nil: the peer
	Throttle *throttle.Limiter // nil: requests are not limited
}

// Pages are the pages of an application.
type Pages interface {
	// Routes registers every address.
	Routes(e *echo.Echo)
	// ErrorStatus is the HTTP status of an error of the application, 0 for an
	// error that it does not know.
	ErrorStatus(err error) int
	// ErrorPage renders the page of an HTTP status. It must not need a backend.
	ErrorPage(c echo.Context, status int, requestID string) templ.Component
}

// New makes the handler of the public port: pages, with all middleware around
// them.
func New(options Options, pages Pages) http.Handler {
	e := echo.New()
	e.HideBanner = true
	e.HidePort = true
	e.IPExtractor = clientIP(options.Clients)
	e.HTTPErrorHandler = handleError(options, pages)

	e.Use(
		identify,
		observe(options.Log, options.Registry),
		recoverPanics,
		secureHeaders,
		refuseCrossOrigin(http.NewCrossOriginProtection()),
		limitBody(options.MaxRequestBody, bodyTimeout),
		limitRedis(options.RedisBudget),
		limitRequests(options.Throttle, pages),
	)
	e.GET("/up", echo.WrapHandler(http.HandlerFunc(options.Health.ServeUp)))
	e.GET("/health", echo.WrapHandler(http.HandlerFunc(options.Health.ServeHealth)))
	pages.Routes(e)
	return headAsGet(e)
}
