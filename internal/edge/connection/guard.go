// Package connection guards the connections of an HTTP server: how many are open, and
// how slowly their clients may send and read. It is beside http.Server, which has only
// limits on the whole time of a request.
package connection

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Timeouts of clients whose Options name none.
const (
	DefaultReadTimeout  = 30 * time.Second
	DefaultWriteTimeout = 30 * time.Second
	DefaultIdleTimeout  = 6 * time.Minute
)

// HeaderTimeout is the longest time that a client may take to send the header of a
// request, and for the handshake of TLS.
const HeaderTimeout = 10 * time.Second

// MinimumRate is the number of bytes in a second below which a client is too slow, once
// it has used up the time of ReadTimeout.
const MinimumRate = 1 << 10

// Options are the limits of a guard. Zero values switch the limits on numbers off, and
// stand for the default of a timeout.
type Options struct {
	Most          int            // connections that are open at a time
	MostPerClient int            // of one client
	Proxies       []netip.Prefix // peers that have the connections of many clients
	IPv6Prefix    int            // bits of an IPv6 address that make one client; 0: all

	ReadTimeout  time.Duration // longest pause of a client that sends a body
	WriteTimeout time.Duration // longest pause of a client that reads a response
	IdleTimeout  time.Duration // longest pause between two requests of a connection

	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Guard guards all connections of one or more servers together.
type Guard struct {
	options Options
	room    *room
	metrics *metrics
}

// New returns a guard.
func New(options Options) *Guard {
	options.ReadTimeout = orDefault(options.ReadTimeout, DefaultReadTimeout)
	options.WriteTimeout = orDefault(options.WriteTimeout, DefaultWriteTimeout)
	options.IdleTimeout = orDefault(options.IdleTimeout, DefaultIdleTimeout)
	g := &Guard{options: options, room: newRoom(options)}
	g.metrics = newMetrics(options.Registry, g.room)
	return g
}

// Configure makes a server use the guard. Its listener must be one of Listen. It
// replaces the handler of the server by one around it.
func (g *Guard) Configure(server *http.Server) {
	server.Handler = g.observeInterim(g.pace(server.Handler))
	server.ConnState = g.connState
	server.ConnContext = connContext
	server.ReadHeaderTimeout = min(HeaderTimeout, g.options.ReadTimeout)
	server.IdleTimeout = g.options.IdleTimeout
	server.HTTP2 = &http.HTTP2Config{
		// Finds clients that have vanished, or that never finish a header.
		SendPingTimeout: 2 * g.options.ReadTimeout, PingTimeout: HeaderTimeout,
		WriteByteTimeout: g.options.WriteTimeout,
	}
}

// Listen listens on a TCP address. The guard counts and limits the connections.
func (g *Guard) Listen(ctx context.Context, address string) (net.Listener, error) {
	inner, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &listener{inner, g}, nil
}

// Private

func orDefault(given, otherwise time.Duration) time.Duration {
	if given > 0 {
		return given
	}
	return otherwise
}

// keepLittleUnsent makes the system take only so much of a response that the client has
// not read. Otherwise it would take megabytes, and a slow client would look like one
// that reads nothing.
func keepLittleUnsent(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return // the connection is closed, as the next read says
	}
	_ = socket.Control(func(descriptor uintptr) {
		_ = unix.SetsockoptInt(int(descriptor), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 2*chunk)
	})
}

type listener struct {
	net.Listener
	guard *Guard
}

// Accept waits for a connection for which there is room. Others are closed at once.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: inner, guard: l.guard}
		if l.guard.admit(c) {
			keepLittleUnsent(inner)
			return c, nil
		}
		_ = inner.Close()
	}
}

// admit makes room for a connection, by closing the one that has waited the longest
// for a request. There is none when all are busy.
func (g *Guard) admit(c *conn) bool {
	evicted, outcome := g.room.enter(c)
	if outcome == entered {
		return true
	}
	if evicted != nil {
		_ = evicted.Close()
	}
	g.metrics.closed.WithLabelValues(outcome.String()).Inc()
	g.room.notice(g.options.Log, outcome)
	return evicted != nil
}

type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	if guarded, ok := c.(*conn); ok { // not one with TLS, whose writes are encrypted
		return context.WithValue(ctx, connKey{}, guarded)
	}
	return ctx
}

// connState tells a connection whether a request is in progress.
func (g *Guard) connState(c net.Conn, state http.ConnState) {
	guarded := guardedBy(c)
	if guarded == nil {
		return
	}
	switch state {
	case http.StateActive:
		guarded.begin()
	case http.StateHijacked:
		_ = guarded.release() // fails only when the connection has ended
	case http.StateIdle:
		guarded.wait()
	}
}

// guardedBy finds the guarded connection below TLS.
func guardedBy(c net.Conn) *conn {
	if encrypted, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = encrypted.NetConn()
	}
	guarded, _ := c.(*conn)
	return guarded
}
