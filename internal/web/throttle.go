package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/edge/httpcache"
	"slipway/internal/throttle"
)

// Refusal returns the throttle's decision for a refused request, so that an error
// page can explain it. It returns false for any other request.
func Refusal(c echo.Context) (throttle.Decision, bool) {
	decision, refused := c.Get(refusalKey).(throttle.Decision)
	return decision, refused
}

// LimitedClient is the key under which the limits count the client of a request:
// its address, or its network in IPv6. It is empty for a client that is not limited.
// A handler uses it for a limit of its own, on something scarce.
func LimitedClient(c echo.Context) string {
	key, _ := c.Get(clientKey).(string)
	return key
}

// Private

const (
	refusalKey = "throttle refusal"
	clientKey  = "throttle client"
)

// limitRequests refuses requests over the limits. It never refuses health checks,
// because a proxy would stop using this process, and does not count what the edge asks
// for by itself. What the edge serves from its cache costs so little that it does not
// count either.
func limitRequests(limiter *throttle.Limiter, pages Pages) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if limiter == nil || isHealthCheck(c) || httpcache.HandleOf(c.Request()).InBackground() {
				return next(c)
			}
			request, decision := limiter.Check(c.Request())
			c.SetRequest(request.Request)
			if !request.Safelisted {
				c.Set(clientKey, request.IP)
			}
			if decision.Refused() {
				c.Set(refusalKey, decision)
				decision.SetHeaders(c.Response().Header())
				return echo.NewHTTPError(decision.Status())
			}
			if WantsJSON(c.Request()) {
				decision.SetHeaders(c.Response().Header())
			}

			err := next(c)
			status := c.Response().Status
			if err != nil && !c.Response().Committed {
				status = statusOf(err, pages.ErrorStatus)
			}
			limiter.Answered(request, status)
			return err
		}
	}
}

func isHealthCheck(c echo.Context) bool { return c.Path() == "/up" || c.Path() == "/health" }

// clientIP returns the extractor of the client's address, which the limits use.
// When clients is nil, no proxy is trusted and the peer's address is used.
func clientIP(clients *throttle.Clients) echo.IPExtractor {
	if clients == nil {
		return echo.ExtractIPDirect()
	}
	return func(r *http.Request) string {
		if address := clients.Address(r); address.IsValid() {
			return address.String()
		}
		return ""
	}
}
