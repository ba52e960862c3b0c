package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestReserve_IsForCallersThatDoNotYield(t *testing.T) {
	t.Parallel()
	db := reserved(t, 4, 1)
	yielding := postgres.Yield(bounded(t, patience))
	var held []*pgxpool.Conn
	for range 3 {
		held = append(held, acquire(yielding, t, db))
	}
	short, cancel := context.WithTimeout(yielding, 50*time.Millisecond)
	defer cancel()
	_, err := db.Acquire(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	acquire(bounded(t, patience), t, db).Release()

	held[0].Release()
	held[0] = acquire(yielding, t, db)
	for _, connection := range held {
		connection.Release()
	}
	for range 10 { // no turn is lost, and none is left over
		acquire(yielding, t, db).Release()
	}
}

func TestReserve_LosesNoTurnWhenNoConnectionCanBeMade(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: "postgres://shop@127.0.0.1:1/shop", PoolSize: 2, Reserve: 1, ConnectTimeout: time.Second})

	for range 5 {
		_, err := db.Acquire(postgres.Yield(bounded(t, patience)))

		require.ErrorContains(t, err, "refused")
	}
}

// Private

func reserved(t *testing.T, size, reserve int) *pgxpool.Pool {
	t.Helper()
	return open(t, postgres.Options{
		URL: pgtest.URL(t, one), PoolSize: size, Reserve: reserve, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
}

func open(t *testing.T, options postgres.Options) *pgxpool.Pool {
	t.Helper()
	options.Name, options.IdleInTransactionTimeout = t.Name(), 10*time.Second
	db, err := postgres.Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func acquire(ctx context.Context, t *testing.T, db *pgxpool.Pool) *pgxpool.Conn {
	t.Helper()
	connection, err := db.Acquire(ctx)
	require.NoError(t, err)
	return connection
}
