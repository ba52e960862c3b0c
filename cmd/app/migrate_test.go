package main

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestMigrateStatus_ListsWhatDiffersAndWhatOnlyTheDatabaseHas(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (7, true)`)
	d.execute(`INSERT INTO migration_identities VALUES ('application', 7, '00007_of_a_newer_build.sql', 'hash')`)

	output := d.exits(exitOK, "migrate", "status")
	require.Regexp(t, `(?m)^00001_create_notes.sql +applied 20\S+Z$`, output)
	require.Regexp(t, `(?m)^00007_of_a_newer_build.sql +applied 20\S+Z, unknown to this build$`, output)

	d.execute(`UPDATE migration_identities SET name = '00001_create_boats.sql', hash = 'another' WHERE owner = 'application' AND version = 1`)
	output = d.exits(exitFailed, "migrate", "status")
	require.Regexp(t, `(?m)^00001_create_notes.sql +differs: .*00001_create_boats.sql.*rename it to the next free number, 00008$`, output)
	require.Contains(t, d.exits(exitFailed, "migrate"), "app: migration 00001_create_notes.sql: the database has applied another migration")
}

func TestMigrateDown_IsForDevelopment(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	d.environment["APP_ENV"] = "production"
	require.Contains(t, d.exits(exitUsage, "migrate", "down"), "development only")
	require.Zero(t, d.query(`SELECT count(*) FROM notes`))

	d.environment["APP_ENV"] = "development"
	require.Contains(t, d.exits(exitOK, "migrate", "down"), "Took back 00001_create_notes.sql.")
	require.Contains(t, d.exits(exitFailed, "migrate", "status"), "1 migrations are missing")
	require.Contains(t, d.exits(exitOK, "migrate"), "Migrations applied: 1.")
}

func TestMigrate_SaysInWordsWhyTheDatabaseRefusesIt(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))
	address, err := url.Parse(d.databaseURL)
	require.NoError(t, err)
	address.Path = "/mistyped"
	d.environment["DATABASE_URL"] = address.String()

	require.Contains(t, d.exits(exitFailed, "migrate"), "app: the database does not exist on its server: correct its name in DATABASE_URL")
}

// Private

// exits runs a command, requires its exit code, and returns what it has printed.
func (d *deployment) exits(code int, args ...string) string {
	d.t.Helper()
	return d.exitsWith(nil, code, args...)
}

// exitsWith is exits with more environment variables.
func (d *deployment) exitsWith(more []string, code int, args ...string) string {
	d.t.Helper()
	p := d.launch(more, args...)
	<-p.done
	require.Equal(d.t, code, p.cmd.ProcessState.ExitCode(), p.output.String())
	return p.output.String()
}
