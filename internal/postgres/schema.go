package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// ErrSchemaOld tells that the database lacks migrations that this program
// needs. A newer schema is no error: migrations only ever add.
var ErrSchemaOld = errors.New("the database schema is older than this program needs: run app migrate")

// Schema is the version of the schema that this program needs.
type Schema struct {
	river   int
	runtime int64
	store   int64
}

// NeededSchema reads the version that is needed from the numbers of migrations.
func NeededSchema(migrations fs.FS) (Schema, error) {
	var needed Schema
	var err error
	if needed.runtime, err = newest(runtimeMigrations()); err != nil {
		return Schema{}, err
	}
	if needed.store, err = newest(migrations); err != nil {
		return Schema{}, err
	}
	river, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err != nil {
		return Schema{}, fmt.Errorf("read River's migrations: %w", err)
	}
	for _, version := range river.AllVersions() {
		needed.river = max(needed.river, version.Version)
	}
	return needed, nil
}

// Querier is a connection or a pool.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Check returns ErrSchemaOld when the database has not reached the schema yet.
func (s Schema) Check(ctx context.Context, db Querier) error {
	var found Schema
	err := db.QueryRow(ctx, `
		SELECT coalesce((SELECT max(version) FROM river_migration WHERE line = 'main'), 0),
		       coalesce((SELECT max(version_id) FROM `+runtimeVersions+` WHERE is_applied), 0),
		       coalesce((SELECT max(version_id) FROM goose_db_version WHERE is_applied), 0)`,
	).Scan(&found.river, &found.runtime, &found.store)

	var problem *pgconn.PgError
	if errors.As(err, &problem) && (problem.Code == "42P01" || problem.Code == "42703") {
		return ErrSchemaOld // no such table or column: never migrated, or very long ago
	}
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if found.river < s.river || found.runtime < s.runtime || found.store < s.store {
		return ErrSchemaOld
	}
	return nil
}

// Private

// newest is the greatest number of a set of migrations.
func newest(migrations fs.FS) (int64, error) {
	files, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	var last int64
	for _, file := range files {
		number, _, _ := strings.Cut(file, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s does not begin with a number", file)
		}
		last = max(last, version)
	}
	return last, nil
}
