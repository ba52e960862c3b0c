package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres/pgtest"
)

func TestKeyLock_CancelsARunWhoseLockIsLost(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	one, other := newKeyLock(db, nil, slog.New(slog.DiscardHandler)), newKeyLock(db, nil, slog.New(slog.DiscardHandler))

	err := one.run(t.Context(), onePerStore, asTask("one"), []byte("1"), func(ctx context.Context) error {
		require.Error(t, other.run(t.Context(), onePerStore, asTask("other"), []byte("1"), func(context.Context) error { return nil }))
		execute(t, db, `SELECT pg_terminate_backend(pid) `+fromLocks)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
			return errors.New("its context was not cancelled")
		}
	})

	pause, snoozed := isSnooze(err)
	require.True(t, snoozed, err)
	require.Positive(t, pause)
	require.NoError(t, other.run(t.Context(), onePerStore, asTask("other"), []byte("1"), func(context.Context) error { return nil }))
	require.NoError(t, one.run(t.Context(), onePerStore, asTask("one"), []byte("1"), func(context.Context) error { return nil }))
}

func TestKeyLock_ReleasesTheLockOfARunThatEndsWhileTheDatabaseIsFrozen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	lock := newKeyLock(db, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, lock.run(t.Context(), onePerStore, asTask("lock"), []byte("0"), func(context.Context) error { return nil }))
	lock.timeout = 300 * time.Millisecond
	began, finish, ended := make(chan struct{}), make(chan struct{}), make(chan struct{}, 2)
	go func() {
		_ = lock.run(t.Context(), onePerStore, asTask("lock"), []byte("1"), func(context.Context) error { close(began); <-finish; return nil })
		ended <- struct{}{}
	}()
	receive(t, began)
	thaw := freezeLocks(t, db)
	go func() {
		_ = lock.run(t.Context(), onePerStore, asTask("lock"), []byte("2"), func(context.Context) error { return nil })
		ended <- struct{}{}
	}()
	stacktest.Eventually(t, func() bool { return len(lock.turn) == 1 })

	close(finish)
	receive(t, ended)
	thaw()
	receive(t, ended)

	for _, key := range []string{"1", "2"} {
		stacktest.Eventually(t, func() bool {
			return lock.run(t.Context(), onePerStore, asTask("lock"), []byte(key), func(context.Context) error { return nil }) == nil
		}, key)
	}
}

func TestKeyLock_UsesNoConnectionOfThePool(t *testing.T) {
	t.Parallel()
	db := smallPool(t, 2)
	lock := newKeyLock(db, nil, slog.New(slog.DiscardHandler))
	var nested func(key int) error
	nested = func(key int) error {
		if key == 0 {
			_, err := db.Exec(t.Context(), `SELECT 1`)
			return err
		}
		return lock.run(t.Context(), onePerStore, asTask("lock"), []byte{byte('0' + key)}, func(context.Context) error { return nested(key - 1) })
	}

	require.NoError(t, nested(5)) // five runs at the same time
}

// Private

var onePerStore = Declaration{Kind: "reconcile", Limit: Limit{Key: func(args json.RawMessage) string { return string(args) }, Max: 1}}

// asTask is a waiter, which no worker knows.
func asTask(id string) waiter { return taskWaiter(taskqueue.Run{ID: id, Queue: "default"}) }

// fromLocks are the key locks in the database of a test.
const fromLocks = `
	FROM pg_locks
	WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// freezeLocks freezes the server's side of the connection that holds locks.
func freezeLocks(t *testing.T, db *pgxpool.Pool) (thaw func()) {
	t.Helper()
	pid := count(t, db, `SELECT pid `+fromLocks)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	thaw = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(thaw)
	return thaw
}
