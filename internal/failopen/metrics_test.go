package failopen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestMetrics_CountTheOutcomeOfEveryCall(t *testing.T) {
	t.Parallel()
	guard, registry := countedGuard(t, Options{Failures: 100, MaxInFlight: 1})
	for _, err := range []error{
		nil, redis.Nil, context.DeadlineExceeded, errors.New("dial: connection refused"), io.EOF, errors.New("READONLY You can't write"),
		context.Canceled, errors.New("no idea"),
	} {
		require.Equal(t, err == nil, guard.Do(t.Context(), "test", func(context.Context) error { return err }))
	}
	guard.Do(t.Context(), "test", func(context.Context) error { panic("oops") })
	require.False(t, guard.Do(WithBudget(t.Context(), 0), "test", func(context.Context) error { return nil }))
	guard.Do(t.Context(), "outer", func(context.Context) error {
		require.False(t, guard.Do(t.Context(), "test", func(context.Context) error { return nil }))
		return nil
	})

	require.Equal(t, map[string]float64{
		"test ok": 1, "test miss": 1, "test timeout": 1, "test refused": 1, "test reset": 1, "test server": 1,
		"test cancelled": 1, "test other": 2, "test budget": 1, "test bulkhead": 1, "outer ok": 1,
	}, calls(t, registry, "shared"))
	require.Equal(t, map[string]float64{"shared test": 9, "shared outer": 1}, values(t, registry, "app_redis_call_seconds"))
}

func TestMetrics_ShowTheBreaker(t *testing.T) {
	t.Parallel()
	guard, registry := countedGuard(t, Options{})
	require.Equal(t, map[string]float64{"shared": 0}, values(t, registry, "app_redis_breaker_state"))

	for range 5 {
		guard.Do(t.Context(), "test", func(context.Context) error { return errors.New("LOADING") })
	}

	require.Equal(t, map[string]float64{"shared": 1}, values(t, registry, "app_redis_breaker_state"))
	require.Equal(t, map[string]float64{"shared": 1}, values(t, registry, "app_redis_breaker_opened_total"))
	require.Equal(t, map[string]float64{"test server": 3, "test open": 2}, calls(t, registry, "shared"))
	guard.close()
	require.Equal(t, map[string]float64{"shared": 0}, values(t, registry, "app_redis_breaker_state"))
}

func TestMetrics_ShowConnectionsAndCallsInProgress(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := NewGuard(Options{URL: stacktest.Redis(t).URL(), Timeout: timeout, MaxInFlight: 7, Metrics: NewMetrics(registry)}, reporter)
	r, err := Open(guard)
	require.NoError(t, err)
	require.True(t, r.Ping(t.Context(), "test"))

	guard.Do(t.Context(), "test", func(context.Context) error {
		require.Equal(t, map[string]float64{"shared": 1}, values(t, registry, "app_redis_calls_in_flight"))
		return nil
	})

	require.Equal(t, map[string]float64{"shared": 0}, values(t, registry, "app_redis_calls_in_flight"))
	require.Equal(t, map[string]float64{"shared": 7}, values(t, registry, "app_redis_calls_in_flight_max"))
	require.NotZero(t, values(t, registry, "app_redis_connections")["shared"])
	require.NoError(t, r.Close())
	require.Equal(t, map[string]float64{"shared": 0}, values(t, registry, "app_redis_connections"))
}

func TestMetrics_DistinguishTwoGuards(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), registry)
	metrics := NewMetrics(registry)
	shared := NewGuard(Options{URL: "redis://127.0.0.1:1", Metrics: metrics}, reporter)
	queue := NewGuard(Options{URL: "redis://127.0.0.1:2", Name: "queue", Metrics: metrics}, reporter)

	shared.Do(t.Context(), "test", func(context.Context) error { return nil })
	for range 3 {
		queue.Do(t.Context(), "test", func(context.Context) error { return errors.New("broken pipe") })
	}

	require.Equal(t, map[string]float64{"test ok": 1}, calls(t, registry, "shared"))
	require.Equal(t, map[string]float64{"test reset": 3}, calls(t, registry, "queue"))
	require.Equal(t, map[string]float64{"shared": 0, "queue": 1}, values(t, registry, "app_redis_breaker_state"))
}

func TestMetrics_OfADisabledRedisAreEmpty(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	guard := NewGuard(Options{Metrics: NewMetrics(registry)}, nil)

	require.False(t, guard.Do(t.Context(), "test", func(context.Context) error { return nil }))

	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)
}

func TestMetrics_ManyNewSourcesAtOnceLoseNoCount(t *testing.T) {
	t.Parallel()
	guard, registry := countedGuard(t, Options{})

	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			for range 50 {
				guard.Do(t.Context(), fmt.Sprintf("Source%d", i%5), func(context.Context) error { return nil })
			}
		})
	}
	group.Wait()

	require.Equal(t, map[string]float64{"Source0 ok": 200, "Source1 ok": 200, "Source2 ok": 200, "Source3 ok": 200, "Source4 ok": 200},
		calls(t, registry, "shared"))
}

// Private

func countedGuard(t *testing.T, options Options) (*Guard, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	options.URL, options.Metrics = "redis://127.0.0.1:1", NewMetrics(registry)
	return NewGuard(options, telemetry.NewReporter(slog.New(slog.DiscardHandler), registry)), registry
}

// calls are the counts of app_redis_calls_total that are not zero, by source
// and result.
func calls(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for labels, count := range values(t, registry, "app_redis_calls_total") {
		fields := strings.Fields(labels) // redis, result, source
		if fields[0] == name && count > 0 {
			counts[fields[2]+" "+fields[1]] = count
		}
	}
	return counts
}

// values are those of one metric by its labels, joined by spaces; of a
// histogram, how much was observed.
func values(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	found := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			found[strings.Join(labels, " ")] = value
		}
	}
	return found
}
