package stacktest

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// RedisClient returns a client of a server, without any guard. It is closed when
// the test ends.
func RedisClient(t testing.TB, server *devstack.Redis) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// RedisCommand runs one command on a server, without any guard, and returns its
// reply. An error of Redis fails the test.
func RedisCommand(t testing.TB, server *devstack.Redis, args ...any) any {
	t.Helper()
	reply, err := RedisClient(t, server).Do(t.Context(), args...).Result()
	require.NoError(t, err)
	return reply
}
