package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// ErrSchemaOld means that the database lacks migrations that this build needs. A
// newer schema is no error, because an older build works with it.
var ErrSchemaOld = errors.New("the database schema is older than this program needs: run app migrate")

// String names the newest migration of each set, and 0 for a set that was never
// applied.
func (s Schema) String() string {
	return fmt.Sprintf("River %d, runtime %d, application %d", s.river, s.runtime, s.application)
}

// Schema is a version of the database schema.
type Schema struct {
	river       int
	runtime     int64
	application int64
}

// NeededSchema returns the version that this build needs, from the numbers of the
// application's migrations, which may be nil, and of those in this package and in
// River.
func NeededSchema(migrations fs.FS) (Schema, error) {
	var needed Schema
	runtime, err := readMigrations(runtimeMigrations())
	if err != nil {
		return Schema{}, err
	}
	application, err := readMigrations(migrations)
	if err != nil {
		return Schema{}, err
	}
	needed.runtime, needed.application = newest(runtime), newest(application)
	river, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err != nil {
		return Schema{}, fmt.Errorf("read River's migrations: %w", err)
	}
	for _, version := range river.AllVersions() {
		needed.river = max(needed.river, version.Version)
	}
	return needed, nil
}

// querier is a connection or a pool.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Check returns ErrSchemaOld when the database's schema is older than s, and
// another error when it cannot read the version.
func (s Schema) Check(ctx context.Context, db querier) error {
	application := `SELECT max(version_id) FROM ` + applicationVersions + ` WHERE is_applied`
	if s.application == 0 {
		application = `SELECT 0` // without migrations of the application, the table does not exist
	}
	var found Schema
	err := db.QueryRow(ctx, `
		SELECT coalesce((SELECT max(version) FROM river_migration WHERE line = 'main'), 0),
		       coalesce((SELECT max(version_id) FROM `+runtimeVersions+` WHERE is_applied), 0),
		       coalesce((`+application+`), 0)`,
	).Scan(&found.river, &found.runtime, &found.application)

	var problem *pgconn.PgError
	if errors.As(err, &problem) && (problem.Code == "42P01" || problem.Code == "42703") {
		return &schemaOldError{needed: s} // undefined_table or undefined_column: never migrated, or very long ago
	}
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if found.river < s.river || found.runtime < s.runtime || found.application < s.application {
		return &schemaOldError{found: found, needed: s}
	}
	return nil
}

// Private

// schemaOldError is an ErrSchemaOld that knows the versions.
type schemaOldError struct{ found, needed Schema }

func (e *schemaOldError) Error() string { return ErrSchemaOld.Error() }
func (e *schemaOldError) Unwrap() error { return ErrSchemaOld }
func (e *schemaOldError) Class() string { return "schema" }

// newest returns the number of the last of the migrations, which are in order, and 0
// when there are none.
func newest(migrations []migrationFile) int64 {
	if len(migrations) == 0 {
		return 0
	}
	return migrations[len(migrations)-1].version
}
