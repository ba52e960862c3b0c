package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Private

// migrationLock is the key of the advisory lock that a migrating process holds.
const migrationLock int64 = 0x736c6970776179 // "slipway"

// migrationLockTimeout bounds how long a migration waits for a table's lock,
// because other statements on the table queue behind the wait.
const migrationLockTimeout = 5 * time.Second

// lock waits for the advisory lock and takes it. It polls, because a statement
// that waits inside PostgreSQL would block CREATE INDEX CONCURRENTLY of the
// process that holds the lock.
func (m *Migrator) lock(ctx context.Context) (unlock func(), err error) {
	connection, err := m.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	// Only a pooler drops the limit. The advisory lock would not hold behind it.
	var limited bool
	err = m.pool.QueryRow(ctx, `SELECT current_setting('lock_timeout')::interval = ($1::text || ' ms')::interval`,
		pgx.QueryExecModeExec, milliseconds(migrationLockTimeout)).Scan(&limited)
	if err == nil && !limited {
		err = errPooler
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the limits of the connection: %w", err), connection.Close())
	}
	for waited := false; ; waited = true {
		var locked bool
		if err := connection.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, migrationLock).Scan(&locked); err != nil {
			return nil, errors.Join(fmt.Errorf("lock the schema: %w", err), connection.Close())
		}
		if locked {
			break
		}
		if !waited {
			m.log.Info("Another process migrates this database, waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for another migration: %w", ctx.Err()), connection.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
	return func() {
		// The server also releases the lock when the connection closes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), migrationLockTimeout)
		defer cancel()
		_, err := connection.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, migrationLock)
		if err := errors.Join(err, connection.Close()); err != nil {
			m.log.Warn("Schema lock was not released", "error", err)
		}
	}, nil
}
