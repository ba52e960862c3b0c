package postgres_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestMonitor_FindsAFullDiskThroughTheGuard(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	guard, db := guarded(t, address, time.Minute, 100)
	monitor, log := newMonitor(t, address, guard)
	require.NoError(t, monitor.Check(bounded(t, patience)))

	_, err := db.Exec(t.Context(), `DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)

	requireUnavailable(t, err)
	require.ErrorIs(t, monitor.Check(bounded(t, patience)), postgres.ErrDiskFull)
	require.Empty(t, log.String())
}

func TestMonitor_ForgetsAFullDiskSoonAfterAWriteSucceeds(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	guard, db := guarded(t, address, time.Minute, 100)
	monitor, _ := newMonitor(t, address, guard)
	_, err := db.Exec(t.Context(), `CREATE TABLE notes (text text)`)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), `DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)
	requireUnavailable(t, err)
	full := time.Now()

	_, err = db.Exec(t.Context(), `SELECT count(*) FROM notes`)
	require.NoError(t, err)
	for time.Since(full) < 3*time.Second {
		require.ErrorIs(t, monitor.Check(bounded(t, patience)), postgres.ErrDiskFull, "a read says nothing")
	}
	_, err = db.Exec(t.Context(), `INSERT INTO notes VALUES ('there is space again')`)
	require.NoError(t, err)

	stacktest.Eventually(t, func() bool { return monitor.Check(bounded(t, patience)) == nil })
	require.Less(t, time.Since(full), 20*time.Second)
}

func TestMonitor_ToleratesAReadOnlyDatabaseForAShortTime(t *testing.T) {
	t.Parallel()
	monitor, log := newMonitor(t, with(t, pgtest.URL(t, one), "default_transaction_read_only", "on"), nil)

	require.ErrorIs(t, monitor.Check(bounded(t, patience)), postgres.ErrReadOnlyRecently)

	require.Contains(t, log.String(), `msg="Backend call failed" backend=pg source=Probe.Check`)
	notRecent := func() bool { return !errors.Is(monitor.Check(bounded(t, patience)), postgres.ErrReadOnlyRecently) }
	stacktest.Eventually(t, notRecent)
	require.ErrorIs(t, monitor.Check(bounded(t, patience)), postgres.ErrReadOnly)
}

func TestMonitor_LogsAnOldSchemaOnceWithTheVersions(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	monitor, log := newMonitor(t, address, nil)

	for range 20 {
		require.ErrorIs(t, monitor.Check(bounded(t, patience)), postgres.ErrSchemaOld)
	}

	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.Regexp(t, `level=WARN msg="Program waits for a migration" error=".*: run app migrate" `+
		`database_has="River 0, runtime 0, application 0" program_needs="River [1-9]\d*, runtime [1-9]\d*, application 1"`, log.String())
	_, err := newMigrator(t, address, one).Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, monitor.Check(bounded(t, patience)))
	require.Contains(t, log.String(), `level=INFO msg="Schema of the database is new enough"`)
}

// Private

func newMonitor(t *testing.T, address string, guard *postgres.Guard) (*postgres.Monitor, *stacktest.Journal) {
	t.Helper()
	log := &stacktest.Journal{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	return postgres.NewMonitor(newProbe(t, address), guard, telemetry.NewReporter(logger, prometheus.NewRegistry()), logger), log
}
