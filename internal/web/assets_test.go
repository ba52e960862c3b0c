package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"slipway/internal/assets"
	"slipway/internal/devstack/stacktest"
)

func TestAssets_HaveSecurityHeadersAndAreCountedByRoute(t *testing.T) {
	t.Parallel()
	files, err := assets.Load(fstest.MapFS{"icon.svg": {Data: []byte("<svg/>")}})
	require.NoError(t, err)
	given := options(t, &stacktest.Journal{})
	given.BaseURL = "https://shop.example.com"
	registry := given.Registry.(*prometheus.Registry)
	server := newServer(t, given, pagesWithAssets{testPages(func(*echo.Echo) {}), files})

	for range 2 {
		response, err := http.Get(server.URL + files.Path("icon.svg"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		for name, value := range map[string]string{
			"Content-Security-Policy":      contentSecurityPolicy,
			"Cross-Origin-Resource-Policy": "same-origin",
			"Strict-Transport-Security":    "max-age=31536000",
			"X-Content-Type-Options":       "nosniff",
		} {
			require.Equal(t, value, response.Header.Get(name), name)
		}
	}

	request, err := http.NewRequestWithContext(t.Context(), "BREW", server.URL+files.Path("icon.svg"), nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())

	count := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	recorder := httptest.NewRecorder()
	count.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Contains(t, recorder.Body.String(), `app_http_request_duration_seconds_count{method="GET",route="/assets/*",status="2xx"} 2`)
	require.Contains(t, recorder.Body.String(), `app_http_request_duration_seconds_count{method="OTHER",route="/assets/*",status="4xx"} 1`)
	require.NotContains(t, recorder.Body.String(), "BREW")
}

// Private

type pagesWithAssets struct {
	testPages
	files *assets.Assets
}

func (p pagesWithAssets) Assets() *assets.Assets { return p.files }
