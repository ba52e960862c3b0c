package jobs

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/failopen"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestTasks_AreWorked(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked := make(chan waveTask, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task
		return nil
	})
	tasks, registry := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Equal(t, waveTask{Name: "ada"}, receive(t, worked))
	require.Equal(t, map[string]float64{"redis wave ok": 1}, figures(t, registry, "app_jobs_enqueue_total"))
	require.Eventually(t, func() bool {
		return figures(t, worker.registry, "app_jobs_processed_total")["redis wave default done"] == 1
	}, patience, 10*time.Millisecond)
	require.Contains(t, worker.log.String(), `level=DEBUG msg="Task done" kind=wave id=`)
}

func TestTasks_InBulkAreAllWorked(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	const many = 2*pushedAtOnce + 1
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
	require.Equal(t, map[string]float64{"redis wave ok": many}, figures(t, registry, "app_jobs_enqueue_total"))
}

func TestTasks_InBulkTakeNoLongerWithoutRedis(t *testing.T) {
	t.Parallel()
	frozen := startRedis(t)
	require.NoError(t, frozen.Freeze())
	tasks, registry := newTasks(t, frozen.URL())
	request := failopen.WithBudget(t.Context(), 300*time.Millisecond)
	started := time.Now()

	require.False(t, tasks.Enqueue(request, slices.Repeat([]Args{waveTask{Name: "ada"}}, 1000)...))

	require.Less(t, time.Since(started), 3*time.Second)
	require.Equal(t, map[string]float64{"redis wave dropped": 1000}, figures(t, registry, "app_jobs_enqueue_total"))
}

func TestTasks_AreDroppedInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := startRedis(t), startRedis(t)
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
		require.Equal(t, map[string]float64{"redis wave dropped": 20}, figures(t, registry, "app_jobs_enqueue_total"), name)
	}
}

func TestTasks_TellHowManyWereDropped(t *testing.T) {
	t.Parallel()
	stopped := startRedis(t)
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

func TestTasks_ARedisThatRefusesWritesIsNotAway(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
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

func TestRedisWorker_RunsAFailedTaskAgain(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	runs := make(chan string, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(ctx context.Context, task waveTask) error {
		runs <- task.Name
		if retries, _ := asynq.GetRetryCount(ctx); retries == 0 {
			return errors.New("out of paper")
		}
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Equal(t, "ada", receive(t, runs))
	require.Equal(t, "ada", receive(t, runs))
	require.Contains(t, worker.log.String(), `level=WARN msg="Task failed" kind=wave`)
	require.Contains(t, worker.log.String(), `attempt=1`)
	require.Contains(t, worker.log.String(), `error="out of paper"`)
}

func TestRedisWorker_SurvivesAPanic(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked := make(chan string, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		if task.Name == "eve" {
			panic("eve is here")
		}
		worked <- task.Name
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "eve"}))
	require.Eventually(t, func() bool { return strings.Contains(worker.log.String(), "Task failed") }, patience, 10*time.Millisecond)
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Equal(t, "ada", receive(t, worked))
	require.Contains(t, worker.log.String(), `level=ERROR msg="Task panicked" kind=wave`)
	require.Contains(t, worker.log.String(), "redis_test.go")
}

func TestRedisWorker_DoesNotRetryWhatItCannotRead(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	startRedisWorker(t, server.URL(), time.Second, func(context.Context, waveTask) error { return nil })
	client := newClient(t, server)

	_, err := asynq.NewClientFromRedisClient(client).EnqueueContext(t.Context(), asynq.NewTask("wave", []byte("{")), asynq.MaxRetry(3))

	require.NoError(t, err)
	inspector := asynq.NewInspectorFromRedisClient(client)
	require.Eventually(t, func() bool {
		failed, err := inspector.ListArchivedTasks("default")
		return err == nil && len(failed) == 1 && failed[0].Retried == 0
	}, patience, 10*time.Millisecond)
}

func TestRedisWorker_LeavesTasksOfUnknownKindsToOthers(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked := make(chan waveTask, 10)
	startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveBothHandsTask{}))

	inspector := asynq.NewInspectorFromRedisClient(newClient(t, server))
	require.Eventually(t, func() bool {
		queue, err := inspector.GetQueueInfo("default")
		return err == nil && queue.Retry == 1
	}, patience, 10*time.Millisecond)
	require.Empty(t, worked)
}

func TestRedisWorker_FinishesWhatItHasInHand(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	began, finish := make(chan struct{}), make(chan struct{})
	worker := startRedisWorker(t, server.URL(), patience, func(context.Context, waveTask) error {
		close(began)
		<-finish
		return nil
	})
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	receive(t, began)

	worker.stop()
	close(finish)

	require.NoError(t, worker.wait(t))
	queue, err := asynq.NewInspectorFromRedisClient(newClient(t, server)).GetQueueInfo("default")
	require.NoError(t, err)
	require.Zero(t, queue.Size)
}

