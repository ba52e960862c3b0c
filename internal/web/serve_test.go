package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/edge/connection"
)

func TestServe_FinishesRequestsInProgress(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}), make(chan struct{})
	stopped := make(chan struct{})
	server := startServe(t, 20*time.Second, func() { close(stopped) }, func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	body := make(chan string, 1)
	go func() { body <- server.get() }()
	<-began

	server.stop()
	<-stopped
	stacktest.Eventually(t, func() bool {
		_, err := net.Dial("tcp", server.address)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	close(finish)

	require.Equal(t, "done", <-body)
	require.NoError(t, <-server.ended)
}

func TestServe_EndsAfterDrain(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	server := startServe(t, 50*time.Millisecond, nil, func(http.ResponseWriter, *http.Request) {
		close(began)
		<-release
	})
	t.Cleanup(func() { close(release) })
	cut := make(chan string, 1)
	go func() { cut <- server.get() }()
	<-began

	server.stop()

	require.ErrorContains(t, <-server.ended, "requests were still in progress after 50ms")
	require.Contains(t, <-cut, "EOF")
}

func TestServe_EndsStreamsFirst(t *testing.T) {
	t.Parallel()
	began, stopping := make(chan struct{}), make(chan struct{})
	server := startServe(t, 20*time.Second, func() { close(stopping) }, func(http.ResponseWriter, *http.Request) {
		close(began)
		<-stopping // like an event stream, which has no end
	})
	go server.get()
	<-began

	server.stop()

	require.NoError(t, <-server.ended)
}

func TestServe_WaitsForResponsesThatOutliveTheirHandlers(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	outliving := func(ctx context.Context) error {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	patient := startListener(t, Listener{Handler: http.NotFoundHandler(), Drain: 20 * time.Second, Outliving: outliving})
	hasty := startListener(t, Listener{Handler: http.NotFoundHandler(), Drain: 50 * time.Millisecond, Outliving: outliving})

	patient.stop()
	hasty.stop()

	require.ErrorContains(t, <-hasty.ended, "requests were still in progress after 50ms")
	require.Empty(t, patient.ended)
	close(ended)
	require.NoError(t, <-patient.ended)
}

func TestServe_ErrorSaysWhyItCannotListen(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()

	err = Serve(t.Context(), Listener{Address: taken.Addr().String(), Log: slog.New(slog.DiscardHandler)})

	require.ErrorContains(t, err, "listen on "+taken.Addr().String()+" (is another program using this port?)")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

func TestServe_TakesNoSecondRequestBehindAnAmbiguousOne(t *testing.T) {
	t.Parallel()
	server := startServe(t, time.Second, nil, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "%s got %q\n", r.URL.Path, body)
	})
	const second = "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

	for name, one := range map[string]struct {
		request string
		first   string
		second  bool // is answered
	}{
		"both lengths": {
			"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			`/first got "hi"`, false,
		},
		"both lengths in the other order": {
			"POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", `/first got ""`, false,
		},
		"chunks alone": {
			"POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", `/first got "hi"`, false,
		},
		"chunks of HTTP/1.0": {
			"POST /first HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", `/first got ""`, false,
		},
		"a length": {"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", `/first got "hi"`, true},
		"no body":  {"GET /first HTTP/1.1\r\nHost: a\r\n\r\n", `/first got ""`, true},
	} {
		connection, err := net.Dial("tcp", server.address)
		require.NoError(t, err)
		require.NoError(t, connection.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.WriteString(connection, one.request+second)
		require.NoError(t, err)
		answers, err := io.ReadAll(connection) // until the server closes the connection

		require.NoError(t, err, name)
		require.Contains(t, string(answers), one.first, name)
		require.Equal(t, one.second, strings.Contains(string(answers), "/second got"), name)
		require.NoError(t, connection.Close())
	}
}

func TestServe_RefusesALongHeader(t *testing.T) {
	t.Parallel()
	server := startServe(t, time.Second, nil, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strconv.Itoa(len(r.Header.Get("X-Long"))))
	})
	get := func(length int) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.address, nil)
		require.NoError(t, err)
		request.Header.Set("X-Long", strings.Repeat("x", length))
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(content)
	}

	status, length := get(maxHeader - 1000)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, strconv.Itoa(maxHeader-1000), length)
	status, _ = get(maxHeader + 10_000)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
}

func TestServe_SpeaksHTTP2WithoutTLSWhenAsked(t *testing.T) {
	t.Parallel()
	handle := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	t.Cleanup(client.CloseIdleConnections)

	both := startListener(t, Listener{Handler: handle, H2C: true, Drain: time.Second})
	response, err := client.Get("http://" + both.address)
	require.NoError(t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "HTTP/2.0", string(content))
	require.Equal(t, "HTTP/1.1", both.get())

	plain := startListener(t, Listener{Handler: handle})
	response, err = client.Get("http://" + plain.address)
	if err == nil {
		_ = response.Body.Close()
	}
	require.Error(t, err)
	require.Equal(t, "HTTP/1.1", plain.get())
}

// Private

// served is a call of Serve in progress.
type served struct {
	address string
	stop    context.CancelFunc
	ended   chan error
}

func startServe(t *testing.T, drain time.Duration, stopping func(), handle http.HandlerFunc) *served {
	t.Helper()
	return startListener(t, Listener{Handler: handle, Drain: drain, Stopping: stopping})
}

// startGuarded serves a handler on connections with limits.
func startGuarded(t *testing.T, limits connection.Options, handler http.Handler) *served {
	t.Helper()
	return startListener(t, Listener{Handler: handler, Guard: connection.New(limits)})
}

func startListener(t *testing.T, l Listener) *served {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	l.Address, l.Log = listener.Addr().String(), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &served{address: l.Address, stop: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- Serve(ctx, l) }()
	stacktest.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", s.address)
		return err == nil && connection.Close() == nil
	})
	return s
}

// get returns the body of the response, or the text of the error.
func (s *served) get() string {
	response, err := http.Get("http://" + s.address)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(content)
}
