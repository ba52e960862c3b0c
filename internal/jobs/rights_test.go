package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestRights_NamesWhatIsMissingAndTheGrant(t *testing.T) {
	t.Parallel()
	owner, worker := limitedUser(t)
	log := &journal{}
	rights := NewRights(worker.db, log.logger())
	require.NoError(t, rights.Check(t.Context()))
	require.Empty(t, log.String())

	for _, table := range neededTables {
		execute(t, owner, `REVOKE DELETE, UPDATE ON `+table+` FROM `+worker.role)
		want := table + ` lacks UPDATE, DELETE; GRANT UPDATE, DELETE ON TABLE ` + table + ` TO the user in DATABASE_URL`
		require.ErrorContains(t, rights.Check(t.Context()), want)
		require.ErrorContains(t, rights.Check(t.Context()), want)
		execute(t, owner, `GRANT UPDATE, DELETE ON TABLE `+table+` TO `+worker.role)
		require.NoError(t, rights.Check(t.Context()))
	}
	execute(t, owner, `REVOKE USAGE ON SEQUENCE river_job_id_seq FROM `+worker.role)
	require.ErrorContains(t, rights.Check(t.Context()), "GRANT USAGE ON SEQUENCE river_job_id_seq TO")
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), "the same failure is logged once a minute")
}

func TestRights_AreCheckedOnEveryTableOfTheRuntime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	notOfWorkers := []string{
		"things",                                                                         // of the application
		"goose_db_version", "runtime_version", "migration_identities", "river_migration", // of app migrate
		"river_notification", // River uses it with other databases
	}

	made, err := db.Query(t.Context(), `
		SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() AND tablename <> ALL($1)`, notOfWorkers)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(made, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, tables, neededTables)

	made, err = db.Query(t.Context(), `
		SELECT pg_get_serial_sequence(relation, attname)
		FROM unnest($1::text[]) AS relation JOIN pg_attribute ON attrelid = relation::regclass
		WHERE attnum > 0 AND attidentity = '' AND pg_get_serial_sequence(relation, attname) IS NOT NULL`, neededTables)
	require.NoError(t, err)
	sequences, err := pgx.CollectRows(made, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, sequences, len(neededSequences))
	for i, sequence := range sequences {
		require.Equal(t, "public."+neededSequences[i], sequence)
	}
}

func TestSweep_LogsTheSameFailureOnceAMinute(t *testing.T) {
	t.Parallel()
	owner, worker := limitedUser(t)
	execute(t, owner, `REVOKE ALL ON key_waiters FROM `+worker.role)
	log := &journal{}
	lock := newKeyLock(worker.db, nil, log.logger())

	for range 5 {
		lock.sweepOrLog(t.Context())
	}
	require.Len(t, linesWith(log, "level=WARN"), 1)
	require.Contains(t, log.String(), "permission denied for table key_waiters")

	execute(t, owner, `GRANT ALL ON key_waiters TO `+worker.role)
	lock.sweepOrLog(t.Context())
	require.Contains(t, log.String(), `msg="Work that waits for a key is checked again" failures=5`)
}

func TestPGWorker_LogsAFailingLoopOfRiverOnceAMinute(t *testing.T) {
	t.Parallel()
	log := &journal{}
	river := slog.New(newQuietRiver(log.logger())).With("client_id", "worker-1")

	for _, queue := range []string{"critical", "default", "critical", "low"} {
		river.Error("producer: Error fetching jobs", "err", "permission denied", "queue", queue)
	}
	for id := range 3 {
		river.Error("jobexecutor.JobExecutor: Error completing job", "err", "permission denied", "job_id", id)
	}

	require.Len(t, linesWith(log, "Error fetching jobs"), 1)
	require.Len(t, linesWith(log, "Error completing job"), 3)
}

// Private

// limited is a database user that may do what a worker does, and a pool of its own.
type limited struct {
	role string
	db   *pgxpool.Pool
}

func limitedUser(t *testing.T) (owner *pgxpool.Pool, worker limited) {
	t.Helper()
	address := pgtest.URL(t, migrations)
	owner = openDatabase(t, address)
	role := fmt.Sprintf("worker_%d", time.Now().UnixNano())
	execute(t, owner, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	t.Cleanup(func() {
		_, err := owner.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role)
		require.NoError(t, err)
	})
	execute(t, owner, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO `+role)
	execute(t, owner, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO `+role)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.UserPassword(role, "secret")
	return owner, limited{role, openDatabase(t, parsed.String())}
}
