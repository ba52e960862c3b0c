package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// leaveCodes begin the answers after which a connection is not used again: the
// server is going, or it takes no writes because another one has taken over.
var leaveCodes = []string{"08", "25006", "57P01", "57P02", "57P03"}

// resetPause is the shortest time between two resets of a pool: a server that
// is meant to take no writes must not cost a new connection for every page.
const resetPause = time.Second

// A connection that was idle for so long is looked at, or pinged, before it is
// used. On a busy one a farewell is met soon enough.
const (
	lookAfter = 5 * time.Millisecond
	pingAfter = time.Second
)

// reconnector parts a pool from connections that lead nowhere: from one that
// got such an answer, from all idle ones when the server takes no writes, and
// before it is used from an idle one that the server has hung up on.
type reconnector struct {
	mutex   sync.Mutex
	pool    *pgxpool.Pool
	resetAt time.Time
}

func (r *reconnector) watch(config *pgxpool.Config) {
	usual := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(connection *pgconn.PgConn, answer *pgconn.PgError) bool {
		if answer.Code == "25006" {
			r.reset()
		}
		leave := slices.ContainsFunc(leaveCodes, func(code string) bool { return strings.HasPrefix(answer.Code, code) })
		return !leave && usual(connection, answer)
	}
	config.ShouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
		idle := params.IdleDuration
		return idle > pingAfter || idle > lookAfter && !quietlyOpen(params.Conn.PgConn().Conn())
	}
}

func (r *reconnector) use(pool *pgxpool.Pool) {
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

// quietlyOpen tells that an idle connection is open and that the server has
// said nothing on it. What a server says unasked is its farewell, which a ping
// finds out, or that its settings have changed. To look costs one system call
// and sends nothing.
func quietlyOpen(connection net.Conn) bool {
	socket, is := bare(connection).(syscall.Conn)
	if !is {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	// Not raw.Read, which waits for other readers: the driver may have left one
	// behind, after a write that took long.
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && quiet
}

// bare is the socket of a connection, without encryption.
func bare(connection net.Conn) net.Conn {
	if encrypted, is := connection.(*tls.Conn); is {
		return encrypted.NetConn()
	}
	return connection
}
