package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Probe checks the database over a connection of its own, so that a busy pool
// does not look like an unavailable database. It connects as the pool does, so
// that the server refuses both or none. It is for one caller at a time.
type Probe struct {
	connection *Connection
	schema     Schema
}

// ErrReadOnly means that the database replies but accepts no writes, as a standby.
var ErrReadOnly = errors.New("the database accepts no writes")

// NewProbe returns a probe of the database of pool, which needs at least schema. It
// does not connect.
func NewProbe(pool *pgxpool.Pool, schema Schema) *Probe {
	connection := NewConnection(pool)
	connection.config.RuntimeParams["application_name"] = "app probe"
	return &Probe{connection: connection, schema: schema}
}

// Check returns nil, ErrReadOnly, ErrSchemaOld, or the error of a database that
// refuses the connection or its settings, cannot be reached, or does not reply
// before ctx ends.
func (p *Probe) Check(ctx context.Context) error {
	connection, err := p.connection.Open(ctx)
	var reply *pgconn.PgError
	if errors.As(err, &reply) && refusedByPooler(reply) {
		return fmt.Errorf("%w: %w", errPooler, err)
	}
	if err != nil {
		return err
	}
	var readOnly, limited bool
	// A pooler may drop the settings that were asked for. It may also reject prepared
	// statements, so this one is not prepared.
	err = connection.QueryRow(ctx, `
		SELECT current_setting('transaction_read_only')::boolean, `+limitsInForce,
		append([]any{pgx.QueryExecModeExec}, limitsOf(p.connection.config)...)...,
	).Scan(&readOnly, &limited)
	if err != nil {
		return err
	}
	if !limited {
		return errors.Join(errPooler, p.connection.Close(ctx))
	}
	if readOnly {
		// A new connection may lead to the server that is now primary.
		return errors.Join(ErrReadOnly, p.connection.Close(ctx))
	}
	return p.schema.Check(ctx, connection)
}

// Private

// limitsInForce is an expression in SQL: whether a session has the limits of the
// parameters $1 to $3. See limitsOf.
const limitsInForce = `
	current_setting('statement_timeout')::interval = ($1::text || ' ms')::interval
	AND current_setting('lock_timeout')::interval = ($2::text || ' ms')::interval
	AND current_setting('idle_in_transaction_session_timeout')::interval = ($3::text || ' ms')::interval`

// limitsOf returns the limits that a connection asks for. Without them, a statement
// may wait without end.
func limitsOf(config *pgx.ConnConfig) []any {
	asked := config.RuntimeParams
	return []any{asked["statement_timeout"], asked["lock_timeout"], asked["idle_in_transaction_session_timeout"]}
}
