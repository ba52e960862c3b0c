package failopen

import (
	"context"
	"log/slog"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

// Not parallel: it reads all goroutines of the process.
func TestClose_LeavesNoGoroutineAndNoConnection(t *testing.T) {
	server := stacktest.Redis(t)
	admin := stacktest.RedisClient(t, server)
	before := clientsOf(t, admin)
	guard := NewGuard(Options{URL: server.URL(), Timeout: timeout},
		telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry()))
	r, err := Open(guard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var prober sync.WaitGroup
	prober.Go(func() { _ = guard.Run(ctx) })

	for range 10 {
		require.True(t, r.Ping(t.Context(), "test"))
		require.NoError(t, guard.Probe(t.Context()))
	}
	require.NoError(t, server.Freeze())
	require.Error(t, guard.Probe(t.Context()))
	breakOpen(t, r)
	require.NoError(t, server.Thaw())
	requireRecovery(t, r)
	cancel()
	prober.Wait()
	require.NoError(t, r.Close())

	stacktest.Eventually(t, func() bool { return clientsOf(t, admin) == before })
	stacktest.Eventually(t, func() bool { return !strings.Contains(goroutines(t), "redis/go-redis/v9/internal/pool") })
}

// Private

// clientsOf counts the connections that the server has.
func clientsOf(t *testing.T, admin *redis.Client) int {
	t.Helper()
	list, err := admin.ClientList(t.Context()).Result()
	require.NoError(t, err)
	return strings.Count(list, "\n")
}

func goroutines(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&text, 1))
	return text.String()
}
