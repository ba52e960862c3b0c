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

// Migrator migrates one database: River's migrations first, then the runtime's and
// the application's.
type Migrator struct {
	pool        *pgxpool.Pool
	db          *sql.DB // the same pool, for goose
	river       *rivermigrate.Migrator[pgx.Tx]
	runtime     *goose.Provider
	application *goose.Provider // nil: there are no migrations
	log         *slog.Logger

	runtimeFiles, applicationFiles []migrationFile
}

// NewMigrator returns a migrator for the database at url. The application's
// migrations are numbered SQL files in the format of goose, or nil when it has
// none. It does not connect. Close it after use.
func NewMigrator(ctx context.Context, url string, connectTimeout time.Duration, migrations fs.FS, log *slog.Logger) (*Migrator, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 4 // one connection holds the lock, others migrate
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = "app migrate"
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(migrationLockTimeout)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}

	m := &Migrator{pool: pool, db: stdlib.OpenDBFromPool(pool), log: log}
	table := goose.WithTableName(runtimeVersions)
	if m.runtime, err = goose.NewProvider(goose.DialectPostgres, m.db, runtimeMigrations(), table); err != nil {
		return nil, errors.Join(fmt.Errorf("read the runtime's migrations: %w", err), m.Close())
	}
	if migrations != nil {
		if m.application, err = goose.NewProvider(goose.DialectPostgres, m.db, migrations); err != nil {
			return nil, errors.Join(fmt.Errorf("read the application's migrations: %w", err), m.Close())
		}
	}
	if m.runtimeFiles, err = readMigrations(runtimeMigrations()); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if m.applicationFiles, err = readMigrations(migrations); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	noLog := &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)}
	if m.river, err = rivermigrate.New(riverpgxv5.New(pool), noLog); err != nil {
		return nil, errors.Join(fmt.Errorf("read River's migrations: %w", err), m.Close())
	}
	return m, nil
}

// Close closes the connections.
func (m *Migrator) Close() error {
	err := m.db.Close()
	m.pool.Close()
	return err
}

// Migrate applies the pending migrations and returns their number, also when one
// fails. It applies none when the database has applied another file under the number
// of one of them. Any number of processes may call it at once: one migrates, the
// others wait.
func (m *Migrator) Migrate(ctx context.Context) (int, error) {
	all, unlock, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()

	if err := checkIdentities(all); err != nil {
		return 0, err
	}
	if err := m.identify(ctx, all); err != nil {
		return 0, err
	}
	applied := 0
	river, err := m.river.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return applied, fmt.Errorf("migrate River's tables: %w", err)
	}
	for _, version := range river.Versions {
		applied++
		m.logApplied(riverName(version.Version, version.Name), version.Duration)
	}
	for _, own := range []struct {
		owner      string
		migrations *goose.Provider
	}{{"runtime", m.runtime}, {"application", m.application}} {
		migrated, err := m.up(ctx, own.migrations)
		applied += migrated
		if err != nil {
			return applied, fmt.Errorf("migrate the %s's tables: %w", own.owner, err)
		}
	}
	return applied, nil
}

// Down takes back the newest migration of the application or, when none of those is
// applied, of the runtime, and returns its name. It returns "" when none is applied.
// River's migrations stay. It is for development: older code runs on a newer schema.
func (m *Migrator) Down(ctx context.Context) (string, error) {
	all, unlock, err := m.begin(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()

	newest := newestApplied(all)
	provider := map[string]*goose.Provider{ownerRuntime: m.runtime, ownerApplication: m.application}[newest.owner]
	switch {
	case !newest.Applied:
		return "", nil
	case newest.Unknown || provider == nil:
		return "", fmt.Errorf("take back %s: this build does not have it; use the build that has applied it", newest.Name)
	case newest.renamed:
		return "", fmt.Errorf("take back %s: %s", newest.Name, newest.Problem)
	case !newest.file.takeBack:
		return "", fmt.Errorf(`take back %s: it has no section "-- +goose Down"`, newest.Name)
	}
	if _, err := provider.ApplyVersion(ctx, newest.file.version, false); err != nil {
		return "", fmt.Errorf("take back %s: %w", newest.Name, err)
	}
	return newest.Name, nil
}

// Private

// begin waits until no other process migrates the database, and returns the
// migrations as they are then.
func (m *Migrator) begin(ctx context.Context) (all []Migration, unlock func(), err error) {
	if unlock, err = m.lock(ctx); err != nil {
		return nil, nil, err
	}
	if _, err = m.pool.Exec(ctx, createIdentities); err != nil {
		err = fmt.Errorf("create the table of identities: %w", err)
	} else {
		all, err = m.Status(ctx)
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return all, unlock, nil
}

// newestApplied returns the migration with the highest number that is applied: the
// application's or else the runtime's.
func newestApplied(all []Migration) (newest Migration) {
	for _, migration := range all {
		later := migration.owner != newest.owner || migration.file.version > newest.file.version
		if migration.Applied && migration.owner != ownerRiver && later {
			newest = migration
		}
	}
	return newest
}

// up applies the pending migrations of one provider and returns their number.
func (m *Migrator) up(ctx context.Context, migrations *goose.Provider) (int, error) {
	if migrations == nil {
		return 0, nil
	}
	results, err := migrations.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results, err = partial.Applied, fmt.Errorf("%s: %w", partial.Failed.Source.Path, partial.Err)
	}
	for _, result := range results {
		m.logApplied(result.Source.Path, result.Duration)
	}
	return len(results), err
}

func (m *Migrator) logApplied(name string, took time.Duration) {
	m.log.Info("Migration applied", "migration", name, "took", took.Round(time.Millisecond).String())
}
