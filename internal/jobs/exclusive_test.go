package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestExclusive_TellsARunThatItsLockIsLost(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	one, other := newExclusive(db), newExclusive(db)

	err := one.run(t.Context(), onePerStore, []byte("1"), func(ctx context.Context) error {
		require.Error(t, other.run(t.Context(), onePerStore, []byte("1"), func(context.Context) error { return nil }))
		execute(t, db, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
			return errors.New("nobody told it")
		}
	})

	pause, later := isLater(err)
	require.True(t, later, err)
	require.Positive(t, pause)
	require.NoError(t, other.run(t.Context(), onePerStore, []byte("1"), func(context.Context) error { return nil }))
	require.NoError(t, one.run(t.Context(), onePerStore, []byte("1"), func(context.Context) error { return nil }))
}

func TestExclusive_LeavesThePoolToTheWork(t *testing.T) {
	t.Parallel()
	db := smallPool(t, 2)
	e := newExclusive(db)
	var nested func(key int) error
	nested = func(key int) error {
		if key == 0 {
			_, err := db.Exec(t.Context(), `SELECT 1`)
			return err
		}
		return e.run(t.Context(), onePerStore, []byte{byte('0' + key)}, func(context.Context) error { return nested(key - 1) })
	}

	require.NoError(t, nested(5)) // five runs at the same time
}

// Private

var onePerStore = Declaration{Kind: "reconcile", OneAtATime: func(args json.RawMessage) string { return string(args) }}

func smallPool(t *testing.T, size int) *pgxpool.Pool {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: pgtest.URL(t, migrations), Name: t.Name(), PoolSize: size, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}
