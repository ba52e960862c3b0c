package web

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/edge"
	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// IsHead reports whether the client sent HEAD. Handlers need it when their
// response has no end, because New routes HEAD as GET.
func IsHead(c echo.Context) bool {
	head, _ := c.Request().Context().Value(headKey{}).(bool)
	return head
}

// Private

// headAsGet routes HEAD as GET. The http.Server omits the body by itself, because
// it checks the request that it parsed, not this copy.
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

const contentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// permissionsPolicy switches off the features of browsers that spy on a visitor.
const permissionsPolicy = "browsing-topics=(), camera=(), display-capture=(), geolocation=(), microphone=(), usb=()"

// requestID is the id that the edge has given the request.
func requestID(c echo.Context) string { return c.Request().Header.Get(edge.RequestID) }

func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // net/http ends a request quietly for this value alone, not for a wrapped one
				panic(cause)
			}
			err = telemetry.Recovered(cause)
		}()
		return next(c)
	}
}

// secureHeaders sets the security headers of every response. A health check is not told
// to use HTTPS alone: it may come by HTTP and by another name.
func secureHeaders(baseURL string) echo.MiddlewareFunc {
	fields := pageHeader(baseURL)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			header := c.Response().Header()
			maps.Copy(header, fields)
			if isHealthCheck(c) {
				header.Del("Strict-Transport-Security")
			}
			return next(c)
		}
	}
}

// pageHeader are the security headers of a page.
func pageHeader(baseURL string) http.Header {
	fields := assetHeader(baseURL)
	fields.Set("X-Content-Type-Options", "nosniff")
	fields.Set("Referrer-Policy", "same-origin")
	fields.Set("Permissions-Policy", permissionsPolicy)
	fields.Set("Cross-Origin-Opener-Policy", "same-origin")
	return fields
}

// assetHeader are the security headers of a file. The content security policy permits
// only resources of the same origin, also to a drawing that is opened as a page. When the
// application is public under https, browsers use no other scheme for a year (RFC 6797).
// Subdomains may be other programs, so that does not include them.
func assetHeader(baseURL string) http.Header {
	fields := http.Header{}
	fields.Set("Content-Security-Policy", contentSecurityPolicy)
	fields.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.HasPrefix(canonicalOrigin(baseURL), "https://") {
		fields.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return fields
}

// giveContext lets the context of a request carry its id, which the logs and the jobs
// that it enqueues name, and bounds the total time that it may wait for Redis.
func giveContext(budget time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx := telemetry.WithRequestID(c.Request().Context(), requestID(c))
			c.SetRequest(c.Request().WithContext(failopen.WithBudget(ctx, budget)))
			return next(c)
		}
	}
}
