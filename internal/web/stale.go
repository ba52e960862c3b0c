package web

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Stale caches public pages and serves them while the database is unavailable,
// as stale-if-error of RFC 5861 does.
//
// When a visitor has got a page, Run calls its handler once more for the cache, at
// most every few seconds. No visitor waits for that. The request of that run has
// nothing of the visitor: no cookie, no header, and only the part of the query that
// selects the page. A handler recognises it by IsForCache.
type Stale struct {
	maxAge      time.Duration
	redisBudget time.Duration
	pages       *pageCache
	log         *slog.Logger
	reporter    *telemetry.Reporter
	served      *prometheus.CounterVec
	now         func() time.Time

	visited chan visitedPage // the pages that Run renders next
	mutex   sync.Mutex
	triedAt map[string]time.Time // the last attempt to render, by address
}

// StaleOptions are the parts and limits of NewStale.
type StaleOptions struct {
	MaxAge      time.Duration // older pages are not served; zero caches nothing
	Size        int64         // in bytes
	RedisBudget time.Duration // total time that rendering one page may wait for Redis
	Log         *slog.Logger
	Reporter    *telemetry.Reporter
	Registry    prometheus.Registerer
}

// NewStale returns a cache that is empty and stays so until Run runs.
func NewStale(options StaleOptions) *Stale {
	served := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_http_stale_total",
		Help: "Pages served from the stale cache while the database was unavailable, by route.",
	}, []string{"route"})
	options.Registry.MustRegister(served)
	return &Stale{
		maxAge: options.MaxAge, redisBudget: options.RedisBudget, pages: newPageCache(options.Size),
		log: options.Log, reporter: options.Reporter, served: served, now: time.Now,
		visited: make(chan visitedPage, maxVisited), triedAt: map[string]time.Time{},
	}
}

// Serve returns the middleware for the routes of public pages. The function
// query returns the part of a request's query that selects the page, without
// parameters that change nothing, so that clients cannot fill the cache with
// copies of one page. A nil query is for pages that use no query.
func (s *Stale) Serve(query func(c echo.Context) url.Values) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if s == nil || s.maxAge <= 0 || c.Request().Method != http.MethodGet {
				return next(c)
			}
			address := url.URL{Path: c.Request().URL.Path}
			if query != nil {
				address.RawQuery = query(c).Encode()
			}
			before := maps.Clone(c.Response().Header())
			err := next(c)
			switch {
			case err == nil && c.Response().Status == http.StatusOK:
				s.visit(c, &address, next)
			case err != nil && !c.Response().Committed && postgres.Unusable(err):
				if page, cached := s.pages.get(address.String()); cached && s.now().Sub(page.renderedAt) <= s.maxAge {
					restoreHeader(c, before)
					return s.serve(c, page)
				}
			}
			return err
		}
	}
}

// Run renders visited pages for the cache until ctx ends.
func (s *Stale) Run(ctx context.Context) error {
	var renderers sync.WaitGroup
	for range rendersAtOnce {
		renderers.Go(func() {
			for {
				select {
				case page := <-s.visited:
					s.render(ctx, page)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	renderers.Wait()
	return nil
}

// IsForCache reports whether the page is rendered for the cache. Such a page is
// served to any visitor, and may be maxAge old by then.
func IsForCache(c echo.Context) bool {
	_, is := c.Get(forCacheKey).(bool)
	return is
}

// Private

const forCacheKey = "for the stale cache"

// These bound the cost of rendering for the cache, also while a crawler requests
// many pages.
const (
	renderEvery   = 10 * time.Second // of one page
	rendersAtOnce = 2
	renderTimeout = 5 * time.Second // of one page
	maxVisited    = 1000            // pages that wait to be rendered
)

// visitedPage is a page to render. It has no part of the visitor's Echo context,
// which is used for another request after the response.
type visitedPage struct {
	echo          *echo.Echo
	route         string
	names, values []string // of the route's parameters
	address       *url.URL
	handle        echo.HandlerFunc
}

// visit makes Run render the page for the cache, unless that was tried recently or
// too many pages wait.
func (s *Stale) visit(c echo.Context, address *url.URL, handle echo.HandlerFunc) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := s.now()
	if now.Sub(s.triedAt[address.String()]) < renderEvery {
		return
	}
	page := visitedPage{
		echo: c.Echo(), route: c.Path(), names: slices.Clone(c.ParamNames()), values: slices.Clone(c.ParamValues()),
		address: address, handle: handle,
	}
	select {
	case s.visited <- page:
	default:
		return
	}
	if len(s.triedAt) > maxVisited {
		clear(s.triedAt)
	}
	s.triedAt[address.String()] = now
}

// render stores a page in the cache. The older copy stays when that fails.
func (s *Stale) render(ctx context.Context, page visitedPage) {
	defer func() {
		if cause := recover(); cause != nil {
			err := telemetry.Recovered(cause)
			s.log.ErrorContext(ctx, "Page for the stale cache panicked", "route", page.route, "error", telemetry.Scrub(err.Error()))
			s.reporter.Unexpected("GET "+page.route, "", err)
		}
	}()
	ctx, cancel := context.WithTimeout(failopen.WithBudget(ctx, s.redisBudget), renderTimeout)
	defer cancel()
	request := (&http.Request{
		Method: http.MethodGet, URL: page.address, RequestURI: page.address.String(), Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: "127.0.0.1:0",
	}).WithContext(ctx)
	rendered := &recorder{header: http.Header{}}
	c := page.echo.NewContext(request, rendered)
	c.SetPath(page.route)
	c.SetParamNames(page.names...)
	c.SetParamValues(page.values...)
	c.Set(forCacheKey, true)

	if err := page.handle(c); err != nil || rendered.status != http.StatusOK || rendered.header.Get("Set-Cookie") != "" {
		return
	}
	s.pages.put(&cachedPage{
		address: page.address.String(), header: rendered.header, body: bytes.Clone(rendered.body.Bytes()), renderedAt: s.now(),
	})
}

func (s *Stale) serve(c echo.Context, page *cachedPage) error {
	s.served.WithLabelValues(c.Path()).Inc()
	header := c.Response().Header()
	maps.Copy(header, page.header)
	header.Set("Age", strconv.Itoa(int(s.now().Sub(page.renderedAt).Seconds())))
	header.Set("X-Served-Stale", "1")
	header.Set(echo.HeaderCacheControl, "public, max-age=0, stale-if-error="+strconv.Itoa(int(s.maxAge.Seconds())))
	return c.Blob(http.StatusOK, page.header.Get(echo.HeaderContentType), page.body)
}

// recorder is a response writer that stores the response in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(content []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(content)
}
