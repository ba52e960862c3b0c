package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// closeCodes are prefixes of the SQLSTATE codes after which a connection is closed:
// the server shuts down, or it is read-only because another one is now primary.
var closeCodes = []string{"08", "25006", "57P01", "57P02", "57P03"}

// resetPause is the minimum time between two resets of a pool. Without it, a server
// that is read-only on purpose would cost a new connection for every request.
const resetPause = time.Second

// A connection that was idle for longer than this is checked before use: first its
// socket, later by a ping. A shorter idle time is not worth the cost.
const (
	peekAfter = 5 * time.Millisecond
	pingAfter = time.Second
)

// reconnector closes connections of a pool that no longer lead to a primary: one
// on which the server replied with a code of closeCodes, all idle ones when the
// server is read-only, and, before use, an idle one that the server has closed.
type reconnector struct {
	mutex   sync.Mutex
	pool    *pgxpool.Pool
	resetAt time.Time
}

func (r *reconnector) install(config *pgxpool.Config) {
	previous := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(connection *pgconn.PgConn, reply *pgconn.PgError) bool {
		if reply.Code == "25006" {
			r.reset()
		}
		return !hasPrefix(reply.Code, closeCodes) && previous(connection, reply)
	}
	config.ShouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
		idle := params.IdleDuration
		return idle > pingAfter || idle > peekAfter && !openWithoutInput(params.Conn.PgConn().Conn())
	}
}

func (r *reconnector) setPool(pool *pgxpool.Pool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.pool = pool
}

func (r *reconnector) reset() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.pool != nil && time.Since(r.resetAt) > resetPause {
		r.resetAt = time.Now()
		r.pool.Reset()
	}
}

// openWithoutInput reports whether an idle connection is open and has no input to
// read. Input on an idle connection is the server's last message before it closes
// the connection, or a changed setting; a ping finds out which. The check is one
// system call and sends nothing.
func openWithoutInput(connection net.Conn) bool {
	socket, is := underlyingConn(connection).(syscall.Conn)
	if !is {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	noInput := false
	// raw.Read would wait for another reader, and the driver may still have one
	// after a slow write.
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		noInput = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && noInput
}

// underlyingConn returns the TCP or Unix connection below TLS, or connection itself
// when it is not encrypted.
func underlyingConn(connection net.Conn) net.Conn {
	if encrypted, is := connection.(*tls.Conn); is {
		return encrypted.NetConn()
	}
	return connection
}
