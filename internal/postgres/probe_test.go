package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestProbe_SucceedsAgainAfterEveryOutage(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL(), one)
	probe := newProbe(t, server.URL())
	check := func() error { return probe.Check(bounded(t, 500*time.Millisecond)) }
	require.NoError(t, check())

	require.NoError(t, server.Kill())
	require.Error(t, check())
	require.Error(t, check())
	require.NoError(t, server.Restart(t.Context()))
	stacktest.Eventually(t, func() bool { return check() == nil })

	require.NoError(t, server.Freeze())
	started := time.Now()
	require.ErrorIs(t, check(), context.DeadlineExceeded)
	require.Error(t, check())
	require.Less(t, time.Since(started), 5*time.Second)
	require.NoError(t, server.Thaw())
	stacktest.Eventually(t, func() bool { return check() == nil })
}

func TestProbe_SucceedsWhileThePoolIsBusy(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	db := openWith(t, address, func(o *postgres.Options) { o.PoolSize = 1 })
	connection, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer connection.Release()

	require.NoError(t, newProbe(t, address).Check(bounded(t, patience)))
}

func TestProbe_AcceptsTheURLOfAPool(t *testing.T) {
	t.Parallel()
	address := with(t, pgtest.URL(t, one), "pool_max_conns", "20")

	require.NoError(t, openDatabase(t, address).Ping(t.Context()))
	require.NoError(t, newProbe(t, address).Check(bounded(t, patience)))
}

func TestProbe_FindsAnOldSchemaUntilItIsMigrated(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	probe := newProbe(t, address)
	require.ErrorIs(t, probe.Check(bounded(t, patience)), postgres.ErrSchemaOld)

	migrate(t, address, one)

	require.NoError(t, probe.Check(bounded(t, patience)))
}

func TestProbe_FindsAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL(), one)
	probe := newProbe(t, server.URL())
	db := openDatabase(t, server.URL())
	require.NoError(t, probe.Check(bounded(t, patience)))

	execute(t, db, `ALTER SYSTEM SET default_transaction_read_only = on`)
	execute(t, db, `SELECT pg_reload_conf()`)
	stacktest.Eventually(t, func() bool {
		return errors.Is(probe.Check(bounded(t, patience)), postgres.ErrReadOnly)
	})

	connection, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer connection.Release()
	for _, statement := range []string{
		`SET default_transaction_read_only = off`, `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`,
	} {
		_, err := connection.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	stacktest.Eventually(t, func() bool { return probe.Check(bounded(t, patience)) == nil })
}

// Private

func newProbe(t *testing.T, address string) *postgres.Probe {
	t.Helper()
	return postgres.NewProbe(openDatabase(t, address), schemaOf(t, one))
}
