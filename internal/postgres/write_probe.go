package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/telemetry"
)

// ErrCommits means that the database replies, and does not complete a commit.
var ErrCommits error = &classifiedError{
	class: "commits",
	text: "commits do not complete: the database waits for a synchronous standby that is lost (synchronous_standby_names), " +
		"or its disk does not reply",
}

// WriteProbe finds out whether writes complete: it commits a small one, over a
// connection of its own. The result also goes to the pool's guard, which refuses
// statements that write while commits hang. It is for one caller at a time.
type WriteProbe struct {
	connection *Connection
	guard      *Guard // may be nil
	reporter   *telemetry.Reporter
}

// NewWriteProbe returns a probe of the database of pool. It does not connect. The
// guard may be nil.
func NewWriteProbe(pool *pgxpool.Pool, guard *Guard, reporter *telemetry.Reporter) *WriteProbe {
	connection := NewConnection(pool)
	connection.config.RuntimeParams["application_name"] = "app write probe"
	return &WriteProbe{connection: connection, guard: guard, reporter: reporter}
}

// Check returns nil, also for a database that is read-only, ErrCommits when a
// commit has not completed before ctx ends, or the error of a database that is
// unavailable or refuses this program.
func (p *WriteProbe) Check(ctx context.Context) error {
	err := p.write(ctx)
	if Lost(err) { // the server has restarted since the last write
		err = p.write(ctx)
	}
	switch {
	case err == nil && p.guard != nil:
		p.guard.commitsHang.Store(false)
	case errors.Is(err, ErrCommits):
		if p.guard != nil {
			p.guard.commitsHang.Store(true)
		}
		p.reporter.Report(telemetry.PG, "WriteProbe.Check", err)
	}
	return err
}

// Private

// write commits a message into the log of the server. That waits for the disk and
// for a synchronous standby as every commit does, and needs no table.
//
// When ctx ends first, the driver cancels the statement and closes the connection.
// Only a cancellation ends a commit that waits for a standby; a limit of time does
// not. Without it, each probe would leave a connection of the server behind.
func (p *WriteProbe) write(ctx context.Context) error {
	connection, err := p.connection.Open(ctx)
	if err != nil {
		return err
	}
	var readOnly bool
	read := `SELECT current_setting('transaction_read_only')::boolean`
	if err := connection.QueryRow(ctx, read, pgx.QueryExecModeExec).Scan(&readOnly); err != nil || readOnly {
		return err
	}
	_, err = connection.Exec(ctx, `SELECT pg_logical_emit_message(true, 'slipway', 'probe')`, pgx.QueryExecModeExec)
	if timedOut(err) {
		return ErrCommits
	}
	return err
}
