package testorigin

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Proxy returns a plain reverse proxy to a server at a URL, for a suite of tests that
// has an origin of its own. A failure of that server is status 502.
func Proxy(origin *url.URL) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(origin)
	// A connection that the suite cuts must not make the proxy repeat a request.
	proxy.Transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return proxy
}
