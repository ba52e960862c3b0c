package jobs

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestStuck_AJobGivesItsSlotBackAndIsNotRepeated(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	deaf := newDeaf(t)
	counted := make(chan int, 1)
	worker := startWithGrace(t, db, Handle(deaf.sleep), Handle(func(_ context.Context, args countArgs) error {
		counted <- args.Store
		return nil
	}))
	enqueueMany(t, db, sleepArgs{Name: "ada"}, sleepArgs{Name: "bob"}) // all slots of the queue
	stacktest.Eventually(t, func() bool { return deaf.runs.Load() == 2 })

	enqueueMany(t, db, countArgs{Store: 7}) // in the same queue

	require.Equal(t, 7, receive(t, counted))
	stacktest.Eventually(t, func() bool {
		err := worker.worker.CheckStuck()
		return err != nil && err.Error() == "handlers ignore the end of their context: 2 of sleep"
	})
	require.Equal(t, map[string]float64{"pg sleep": 2, "pg count": 0}, counts(t, worker.registry, "app_jobs_stuck"))
	require.Equal(t, 2, strings.Count(worker.log.String(), `level=ERROR msg="Handler ignores the end of its context`))
	require.NotContains(t, worker.log.String(), "appears to be stuck")
	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'sleep' AND state = 'running'`))
	require.EqualValues(t, 2, deaf.runs.Load())

	deaf.wake()

	stacktest.Eventually(t, func() bool { return worker.worker.CheckStuck() == nil })
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'sleep' AND state = 'completed'`) == 2
	})
}

func TestStuck_ATaskGivesItsSlotBackAndRunsInNoOtherProcess(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	deaf := newDeaf(t)
	one, other := startTasksWithGrace(t, server.URL(), 4, Handle(deaf.sleep)), startTasksWithGrace(t, server.URL(), 4, Handle(deaf.sleep))
	tasks, _ := newTasks(t, server.URL())
	inspector := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server))
	require.True(t, tasks.Enqueue(t.Context(), sleepArgs{Name: "ada"}))

	putOff := func(worker *redisWorker) int { return strings.Count(worker.log.String(), "result=later kind=sleep") }
	stacktest.Eventually(t, func() bool {
		_, _ = inspector.RunAllRetryTasks("low") // an error means that there are none yet
		return putOff(one) > 0 && putOff(other) > 0
	})
	require.EqualValues(t, 1, deaf.runs.Load())
	stuckIn := one
	if other.worker.CheckStuck() != nil {
		stuckIn = other
	}
	require.EqualError(t, stuckIn.worker.CheckStuck(), "handlers ignore the end of their context: 1 of sleep")
	stacktest.Eventually(t, func() bool { return stuckIn.worker.running() == 0 }) // the last run was put off and ends now

	deaf.wake()

	stacktest.Eventually(t, func() bool {
		_, _ = inspector.RunAllRetryTasks("low")
		return deaf.runs.Load() == 2
	})
	require.NoError(t, stuckIn.worker.CheckStuck())
}

func TestStuck_ATaskFailsForGoodAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	deaf := newDeaf(t)
	worker := startTasksWithGrace(t, server.URL(), 4, Handle(func(ctx context.Context, args sleepOnceArgs) error {
		return deaf.sleep(ctx, sleepArgs(args))
	}))
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), sleepOnceArgs{Name: "ada"}))

	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE error LIKE 'the handler ignored the end of its context for%'`) == 1
	})
	require.EqualValues(t, 1, deaf.runs.Load())
}

func TestStuck_MoreThanHalfOfTheSlotsEndTheWorker(t *testing.T) {
	t.Parallel()
	t.Run("jobs", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t, migrations)
		deaf := newDeaf(t)
		worker := startWithGrace(t, db, Handle(deaf.sleep))

		enqueueMany(t, db, make5(sleepArgs{Name: "ada"})...) // two at a time, of nine slots

		require.ErrorIs(t, worker.wait(t), ErrStuck)
		require.Equal(t, 5, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND (metadata->>'slipway:crashes')::int = 1`))
	})
	t.Run("tasks", func(t *testing.T) {
		t.Parallel()
		server := stacktest.Redis(t)
		deaf := newDeaf(t)
		worker := startTasksWithGrace(t, server.URL(), 8, Handle(deaf.sleep))
		tasks, _ := newTasks(t, server.URL())

		require.True(t, tasks.Enqueue(t.Context(), make5(sleepArgs{Name: "ada"})...))

		require.ErrorIs(t, worker.wait(t), ErrStuck)
	})
}

