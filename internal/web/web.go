// Package web is the HTTP server around an application's pages: the order of
// middleware, error pages, rendering, signed cookies, and a shutdown that
// completes requests in progress.
package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/assets"
	"slipway/internal/edge"
	"slipway/internal/edge/httpcache"
	"slipway/internal/health"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
)

// Options are the dependencies and limits of New. Throttle, Clients, Tracer and Asked are
// optional.
type Options struct {
	Log            *slog.Logger
	Registry       prometheus.Registerer
	Reporter       *telemetry.Reporter
	Health         *health.Health // serves /up and /health, which are public
	RedisBudget    time.Duration  // total time that one request may wait for Redis
	MaxRequestBody int64          // in bytes
	BaseURL        string         // the public address; empty: not known
	CacheSize      int64          // of the HTTP cache, in bytes; 0 caches nothing
	MaxCacheItem   int64          // of one response in the HTTP cache, in bytes
	StaleFor       time.Duration  // for which pages that are not fresh replace errors

	// InFront returns a handler that the edge has in place of the pages, and that may
	// pass requests on to them. Nil: the pages themselves.
	InFront func(pages http.Handler) http.Handler
	Policy  httpcache.Policy // which responses the edge stores

	Development bool // tells browsers what the edge did, by Server-Timing

	// CrossOriginRoutes are routes to which other sites may post, as patterns of
	// http.ServeMux. They must not rely on a cookie.
	CrossOriginRoutes []string

	Tools []Tool // pages for operators, beside those of the application

	Clients  *throttle.Clients // finds the client's address; nil uses the peer's
	Throttle *throttle.Limiter // nil does not limit requests

	Tracer *telemetry.Tracer   // gives a trace to each request that the cache does not serve
	Asked  func(client string) // gets the client of each request, as the limits count it; must not block
}

// countClient passes a request on to Asked.
func (o Options) countClient(r *http.Request) {
	if o.Asked != nil && o.Clients != nil {
		o.Asked(o.Clients.Bucket(o.Clients.Address(r)))
	}
}

// Pages are the pages of an application.
type Pages interface {
	// Routes registers the routes of all pages.
	Routes(e *echo.Echo)
	// Assets are the static files of the pages, below assets.Prefix; nil: none. The edge
	// serves them.
	Assets() *assets.Assets
	// PrivateCookies are the names of the cookies that identify a visitor, whose
	// pages nobody else gets, without the prefix __Host- that they have over HTTPS.
	PrivateCookies() []string
	// ErrorStatus returns the HTTP status for an error of the application, and 0
	// for any other error.
	ErrorStatus(err error) int
	// ErrorPage returns the page for an HTTP status. It must not call a backend.
	ErrorPage(c echo.Context, status int, requestID string) templ.Component
}

// Tool is a set of pages for operators. It checks by itself who may see them.
type Tool interface {
	Routes(e *echo.Echo)
	Assets() *assets.Assets
}

// New returns the handler of the public port: the pages, /up and /health, inside
// all middleware, inside the edge. It must be closed.
func New(options Options, pages Pages) *edge.Edge {
	observer := &observer{options.Log, newRequestMetrics(options.Registry), options.Tracer, options.countClient}
	e := echo.New()
	e.HideBanner = true
	e.HidePort = true
	e.IPExtractor = clientIP(options.Clients)
	e.HTTPErrorHandler = handleError(options, pages)

	e.Use(
		observer.observe,
		recoverPanics,
		secureHeaders(options.BaseURL),
		refuseCrossOrigin(options.BaseURL, options.CrossOriginRoutes),
		limitBody(options.MaxRequestBody),
		giveContext(options.RedisBudget),
		limitRequests(options.Throttle, pages),
	)
	e.GET("/up", echo.WrapHandler(http.HandlerFunc(options.Health.ServeUp)))
	e.GET("/health", echo.WrapHandler(http.HandlerFunc(options.Health.ServeHealth)))
	pages.Routes(e)
	files := []*assets.Assets{pages.Assets()}
	for _, tool := range options.Tools {
		tool.Routes(e)
		files = append(files, tool.Assets())
	}
	app := headAsGet(e)
	if options.InFront != nil {
		app = options.InFront(app)
	}
	return edge.New(edge.Options{
		CacheSize: options.CacheSize, MaxItemSize: options.MaxCacheItem, StaleIfError: options.StaleFor,
		PrivateCookies: pages.PrivateCookies(), Refuses: options.Throttle.Refuses,
		Amend: amendStale, Served: observer.observeServed, Policy: options.Policy,
		Assets: assets.Join(files...), AssetHeader: assetHeader(options.BaseURL),
		ServerTiming: options.Development, Log: options.Log, Registry: options.Registry,
	}, app)
}
