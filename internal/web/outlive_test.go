package web

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestOutlive_ARequestIsInProgressUntilItsResponseEnds(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"after the handler": false, "before the handler returns": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var end func(int64)
			site := newSite(t, func(e *echo.Echo) {
				e.GET("/news/:of", func(c echo.Context) error {
					end = Outlive(c)()
					err := c.String(http.StatusOK, "first")
					if early {
						end(7)
					}
					return err
				})
			})

			site.get(t, "/news/secret", "X-Request-Id", "the-id")

			if !early {
				require.Equal(t, 1.0, site.inFlight(t))
				require.NotContains(t, site.log.String(), "Request finished")
				end(7)
			}
			stacktest.Eventually(t, func() bool { return site.inFlight(t) == 0 })
			require.Contains(t, site.series(t), "method=GET route=/news/:of status=2xx")
			require.Regexp(t, `level=INFO msg="Request finished" method=GET route=/news/:of status=200 took=\S+ bytes=12 request_id=the-id`,
				site.log.String())
		})
	}
}

func TestOutlive_TheHandlerOfHeadStays(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/news", func(c echo.Context) error {
			if Outlive(c) != nil {
				return fmt.Errorf("a response to HEAD has no body")
			}
			return c.NoContent(http.StatusOK)
		})
	})

	require.Equal(t, http.StatusOK, site.send(t, http.MethodHead, "/news", nil).StatusCode)
}

// The handler of an event stream takes the connection over below all middleware and the
// edge, which have sent the header by then.
func TestOutlive_AHandlerMayTakeTheConnectionOver(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/news", func(c echo.Context) error {
			c.Response().Header().Set("Content-Type", "text/event-stream")
			c.Response().Header().Set("Connection", "close")
			c.Response().Flush()
			taken, _, err := http.NewResponseController(c.Response()).Hijack()
			if err != nil {
				return err
			}
			ended := Outlive(c)()
			go func() {
				_, _ = io.WriteString(taken, "4\r\nnews\r\n0\r\n\r\n")
				_ = taken.Close()
				ended(4)
			}()
			return nil
		})
	})

	answer := site.get(t, "/news", "Accept-Encoding", "gzip")

	require.Equal(t, "news", answer.body)
	require.True(t, answer.Close)
	require.NotEmpty(t, answer.Header.Get("X-Request-Id"))
	require.NotEmpty(t, answer.Header.Get("Content-Security-Policy"))
	stacktest.Eventually(t, func() bool { return site.inFlight(t) == 0 })
}

func (s *site) inFlight(t *testing.T) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "app_http_requests_in_flight" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no requests are counted")
	return 0
}
