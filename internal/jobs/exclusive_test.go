package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"syscall"
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

func TestExclusive_KeepsNoLockOfARunThatEndsWhileTheDatabaseIsFrozen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	e := newExclusive(db)
	e.within = 300 * time.Millisecond
	began, finish, ended := make(chan struct{}), make(chan struct{}), make(chan struct{}, 2)
	go func() {
		_ = e.run(t.Context(), onePerStore, []byte("1"), func(context.Context) error { close(began); <-finish; return nil })
		ended <- struct{}{}
	}()
	receive(t, began)
	thaw := freezeLocks(t, db)
	go func() {
		_ = e.run(t.Context(), onePerStore, []byte("2"), func(context.Context) error { return nil })
		ended <- struct{}{}
	}()
	require.Eventually(t, func() bool { return len(e.turn) == 1 }, patience, time.Millisecond)

	close(finish)
	receive(t, ended)
	thaw()
	receive(t, ended)

	for _, key := range []string{"1", "2"} {
		require.Eventually(t, func() bool {
			return e.run(t.Context(), onePerStore, []byte(key), func(context.Context) error { return nil }) == nil
		}, patience, 10*time.Millisecond, key)
	}
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

// freezeLocks freezes the server's side of the connection that holds locks.
func freezeLocks(t *testing.T, db *pgxpool.Pool) (thaw func()) {
	t.Helper()
	pid := count(t, db, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	thaw = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(thaw)
	return thaw
}

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
