package connection

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"slipway/internal/devstack/stacktest"
)

// TestMain fails when a connection or a request of any test has not ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout is long enough for a busy machine, and short enough for a test.
const testTimeout = time.Second

// server is an http.Server with a guard.
type server struct {
	guard   *Guard
	address string
	url     string
	log     *stacktest.Journal
}

// serve serves HTTP/1.1, and HTTP/2 to clients that know it, until the test ends. Then
// all its connections have ended.
func serve(t *testing.T, options Options, handle http.HandlerFunc) *server {
	t.Helper()
	s := &server{log: &stacktest.Journal{}}
	options.Log, options.Registry = slog.New(slog.NewTextHandler(s.log, nil)), prometheus.NewRegistry()
	s.guard = New(options)
	listener, err := s.guard.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	served := &http.Server{Handler: handle, Protocols: protocols(true, true), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	s.guard.Configure(served)
	s.address = listener.Addr().String()
	s.url = "http://" + s.address
	ended := make(chan error, 1)
	go func() { ended <- served.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, served.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
		stacktest.Eventually(t, func() bool { return s.guard.room.open() == 0 })
		require.Empty(t, s.guard.room.clients)
	})
	return s
}

func protocols(http1, http2 bool) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(http1)
	p.SetUnencryptedHTTP2(http2)
	return &p
}

// client returns a client of HTTP/1.1 or of HTTP/2, that takes few bytes unread.
func (s *server) client(t *testing.T, version int) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols: protocols(version == 1, version == 2),
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 10},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dial opens a connection, over which the test sends what it likes.
func (s *server) dial(t *testing.T) *peer {
	t.Helper()
	dialed, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	return newPeer(t, dialed)
}

func newPeer(t *testing.T, dialed net.Conn) *peer {
	t.Helper()
	t.Cleanup(func() { _ = dialed.Close() })
	require.NoError(t, dialed.SetDeadline(time.Now().Add(time.Minute)))
	return &peer{Conn: dialed, reader: bufio.NewReader(dialed)}
}

func (s *server) closed(t *testing.T, reason string) int {
	t.Helper()
	return int(testutil.ToFloat64(s.guard.metrics.closed.WithLabelValues(reason)))
}

// peer is the client's end of a connection.
type peer struct {
	net.Conn
	reader *bufio.Reader
}

func (p *peer) send(t *testing.T, format string, values ...any) {
	t.Helper()
	_, err := fmt.Fprintf(p, format, values...)
	require.NoError(t, err)
}

// line returns the next line from the server without its end.
func (p *peer) line(t *testing.T) string {
	t.Helper()
	line, err := p.reader.ReadString('\n')
	require.NoError(t, err)
	return line[:len(line)-2]
}

// get sends a request without a body, and returns the status and the body.
func (p *peer) get(t *testing.T) (status int, body string) {
	t.Helper()
	p.send(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	return p.response(t)
}

func (p *peer) response(t *testing.T) (status int, body string) {
	t.Helper()
	response, err := http.ReadResponse(p.reader, nil)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// requireClosed waits until the server has closed the connection.
func (p *peer) requireClosed(t *testing.T) {
	t.Helper()
	_, err := io.Copy(io.Discard, p.reader)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server does not close the connection")
}

// skipHeader reads to the end of a header.
func (p *peer) skipHeader(t *testing.T) {
	t.Helper()
	for line := p.line(t); line != ""; line = p.line(t) {
		require.Contains(t, line, ":")
	}
}

// take returns the next bytes from the server.
func (p *peer) take(t *testing.T, bytes int) string {
	t.Helper()
	content := make([]byte, bytes)
	_, err := io.ReadFull(p.reader, content)
	require.NoError(t, err)
	return string(content)
}
