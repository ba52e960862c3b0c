package live

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestServe_AStreamOutlivesItsHandler(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Second, Limit: 2})
	process.hub.markConnected(1, false)

	response, err := http.Get(process.server.URL + "/?topics=mugs")
	require.NoError(t, err)
	defer response.Body.Close()
	stacktest.Eventually(t, func() bool { return process.outliving.Load() == 1 })
	process.hub.deliver(event{number: 2, Fragment: Fragment{Topics: []string{"mugs"}, HTML: "<b>\n3</b>"}})
	content, err := io.ReadAll(response.Body)

	require.NoError(t, err) // the last chunk came
	require.True(t, response.Close, "the client must not use the connection again")
	require.Equal(t, []string{"chunked"}, response.TransferEncoding)
	require.Contains(t, string(content), "\n\nid: 2\nevent: fragment\ndata: <b>\ndata: 3</b>\n\n")
	stacktest.Eventually(t, func() bool { return process.outliving.Load() == 0 })
	_, later, _ := strings.Cut(string(content), "id: 1\n\n")
	require.Greater(t, process.sent.Load(), int64(len(later)), "chunks are longer than their text")
	process.empty(t)
}

func TestServe_AStreamOverHTTP2StaysWithItsHandler(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Second, Limit: 2})
	server := httptest.NewUnstartedServer(process.server.Config.Handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	response, err := server.Client().Get(server.URL + "/?topics=mugs")
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)

	require.NoError(t, err)
	require.Equal(t, 2, response.ProtoMajor)
	require.Contains(t, string(content), "event: live\n")
	require.Zero(t, process.sent.Load())
}

func TestServe_AStreamOverTLSOutlivesItsHandler(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Second, Limit: 2})
	server := httptest.NewTLSServer(process.server.Config.Handler)
	t.Cleanup(server.Close)

	response, err := server.Client().Get(server.URL + "/?topics=mugs")
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)

	require.NoError(t, err)
	require.Contains(t, string(content), "event: live\n")
	stacktest.Eventually(t, func() bool { return process.sent.Load() > 0 })
}

func TestServe_AStreamOverHTTP10StaysWithItsHandler(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Second, Limit: 2})
	connection, err := net.Dial("tcp", process.server.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()

	_, err = io.WriteString(connection, "GET /?topics=mugs HTTP/1.0\r\nHost: test\r\n\r\n")
	require.NoError(t, err)
	content, err := io.ReadAll(connection)

	require.NoError(t, err)
	require.Contains(t, string(content), "\n\nevent: live\ndata: live\n\n", "there are no chunks in HTTP/1.0")
	require.Zero(t, process.sent.Load())
}

func TestServe_WhatABrowserSendsMeanwhileIsNoRequest(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: 2 * time.Second, Limit: 2})
	connection := process.dial(t, "/?topics=mugs")
	defer connection.Close()
	stacktest.Eventually(t, func() bool { return process.outliving.Load() == 1 })

	_, err := io.WriteString(connection, "GET /?topics=lamps HTTP/1.1\r\nHost: test\r\n\r\n")
	require.NoError(t, err)
	answers := bufio.NewReader(connection)
	response, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)

	require.NoError(t, err)
	require.Regexp(t, `\nretry: \d+\n\n$`, string(content), "the stream reaches its end")
	_, err = answers.ReadByte()
	require.Error(t, err, "the connection ends with the stream")
}

func TestWait_WaitsForStreamsThatOutliveTheirHandlers(t *testing.T) {
	t.Parallel()
	process := startHub(t, "", StreamOptions{Lifetime: time.Hour, Limit: 2})
	page := process.open(t, "mugs")
	stacktest.Eventually(t, func() bool { return process.outliving.Load() == 1 })
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()

	require.ErrorContains(t, process.hub.Wait(short), "wait for event streams")
	process.hub.Close()
	require.NoError(t, process.hub.Wait(t.Context()))

	require.Zero(t, process.outliving.Load())
	require.Positive(t, page.last(t).retry)
}
