package web

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/edge/httpcache"
)

// Sharing says how long the edge keeps the pages of a route, for anonymous
// visitors.
type Sharing struct {
	Fresh        time.Duration // for which a page is served without its handler
	WhileRenewed time.Duration // for which it is served after that, while its handler makes a new one
	// Query are the parameters of the query that select another page. All others are
	// ignored by the edge and, as far as they know No-Vary-Search, by browsers: those
	// of campaigns, and those that clients invent.
	Query []string
}

// Share returns the middleware for the routes of pages that are the same for every
// visitor without one of the cookies of Pages.PrivateCookies. The edge keeps them as
// Sharing says, and serves them for SERVE_STALE_FOR in place of errors, then also to
// visitors with such a cookie. Their own pages are never kept.
//
// The request of a page that is kept has no cookie and no credentials, so that no
// visitor's data can be in it. A handler recognises it by IsShared. An element of the
// page with the attributes "hidden data-when-stale" is shown only while the page is
// served in place of an error.
func Share(sharing Sharing) echo.MiddlewareFunc {
	ignored := noVarySearch(sharing.Query)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("No-Vary-Search", ignored)
			handle := httpcache.HandleOf(c.Request())
			if !handle.MayKeep() {
				handle.OfferCopy()
				return next(c)
			}
			handle.Keep(sharing.Fresh, sharing.WhileRenewed)
			c.Set(sharedKey, true)
			for _, field := range ofOneClient {
				c.Response().Header().Del(field)
			}
			c.SetRequest(anonymous(c.Request(), sharing.Query))
			return next(c)
		}
	}
}

// Of returns the same for pages that these parameters select.
func (s Sharing) Of(parameters ...string) Sharing {
	s.Query = parameters
	return s
}

// KeepFor changes for how long the edge serves a page of Share without its handler.
func KeepFor(c echo.Context, fresh time.Duration) { httpcache.HandleOf(c.Request()).Keep(fresh, 0) }

// IsShared reports whether the page is made for every visitor.
func IsShared(c echo.Context) bool {
	shared, _ := c.Get(sharedKey).(bool)
	return shared
}

// Tag gives a page tags, by which the edge finds it when what it shows has changed.
func Tag(c echo.Context, tags ...string) { httpcache.HandleOf(c.Request()).Tag(tags...) }

// Private

const sharedKey = "shared page"

// ofOneClient are fields of the response that tell a client about its own limit.
var ofOneClient = []string{"RateLimit", "RateLimit-Policy"}

// whenStale is how an element begins to be hidden unless its page is served in place
// of an error.
const whenStale = " hidden data-when-stale"

// amendStale changes a page that is served in place of an error: its header and its
// elements say so.
func amendStale(header http.Header, body []byte) []byte {
	header.Set("X-Served-Stale", "1")
	return bytes.ReplaceAll(body, []byte(whenStale), nil)
}

// noVarySearch is the field by which only some parameters select another page.
func noVarySearch(parameters []string) string {
	if len(parameters) == 0 {
		return "key-order, params"
	}
	return `key-order, params, except=("` + strings.Join(parameters, `" "`) + `")`
}

// anonymous is a request without what tells who the visitor is, and without the
// parameters that select no other page.
func anonymous(r *http.Request, parameters []string) *http.Request {
	shared := r.WithContext(r.Context())
	shared.Header = r.Header.Clone()
	delete(shared.Header, "Cookie")
	delete(shared.Header, "Authorization")
	if r.URL.RawQuery != "" {
		query := url.Values{}
		for name, values := range r.URL.Query() {
			if slices.Contains(parameters, name) {
				query[name] = values
			}
		}
		address := *r.URL
		address.RawQuery = query.Encode()
		shared.URL = &address
	}
	return shared
}
