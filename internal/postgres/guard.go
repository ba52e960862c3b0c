package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/telemetry"
)

// Guard keeps requests from piling up at a pool. It bounds how long a request
// waits for a connection and how many wait, and while the database does not
// reply, it refuses every request at once. Only a probe finds out when the
// database stops and starts to reply (see Observe), so no request is spent on it.
// While commits hang, it refuses statements that write, because each would keep its
// connection, and reads would soon find none.
type Guard struct {
	maxWait    time.Duration
	maxWaiting int64
	reporter   *telemetry.Reporter

	waiting   atomic.Int64
	refused   [len(refusals)]atomic.Int64
	repliedAt atomic.Int64 // Unix nanoseconds of the last statement that got a reply
	fullAt    atomic.Int64 // Unix nanoseconds of the last statement that found the disk full
	wroteAt   atomic.Int64 // Unix nanoseconds of the last statement that wrote rows after that

	commitsHang atomic.Bool // see WriteProbe

	mutex       sync.Mutex
	connections map[*pgx.Conn]struct{} // in use
	silentSince time.Time              // zero while the database replies
	silences    int                    // probes in a row without a reply

	outage        *telemetry.Outage // nil while the database replies
	refusedBefore int64             // refused[silent] at the start of the outage
	cancelled     int64             // statements cancelled at the start of the outage

	seen int64 // refusals that CheckPool has reported
}

// NewGuard returns a guard that lets a request wait up to maxWait for a
// connection, and lets at most maxWaiting requests wait at a time. Pass it to Open.
func NewGuard(maxWait time.Duration, maxWaiting int, reporter *telemetry.Reporter) *Guard {
	return &Guard{maxWait: maxWait, maxWaiting: int64(maxWaiting), reporter: reporter, connections: map[*pgx.Conn]struct{}{}}
}

// Observe records the result of a probe that started at began. The database is
// silent when two probes in a row time out and no statement got a reply since
// began; Observe then cancels all running statements. A probe that does not time
// out ends the silence, even with an error. It is for one caller at a time.
func (g *Guard) Observe(began time.Time, err error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if !timedOut(err) || g.silentSince.IsZero() && g.repliedAt.Load() >= began.UnixNano() {
		g.silences = 0
		if g.outage != nil {
			g.outage.End(g.refused[silent].Load()-g.refusedBefore, g.cancelled)
			g.outage, g.silentSince = nil, time.Time{}
		}
		return
	}
	if g.silences++; g.silences < 2 || !g.silentSince.IsZero() {
		return
	}
	g.silentSince = time.Now()
	g.refusedBefore, g.cancelled = g.refused[silent].Load(), int64(len(g.connections))
	g.outage = g.reporter.BeginOutage(telemetry.PG, "primary", telemetry.Class(err), g.silentSince)
	for connection := range g.connections {
		closeSocket(connection)
	}
}

// Silent reports whether the database does not reply.
func (g *Guard) Silent() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return !g.silentSince.IsZero()
}

// DiskFull reports whether a statement of the pool found the database's disk full
// within the last 30 seconds. A probe cannot find out, because it writes nothing.
// Two seconds are enough once other statements have written rows since: on a disk
// that is nearly full, some writes succeed between those that fail.
func (g *Guard) DiskFull() bool {
	at := g.fullAt.Load()
	if at == 0 {
		return false
	}
	passed := time.Since(time.Unix(0, at))
	if g.wroteAt.Load() > at {
		return passed < diskFullForWriters
	}
	return passed < diskFullFor
}

// CheckPool returns an error when requests get no connection: now, or at any time
// since the last call. It is for one caller at a time.
func (g *Guard) CheckPool(pool *pgxpool.Pool) error {
	refused := g.refused[noneFree].Load() + g.refused[crowded].Load()
	missed := refused - g.seen
	g.seen = refused
	stat := pool.Stat()
	switch {
	case missed > 0:
		return fmt.Errorf("%d requests got no connection, all %d were in use", missed, stat.MaxConns())
	case g.waiting.Load() > 0 && stat.AcquiredConns() == stat.MaxConns():
		return fmt.Errorf("all %d connections are in use", stat.MaxConns())
	}
	return nil
}

// Private

const (
	diskFullFor        = 30 * time.Second
	diskFullForWriters = 2 * time.Second
)

// Reasons for which a request gets no connection.
const (
	silent = iota
	crowded
	noneFree
	uncommitted // a statement that writes, while commits hang
)

// refusals are the values of the metric's label reason.
var refusals = [...]string{silent: "silent", crowded: "crowded", noneFree: "none_free", uncommitted: "uncommitted"}

var (
	errSilent   = errors.New("the database does not reply")
	errCrowded  = errors.New("too many requests wait for a connection to the database")
	errNoneFree = fmt.Errorf("no connection to the database became free: %w", context.DeadlineExceeded)
)

// refusedByGuard reports whether the guard has refused a request before it got to
// the database.
func refusedByGuard(err error) bool {
	return errors.Is(err, errSilent) || errors.Is(err, errCrowded) || errors.Is(err, ErrCommits)
}

// closeSocket closes a connection below the driver, so that the statement on it
// fails at once and the pool discards the connection.
func closeSocket(connection *pgx.Conn) {
	_ = underlyingConn(connection.PgConn().Conn()).Close() // fails only when it is closed already
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