func TestStuck_EndsTheWorkerBeforeRiverRunsTheJobASecondTime(t *testing.T) {
	t.Parallel()
	long := Declaration{Kind: "long", Timeout: stuckUntil}
	stuck := newStuckRuns(PG, Handlers{{Declaration: long}}, 100, time.Second, slog.New(slog.DiscardHandler),
		NewMetrics(prometheus.NewRegistry()), newReporter())

	stuck.add("long", "1")

	receive(t, stuck.tooMany)
	require.Less(t, stuckUntil, rescueAfter)
}

// Private

// sleepArgs are for a handler that ignores its context.
type sleepArgs struct {
	Name string `json:"name"`
}

func (sleepArgs) Declare() Declaration {
	return Declaration{Kind: "sleep", Queue: Low, Timeout: 50 * time.Millisecond, Backoff: func(int) time.Duration { return 0 }}
}

// sleepOnceArgs have one attempt.
type sleepOnceArgs struct {
	Name string `json:"name"`
}

func (sleepOnceArgs) Declare() Declaration {
	return Declaration{Kind: "sleep_once", Queue: Low, Timeout: 50 * time.Millisecond, Attempts: 1}
}

func make5(args Args) []Args { return []Args{args, args, args, args, args} }

// deaf is a handler that ignores its context until it is woken.
type deaf struct {
	runs atomic.Int32
	end  chan struct{}
	wake func()
}

func newDeaf(t *testing.T) *deaf {
	t.Helper()
	d := &deaf{end: make(chan struct{})}
	d.wake = sync.OnceFunc(func() { close(d.end) })
	t.Cleanup(d.wake)
	return d
}

func (d *deaf) sleep(context.Context, sleepArgs) error {
	d.runs.Add(1)
	<-d.end
	return nil
}

// startWithGrace starts a worker of jobs that finds handlers stuck very soon.
func startWithGrace(t *testing.T, db *pgxpool.Pool, handlers ...Handler) *pgWorker {
	t.Helper()
	log := &journal{}
	w := &pgWorker{registry: prometheus.NewRegistry()}
	var err error
	w.worker, err = NewPGWorker(db, handlers, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 2, Default: 5, Low: 2}, ShutdownTimeout: 100 * time.Millisecond, StuckGrace: 50 * time.Millisecond,
		Version: "v1", Log: log.logger(), Metrics: NewMetrics(w.registry), Reporter: newReporter(),
	})
	require.NoError(t, err)
	w.running = run(t, log, w.worker.Run)
	t.Cleanup(w.stop)
	stacktest.Eventually(t, w.worker.Started)
	return w
}

func startTasksWithGrace(t *testing.T, address string, concurrency int, handlers ...Handler) *redisWorker {
	t.Helper()
	log := &journal{}
	w := &redisWorker{registry: prometheus.NewRegistry(), db: pgtest.New(t, migrations)}
	var err error
	w.worker, err = NewRedisWorker(w.db, handlers, RedisWorkerOptions{
		URL: address, PoolSize: 10, Servers: 1, Concurrency: concurrency, CheckInterval: 5 * time.Millisecond,
		ShutdownTimeout: 100 * time.Millisecond, StuckGrace: 50 * time.Millisecond,
		Log: log.logger(), Metrics: NewMetrics(w.registry), Reporter: newReporter(),
	})
	require.NoError(t, err)
	w.running = run(t, log, w.worker.Run)
	t.Cleanup(w.stop)
	stacktest.Eventually(t, w.worker.Started)
	return w
}
