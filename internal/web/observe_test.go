package web

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

func TestObserve_CountsByRouteAndNeverByPath(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/letters/:token", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})

	site.get(t, "/letters/secret-token")
	site.get(t, "/wp-admin/secret-path")
	site.send(t, http.MethodHead, "/letters/secret-token", nil)
	site.send(t, "BREW", "/letters/secret-token", nil)

	series := site.series(t)
	require.Contains(t, series, "method=GET route=/letters/:token status=2xx")
	require.Contains(t, series, "method=HEAD route=/letters/:token status=2xx")
	require.Contains(t, series, "method=GET route=none status=4xx")
	require.Contains(t, series, "method=OTHER")
	require.Contains(t, series, "code=404")
	require.NotContains(t, series, "BREW")
	require.NotContains(t, series, "secret")
	require.NotContains(t, site.log.String(), "secret")
}

// The status is that of the application, which may be a proxy of another server.
func TestObserve_AStrangeStatusMakesNoSeries(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/:status", func(c echo.Context) error {
			status, err := strconv.Atoi(c.Param("status"))
			require.NoError(t, err)
			return c.NoContent(status)
		})
	})

	for _, status := range []string{"201", "299", "598", "601", "999"} {
		site.get(t, "/"+status)
	}

	series := site.series(t)
	require.Contains(t, series, "code=201\n")
	require.Contains(t, series, "code=other\n")
	require.Contains(t, series, "status=5xx\n")
	require.Contains(t, series, "status=other\n")
	require.NotRegexp(t, "code=(299|598|601|999)", series)
}

// An event stream lasts for as long as its page is open, which says nothing about speed.
func TestObserve_AnEventStreamCountsUntilItHasBegun(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/news", func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
			c.Response().WriteHeader(http.StatusOK)
			time.Sleep(300 * time.Millisecond) // the page is open
			return nil
		})
	})

	site.get(t, "/news")

	duration := site.histogram(t, "app_http_request_duration_seconds")
	require.EqualValues(t, 1, duration.GetSampleCount())
	require.Less(t, duration.GetSampleSum(), 0.3)
}

func TestObserve_CountsTheBytesOfBodies(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/letters/:token", func(c echo.Context) error {
			letter, err := io.ReadAll(c.Request().Body)
			require.NoError(t, err)
			return c.String(http.StatusOK, string(letter[:3]))
		})
	})

	site.send(t, http.MethodPost, "/letters/a", strings.NewReader("a short letter"))
	site.send(t, http.MethodPost, "/letters/b", io.MultiReader(strings.NewReader("of unknown length")))

	requests := site.histogram(t, "app_http_request_size_bytes")
	require.EqualValues(t, 2, requests.GetSampleCount())
	require.EqualValues(t, len("a short letter")+len("of unknown length"), requests.GetSampleSum())
	responses := site.histogram(t, "app_http_response_size_bytes")
	require.EqualValues(t, 2, responses.GetSampleCount())
	require.EqualValues(t, 6, responses.GetSampleSum())
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

// Private

// histogram returns the only series of a histogram.
func (s *site) histogram(t *testing.T, name string) *dto.Histogram {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	index := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
	require.GreaterOrEqual(t, index, 0, name)
	require.Len(t, families[index].GetMetric(), 1)
	return families[index].GetMetric()[0].GetHistogram()
}
