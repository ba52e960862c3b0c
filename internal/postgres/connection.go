package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Connection is one connection outside a pool, for statements that must run even
// while every connection of the pool is busy. It is for one caller at a time.
type Connection struct {
	config   *pgx.ConnConfig
	opened   *pgx.Conn // nil before the first Open
	openedAt time.Time
}

// NewConnection returns a connection to the server of pool. It asks for the same
// settings as pool's connections, so the server accepts or refuses it as them. It
// does not connect.
func NewConnection(pool *pgxpool.Pool) *Connection {
	return &Connection{config: pool.Config().ConnConfig}
}

// Open returns the connection. It connects when there is none, when it broke, and
// when it is a minute old.
func (c *Connection) Open(ctx context.Context) (*pgx.Conn, error) {
	if c.opened != nil && !c.opened.IsClosed() {
		if time.Since(c.openedAt) < maxAge {
			return c.opened, nil
		}
		_ = c.opened.Close(ctx) // the old connection is not used again, whether or not Close succeeds
	}
	opened, err := pgx.ConnectConfig(ctx, c.config)
	if err != nil {
		return nil, err
	}
	c.opened, c.openedAt = opened, time.Now()
	return opened, nil
}

// Close closes the connection. The next Open connects again.
func (c *Connection) Close(ctx context.Context) error {
	if c.opened == nil {
		return nil
	}
	return c.opened.Close(ctx)
}

// Private

// maxAge bounds the age of a connection. A DNS name may get another address, and
// settings of a database apply to new connections only.
const maxAge = time.Minute
