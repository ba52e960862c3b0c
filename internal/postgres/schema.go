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

// ErrSchemaOld means that the database lacks migrations that this build needs. A
// newer schema is no error, because an older build works with it.
var ErrSchemaOld = errors.New("the database schema is older than this program needs: run app migrate")

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
	var err error
	if needed.runtime, err = newest(runtimeMigrations()); err != nil {
		return Schema{}, err
	}
	if migrations != nil {
		if needed.application, err = newest(migrations); err != nil {
			return Schema{}, err
		}
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

// querier is a connection or a pool.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Check returns ErrSchemaOld when the database's schema is older than s, and
// another error when it cannot read the version.
func (s Schema) Check(ctx context.Context, db querier) error {
	application := `SELECT max(version_id) FROM goose_db_version WHERE is_applied`
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
		return ErrSchemaOld // undefined_table or undefined_column: never migrated, or very long ago
	}
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if found.river < s.river || found.runtime < s.runtime || found.application < s.application {
		return ErrSchemaOld
	}
	return nil
}

// Private

// newest returns the greatest number of a set of migrations.
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
