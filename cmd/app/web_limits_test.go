package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWeb_ServesPagesForItsHostsOnly(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web", "BASE_URL=https://app.example.com", "ALLOWED_HOSTS=*.tenants.example")
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	ask := func(host, path string) reply {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.url+path, nil)
		require.NoError(t, err)
		request.Host = host
		return send(t, http.DefaultClient, request)
	}

	require.Equal(t, http.StatusOK, ask("app.example.com", "/thanks").code)
	require.Equal(t, http.StatusOK, ask("ada.tenants.example:8080", "/thanks").code)
	require.Equal(t, http.StatusMisdirectedRequest, ask("evil.example", "/thanks").code)
	require.Equal(t, http.StatusMisdirectedRequest, ask("127.0.0.1", "/thanks").code)
	for _, path := range []string{"/up", "/health"} {
		answer := ask("0123456789ab:3000", path)
		require.NotEqual(t, http.StatusMisdirectedRequest, answer.code, path)
		require.Empty(t, answer.header.Get("Strict-Transport-Security"), path)
	}
	require.NotEmpty(t, ask("app.example.com", "/thanks").header.Get("Strict-Transport-Security"))
}

func TestWeb_SpeaksHTTP2WithoutTLSWhenAsked(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web", "H2C_ENABLED=true")
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	t.Cleanup(client.CloseIdleConnections)

	answer := get(t, client, web.url+"/thanks")

	require.Equal(t, http.StatusOK, answer.code)
	require.Equal(t, "HTTP/2.0", answer.proto)
}

func TestWeb_BoundsItsConnectionsAndSlowClients(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web", "LIVE_STREAM_LIMIT=10", "MAX_CONNECTIONS=20", "HTTP_READ_TIMEOUT=1", "HTTP_IDLE_TIMEOUT=5m")
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	dial := func(request string) net.Conn {
		client, err := net.Dial("tcp", strings.TrimPrefix(web.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
		_, err = io.WriteString(client, request)
		require.NoError(t, err)
		return client
	}

	var slow []net.Conn
	for range 40 {
		slow = append(slow, dial("GET / HTTP/1.1\r\nHost: "))
	}
	require.Equal(t, http.StatusOK, status(web.url+"/thanks"), "a visitor is served beside them")
	upload := dial("POST /thanks HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nx")
	for _, one := range append(slow, upload) {
		_, err := io.Copy(io.Discard, one)
		require.NotErrorIs(t, err, net.ErrClosed)
	}

	web.eventually(func() bool {
		metrics := metricsOf(t, web)
		return strings.Contains(metrics, `app_http_connections_closed_total{reason="made_room"} 2`) &&
			!strings.Contains(metrics, `app_http_connections_closed_total{reason="slow_header"} 0`)
	}, "counts them")
	require.Contains(t, web.output.String(), "limit=MAX_CONNECTIONS most=20")
}
