package web

import (
	"errors"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestObserve_CountsByRouteAndNeverByPath(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/letters/:token", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	site.get(t, "/letters/secret-token")
	site.get(t, "/wp-admin/secret-path")
	site.send(t, "BREW", "/letters/secret-token", nil)

	series := site.series(t)
	require.Contains(t, series, "method=GET route=/letters/:token status=200")
	require.Contains(t, series, "method=GET route=none status=404")
	require.Contains(t, series, "method=other")
	require.NotContains(t, series, "secret")
	require.NotContains(t, site.log.String(), "secret")
}

func TestObserve_LogsTheErrorOfATruncatedResponse(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/file", func(c echo.Context) error {
			if err := c.String(http.StatusOK, "the beginning"); err != nil {
				return err
			}
			return errors.New("the disk is gone")
		})
	})

	answer := site.get(t, "/file")

	require.Equal(t, "the beginning", answer.body)
	require.Contains(t, site.log.String(), `level=ERROR msg="Request finished" method=GET route=/file status=200`)
	require.Contains(t, site.log.String(), "the disk is gone")
}
