package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Connection is one connection besides a pool, for what must get through while
// every connection of the pool is busy. It is for one caller at a time.
type Connection struct {
	config *pgx.ConnConfig
	opened *pgx.Conn // nil: never
	since  time.Time
}

// Beside prepares a connection to where pool leads, with its settings. It does
// not connect.
func Beside(pool *pgxpool.Pool) *Connection {
	return &Connection{config: pool.Config().ConnConfig}
}

// Open returns the connection: a new one when there is none, when it broke, or
// when it is a minute old.
func (c *Connection) Open(ctx context.Context) (*pgx.Conn, error) {
	if c.opened != nil && !c.opened.IsClosed() {
		if time.Since(c.since) < ownLifetime {
			return c.opened, nil
		}
		_ = c.opened.Close(ctx) // it is given up either way
	}
	opened, err := pgx.ConnectConfig(ctx, c.config)
	if err != nil {
		return nil, err
	}
	c.opened, c.since = opened, time.Now()
	return opened, nil
}

// Close ends the connection. The next Open makes another.
func (c *Connection) Close(ctx context.Context) error {
	if c.opened == nil {
		return nil
	}
	return c.opened.Close(ctx)
}

// Private

// ownLifetime is how long a connection is kept. What an address leads to may
// change, and settings of a database count for new connections only.
const ownLifetime = time.Minute
