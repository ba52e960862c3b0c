package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Private

// The version tables of goose and River hold only numbers. This table holds what
// file each number stood for when it was applied, so that two branches cannot take
// one number, and nobody edits a file that has been applied.
const createIdentities = `
	CREATE TABLE IF NOT EXISTS migration_identities (
	    owner   text NOT NULL CHECK (owner IN ('river', 'runtime', 'application')),
	    version bigint NOT NULL,
	    name    text NOT NULL,
	    hash    text NOT NULL, -- empty: only the name counts
	    PRIMARY KEY (owner, version)
	)`

// identity is what the database knows of a migration that was applied.
type identity struct{ name, hash string }

// identities returns what the table of identities holds, by owner and version. It
// is empty in a database that was migrated before there was such a table.
func (m *Migrator) identities(ctx context.Context) (map[string]map[int64]identity, error) {
	known := map[string]map[int64]identity{ownerRiver: {}, ownerRuntime: {}, ownerApplication: {}}
	exists, err := m.exists(ctx, "migration_identities")
	if err != nil || !exists {
		return known, err
	}
	rows, err := m.pool.Query(ctx, `SELECT owner, version, name, hash FROM migration_identities`)
	if err != nil {
		return nil, err
	}
	var owner string
	var version int64
	var one identity
	_, err = pgx.ForEachRow(rows, []any{&owner, &version, &one.name, &one.hash}, func() error {
		known[owner][version] = one
		return nil
	})
	return known, err
}

// identify stores the identities of this build's migrations: of those that are
// applied and have none yet, because they are older than the table, and of those
// that are about to be applied. The identity of a migration that is not applied,
// after a failure or after Down, means nothing, and the next call replaces it.
func (m *Migrator) identify(ctx context.Context, all []Migration) error {
	return pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		for _, migration := range all {
			if migration.Unknown {
				continue
			}
			_, err := tx.Exec(ctx, `
				INSERT INTO migration_identities (owner, version, name, hash) VALUES ($1, $2, $3, $4)
				ON CONFLICT (owner, version) DO UPDATE SET name = excluded.name, hash = excluded.hash`,
				migration.owner, migration.file.version, migration.file.name, migration.file.hash)
			if err != nil {
				return fmt.Errorf("store the identity of %s: %w", migration.Name, err)
			}
		}
		return nil
	})
}

// conflict says what is wrong when the database has applied another file under the
// number of a migration, and what to do. It returns "" when it has applied this one.
func conflict(owner string, file migrationFile, applied identity, next int64) string {
	switch {
	case file.name == applied.name && (file.hash == applied.hash || applied.hash == ""):
		return ""
	case owner == ownerRiver:
		return fmt.Sprintf("the database has applied %q: use the version of River that has migrated it", applied.name)
	case file.name == applied.name:
		return "the file has changed since the database applied it: restore it, and put the change into a new migration " +
			"(in development: app migrate down, then app migrate)"
	case file.hash == applied.hash:
		return fmt.Sprintf("the database has applied this file as %s: give the file that name again", applied.name)
	}
	return fmt.Sprintf("the database has applied another migration under this number, %s, so this one never ran: "+
		"rename it to the next free number, %05d", applied.name, next)
}

// late says what is wrong when the database is already past a migration that it
// has not applied.
func late(newest string, next int64) string {
	return fmt.Sprintf("the database has not applied it, and is already at %s: rename it to the next free number, %05d", newest, next)
}

// checkIdentities returns an error that names every migration with a problem.
func checkIdentities(all []Migration) error {
	var problems []error
	for _, migration := range all {
		if migration.Problem != "" {
			problems = append(problems, fmt.Errorf("migration %s: %s", migration.Name, migration.Problem))
		}
	}
	return errors.Join(problems...)
}
