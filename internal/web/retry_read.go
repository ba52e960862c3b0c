package web

import (
	"maps"
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/postgres"
)

// RetryRead runs the handler of a GET or HEAD once more when its connection to
// the database broke and no part of the response is sent. It does not retry
// other methods, because they change data.
func RetryRead(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		before := maps.Clone(c.Response().Header())
		err := next(c)
		if c.Request().Method != http.MethodGet || c.Response().Committed || !postgres.Lost(err) {
			return err
		}
		restoreHeader(c, before)
		return next(c)
	}
}

// Private

// restoreHeader removes the response headers that a failed handler set.
func restoreHeader(c echo.Context, before http.Header) {
	header := c.Response().Header()
	clear(header)
	maps.Copy(header, before)
}
