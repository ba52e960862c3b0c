package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestOpen_SetsLimitsOnEveryConnection(t *testing.T) {
	t.Parallel()
	db := openWith(t, pgtest.Empty(t), func(o *postgres.Options) {
		o.Name = "app web"
		o.StatementTimeout = 5 * time.Second
		o.LockTimeout = 2 * time.Second
	})

	for setting, value := range map[string]string{
		"application_name": "app web", "timezone": "UTC", "statement_timeout": "5s", "lock_timeout": "2s",
		"idle_in_transaction_session_timeout": "10s", "jit": "off",
	} {
		var shown string
		require.NoError(t, db.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&shown))
		require.Equal(t, value, shown, setting)
	}
	require.Equal(t, int32(5), db.Config().MaxConns)
	require.Positive(t, db.Config().MaxConnLifetime)
	require.Equal(t, time.Second, db.Config().PingTimeout)
	require.Equal(t, 2*time.Second, db.Config().ConnConfig.ConnectTimeout)
}

func TestOpen_WorksWhenTheServerStartsLater(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	require.NoError(t, server.Kill())
	db := openDatabase(t, server.URL())
	require.Error(t, db.Ping(t.Context()))

	require.NoError(t, server.Restart(t.Context()))

	require.NoError(t, db.Ping(t.Context()))
}

func TestOpen_ErrorDoesNotContainTheURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"hunter2", "postgres://u:hunter2@host:port/db", "postgres://u:hunter2@host/db?pool_max_conns=hunter2",
		"host=a password=hunter2 port=x",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: address})
		require.ErrorContains(t, err, "parse database URL")
		require.NotContains(t, err.Error(), "hunter2")

		_, err = postgres.NewMigrator(t.Context(), address, time.Second, one, nil)
		require.ErrorContains(t, err, "parse database URL")
		require.NotContains(t, err.Error(), "hunter2")
	}
}
