package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Probe looks at the database over a connection of its own, so that a pool
// whose every connection is busy does not look like a dead database. It is for
// one caller at a time.
type Probe struct {
	config     *pgx.ConnConfig
	schema     Schema
	connection *pgx.Conn
}

// NewProbe prepares to look at the database at url, which is to have schema.
func NewProbe(url string, connectTimeout time.Duration, schema Schema) (*Probe, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database address: %w", err)
	}
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"] = "app probe"
	return &Probe{config: config, schema: schema}, nil
}

// Check tells what is wrong with the database: that it does not answer, or
// ErrSchemaOld.
func (p *Probe) Check(ctx context.Context) error {
	if p.connection == nil || p.connection.IsClosed() {
		connection, err := pgx.ConnectConfig(ctx, p.config)
		if err != nil {
			return err
		}
		p.connection = connection
	}
	return p.schema.Check(ctx, p.connection)
}
