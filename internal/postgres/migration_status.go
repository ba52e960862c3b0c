package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Migration is one step of the schema.
type Migration struct {
	Name      string
	Applied   bool
	AppliedAt time.Time // zero when pending, and for River's
	Unknown   bool      // the database has applied it, and this build does not have it: a newer one may
	Problem   string    // why Migrate refuses to run, and what to do; empty when all is well

	owner   string
	renamed bool          // the database has applied another file under its number
	file    migrationFile // of this build; only the version when Unknown
}

// Status returns all migrations in order: River's, the runtime's, the
// application's; of each those of this build, and then those that only the
// database knows.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	identities, err := m.identities(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the identities of migrations: %w", err)
	}
	var all []Migration
	for _, own := range []struct {
		owner, prefix, table, versions string
		files                          []migrationFile
	}{
		{ownerRiver, "", "river_migration", `SELECT version, NULL::timestamptz FROM river_migration`, riverMigrations(m.river)},
		{ownerRuntime, "runtime ", runtimeVersions, gooseVersions(runtimeVersions), m.runtimeFiles},
		{ownerApplication, "", applicationVersions, gooseVersions(applicationVersions), m.applicationFiles},
	} {
		applied, err := m.applied(ctx, own.table, own.versions)
		if err != nil {
			return nil, fmt.Errorf("read which migrations of the %s are applied: %w", own.owner, err)
		}
		for _, migration := range compare(own.owner, own.files, applied, identities[own.owner]) {
			migration.Name = own.prefix + migration.Name
			all = append(all, migration)
		}
	}
	return all, nil
}

// Private

// gooseVersions returns a query of the applied versions in a table of goose, which
// also holds a version 0.
func gooseVersions(table string) string {
	return `SELECT version_id, tstamp::timestamptz FROM ` + table + ` WHERE is_applied AND version_id > 0`
}

// compare returns the migrations of one owner: those of the build, with what the
// database knows of them, and those that only the database has.
func compare(owner string, files []migrationFile, applied map[int64]*time.Time, identities map[int64]identity) []Migration {
	var all []Migration
	newest, next := newestVersions(files, applied)
	named := map[int64]string{}
	for _, file := range files {
		named[file.version] = file.name
		migration := Migration{Name: file.name, owner: owner, file: file}
		at, is := applied[file.version]
		known, identified := identities[file.version]
		switch {
		case is && identified:
			migration.Problem = conflict(owner, file, known, next)
			migration.renamed = file.name != known.name
		case !is && file.version < newest && owner != ownerRiver:
			migration.Problem = late(cmp.Or(identities[newest].name, named[newest], fmt.Sprintf("version %d", newest)), next)
		}
		migration.Applied = is
		if at != nil {
			migration.AppliedAt = *at
		}
		all = append(all, migration)
	}
	for _, version := range slices.Sorted(maps.Keys(applied)) {
		if _, known := named[version]; known {
			continue
		}
		migration := Migration{
			Name:    cmp.Or(identities[version].name, fmt.Sprintf("version %d", version)),
			Applied: true, Unknown: true, owner: owner, file: migrationFile{version: version},
		}
		if at := applied[version]; at != nil {
			migration.AppliedAt = *at
		}
		all = append(all, migration)
	}
	return all
}

// newestVersions returns the newest applied version, and the next that neither the
// build nor the database has.
func newestVersions(files []migrationFile, applied map[int64]*time.Time) (newest, next int64) {
	for version := range applied {
		newest = max(newest, version)
	}
	next = newest
	for _, file := range files {
		next = max(next, file.version)
	}
	return newest, next + 1
}

// applied returns when each version in a table was applied. The time is nil for
// River's.
func (m *Migrator) applied(ctx context.Context, table, query string) (map[int64]*time.Time, error) {
	versions := map[int64]*time.Time{}
	exists, err := m.exists(ctx, table)
	if err != nil || !exists {
		return versions, err
	}
	rows, err := m.pool.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	var version int64
	var at *time.Time
	_, err = pgx.ForEachRow(rows, []any{&version, &at}, func() error {
		versions[version] = at
		return nil
	})
	return versions, err
}

func (m *Migrator) exists(ctx context.Context, table string) (exists bool, err error) {
	err = m.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&exists)
	return exists, err
}
