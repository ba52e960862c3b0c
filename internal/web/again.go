package web

import (
	"maps"
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/postgres"
)

// ReadAgain runs the handler of a GET once more when a connection to the
// database broke under it and nothing has been sent. Other methods change
// something, and are the client's to repeat.
func ReadAgain(next echo.HandlerFunc) echo.HandlerFunc {
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

// restoreHeader takes back what a handler that failed has put into the header.
func restoreHeader(c echo.Context, before http.Header) {
	header := c.Response().Header()
	clear(header)
	maps.Copy(header, before)
}
