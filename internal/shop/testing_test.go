package shop

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// openRedis opens the guarded Redis at address, with its prober running. An
// empty address is a Redis that is switched off.
func openRedis(t testing.TB, address string) *failopen.Redis {
	t.Helper()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := failopen.NewGuard(failopen.Options{URL: address, Timeout: 500 * time.Millisecond}, reporter)
	opened, err := failopen.Open(guard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var prober sync.WaitGroup
	prober.Go(func() { _ = guard.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		prober.Wait()
		require.NoError(t, opened.Close())
	})
	return opened
}

// command runs a command of Redis without the guard.
func command(t testing.TB, server *devstack.Redis, args ...any) any {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer client.Close()
	result, err := client.Do(t.Context(), args...).Result()
	require.NoError(t, err)
	return result
}
