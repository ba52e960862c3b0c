package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// migrationLock is the advisory lock that one migrating process holds.
const migrationLock int64 = 0x736c6970776179 // "slipway"

// migrationLockTimeout is how long a migration waits for a lock on a table
// before it gives up, so that it cannot queue up every query behind itself.
const migrationLockTimeout = 5 * time.Second

// Migrator brings one database to the schema that this program needs: River's
// own migrations, the runtime's and the store's.
type Migrator struct {
	pool    *pgxpool.Pool
	db      *sql.DB // the same pool, as goose wants it
	river   *rivermigrate.Migrator[pgx.Tx]
	runtime *goose.Provider
	store   *goose.Provider
	log     *slog.Logger
}

// NewMigrator prepares to migrate the database at url with the numbered SQL
// files of migrations. Close it after use.
func NewMigrator(ctx context.Context, url string, connectTimeout time.Duration, migrations fs.FS, log *slog.Logger) (*Migrator, error) {
	config, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 4 // one holds the lock while others work
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = "app migrate"
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(migrationLockTimeout)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}

	m := &Migrator{pool: pool, db: stdlib.OpenDBFromPool(pool), log: log}
	if m.runtime, err = goose.NewProvider(goose.DialectPostgres, m.db, runtimeMigrations(), goose.WithTableName(runtimeVersions)); err != nil {
		return nil, errors.Join(fmt.Errorf("read the runtime's migrations: %w", err), m.Close())
	}
	if m.store, err = goose.NewProvider(goose.DialectPostgres, m.db, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("read migrations: %w", err), m.Close())
	}
	if m.river, err = rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, errors.Join(fmt.Errorf("read River's migrations: %w", err), m.Close())
	}
	return m, nil
}

// Close ends the connections.
func (m *Migrator) Close() error {
	err := m.db.Close()
	m.pool.Close()
	return err
}

// Migrate applies what is missing and returns how many migrations that were.
// Any number of processes may call it at once: one works, the others wait.
func (m *Migrator) Migrate(ctx context.Context) (int, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()

	applied := 0
	river, err := m.river.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return applied, fmt.Errorf("migrate River's tables: %w", err)
	}
	for _, version := range river.Versions {
		applied++
		m.log.Info("Migrated", "migration", fmt.Sprintf("river %03d %s", version.Version, version.Name), "took", version.Duration.Round(time.Millisecond).String())
	}
	for _, own := range []struct {
		whose      string
		migrations *goose.Provider
	}{{"runtime", m.runtime}, {"store", m.store}} {
		migrated, err := m.up(ctx, own.migrations)
		applied += migrated
		if err != nil {
			return applied, fmt.Errorf("migrate the %s's tables: %w", own.whose, err)
		}
	}
	return applied, nil
}

// Migration is one step of the schema.
type Migration struct {
	Name      string
	Applied   bool
	AppliedAt time.Time // zero for River's and for pending ones
}

// Status lists all migrations, applied or not.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	applied, err := m.riverVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}

	var all []Migration
	for _, version := range m.river.AllVersions() {
		all = append(all, Migration{Name: fmt.Sprintf("river %03d %s", version.Version, version.Name), Applied: applied[version.Version]})
	}
	for _, own := range []struct {
		prefix     string
		migrations *goose.Provider
	}{{"runtime ", m.runtime}, {"", m.store}} {
		statuses, err := own.migrations.Status(ctx)
		if err != nil {
			return nil, fmt.Errorf("read which %smigrations are applied: %w", own.prefix, err)
		}
		for _, status := range statuses {
			all = append(all, Migration{Name: own.prefix + status.Source.Path, Applied: status.State == goose.StateApplied, AppliedAt: status.AppliedAt})
		}
	}
	return all, nil
}

// Private

// up applies what is missing of one set of migrations.
func (m *Migrator) up(ctx context.Context, migrations *goose.Provider) (int, error) {
	results, err := migrations.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results, err = partial.Applied, fmt.Errorf("%s: %w", partial.Failed.Source.Path, partial.Err)
	}
	for _, result := range results {
		m.log.Info("Migrated", "migration", result.Source.Path, "took", result.Duration.Round(time.Millisecond).String())
	}
	return len(results), err
}

// riverVersions are River's migrations that the database has. River's own list
// is an error where a newer build has been here, and after a rollback one has.
func (m *Migrator) riverVersions(ctx context.Context) (map[int]bool, error) {
	var migrated bool
	if err := m.pool.QueryRow(ctx, `SELECT to_regclass('river_migration') IS NOT NULL`).Scan(&migrated); err != nil || !migrated {
		return nil, err
	}
	rows, err := m.pool.Query(ctx, `SELECT version FROM river_migration`)
	if err != nil {
		return nil, err
	}
	versions, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, err
	}
	applied := map[int]bool{}
	for _, version := range versions {
		applied[version] = true
	}
	return applied, nil
}

// lock takes the advisory lock. It asks again and again instead of waiting
// inside PostgreSQL, because a waiting statement would hold up CREATE INDEX
// CONCURRENTLY of the process that has the lock.
func (m *Migrator) lock(ctx context.Context) (unlock func(), err error) {
	connection, err := m.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
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
		// The lock ends with its connection in any case.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), migrationLockTimeout)
		defer cancel()
		_, err := connection.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, migrationLock)
		if err := errors.Join(err, connection.Close()); err != nil {
			m.log.Warn("Schema lock was not released in order", "error", err)
		}
	}, nil
}