func TestRedisWorker_PutsAnUnfinishedTaskBack(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	began := make(chan struct{}, 10)
	worker := startRedisWorker(t, server.URL(), 100*time.Millisecond, func(ctx context.Context, _ waveTask) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	receive(t, began)

	require.NoError(t, worker.end(t))

	queue, err := asynq.NewInspectorFromRedisClient(newClient(t, server)).GetQueueInfo("default")
	require.NoError(t, err)
	require.Equal(t, 1, queue.Pending)
	require.Zero(t, queue.Active)
	retries := make(chan int, 1)
	startRedisWorker(t, server.URL(), time.Second, func(ctx context.Context, _ waveTask) error {
		n, _ := asynq.GetRetryCount(ctx)
		retries <- n
		return nil
	})
	require.Zero(t, receive(t, retries))
}

func TestRedisWorker_WaitsForARedisThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	require.NoError(t, server.Kill())
	worked := make(chan string, 10)
	startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task.Name
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.NoError(t, server.Restart(t.Context()))

	require.Eventually(t, func() bool { return tasks.Enqueue(t.Context(), waveTask{Name: "ada"}) }, patience, 10*time.Millisecond)
	require.Equal(t, "ada", receive(t, worked))
}

func TestRedisWorker_SurvivesARestartOfRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked := make(chan string, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task.Name
		return nil
	})
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	require.Equal(t, "ada", receive(t, worked))

	require.NoError(t, server.Restart(t.Context()))
	require.Eventually(t, func() bool { return tasks.Enqueue(t.Context(), waveTask{Name: "bob"}) }, patience, 10*time.Millisecond)

	require.Equal(t, "bob", receive(t, worked))
	require.NoError(t, worker.end(t))
}

func TestRedisWorker_StopsInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := startRedis(t), startRedis(t)
	for name, break_ := range map[string]func() error{stopped.URL(): stopped.Kill, frozen.URL(): frozen.Freeze} {
		worker := startRedisWorker(t, name, time.Second, func(context.Context, waveTask) error { return nil })
		require.NoError(t, break_())
		started := time.Now()

		_ = worker.end(t) // an error is fine: the operator should know

		require.Less(t, time.Since(started), 10*time.Second)
	}
}

// Private

// waveTask is the task of these tests.
type waveTask struct {
	Name string `json:"name"`
}

func (waveTask) Declare() Declaration { return Declaration{Kind: "wave", Attempts: 4, Backoff: Quick} }

// waveBothHandsTask is one that only a newer program knows.
type waveBothHandsTask struct{}

func (waveBothHandsTask) Declare() Declaration { return Declaration{Kind: "wave_both_hands"} }

// redisWorker is a running worker of wave tasks.
type redisWorker struct {
	*running
	worker   *RedisWorker
	db       *pgxpool.Pool
	registry *prometheus.Registry
}

func startRedisWorker(t *testing.T, address string, shutdown time.Duration, work func(context.Context, waveTask) error) *redisWorker {
	t.Helper()
	return startTaskHandlers(t, address, shutdown, Handle(work), Handle(func(context.Context, waveOnceTask) error { return errors.New("out of ink") }))
}

// startTaskHandlers starts a worker of any kinds.
func startTaskHandlers(t *testing.T, address string, shutdown time.Duration, handlers ...Handler) *redisWorker {
	t.Helper()
	log := &journal{}
	w := &redisWorker{registry: prometheus.NewRegistry(), db: pgtest.New(t, migrations)}
	var err error
	w.worker, err = NewRedisWorker(w.db, handlers, RedisWorkerOptions{
		URL: address, PoolSize: 10, Servers: 2, Concurrency: 5, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: shutdown,
		Log: log.logger(), Metrics: NewMetrics(w.registry), Reporter: newReporter(),
	})
	require.NoError(t, err)
	w.running = run(t, log, w.worker.Run)
	t.Cleanup(w.stop)
	require.Eventually(t, w.worker.Started, patience, time.Millisecond)
	return w
}

// newTasks makes an enqueuer whose guard finds its way back.
func newTasks(t *testing.T, address string) (*Tasks, *prometheus.Registry) {
	t.Helper()
	guard := failopen.NewGuard(failopen.Options{URL: address, Timeout: 2 * time.Second, DialTimeout: 2 * time.Second, PoolTimeout: 2 * time.Second}, newReporter())
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

func newClient(t *testing.T, server *devstack.Redis) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}
