package jobs

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

func TestTasks_AreRun(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan waveTask, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task
		return nil
	})
	tasks, registry := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Equal(t, waveTask{Name: "ada"}, receive(t, worked))
	require.Equal(t, map[string]float64{"redis wave ok": 1}, counts(t, registry, "app_jobs_enqueue_total"))
	stacktest.Eventually(t, func() bool {
		return counts(t, worker.registry, "app_jobs_processed_total")["redis wave default done"] == 1
	})
	stacktest.Eventually(t, func() bool {
		return strings.Contains(worker.log.String(), `level=DEBUG msg="Task finished" result=done kind=wave id=`)
	})
}

func TestTasks_EnqueuedForATimeRunThenAndNotBefore(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan string, 10)
	startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task.Name
		return nil
	})
	tasks, _ := newTasks(t, server.URL())
	tomorrow := time.Now().Add(24 * time.Hour)

	require.True(t, tasks.EnqueueAt(t.Context(), time.Now().Add(-time.Minute), waveTask{Name: "late"}))
	require.True(t, tasks.EnqueueAt(t.Context(), tomorrow, waveTask{Name: "tomorrow"}))
	require.Equal(t, "late", receive(t, worked))
	require.True(t, tasks.EnqueueAt(t.Context(), time.Now().Add(time.Second), waveTask{Name: "soon"}))
	require.Equal(t, "soon", receive(t, worked))

	waiting := stacktest.RedisClient(t, server).ZRangeWithScores(t.Context(), "asynq:{default}:scheduled", 0, -1).Val()
	require.Len(t, waiting, 1)
	require.InDelta(t, tomorrow.Unix(), waiting[0].Score, 2)
}

func TestTasks_InBulkAreAllRun(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	const many = 201 // more than two calls of the guard
	worked := make(chan string, many)
	startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task.Name
		return nil
	})
	tasks, registry := newTasks(t, server.URL())
	var names []string
	var all []Args
	for i := range many {
		names = append(names, strconv.Itoa(i))
		all = append(all, waveTask{Name: names[i]})
	}

	require.True(t, tasks.Enqueue(t.Context(), all...))

	var found []string
	for range many {
		found = append(found, receive(t, worked))
	}
	require.ElementsMatch(t, names, found)
	require.Equal(t, map[string]float64{"redis wave ok": many}, counts(t, registry, "app_jobs_enqueue_total"))
}

func TestTasks_InBulkTakeNoLongerWithoutRedis(t *testing.T) {
	t.Parallel()
	frozen := stacktest.Redis(t)
	require.NoError(t, frozen.Freeze())
	tasks, registry := newTasks(t, frozen.URL())
	request := failopen.WithBudget(t.Context(), 300*time.Millisecond)
	started := time.Now()

	require.False(t, tasks.Enqueue(request, slices.Repeat([]Args{waveTask{Name: "ada"}}, 1000)...))

	require.Less(t, time.Since(started), 3*time.Second)
	require.Equal(t, map[string]float64{"redis wave dropped": 1000}, counts(t, registry, "app_jobs_enqueue_total"))
}

func TestTasks_AreDroppedInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())

	for name, address := range map[string]string{"disabled": "", "stopped": stopped.URL(), "frozen": frozen.URL()} {
		tasks, registry := newTasks(t, address)
		request := failopen.WithBudget(t.Context(), 300*time.Millisecond)
		started := time.Now()

		for range 20 {
			require.False(t, tasks.Enqueue(request, waveTask{Name: "ada"}), name)
		}

		require.Less(t, time.Since(started), 3*time.Second, name)
		require.Equal(t, map[string]float64{"redis wave dropped": 20}, counts(t, registry, "app_jobs_enqueue_total"), name)
	}
}

func TestTasks_LogHowManyWereDropped(t *testing.T) {
	t.Parallel()
	stopped := stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	for address, lines := range map[string]int{"": 0, stopped.URL(): 2} {
		log := &journal{}
		reporter := telemetry.NewReporter(log.logger(), prometheus.NewRegistry())
		tasks, err := NewTasks(failopen.NewGuard(failopen.Options{URL: address}, reporter), nil, NewMetrics(prometheus.NewRegistry()))
		require.NoError(t, err)

		for range 10 {
			require.False(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}, waveTask{Name: "bob"}, waveOnceTask{}))
		}
		reporter.Close()

		require.Equal(t, lines, strings.Count(log.String(), "Tasks were dropped"), log)
		if lines > 0 {
			require.Contains(t, log.String(), "dropped=1 kinds.wave=1\n")
			require.Contains(t, log.String(), "dropped=29 kinds.wave=19 kinds.wave_once=10 within=")
		}
		require.NoError(t, tasks.Close())
	}
}

func TestTasks_ARedisThatRefusesWritesIsAvailable(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer client.Close()
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	for range 10 {
		require.False(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	}
	away := tasks.guard.Status().Open
	require.False(t, away)

	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
}

// Private

// waveTask is the usual task of these tests.
type waveTask struct {
	Name string `json:"name"`
}

func (waveTask) Declare() Declaration { return Declaration{Kind: "wave", Attempts: 4, Backoff: Quick} }

// newTasks returns an enqueuer whose guard probes an unavailable Redis.
func newTasks(t *testing.T, address string) (*Tasks, *prometheus.Registry) {
	t.Helper()
	bounds := failopen.Options{URL: address, Timeout: 2 * time.Second, DialTimeout: 2 * time.Second, PoolTimeout: 2 * time.Second}
	guard := failopen.NewGuard(bounds, newReporter())
	registry := prometheus.NewRegistry()
	tasks, err := NewTasks(guard, nil, NewMetrics(registry))
	require.NoError(t, err)
	probing := run(t, &journal{}, guard.Run)
	t.Cleanup(func() {
		require.NoError(t, probing.end(t))
		require.NoError(t, tasks.Close())
	})
	return tasks, registry
}
