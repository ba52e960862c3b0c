// Package postgres opens the database and keeps its schema up to date.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say how a process uses the database. Every field but Guard is
// required: a missing limit is how a slow database takes a whole site down.
type Options struct {
	URL              string
	Name             string // shown in pg_stat_activity
	PoolSize         int
	ConnectTimeout   time.Duration
	StatementTimeout time.Duration
	LockTimeout      time.Duration
	PingTimeout      time.Duration // of an idle connection before it is used again
	Guard            *Guard        // bounds the wait for a connection; nil waits as long as the context allows
}

// Connections are replaced now and then, so that a process finds its way after
// a failover that moved the address.
const (
	connectionLifetime       = 10 * time.Minute
	connectionLifetimeJitter = 2 * time.Minute
	idleInTransactionTimeout = 10 * time.Second
)

// Open prepares a pool of connections. It does not connect: a database that is
// not there yet makes the queries fail, and the same pool works once it is.
func Open(ctx context.Context, options Options) (*pgxpool.Pool, error) {
	config, err := parseAddress(options.URL)
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
	parameters["idle_in_transaction_session_timeout"] = milliseconds(idleInTransactionTimeout)

	if options.Guard != nil {
		options.Guard.watch(config)
	}
	reconnector := &reconnector{}
	reconnector.watch(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	reconnector.use(pool)
	return pool, nil
}

// closeTimeout is how long Close waits for connections in use.
const closeTimeout = time.Second

// Close ends the connections of a pool. Those that somebody still uses when the
// process has to end, such as a job that heeds no context, end with it.
func Close(pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}

// Private

// errAddress does not wrap the driver's error, which quotes the address and may
// miss a password in it.
var errAddress = errors.New("read database address: it must look like postgres://user:password@host:5432/database")

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}
