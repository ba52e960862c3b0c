package connection

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInterim_AClientGetsItsContinueAndKamalProxyDoesNot(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{}, takeForm)
	const request = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
	direct, proxied := server.dial(t), server.dial(t)

	direct.send(t, "%s\r\n", request)
	require.Equal(t, "HTTP/1.1 100 Continue", direct.line(t))
	require.Empty(t, direct.line(t))
	direct.send(t, "form")
	status, _ := direct.response(t)
	require.Equal(t, http.StatusUnprocessableEntity, status)

	proxied.send(t, "%sX-Kamal-Target: app:3000\r\n\r\nform", request)
	require.Equal(t, "HTTP/1.1 422 Unprocessable Entity", proxied.line(t))
	proxied.skipHeader(t)
	require.Equal(t, "form was wrong", proxied.take(t, 14))

	// The next request of the same connection is judged by itself.
	proxied.send(t, "%s\r\n", request)
	require.Equal(t, "HTTP/1.1 100 Continue", proxied.line(t))
}

func TestInterim_KamalProxyGetsNoEarlyHints(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
	})
	client := server.dial(t)

	client.send(t, "GET / HTTP/1.1\r\nHost: test\r\nX-Kamal-Target: app:3000\r\n\r\n")
	require.Equal(t, "HTTP/1.1 404 Not Found", client.line(t))

	other := server.dial(t)
	other.send(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	require.Equal(t, "HTTP/1.1 103 Early Hints", other.line(t))
}

func TestInterim_BehindAProxyThatBuffersTheStatusIsKept(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{}, takeForm)
	for target, expected := range map[string]int{"app:3000": http.StatusUnprocessableEntity, "": http.StatusOK} {
		proxy := httptest.NewServer(bufferingProxy(t, server.url, target))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL, strings.NewReader("form"))
		require.NoError(t, err)
		request.Header.Set("Expect", "100-continue")

		response, err := server.client(t, 1).Do(request)

		require.NoError(t, err)
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "form was wrong", string(content))
		require.Equal(t, expected, response.StatusCode, "without the field, the proxy shows its fault: %q", target)
		proxy.Close()
	}
}

func TestInterim_SwitchingProtocolsIsFinal(t *testing.T) {
	t.Parallel()
	for content, interim := range map[string]bool{
		"HTTP/1.1 100 Continue\r\n\r\n": true, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n": true,
		"HTTP/1.1 101 Switching Protocols\r\n\r\n": false, "HTTP/1.1 200 OK\r\n\r\n": false, "HTTP/1.1 1": false, "": false,
	} {
		require.Equal(t, interim, isInterim([]byte(content)), content)
	}
}

// Private

func takeForm(w http.ResponseWriter, r *http.Request) {
	form, _ := io.ReadAll(r.Body)
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = io.WriteString(w, string(form)+" was wrong")
}

// bufferingProxy does what kamal-proxy does when it buffers responses: it remembers
// the first status that the application sends, and sends all at the end.
func bufferingProxy(t *testing.T, application, target string) http.Handler {
	t.Helper()
	address, err := url.Parse(application)
	require.NoError(t, err)
	transport := &http.Transport{ExpectContinueTimeout: 100 * time.Millisecond}
	t.Cleanup(transport.CloseIdleConnections)
	forward := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(address)
		if target != "" {
			r.Out.Header.Set(kamalTarget, target)
		}
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buffered := &buffer{ResponseWriter: w}
		forward.ServeHTTP(buffered, r)
		if buffered.status >= 200 {
			w.WriteHeader(buffered.status)
		}
		_, _ = io.WriteString(w, buffered.body.String())
	})
}

type buffer struct {
	http.ResponseWriter
	status int
	body   strings.Builder
}

func (b *buffer) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *buffer) Write(content []byte) (int, error) { return b.body.Write(content) }
