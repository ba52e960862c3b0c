package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/history"
	"slipway/internal/postgres/pgtest"
)

func TestRedisWorker_RunsAFailedTaskAgain(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
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
	require.Contains(t, worker.log.String(), `level=WARN msg="Task finished" result=failed kind=wave`)
	require.Contains(t, worker.log.String(), `attempt=1`)
	require.Contains(t, worker.log.String(), `error="out of paper"`)
}

func TestRedisWorker_SurvivesAPanic(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
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
	stacktest.Eventually(t, func() bool {
		return strings.Contains(worker.log.String(), `"Task finished" result=failed`)
	})
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Equal(t, "ada", receive(t, worked))
	require.Contains(t, worker.log.String(), `level=ERROR msg="Task panicked" kind=wave`)
	require.Contains(t, worker.log.String(), "redis_worker_test.go")
}

func TestRedisWorker_DoesNotRetryUnreadableArguments(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	startRedisWorker(t, server.URL(), time.Second, func(context.Context, waveTask) error { return nil })
	client := stacktest.RedisClient(t, server)

	_, err := asynq.NewClientFromRedisClient(client).EnqueueContext(t.Context(), asynq.NewTask("wave", []byte("{")), asynq.MaxRetry(3))

	require.NoError(t, err)
	inspector := asynq.NewInspectorFromRedisClient(client)
	stacktest.Eventually(t, func() bool {
		failed, err := inspector.ListArchivedTasks("default")
		return err == nil && len(failed) == 1 && failed[0].Retried == 0
	})
}

func TestRedisWorker_LeavesTasksOfUnknownKindsToOtherWorkers(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan waveTask, 10)
	startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveBothHandsTask{}))

	inspector := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server))
	stacktest.Eventually(t, func() bool {
		queue, err := inspector.GetQueueInfo("default")
		return err == nil && queue.Retry == 1
	})
	require.Empty(t, worked)
}

func TestRedisWorker_FinishesRunningTasks(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
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
	queue, err := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server)).GetQueueInfo("default")
	require.NoError(t, err)
	require.Zero(t, queue.Size)
}

func TestRedisWorker_PutsAnUnfinishedTaskBack(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
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

	queue, err := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server)).GetQueueInfo("default")
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
	server := stacktest.Redis(t)
	require.NoError(t, server.Kill())
	worked := make(chan string, 10)
	startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task.Name
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.NoError(t, server.Restart(t.Context()))

	stacktest.Eventually(t, func() bool { return tasks.Enqueue(t.Context(), waveTask{Name: "ada"}) })
	require.Equal(t, "ada", receive(t, worked))
}

func TestRedisWorker_SurvivesARestartOfRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan string, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		worked <- task.Name
		return nil
	})
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	require.Equal(t, "ada", receive(t, worked))

	require.NoError(t, server.Restart(t.Context()))
	stacktest.Eventually(t, func() bool { return tasks.Enqueue(t.Context(), waveTask{Name: "bob"}) })

	require.Equal(t, "bob", receive(t, worked))
	require.NoError(t, worker.end(t))
}

func TestRedisWorker_StopsInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	for address, fail := range map[string]func() error{stopped.URL(): stopped.Kill, frozen.URL(): frozen.Freeze} {
		worker := startRedisWorker(t, address, time.Second, func(context.Context, waveTask) error { return nil })
		require.NoError(t, fail())
		started := time.Now()

		_ = worker.end(t) // an error is fine: the operator should know

		require.Less(t, time.Since(started), 10*time.Second)
	}
}

func TestRedisWorker_StoresTasksThatFailedForGoodInTheDatabase(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worker := startRedisWorker(t, server.URL(), time.Second, func(context.Context, waveTask) error { return errors.New("out of paper") })
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveOnceTask{}))
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE kind = 'wave_once' AND attempts = 1 AND error = 'out of ink'`) == 1
	})
	require.Zero(t, count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE kind = 'wave'`)) // it has attempts left
}

func TestRedisWorker_DoesNotRunACancelledTaskAgain(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	began := make(chan struct{}, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(ctx context.Context, _ waveTask) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	receive(t, began)
	client := stacktest.RedisClient(t, server)
	inspector := asynq.NewInspectorFromRedisClient(client)
	active, err := inspector.ListActiveTasks("default")
	require.NoError(t, err)

	stacktest.Eventually(t, func() bool { // asynq subscribes to cancellations a moment after it starts
		require.NoError(t, inspector.CancelProcessing(active[0].ID))
		failed, err := inspector.ListArchivedTasks("default")
		return err == nil && len(failed) == 1
	})

	require.Empty(t, began)
	stacktest.Eventually(t, func() bool { // the reaper stores a task that was cancelled once more at its last run
		return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE cancelled AND error = 'cancelled'`) == 1
	})
	processed := counts(t, worker.registry, "app_jobs_processed_total")
	require.Positive(t, processed["redis wave default cancelled"]) // the test may cancel it more than once
	require.Contains(t, worker.log.String(), `"Task finished" result=cancelled`)
	require.NotContains(t, worker.log.String(), "result=failed")
}

// A handler that returns context.Canceled by itself has failed.
// Private

// waveOnceTask is a task that has one attempt.
type waveOnceTask struct {
	Name string `json:"name"`
}

func (waveOnceTask) Declare() Declaration { return Declaration{Kind: "wave_once", Attempts: 1} }

// waveBothHandsTask is one that only a newer program knows.
type waveBothHandsTask struct{}

func (waveBothHandsTask) Declare() Declaration { return Declaration{Kind: "wave_both_hands"} }

// redisWorker is a running worker of wave tasks.
type redisWorker struct {
	*running
	worker   *RedisWorker
	db       *pgxpool.Pool
	registry *prometheus.Registry
	recorder *history.Recorder
}

func startRedisWorker(t *testing.T, address string, shutdown time.Duration, work func(context.Context, waveTask) error) *redisWorker {
	t.Helper()
	once := Handle(func(context.Context, waveOnceTask) error { return errors.New("out of ink") })
	return startTaskHandlers(t, address, shutdown, Handle(work), once)
}

// startTaskHandlers starts a worker of any kinds.
func startTaskHandlers(t *testing.T, address string, shutdown time.Duration, handlers ...Handler) *redisWorker {
	t.Helper()
	return startTaskHandlersOn(t, pgtest.New(t, migrations), address, shutdown, handlers...)
}

func startTaskHandlersOn(t *testing.T, db *pgxpool.Pool, address string, shutdown time.Duration, handlers ...Handler) *redisWorker {
	t.Helper()
	log := &journal{}
	w := &redisWorker{registry: prometheus.NewRegistry(), db: db}
	w.recorder = newRecorder(w.db)
	metrics := NewMetrics(w.registry)
	metrics.RecordTo(w.recorder)
	var err error
	w.worker, err = NewRedisWorker(w.db, handlers, RedisWorkerOptions{
		URL: address, PoolSize: 10, Servers: 2, Concurrency: 5, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: shutdown,
		Log: log.logger(), Metrics: metrics, Reporter: newReporter(),
	})
	require.NoError(t, err)
	w.running = run(t, log, w.worker.Run)
	t.Cleanup(w.stop)
	stacktest.Eventually(t, w.worker.Started)
	return w
}
