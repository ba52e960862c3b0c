package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

func TestWriteProbe_FindsThatCommitsHang(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL(), one)
	guard, db := guarded(t, server.URL(), time.Minute, 100)
	probe, log := newWriteProbe(db, guard)
	check := func() error { return probe.Check(bounded(t, 500*time.Millisecond)) }
	require.NoError(t, probe.Check(bounded(t, patience)))

	standby(t, server.URL(), `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	stacktest.Eventually(t, func() bool { return check() != nil })
	for range 5 {
		require.ErrorIs(t, check(), postgres.ErrCommits, "it is steady")
	}

	requireUnavailable(t, check())
	require.Contains(t, log.String(), "class=commits")
	require.Contains(t, log.String(), "synchronous_standby_names")
	stacktest.Eventually(t, func() bool { return waitingForStandby(t, db) == 0 }) // no probe leaves a connection behind

	// The pool is kept free for reads.
	for _, statement := range []string{
		`INSERT INTO mugs VALUES ('blue', 100)`, "\n\tupdate mugs SET price = 1", `DELETE FROM mugs`,
		`WITH gone AS (DELETE FROM mugs RETURNING price) SELECT count(*) FROM gone`,
	} {
		_, err := db.Exec(bounded(t, 5*time.Second), statement)
		require.ErrorIs(t, err, postgres.ErrCommits)
		requireUnavailable(t, err)
		require.False(t, postgres.Lost(err), "a retry would be refused too")
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT * FROM mugs`)
		return err
	}))

	standby(t, server.URL(), `ALTER SYSTEM RESET synchronous_standby_names`)
	stacktest.Eventually(t, func() bool { return check() == nil })
	execute(t, db, `INSERT INTO mugs VALUES ('blue', 100)`)
}

func TestWriteProbe_FindsNothingWrongWithAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	probe, _ := newWriteProbe(openDatabase(t, with(t, server.URL(), "default_transaction_read_only", "on")), nil)

	require.NoError(t, probe.Check(bounded(t, patience)))
}

func TestWriteProbe_DoesNotTakeARestartOrAFreezeForHangingCommits(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	db := openDatabase(t, server.URL())
	probe, _ := newWriteProbe(db, nil)
	require.NoError(t, probe.Check(bounded(t, patience)))

	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, probe.Check(bounded(t, patience)))

	require.NoError(t, server.Freeze())
	err := probe.Check(bounded(t, 300*time.Millisecond))
	require.NotErrorIs(t, err, postgres.ErrCommits)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, server.Thaw())
	stacktest.Eventually(t, func() bool { return probe.Check(bounded(t, patience)) == nil })
}

// Private

func newWriteProbe(db *pgxpool.Pool, guard *postgres.Guard) (*postgres.WriteProbe, *stacktest.Journal) {
	log := &stacktest.Journal{}
	reporter := telemetry.NewReporter(slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	return postgres.NewWriteProbe(db, guard, reporter), log
}

// standby changes a setting of the server, over a connection of its own.
func standby(t *testing.T, address, statement string) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer admin.Close(context.Background())
	for _, one := range []string{statement, `SELECT pg_reload_conf()`} {
		_, err := admin.Exec(t.Context(), one)
		require.NoError(t, err)
	}
}

func waitingForStandby(t *testing.T, db *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&n))
	return n
}
