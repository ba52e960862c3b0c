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

// Stale keeps the last rendering of public pages and serves it while the
// database is away.
//
// What it keeps is drawn for everybody: every few seconds at most, and after
// the visitor's own page, the handler runs once more for a request that holds
// nothing of the visitor: no cookie, no header, and of the query only what the
// page is about. A handler can tell by ForEverybody.
type Stale struct {
	maxAge time.Duration
	copies *copies
	served *prometheus.CounterVec
	now    func() time.Time

	mutex sync.Mutex
	due   time.Time            // when the next copy may be drawn
	tried map[string]time.Time // when one was last drawn, or could not be, by address
}

// NewStale keeps pages of size bytes in all and serves them until they are
// maxAge old. A maxAge of zero, or a nil Stale, keeps nothing.
func NewStale(maxAge time.Duration, size int64, registry prometheus.Registerer) *Stale {
	served := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_http_stale_total",
		Help: "Pages that were served from a kept copy while the database was away, by route.",
	}, []string{"route"})
	registry.MustRegister(served)
	return &Stale{maxAge: maxAge, copies: newCopies(size), served: served, now: time.Now, tried: map[string]time.Time{}}
}

// Serve is for the routes of public pages. Query returns the part of the query
// that a page is about, in one order and without what changes nothing, so that
// one page has one address whatever clients make up; nil for a page that has
// none.
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
				s.keep(c, &address, next)
			case err != nil && !c.Response().Committed && postgres.Unavailable(err):
				if page, kept := s.copies.get(address.String()); kept && s.now().Sub(page.drawnAt) <= s.maxAge {
					restoreHeader(c, before)
					return s.serve(c, page)
				}
			}
			return err
		}
	}
}

// ForEverybody tells that a page is drawn to be kept: whoever sees it may not
// be the one whose request this is, and it may be some minutes old by then.
func ForEverybody(c echo.Context) bool {
	_, is := c.Get(everybodyKey).(bool)
	return is
}

// Private

const everybodyKey = "drawn for everybody"

// One page is drawn for everybody once in copyEvery; all of them together once
// in copyPause, so that a crawler in a large catalogue costs little.
const (
	copyEvery   = 10 * time.Second
	copyPause   = 20 * time.Millisecond
	copyTimeout = 5 * time.Second // where the page's own time has no end
)

// keep draws a page for everybody, where it is time to.
func (s *Stale) keep(c echo.Context, address *url.URL, next echo.HandlerFunc) {
	if !s.turn(address.String()) {
		return
	}
	// Not the visitor's context, whose values may tell who it is.
	deadline, bounded := c.Request().Context().Deadline()
	if !bounded {
		deadline = time.Now().Add(copyTimeout)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	request := (&http.Request{
		Method: http.MethodGet, URL: address, RequestURI: address.String(), Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: "127.0.0.1:0",
	}).WithContext(ctx)
	drawn := &drawing{header: http.Header{}}
	copied := c.Echo().NewContext(request, drawn)
	copied.SetPath(c.Path())
	copied.SetParamNames(c.ParamNames()...)
	copied.SetParamValues(c.ParamValues()...)
	copied.Set(everybodyKey, true)

	if err := next(copied); err != nil || drawn.status != http.StatusOK || drawn.header.Get("Set-Cookie") != "" {
		return // the copy of before is as good as it gets
	}
	s.copies.put(&pageCopy{address: address.String(), header: drawn.header, body: bytes.Clone(drawn.body.Bytes()), drawnAt: s.now()})
}

// turn tells whether a page is to be drawn for everybody now.
func (s *Stale) turn(address string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := s.now()
	if now.Before(s.due) || now.Sub(s.tried[address]) < copyEvery {
		return false
	}
	if len(s.tried) > 1000 {
		clear(s.tried)
	}
	s.due, s.tried[address] = now.Add(copyPause), now
	return true
}

func (s *Stale) serve(c echo.Context, page *pageCopy) error {
	s.served.WithLabelValues(c.Path()).Inc()
	header := c.Response().Header()
	maps.Copy(header, page.header)
	header.Set("Age", strconv.Itoa(int(s.now().Sub(page.drawnAt).Seconds())))
	header.Set("X-Served-Stale", "1")
	header.Set(echo.HeaderCacheControl, "public, max-age=0, stale-if-error="+strconv.Itoa(int(s.maxAge.Seconds())))
	return c.Blob(http.StatusOK, page.header.Get(echo.HeaderContentType), page.body)
}

// drawing is a response that goes nowhere.
type drawing struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (d *drawing) Header() http.Header { return d.header }

func (d *drawing) WriteHeader(status int) {
	if d.status == 0 {
		d.status = status
	}
}

func (d *drawing) Write(content []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	return d.body.Write(content)
}
