package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// Migration is one step of the schema.
type Migration struct {
	Name      string
	Applied   bool
	AppliedAt time.Time // zero when pending, and for River's
}

// Status returns all migrations of this build in order: River's, the runtime's,
// the application's.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	applied, err := m.riverVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}

	var all []Migration
	for _, version := range m.river.AllVersions() {
		all = append(all, Migration{Name: riverName(version.Version, version.Name), Applied: applied[version.Version]})
	}
	for _, own := range []struct {
		prefix     string
		migrations *goose.Provider
	}{{"runtime ", m.runtime}, {"", m.application}} {
		if own.migrations == nil {
			continue
		}
		statuses, err := own.migrations.Status(ctx)
		if err != nil {
			return nil, fmt.Errorf("read which %smigrations are applied: %w", own.prefix, err)
		}
		for _, status := range statuses {
			all = append(all, Migration{
				Name: own.prefix + status.Source.Path, Applied: status.State == goose.StateApplied, AppliedAt: status.AppliedAt,
			})
		}
	}
	return all, nil
}

// Private

// riverVersions returns the versions of River's migrations in the database. River's
// own function fails when a newer build has migrated, as before a rollback.
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
