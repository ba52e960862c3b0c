package postgres_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestOpen_AnIdlePoolSurvivesARestart(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*testing.T, *devstack.Postgres, *pgxpool.Pool){
		"fast shutdown": func(t *testing.T, server *devstack.Postgres, _ *pgxpool.Pool) {
			require.NoError(t, server.Restart(t.Context()))
		},
		"crash": func(t *testing.T, server *devstack.Postgres, _ *pgxpool.Pool) {
			require.NoError(t, server.Kill())
			require.NoError(t, server.Restart(t.Context()))
		},
		"pg_terminate_backend": func(t *testing.T, server *devstack.Postgres, _ *pgxpool.Pool) {
			execute(t, openDatabase(t, server.URL()),
				`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'app'`)
		},
		"reload of settings": func(t *testing.T, server *devstack.Postgres, _ *pgxpool.Pool) {
			admin := openDatabase(t, server.URL())
			execute(t, admin, `ALTER SYSTEM SET default_transaction_read_only = on`)
			execute(t, admin, `SELECT pg_reload_conf()`)
			reloaded := func() bool { return setting(t, admin, "default_transaction_read_only") == "on" }
			stacktest.Eventually(t, reloaded)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Postgres(t)
			db := openWith(t, server.URL(), func(o *postgres.Options) { o.Name, o.PoolSize = "app", 8 })
			fill(t, db)

			restart(t, server, db)

			var all sync.WaitGroup
			failures := make(chan error, 8)
			for range 8 {
				all.Go(func() {
					_, err := db.Exec(context.Background(), `SELECT 1`)
					failures <- err
				})
			}
			all.Wait()
			for range 8 {
				require.NoError(t, <-failures)
			}
		})
	}
}

func TestOpen_ClosesConnectionsToAReadOnlyServer(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, pgtest.URL(t, one))
	fill(t, db)
	require.EqualValues(t, 5, db.Stat().IdleConns())

	connection, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer connection.Release()
	_, err = connection.Exec(t.Context(), `SET default_transaction_read_only = on`)
	require.NoError(t, err)
	_, err = connection.Exec(t.Context(), `INSERT INTO mugs VALUES ('blue', 100)`)
	requireUnavailable(t, err)
	require.ErrorContains(t, err, "25006")

	require.True(t, connection.Conn().IsClosed(), "the server is read-only")
	require.Zero(t, db.Stat().IdleConns(), "the idle ones lead to the same server")
	connection.Release()
	execute(t, db, `INSERT INTO mugs VALUES ('blue', 100)`)
}

func TestOpen_OfSeveralServersUsesOneThatAcceptsWrites(t *testing.T) {
	t.Parallel()
	standby, primary := stacktest.Postgres(t), stacktest.Postgres(t)
	for _, server := range []*devstack.Postgres{standby, primary} {
		migrate(t, server.URL(), one)
	}
	execute(t, openDatabase(t, standby.URL()), `ALTER ROLE CURRENT_USER SET default_transaction_read_only = on`)
	both := hosts(t, standby, primary)
	account, err := url.Parse(both)
	require.NoError(t, err)
	password, _ := account.User.Password()
	admin := openDatabase(t, primary.URL())
	execute(t, admin, `ALTER ROLE CURRENT_USER PASSWORD '`+password+`'`) // one account on both

	execute(t, openDatabase(t, both), `INSERT INTO mugs VALUES ('blue', 100)`)
	require.NoError(t, newProbe(t, both).Check(bounded(t, patience)))

	// A single server is used even when it is read-only, and reads work.
	_, err = openDatabase(t, standby.URL()).Exec(t.Context(), `SELECT * FROM mugs`)
	require.NoError(t, err)
	require.ErrorIs(t, newProbe(t, standby.URL()).Check(bounded(t, patience)), postgres.ErrReadOnly)

	execute(t, admin, `ALTER ROLE CURRENT_USER SET default_transaction_read_only = on`)
	require.ErrorIs(t, newProbe(t, both).Check(bounded(t, patience)), postgres.ErrReadOnly)
	_, err = openDatabase(t, both).Exec(t.Context(), `SELECT 1`)
	requireUnavailable(t, err)
}

func TestLost_IsTrueWhenTheConnectionBrokeDuringAStatement(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	db := openDatabase(t, server.URL())
	sleep := func() <-chan error {
		slept := make(chan error, 1)
		go func() {
			_, err := db.Exec(context.Background(), `SELECT pg_sleep(60)`)
			slept <- err
		}()
		stacktest.Eventually(t, func() bool { return sleeping(t, db) })
		return slept
	}

	terminated := sleep()
	execute(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'`)
	err := <-terminated
	require.True(t, postgres.Lost(err), err)

	stacktest.Eventually(t, func() bool { return !sleeping(t, db) }) // a terminated statement is listed until its process ends
	killed := sleep()
	require.NoError(t, server.Kill())
	err = <-killed
	require.True(t, postgres.Lost(err), err)

	refused := db.Ping(t.Context())
	requireUnavailable(t, refused)
	require.False(t, postgres.Lost(refused), "a retry would be refused too")

	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, db.Ping(t.Context()))
	require.NoError(t, server.Freeze())
	timedOut := db.Ping(bounded(t, 100*time.Millisecond))
	requireUnavailable(t, timedOut)
	require.False(t, postgres.Lost(timedOut), "a retry would time out too")

	require.NoError(t, server.Thaw())
	_, wrong := db.Exec(t.Context(), `SELECT 1/0`)
	require.False(t, postgres.Lost(wrong))
	require.False(t, postgres.Lost(nil))
}

// Private

// fill opens the maximum number of connections and leaves them idle.
func fill(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	holdAll(t, db)()
	require.Equal(t, db.Config().MaxConns, db.Stat().IdleConns())
}

func setting(t *testing.T, db *pgxpool.Pool, name string) (value string) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&value))
	return value
}
