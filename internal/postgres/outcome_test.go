package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestOutcomeOf_IsUnavailableWhileTheDatabaseIsUnreachable(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	db := openDatabase(t, server.URL())
	require.NoError(t, db.Ping(t.Context()))
	query := func() error {
		_, err := db.Exec(bounded(t, 5*time.Second), `SELECT 1`)
		return err
	}

	require.NoError(t, server.Freeze())
	_, err := db.Exec(bounded(t, 200*time.Millisecond), `SELECT 1`)
	requireUnavailable(t, err)
	require.NoError(t, server.Thaw())

	// The connection breaks during a statement.
	broken := make(chan error)
	go func() {
		_, err := db.Exec(context.Background(), `SELECT pg_sleep(60)`)
		broken <- err
	}()
	stacktest.Eventually(t, func() bool { return sleeping(t, db) })
	require.NoError(t, server.Kill())
	requireUnavailable(t, <-broken)
	requireUnavailable(t, query())

	require.NoError(t, server.Restart(t.Context()))
	stacktest.Eventually(t, func() bool { return query() == nil })
	require.NoError(t, server.Restart(t.Context()))
	if err := query(); err != nil {
		requireUnavailable(t, err)
	}
	stacktest.Eventually(t, func() bool { return query() == nil })
}

func TestOutcomeOf_IsUnavailableForAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, with(t, pgtest.URL(t, one), "default_transaction_read_only", "on"))

	_, err := db.Exec(t.Context(), `INSERT INTO mugs VALUES ('blue', 100)`)

	requireUnavailable(t, err)
}

func TestOutcomeOf_IsUnavailableWithoutAFreeConnection(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, one)
	db := openWith(t, address, func(o *postgres.Options) { o.PoolSize = 1 })
	held, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer held.Release()

	_, err = db.Exec(bounded(t, 50*time.Millisecond), `SELECT 1`)
	requireUnavailable(t, err)
}

func TestOutcomeOf_IsUnavailableForAStatementThatTimesOut(t *testing.T) {
	t.Parallel()
	db := openWith(t, pgtest.URL(t, one), func(o *postgres.Options) {
		o.StatementTimeout = 50 * time.Millisecond
		o.LockTimeout = 10 * time.Millisecond
	})
	_, err := db.Exec(t.Context(), `SELECT pg_sleep(60)`)
	requireUnavailable(t, err)

	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), `LOCK TABLE mugs`)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), `INSERT INTO mugs VALUES ('blue', 100)`)
	requireUnavailable(t, err)
}

func TestOutcomeOf_IsWrongForAWrongStatement(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, pgtest.URL(t, one))
	execute(t, db, `INSERT INTO mugs VALUES ('blue', 100)`)

	for _, wrong := range []string{
		`INSERT INTO mugs VALUES ('blue', 100)`, // unique
		`INSERT INTO mugs VALUES ('red', 0)`,    // check
		`INSERT INTO mugs VALUES ('red', NULL)`, // not null
		`SELEKT`, `SELECT * FROM boats`, `SELECT 1/0`, `SELECT $1::int`,
	} {
		_, err := db.Exec(t.Context(), wrong)

		require.Error(t, err, wrong)
		require.Equal(t, postgres.Wrong, postgres.OutcomeOf(fmt.Errorf("insert mug: %w", err)), wrong)
	}
	for _, err := range []error{nil, pgx.ErrNoRows, errors.New("conflict"), context.Canceled} {
		require.Equal(t, postgres.Wrong, postgres.OutcomeOf(err))
		require.False(t, postgres.Unusable(err))
	}
}

// Private

func requireUnavailable(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, postgres.Unavailable, postgres.OutcomeOf(fmt.Errorf("insert mug: %w", err)), "%v", err)
	require.True(t, postgres.Unusable(err))
	require.Empty(t, postgres.Refusal(err))
}

func sleeping(t *testing.T, db *pgxpool.Pool) bool {
	t.Helper()
	var n int
	err := db.QueryRow(t.Context(), `
		SELECT count(*)
		  FROM pg_stat_activity
		 WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'`,
	).Scan(&n)
	require.NoError(t, err)
	return n == 1
}
