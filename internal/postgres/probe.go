package postgres

import (
	"context"
	"errors"
	"time"
)

// Probe looks at the database over a connection of its own, so that a pool
// whose every connection is busy does not look like a dead database. It is for
// one caller at a time.
type Probe struct {
	connection *Connection
	schema     Schema
}

// ErrReadOnly tells that the database answers and takes no writes, as a standby
// does.
var ErrReadOnly = errors.New("the database takes no writes")

// NewProbe prepares to look at the database at url, which is to have schema.
func NewProbe(url string, connectTimeout time.Duration, schema Schema) (*Probe, error) {
	config, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = "app probe"
	return &Probe{connection: &Connection{config: config.ConnConfig}, schema: schema}, nil
}

// Check tells what is wrong with the database: that it does not answer,
// ErrReadOnly or ErrSchemaOld.
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
		// The next connection may lead to the server that took over.
		return errors.Join(ErrReadOnly, p.connection.Close(ctx))
	}
	return p.schema.Check(ctx, connection)
}
