package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/edge/testorigin"
)

func TestWeb_ServesTheScriptableOriginBehindTheEdgeInTestsAlone(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	test := d.start("web", "APP_ENV=test")
	production := d.start("web", "APP_ENV=production", "SECRET_KEY_BASE="+testSecret, "BIND_ADDRESS=127.0.0.1")

	require.Equal(t, http.StatusAccepted, status(test.url+testorigin.Prefix+"page?code=202"))
	require.Equal(t, http.StatusNotFound, status(production.url+testorigin.Prefix+"page?code=202"))
	cached := test.url + testorigin.Prefix + "cached?h=Cache-Control:public,max-age=60"
	first, second := headerOf(t, cached), headerOf(t, cached)
	require.Equal(t, "miss", first.Get("X-Cache"))
	require.Equal(t, "hit", second.Get("X-Cache"))
	require.Equal(t, first.Get("X-Origin-N"), second.Get("X-Origin-N"))
	require.Equal(t, http.StatusOK, status(test.url+"/"))
}

func TestWeb_PutsAnotherServerBehindTheEdgeInTestsAlone(t *testing.T) {
	t.Parallel()
	calls := 0
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Cache-Control", "max-age=60") // not public: stored by the RFC's policy alone
		fmt.Fprint(w, "another server")
	}))
	t.Cleanup(origin.Close)
	d := deploy(t)
	web := d.start("web", "APP_ENV=test", "EDGE_TEST_ORIGIN="+origin.URL)

	require.Equal(t, "miss", headerOf(t, web.url+"/any").Get("X-Cache"))
	require.Equal(t, "hit", headerOf(t, web.url+"/any").Get("X-Cache"))
	require.Equal(t, 1, calls)
	origin.Close()
	require.Equal(t, http.StatusBadGateway, status(web.url+"/other"))

	refused := d.exitsWith([]string{"APP_ENV=development", "EDGE_TEST_ORIGIN=" + origin.URL}, exitUsage, "web")
	require.Contains(t, refused, "is for APP_ENV=test alone")
}

func headerOf(t *testing.T, address string) http.Header {
	t.Helper()
	response, err := http.Get(address)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.Header
}
