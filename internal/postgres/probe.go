package postgres

import (
	"context"
	"errors"
	"time"
)

// Probe checks the database over a connection of its own, so that a busy pool
// does not look like an unavailable database. It is for one caller at a time.
type Probe struct {
	connection *Connection
	schema     Schema
}

// ErrReadOnly means that the database replies but accepts no writes, as a standby.
var ErrReadOnly = errors.New("the database accepts no writes")

// NewProbe returns a probe of the database at url, which needs at least schema. It
// does not connect.
func NewProbe(url string, connectTimeout time.Duration, schema Schema) (*Probe, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = "app probe"
	return &Probe{connection: &Connection{config: config.ConnConfig}, schema: schema}, nil
}

// Check returns nil, ErrReadOnly, ErrSchemaOld, or the error of a database that
// cannot be reached or does not reply before ctx ends.
func (p *Probe) Check(ctx context.Context) error {
	connection, err := p.connection.Open(ctx)
	if err != nil {
		return err
	}
	var readOnly bool
	if err := connection.QueryRow(ctx, `SELECT current_setting('transaction_read_only')::boolean`).Scan(&readOnly); err != nil {
		return err
	}
	if readOnly {
		// A new connection may lead to the server that is now primary.
		return errors.Join(ErrReadOnly, p.connection.Close(ctx))
	}
	return p.schema.Check(ctx, connection)
}
