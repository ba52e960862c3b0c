// Package postgres connects to PostgreSQL, migrates its schema, checks its health,
// and sorts its errors.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options are the settings of Open. Every field but Guard, Waits, Reserve, Observe
// and IdleInTransactionTimeout is required: without a limit, a slow database blocks
// every request.
type Options struct {
	URL              string
	Name             string // application_name in pg_stat_activity
	PoolSize         int    // maximum number of connections
	ConnectTimeout   time.Duration
	StatementTimeout time.Duration
	LockTimeout      time.Duration
	PingTimeout      time.Duration // of the ping of an idle connection before use
	Guard            *Guard        // bounds the wait for a connection; nil waits until the context ends
	Waits            *Waits        // measures the wait for a connection; not with Guard
	Reserve          int           // connections that callers with the context of Yield leave to others; not with Guard
	Observe          Observe       // gets every statement; may be nil

	// IdleInTransactionTimeout is how long a transaction may stay open between two
	// statements before the server ends its connection; 10 s when zero.
	IdleInTransactionTimeout time.Duration
}

// The pool replaces old connections, so that a process follows a failover that
// moves the server's name to another address.
const (
	connectionLifetime       = 10 * time.Minute
	connectionLifetimeJitter = 2 * time.Minute

	// defaultIdleInTransactionTimeout is that of Options.
	defaultIdleInTransactionTimeout = 10 * time.Second
)

// Open returns a pool of connections. It does not connect: statements fail while
// the database is unavailable, and succeed once it is available. The error is
// about the URL, and does not contain it.
func Open(ctx context.Context, options Options) (*pgxpool.Pool, error) {
	config, err := parseURL(options.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(options.PoolSize)
	config.MaxConnLifetime = connectionLifetime
	config.MaxConnLifetimeJitter = connectionLifetimeJitter
	config.PingTimeout = options.PingTimeout
	config.ConnConfig.ConnectTimeout = options.ConnectTimeout

	parameters := config.ConnConfig.RuntimeParams
	parameters["application_name"] = options.Name
	parameters["timezone"] = "UTC"
	parameters["statement_timeout"] = milliseconds(options.StatementTimeout)
	parameters["lock_timeout"] = milliseconds(options.LockTimeout)
	parameters["jit"] = "off" // compiling takes longer than any statement with a bound
	parameters["idle_in_transaction_session_timeout"] = milliseconds(cmp.Or(options.IdleInTransactionTimeout, defaultIdleInTransactionTimeout))

	switch {
	case options.Guard != nil:
		options.Guard.install(config)
	case options.Reserve > 0:
		installReserve(config, options.Reserve)
	}
	if options.Waits != nil {
		options.Waits.install(config, options.Reserve)
	}
	installStatements(config, options.Observe)
	reconnector := &reconnector{}
	reconnector.install(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	reconnector.setPool(pool)
	return pool, nil
}

// CloseTimeout bounds how long Close waits for connections in use.
const CloseTimeout = time.Second

// Close closes a pool. It waits up to CloseTimeout for connections in use; the end of
// the process closes those that remain, such as of a job that ignores its context.
func Close(pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(CloseTimeout):
	}
}

// Private

// errURL does not wrap the driver's error, which quotes the URL and may not hide
// the password in it.
var errURL = errors.New("parse database URL: it must look like postgres://user:password@host:5432/database")

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}
