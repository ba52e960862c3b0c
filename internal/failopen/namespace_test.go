package failopen

import (
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestNamespace_BeginsEveryKeyAndChannel(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	url := strings.TrimSuffix(server.URL(), "/0") + "/3"
	use := func(namespace string) *Redis {
		guard := NewGuard(Options{URL: url, Timeout: timeout, Namespace: namespace}, reporter)
		require.NoError(t, guard.Probe(t.Context()))
		r, err := Open(guard)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return r
	}
	a, b := use("a"), use("b")

	require.True(t, a.Set(t.Context(), "test", "mug", []byte("3"), time.Hour))
	script := NewScript(`redis.call('SET', KEYS[1], KEYS[2], 'EX', 60) return 1`)
	require.True(t, a.Run(t.Context(), "test", script, []string{"one", "two"}, nil, nil))
	require.True(t, a.Ping(t.Context(), "test"))
	number := int64(0)
	require.True(t, a.Command(t.Context(), "test", "exists", []string{"mug", "one", "two"}, readNumber(&number)))
	lifetimes, _ := a.Lifetimes(t.Context(), "test", "*")
	_, inA := a.Get(t.Context(), "test", "mug")
	_, inB := b.Get(t.Context(), "test", "mug")
	require.True(t, b.Delete(t.Context(), "test", "mug", "one"))
	others, _ := b.Lifetimes(t.Context(), "test", "*")

	require.EqualValues(t, 2, number)
	maps.DeleteFunc(lifetimes, func(key string, _ time.Duration) bool { return strings.HasPrefix(key, probeKey) })
	require.Len(t, lifetimes, 2)
	require.Contains(t, lifetimes, "mug")
	require.Contains(t, lifetimes, "one")
	require.Equal(t, Found, inA)
	require.Equal(t, Missing, inB)
	require.NotContains(t, others, "mug")
	client := stacktest.RedisClient(t, server)
	require.Zero(t, client.DBSize(t.Context()).Val())
	pipe := client.Pipeline()
	pipe.Select(t.Context(), 3)
	value := pipe.Get(t.Context(), "a:one")
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	require.Equal(t, "a:two", value.Val())
	require.Equal(t, "a:3:live", a.Channel("live"))
	require.Equal(t, "b:3:live", b.Channel("live"))
}
