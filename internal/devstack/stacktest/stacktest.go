// Package stacktest gives tests real servers of their own, and what else the
// tests of several packages need: a log that they can read, a stand-in for
// Sentry, ports, and one way to wait for a condition.
package stacktest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// Redis starts a Redis that only this test knows. It ends with the test.
func Redis(t testing.TB) *devstack.Redis {
	t.Helper()
	return RedisWith(t, devstack.RedisOptions{Dir: t.TempDir()})
}

// RedisWith is Redis with options of the test's own.
func RedisWith(t testing.TB, options devstack.RedisOptions) *devstack.Redis {
	t.Helper()
	server, err := devstack.StartRedis(t.Context(), options)
	require.NoError(t, err)
	stopLater(t, server)
	return server
}

// Postgres starts a PostgreSQL that only this test knows, with an empty database. It
// ends with the test. Package pgtest is quicker for a test that does not damage
// the server.
func Postgres(t testing.TB) *devstack.Postgres {
	t.Helper()
	server, err := devstack.StartPostgres(t.Context(), devstack.PostgresOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	stopLater(t, server)
	return server
}

// Private

type server interface {
	Thaw() error
	Stop(ctx context.Context) error
}

func stopLater(t testing.TB, server server) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = server.Thaw() // a frozen one would not stop
		require.NoError(t, server.Stop(ctx))
	})
}
