package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// Private

// refuseCrossOrigin protects against cross-site request forgery: a cross-origin
// request that may change data gets status 403. It needs no tokens, so pages can
// be cached for all visitors. The origin of baseURL is the application's own, also
// behind a proxy that sends another Host. Case and default port do not count, as
// RFC 9110, section 4.2.3, says. Other sites may post to the routes in except.
func refuseCrossOrigin(baseURL string, except []string) echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	if own := canonicalOrigin(baseURL); own != "" {
		if err := protection.AddTrustedOrigin(own); err != nil {
			panic(err) // impossible: a canonical origin is one
		}
	}
	for _, route := range except {
		protection.AddInsecureBypassPattern(route)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			request := c.Request()
			if origin := canonicalOrigin(request.Header.Get(echo.HeaderOrigin)); origin != "" {
				request = withOrigin(request, origin)
			}
			if err := protection.Check(request); err != nil {
				return echo.NewHTTPError(http.StatusForbidden).SetInternal(err)
			}
			return next(c)
		}
	}
}

// withOrigin is a copy of the request with what the check reads, in canonical form.
func withOrigin(r *http.Request, origin string) *http.Request {
	scheme, _, _ := strings.Cut(origin, "://")
	_, host, _ := strings.Cut(canonicalOrigin(scheme+"://"+r.Host), "://")
	header := http.Header{"Sec-Fetch-Site": r.Header["Sec-Fetch-Site"], "Origin": {origin}}
	return &http.Request{Method: r.Method, URL: r.URL, Host: host, Header: header}
}

// canonicalOrigin is the origin of a URL in lower case and without the default port
// of its scheme, empty when the URL has no origin.
func canonicalOrigin(address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme == "" || parsed.Host == "" {
		return ""
	}
	host := strings.ToLower(parsed.Host)
	switch parsed.Scheme { // url.Parse has lowered its case
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return parsed.Scheme + "://" + host
}
