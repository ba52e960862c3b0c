package failopen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestGet_DistinguishesMissingFromUnavailable(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())

	_, before := r.Get(t.Context(), "test", "mug")
	require.True(t, r.Set(t.Context(), "test", "mug", []byte("3 \x00 left"), time.Minute))
	value, after := r.Get(t.Context(), "test", "mug")
	require.NoError(t, server.Kill())
	lost, away := r.Get(t.Context(), "test", "mug")

	require.Equal(t, Missing, before)
	require.Equal(t, Found, after)
	require.Equal(t, "3 \x00 left", string(value))
	require.Equal(t, Unavailable, away)
	require.Nil(t, lost)
	require.False(t, r.Set(t.Context(), "test", "mug", []byte("2 left"), time.Minute))
}

func TestSet_ExpiresAfterItsLife(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())

	require.True(t, r.Set(t.Context(), "test", "mug", nil, time.Hour))
	require.True(t, r.Set(t.Context(), "test", "lamp", nil, 10*time.Millisecond))

	require.InDelta(t, time.Hour.Seconds(), stacktest.RedisCommand(t, server, "TTL", "mug"), 60)
	stacktest.Eventually(t, func() bool {
		_, answer := r.Get(t.Context(), "test", "lamp")
		return answer == Missing
	})
}

func TestGet_AKeyOfTheWrongTypeIsUnavailableAndThenMissing(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	stacktest.RedisCommand(t, server, "LPUSH", "mug", "not a string")
	stacktest.RedisCommand(t, server, "LPUSH", "lamp", "not a string")

	_, first := r.Get(t.Context(), "test", "mug")
	_, second := r.Get(t.Context(), "test", "mug")

	require.Equal(t, Unavailable, first)
	require.Equal(t, Missing, second)
	require.True(t, r.Set(t.Context(), "test", "lamp", nil, time.Minute), "a write replaces it")
}

func TestSet_AFullRedisStillRepliesToReads(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	require.True(t, r.Set(t.Context(), "test", "mug", []byte("3"), time.Minute))
	stacktest.RedisCommand(t, server, "CONFIG", "SET", "maxmemory", "1")

	require.False(t, r.Set(t.Context(), "test", "mug", []byte("2"), time.Minute))

	value, answer := r.Get(t.Context(), "test", "mug")
	require.Equal(t, Found, answer)
	require.Equal(t, "3", string(value))
}
