package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/throttle"
)

// Refusal is the throttle's decision about a request that it refused, for the
// words on the error page.
func Refusal(c echo.Context) (throttle.Decision, bool) {
	decision, refused := c.Get(refusalKey).(throttle.Decision)
	return decision, refused
}

// Private

const refusalKey = "throttle refusal"

// limitRequests refuses requests that are too many. Health checks are never
// refused: they would take the process out of service.
func limitRequests(limiter *throttle.Limiter, pages Pages) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if limiter == nil || isHealthCheck(c) {
				return next(c)
			}
			request, decision := limiter.Check(c.Request())
			c.SetRequest(request.Request)
			if decision.Refused() {
				c.Set(refusalKey, decision)
				decision.SetHeaders(c.Response().Header())
				return echo.NewHTTPError(decision.Status())
			}
			if wantsJSON(c.Request()) {
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

// clientIP is the address that limits are counted for. Without clients nobody
// in front of this process is trusted to name it.
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
