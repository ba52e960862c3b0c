package postgres

import (
	"context"
	"errors"
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
	connected  time.Time
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
	return &Probe{config: config.ConnConfig, schema: schema}, nil
}

// Check tells what is wrong with the database: that it does not answer,
// ErrReadOnly or ErrSchemaOld.
func (p *Probe) Check(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	var readOnly bool
	if err := p.connection.QueryRow(ctx, `SELECT current_setting('transaction_read_only')::boolean`).Scan(&readOnly); err != nil {
		return err
	}
	if readOnly {
		// The next connection may lead to the server that took over.
		return errors.Join(ErrReadOnly, p.connection.Close(ctx))
	}
	return p.schema.Check(ctx, p.connection)
}

// Private

// probeLifetime is how long the probe keeps a connection. What an address leads
// to may change, and settings of a database count for new connections only.
const probeLifetime = time.Minute

func (p *Probe) connect(ctx context.Context) error {
	if p.connection != nil && !p.connection.IsClosed() {
		if time.Since(p.connected) < probeLifetime {
			return nil
		}
		_ = p.connection.Close(ctx) // it is given up either way
	}
	connection, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return err
	}
	p.connection, p.connected = connection, time.Now()
	return nil
}
