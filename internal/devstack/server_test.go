package devstack

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestPostgres_RestartsAfterAKill(t *testing.T) {
	t.Parallel()
	postgres := startStack(t, Options{Dir: t.TempDir()}).Postgres
	address := postgres.URL()
	execute(t, address, `CREATE TABLE mugs AS SELECT 'blue' AS colour`)

	require.NoError(t, postgres.Kill())
	require.Error(t, postgres.ping(t.Context()))
	require.NoError(t, postgres.Restart(t.Context()))

	require.Equal(t, address, postgres.URL())
	require.Equal(t, "blue", query(t, address, `SELECT colour FROM mugs`))
}

func TestPostgres_RestartRetainsDataAndURL(t *testing.T) {
	t.Parallel()
	postgres := startStack(t, Options{Dir: t.TempDir()}).Postgres
	address := postgres.URL()
	execute(t, address, `CREATE TABLE mugs AS SELECT 'blue' AS colour`)

	require.NoError(t, postgres.Restart(t.Context()))

	require.Equal(t, address, postgres.URL())
	require.Equal(t, "blue", query(t, address, `SELECT colour FROM mugs`))
}

func TestPostgres_DoesNotReplyWhileFrozen(t *testing.T) {
	t.Parallel()
	postgres := startStack(t, Options{Dir: t.TempDir()}).Postgres
	conn, err := pgx.Connect(t.Context(), postgres.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())

	require.NoError(t, postgres.Freeze())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, oldErr := conn.Exec(short, `SELECT 1`)
	newErr := postgres.ping(short)
	require.NoError(t, postgres.Thaw())

	require.ErrorIs(t, oldErr, context.DeadlineExceeded)
	require.ErrorIs(t, newErr, context.DeadlineExceeded)
	require.NoError(t, postgres.ping(t.Context()))
}

func TestPostgres_StopsWhileFrozen(t *testing.T) {
	t.Parallel()
	postgres := startStack(t, Options{Dir: t.TempDir()}).Postgres
	members := processTree(postgres.process.pid())
	require.Greater(t, len(members), 1)

	require.NoError(t, postgres.Freeze())
	require.NoError(t, postgres.Stop(t.Context()))

	require.NoError(t, waitAll(members, time.Second, gone))
}

func TestPostgres_StopKillsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	postgres := startStack(t, Options{Dir: t.TempDir()}).Postgres
	members := processTree(postgres.process.pid())
	over, cancel := context.WithCancel(t.Context())
	cancel()

	err := postgres.Stop(over)

	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, waitAll(members, time.Second, gone))
}

func TestRedis_RestartsAfterAKill(t *testing.T) {
	t.Parallel()
	redis := startStack(t, Options{Dir: t.TempDir(), Durable: true}).Redis
	address := redis.URL()
	require.NoError(t, redis.call(t.Context(), "SET colour blue", "+OK"))

	require.NoError(t, redis.Restart(t.Context()))
	require.NoError(t, redis.Kill())
	require.Error(t, redis.ping(t.Context()))
	require.NoError(t, redis.Restart(t.Context()))

	require.Equal(t, address, redis.URL())
	require.NoError(t, redis.call(t.Context(), "GET colour", "$4", "blue"))
}

func TestRedis_DoesNotReplyWhileFrozen(t *testing.T) {
	t.Parallel()
	redis := startStack(t, Options{Dir: t.TempDir()}).Redis

	require.NoError(t, redis.Freeze())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	frozenErr := redis.ping(short)
	require.NoError(t, redis.Thaw())

	require.Error(t, frozenErr)
	require.NoError(t, redis.ping(t.Context()))
}

func TestRedis_DoesNotEvict(t *testing.T) {
	t.Parallel()
	redis := startStack(t, Options{Dir: t.TempDir()}).Redis

	err := redis.call(t.Context(), "CONFIG GET maxmemory-policy", "*2", "$16", "maxmemory-policy", "$10", "noeviction")

	require.NoError(t, err)
}
