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

// Guard stands between requests and the connections of a pool. It bounds how
// long a request waits for one and how many wait at a time, and while the
// database is silent it lets nobody wait at all: requests fail at once instead
// of piling up. A probe says when the database is silent and when it is back
// (see Observe); users are never the ones who try.
type Guard struct {
	patience time.Duration
	limit    int64
	reporter *telemetry.Reporter

	waiting    atomic.Int64
	refused    [len(refusals)]atomic.Int64
	answeredAt atomic.Int64 // Unix nanoseconds of the last statement that ended well
	fullAt     atomic.Int64 // Unix nanoseconds of the last statement for which the disk was full

	mutex       sync.Mutex
	connections map[*pgx.Conn]struct{} // in use
	silentSince time.Time              // zero while the database answers
	silences    int                    // probes in a row without an answer

	outage        *telemetry.Outage // nil while the database answers
	refusedBefore int64             // requests, until it fell silent
	givenUp       int64             // statements, when it did

	seen int64 // refusals that CheckPool has told of; for its one caller
}

// NewGuard lets a request wait for a connection for as long as patience, and at
// most limit requests at a time.
func NewGuard(patience time.Duration, limit int, reporter *telemetry.Reporter) *Guard {
	return &Guard{patience: patience, limit: int64(limit), reporter: reporter, connections: map[*pgx.Conn]struct{}{}}
}

// Observe takes what a probe found out that began at that time. The database
// is silent when two probes in a row got no answer and no statement of the pool
// did either meanwhile. Statements under way are given up then. The first
// answer of any kind ends the silence. It is for one caller at a time.
func (g *Guard) Observe(began time.Time, err error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if !timedOut(err) || g.silentSince.IsZero() && g.answeredAt.Load() >= began.UnixNano() {
		g.silences = 0
		if g.outage != nil {
			g.outage.End(g.refused[silent].Load()-g.refusedBefore, g.givenUp)
			g.outage, g.silentSince = nil, time.Time{}
		}
		return
	}
	if g.silences++; g.silences < 2 || !g.silentSince.IsZero() {
		return
	}
	g.silentSince = time.Now()
	g.refusedBefore, g.givenUp = g.refused[silent].Load(), int64(len(g.connections))
	g.outage = g.reporter.Away(telemetry.PG, "primary", telemetry.Class(err), g.silentSince)
	for connection := range g.connections {
		cut(connection)
	}
}

// Silent tells whether the database is silent.
func (g *Guard) Silent() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return !g.silentSince.IsZero()
}

// DiskFull tells whether a statement found the disk of the database full within
// the last 30 seconds. Only writing can tell, so it is the shoppers' statements
// that do.
func (g *Guard) DiskFull() bool {
	at := g.fullAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < diskFullFor
}

// CheckPool tells why requests get no connection, nil when they do. It looks at
// the moment and at what has happened since it was last called, and is for one
// caller at a time.
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

const diskFullFor = 30 * time.Second

// Why a request gets no connection.
const (
	silent = iota
	crowded
	noneFree
)

var refusals = [...]string{silent: "silent", crowded: "crowded", noneFree: "none_free"}

var (
	errSilent   = errors.New("the database does not answer")
	errCrowded  = errors.New("too many requests wait for a connection to the database")
	errNoneFree = fmt.Errorf("no connection to the database became free: %w", context.DeadlineExceeded)
)

// cut makes the statement that runs on a connection fail at once, and nobody
// uses the connection again.
func cut(connection *pgx.Conn) {
	_ = bare(connection.PgConn().Conn()).Close() // fails only when it is closed
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
