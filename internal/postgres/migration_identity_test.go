package postgres_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestMigrate_RefusesAnotherFileUnderANumber(t *testing.T) {
	t.Parallel()
	const boats = "-- +goose Up\nCREATE TABLE boats (name text);\n"
	mugs := string(one.(fstest.MapFS)["00001_create_mugs.sql"].Data)
	for name, branch := range map[string]struct {
		files map[string]string
		says  string
	}{
		"another branch took the number": {
			map[string]string{"00001_create_mugs.sql": mugs, "00002_create_boats.sql": boats, "00003_colour.sql": boats},
			"migration 00002_create_boats.sql: the database has applied another migration under this number, 00002_create_lamps.sql, " +
				"so this one never ran: rename it to the next free number, 00004",
		},
		"the file was changed": {
			map[string]string{"00001_create_mugs.sql": mugs + "-- a comment\n"},
			"migration 00001_create_mugs.sql: the file has changed since the database applied it: restore it",
		},
		"the file was renamed": {
			map[string]string{"00001_mugs.sql": mugs},
			"migration 00001_mugs.sql: the database has applied this file as 00001_create_mugs.sql: give the file that name again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := pgtest.URL(t, two)
			files := fstest.MapFS{}
			for file, content := range branch.files {
				files[file] = &fstest.MapFile{Data: []byte(content)}
			}

			applied, err := newMigrator(t, address, files).Migrate(bounded(t, patience))

			require.Zero(t, applied)
			require.ErrorContains(t, err, branch.says)
			require.False(t, exists(t, openDatabase(t, address), "boats"), "nothing ran")
			require.Len(t, problems(t, address, files), 1)
			require.Zero(t, migrate(t, address, two), "the right files are still accepted")
		})
	}
}

func TestMigrate_RefusesANumberThatTheDatabaseIsPast(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	lamps := &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE lamps (name text);\n")}
	boats := &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE boats (name text);\n")}
	migrate(t, address, fstest.MapFS{"00003_create_lamps.sql": lamps})

	for _, files := range []fstest.MapFS{
		{"00002_create_boats.sql": boats, "00003_create_lamps.sql": lamps},
		{"00002_create_boats.sql": boats},
	} {
		_, err := newMigrator(t, address, files).Migrate(t.Context())

		require.EqualError(t, err, "migration 00002_create_boats.sql: the database has not applied it, "+
			"and is already at 00003_create_lamps.sql: rename it to the next free number, 00004")
	}
}

