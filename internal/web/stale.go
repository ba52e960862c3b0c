package web

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/postgres"
)

// Stale caches public pages and serves them while the database is unavailable,
// as stale-if-error of RFC 5861 does.
//
// After a visitor's own page is rendered, the handler runs once more for the
// cache, at most every few seconds. The request of that run has nothing of the
// visitor: no cookie, no header, and only the part of the query that selects the
// page. A handler recognises it by IsForCache.
type Stale struct {
	maxAge time.Duration
	pages  *pageCache
	served *prometheus.CounterVec
	now    func() time.Time

	mutex   sync.Mutex
	nextAt  time.Time            // when the next page may be rendered for the cache
	triedAt map[string]time.Time // the last attempt to render, by address
}

// NewStale returns a cache of size bytes. Pages older than maxAge are not
// served. A maxAge of zero, or a nil Stale, caches nothing.
func NewStale(maxAge time.Duration, size int64, registry prometheus.Registerer) *Stale {
	served := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_http_stale_total",
		Help: "Pages served from the stale cache while the database was unavailable, by route.",
	}, []string{"route"})
	registry.MustRegister(served)
	return &Stale{maxAge: maxAge, pages: newPageCache(size), served: served, now: time.Now, triedAt: map[string]time.Time{}}
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
				s.cache(c, &address, next)
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
	renderEvery   = 10 * time.Second      // of one page
	renderPause   = 20 * time.Millisecond // between any two pages
	renderTimeout = 5 * time.Second       // of a page whose request has no deadline
)

// cache renders the page for the cache, unless that was done recently.
func (s *Stale) cache(c echo.Context, address *url.URL, next echo.HandlerFunc) {
	if !s.startRender(address.String()) {
		return
	}
	// A new context, because values of the visitor's may identify the visitor.
	deadline, bounded := c.Request().Context().Deadline()
	if !bounded {
		deadline = time.Now().Add(renderTimeout)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	request := (&http.Request{
		Method: http.MethodGet, URL: address, RequestURI: address.String(), Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: "127.0.0.1:0",
	}).WithContext(ctx)
	rendered := &recorder{header: http.Header{}}
	forCache := c.Echo().NewContext(request, rendered)
	forCache.SetPath(c.Path())
	forCache.SetParamNames(c.ParamNames()...)
	forCache.SetParamValues(c.ParamValues()...)
	forCache.Set(forCacheKey, true)

	if err := next(forCache); err != nil || rendered.status != http.StatusOK || rendered.header.Get("Set-Cookie") != "" {
		return // the older cached page stays
	}
	s.pages.put(&cachedPage{
		address: address.String(), header: rendered.header, body: bytes.Clone(rendered.body.Bytes()), renderedAt: s.now(),
	})
}

// startRender reports whether a page may be rendered for the cache now, and
// records the attempt.
func (s *Stale) startRender(address string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := s.now()
	if now.Before(s.nextAt) || now.Sub(s.triedAt[address]) < renderEvery {
		return false
	}
	if len(s.triedAt) > 1000 {
		clear(s.triedAt)
	}
	s.nextAt, s.triedAt[address] = now.Add(renderPause), now
	return true
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