func TestMigrate_AdoptsADatabaseThatWasMigratedBefore(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	db := openDatabase(t, address)
	execute(t, db, `DROP TABLE migration_identities`)
	require.Empty(t, problems(t, address, one))

	require.Zero(t, migrate(t, address, one))

	edited := fstest.MapFS{"00001_create_mugs.sql": {Data: []byte("-- +goose Up\nCREATE TABLE mugs (name text);\n")}}
	_, err := newMigrator(t, address, edited).Migrate(t.Context())
	require.ErrorContains(t, err, "the file has changed")
	var named int
	require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM migration_identities`).Scan(&named))
	all, err := newMigrator(t, address, one).Status(t.Context())
	require.NoError(t, err)
	require.Len(t, all, named, "River's and the runtime's too")
}

func TestMigrate_ChecksTheIdentityOfEveryOwner(t *testing.T) {
	t.Parallel()
	for change, says := range map[string]string{
		`SET hash = 'another' WHERE owner = 'runtime' AND version = 1`: "migration runtime 00001_create_job_tables.sql: ",
		`SET name = 'another' WHERE owner = 'river' AND version = 3`:   `has applied "another": use the version of River`,
	} {
		address := pgtest.URL(t, one)
		execute(t, openDatabase(t, address), `UPDATE migration_identities `+change)

		_, err := newMigrator(t, address, one).Migrate(t.Context())

		require.ErrorContains(t, err, says)
	}
}

func TestMigrate_DoesNotMindTheEndsOfLines(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	content := strings.ReplaceAll(string(one.(fstest.MapFS)["00001_create_mugs.sql"].Data), "\n", "\r\n")

	require.Zero(t, migrate(t, address, fstest.MapFS{"00001_create_mugs.sql": {Data: []byte(content)}}))
}

func TestDown_TakesBackOneMigrationAtATime(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	reversible := fstest.MapFS{}
	for name, table := range map[string]string{"00001_create_mugs.sql": "mugs", "00002_create_lamps.sql": "lamps"} {
		content := "-- +goose Up\nCREATE TABLE " + table + " (name text);\n\n-- +goose Down\n-- It was empty.\n\nDROP TABLE " + table + ";\n"
		reversible[name] = &fstest.MapFile{Data: []byte(content)}
	}
	migrate(t, address, reversible)
	db := openDatabase(t, address)
	before := columns(t, db)

	require.Equal(t, "00002_create_lamps.sql", down(t, address, reversible))
	require.False(t, exists(t, db, "lamps"))
	require.True(t, exists(t, db, "mugs"))
	require.Equal(t, 1, migrate(t, address, reversible))
	require.Equal(t, before, columns(t, db))

	// After the application's, the runtime's are taken back, and River's stay.
	require.Equal(t, "00002_create_lamps.sql", down(t, address, reversible))
	require.Equal(t, "00001_create_mugs.sql", down(t, address, reversible))
	for last := ""; ; {
		name := down(t, address, reversible)
		if name == "" {
			require.Equal(t, "runtime 00001_create_job_tables.sql", last)
			break
		}
		last = name
	}
	require.False(t, exists(t, db, "job_processes"))
	require.True(t, exists(t, db, "river_job"))
	migrate(t, address, reversible)
	require.Equal(t, before, columns(t, db))
}

func TestDown_RefusesWhatItCannotTakeBack(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, two)
	lamps := "-- +goose Up\nCREATE TABLE lamps (name text PRIMARY KEY);\n-- +goose Down\nDROP TABLE lamps;\n"
	edited := fstest.MapFS{
		"00001_create_mugs.sql":  one.(fstest.MapFS)["00001_create_mugs.sql"],
		"00002_create_lamps.sql": {Data: []byte(lamps)},
	}
	another := fstest.MapFS{
		"00001_create_mugs.sql":  one.(fstest.MapFS)["00001_create_mugs.sql"],
		"00002_create_boats.sql": {Data: []byte(strings.ReplaceAll(lamps, "lamps", "boats"))},
	}
	for says, files := range map[string]fs.FS{
		`take back 00002_create_lamps.sql: it has no section "-- +goose Down"`:                     two,
		"take back 00002_create_lamps.sql: this build does not have it":                            one,
		"take back 00002_create_boats.sql: the database has applied another migration under":       another,
		"take back 00002_create_lamps.sql: this build does not have it; use the build that has ap": nil,
	} {
		_, err := newMigrator(t, address, files).Down(t.Context())

		require.ErrorContains(t, err, says)
	}
	require.True(t, exists(t, openDatabase(t, address), "lamps"))

	// A file that changed under one name is what a developer takes back to apply it again.
	require.Equal(t, "00002_create_lamps.sql", down(t, address, edited))
	require.Equal(t, 1, migrate(t, address, edited))
}

// Private

func down(t *testing.T, address string, migrations fs.FS) string {
	t.Helper()
	name, err := newMigrator(t, address, migrations).Down(t.Context())
	require.NoError(t, err)
	return name
}

// problems are those that the status lists.
func problems(t *testing.T, address string, migrations fs.FS) (problems []string) {
	t.Helper()
	all, err := newMigrator(t, address, migrations).Status(t.Context())
	require.NoError(t, err)
	for _, migration := range all {
		if migration.Problem != "" {
			problems = append(problems, migration.Problem)
		}
	}
	return problems
}

func exists(t *testing.T, db *pgxpool.Pool, table string) (exists bool) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&exists))
	return exists
}

// columns describes all tables.
func columns(t *testing.T, db *pgxpool.Pool) (all string) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `
		SELECT string_agg(concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default), E'\n' ORDER BY table_name, column_name)
		FROM information_schema.columns
		WHERE table_schema = 'public'`).Scan(&all))
	return all
}
