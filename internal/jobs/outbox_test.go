package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/postgres/pgtest"
)

func TestEnqueueTx_CommitsWithTheChangeThatCausedIt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	undone := errors.New("changed my mind")

	err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		_, err := tasks.EnqueueTx(t.Context(), tx, parcelTask{Name: "nobody"})
		require.NoError(t, err)
		return undone
	})

	require.ErrorIs(t, err, undone)
	require.Zero(t, count(t, db, `SELECT count(*) FROM river_job`))
	require.Empty(t, stacktest.RedisClient(t, server).Keys(t.Context(), "asynq:*:t:*").Val())
}

func TestEnqueueTx_DeliversTheTaskAtOnceAndOnlyOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	client := stacktest.RedisClient(t, server)

	deliver := enqueueTx(t, db, tasks, "ada")
	deliver(t.Context())
	require.EqualValues(t, 1, client.LLen(t.Context(), "asynq:{default}:pending").Val())

	deliver(t.Context()) // the task is in Redis already
	hurry(t, db)
	startOutbox(t, db, tasks)
	awaitOutbox(t, db)
	require.EqualValues(t, 1, client.LLen(t.Context(), "asynq:{default}:pending").Val())
}

func TestOutbox_KeepsTasksThatRedisRefuses(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	client := stacktest.RedisClient(t, server)
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err()) // it replies to reads and takes no task
	enqueueTx(t, db, tasks, "ada")(t.Context())
	startOutbox(t, db, tasks)
	hurry(t, db)
	awaitSnoozes(t, db, 1)

	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())

	hurryUntil(t, db, func() bool { return client.LLen(t.Context(), "asynq:{default}:pending").Val() == 1 })
}

func TestOutbox_RelaysTasksThatWereNotDelivered(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	require.NoError(t, server.Kill())
	enqueueTx(t, db, tasks, "ada")(t.Context())
	enqueueTx(t, db, tasks, "bob") // its process dies before it delivers

	hurry(t, db)
	startOutbox(t, db, tasks)
	awaitSnoozes(t, db, 2)
	require.NoError(t, server.Restart(t.Context()))

	hurryUntil(t, db, func() bool {
		return stacktest.RedisClient(t, server).LLen(t.Context(), "asynq:{default}:pending").Val() == 2
	})
	hurryUntil(t, db, func() bool { return unfinishedOutbox(t, db) == 0 })
	require.EqualValues(t, 2, stacktest.RedisClient(t, server).LLen(t.Context(), "asynq:{default}:pending").Val())
}

func TestOutbox_RelaysAgainWhatRedisLost(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	client := stacktest.RedisClient(t, server)
	enqueueTx(t, db, tasks, "ada")(t.Context())

	require.NoError(t, client.FlushAll(t.Context()).Err()) // a crash before the task was on its disk
	startOutbox(t, db, tasks)

	hurryUntil(t, db, func() bool { return client.LLen(t.Context(), "asynq:{default}:pending").Val() == 1 })
}

// A task that the outbox has sent can be lost again before it is on Redis's disk.
func TestOutbox_RelaysAgainWhatRedisLostAfterTheOutboxSentIt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	client := stacktest.RedisClient(t, server)
	enqueueTx(t, db, tasks, "ada") // its process dies before it delivers
	startOutbox(t, db, tasks)

	for range 2 {
		hurryUntil(t, db, func() bool { return client.LLen(t.Context(), "asynq:{default}:pending").Val() == 1 })
		require.NoError(t, client.FlushAll(t.Context()).Err())
	}

	hurryUntil(t, db, func() bool { return client.LLen(t.Context(), "asynq:{default}:pending").Val() == 1 })
	hurryUntil(t, db, func() bool { return unfinishedOutbox(t, db) == 0 })
}

func TestOutbox_LogsARelayThatSucceedsAtDebugOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, stacktest.Redis(t).URL())
	enqueueTx(t, db, tasks, "ada")(t.Context())
	worker := newHandlers(t, db, time.Second, tasks.OutboxHandlers()...)

	hurryUntil(t, db, func() bool { return unfinishedOutbox(t, db) == 0 })

	stacktest.Eventually(t, func() bool { return strings.Contains(worker.log.String(), "result=done kind="+OutboxKind) })
	require.NotContains(t, worker.log.String(), `level=INFO msg="Job finished"`)
}

func TestOutbox_DoesNotRelayAFinishedTask(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan string, 10)
	worker := startParcelWorker(t, server, func(_ context.Context, parcel parcelTask) error {
		worked <- parcel.Name
		return nil
	})
	tasks := newDurableTasks(t, worker.db, server.URL())
	enqueueTx(t, worker.db, tasks, "ada")(t.Context())
	require.Equal(t, "ada", receive(t, worked))

	hurry(t, worker.db)
	startOutbox(t, worker.db, tasks)
	awaitOutbox(t, worker.db)

	require.Empty(t, worked)
}

func TestOutbox_EndsForADuplicateOfAUniqueTask(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks := newDurableTasks(t, db, server.URL())
	client := stacktest.RedisClient(t, server)
	for range 2 {
		var deliver func(context.Context)
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) (err error) {
			deliver, err = tasks.EnqueueTx(t.Context(), tx, countParcel{Store: 1})
			return err
		}))
		deliver(t.Context())
	}

	hurry(t, db)
	startOutbox(t, db, tasks)
	hurryUntil(t, db, func() bool { return unfinishedOutbox(t, db) == 0 })

	require.EqualValues(t, 1, client.LLen(t.Context(), "asynq:{default}:pending").Val())
}

func TestEnqueue_RefusesADurableTaskOutsideATransaction(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	reporter, sent := sentryReporter(t)
	registry := prometheus.NewRegistry()
	tasks, err := NewTasks(failopen.NewGuard(failopen.Options{URL: server.URL()}, reporter), nil, NewMetrics(registry))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tasks.Close()) })

	require.False(t, tasks.Enqueue(t.Context(), parcelTask{}, waveTask{Name: "ada"}))

	enqueued := map[string]float64{"redis parcel dropped": 1, "redis wave ok": 1}
	require.Equal(t, enqueued, counts(t, registry, "app_jobs_enqueue_total"))
	require.Contains(t, sent.Await(t, 1), "the task parcel is durable: enqueue it with EnqueueTx, in the transaction of the change")
}

// Private

// awaitSnoozes waits until jobs of the outbox have met a Redis that did not take
// their tasks, and wait for another run.
func awaitSnoozes(t *testing.T, db *pgxpool.Pool, jobs int) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE metadata ? 'snoozes' AND state IN ('scheduled', 'available')`) == jobs
	})
}

// namedParcel is a durable task with args of any size.
type namedParcel struct {
	Name string `json:"name"`
}

func (namedParcel) Declare() Declaration { return Declaration{Kind: "named_parcel", Durable: true} }

// parcelTask is a durable task.
type parcelTask struct {
	Name string `json:"name"`
}

func (parcelTask) Declare() Declaration { return Declaration{Kind: "parcel", Durable: true} }

// countParcel is a durable task that is unique while it waits.
type countParcel struct {
	Store int `json:"store"`
}

func (countParcel) Declare() Declaration {
	return Declaration{Kind: "count_parcel", Durable: true, Unique: Uniqueness{Waiting: true}}
}

func newDurableTasks(t *testing.T, db *pgxpool.Pool, address string) *Tasks {
	t.Helper()
	tasks, _ := newTasks(t, address)
	tasks.jobs = newJobs(t, db, prometheus.NewRegistry())
	return tasks
}

func enqueueTx(t *testing.T, db *pgxpool.Pool, tasks *Tasks, name string) (deliver func(context.Context)) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) (err error) {
		deliver, err = tasks.EnqueueTx(t.Context(), tx, parcelTask{Name: name})
		return err
	}))
	return deliver
}

// hurry makes the outbox jobs due that wait until their tasks are safe.
func hurry(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	execute(t, db, `UPDATE river_job SET state = 'available', scheduled_at = now() WHERE state = 'scheduled'`)
}

func hurryUntil(t *testing.T, db *pgxpool.Pool, done func() bool) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		hurry(t, db)
		return done()
	})
}

func unfinishedOutbox(t *testing.T, db *pgxpool.Pool) int {
	t.Helper()
	return count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'carry_task' AND state <> 'completed'`)
}

func awaitOutbox(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	stacktest.Eventually(t, func() bool { return unfinishedOutbox(t, db) == 0 })
}

// startOutbox starts a worker-pg that relays tasks.
func startOutbox(t *testing.T, db *pgxpool.Pool, tasks *Tasks) {
	t.Helper()
	startHandlers(t, db, tasks.OutboxHandlers()...)
}

func startParcelWorker(t *testing.T, server *devstack.Redis, work func(context.Context, parcelTask) error) *redisWorker {
	t.Helper()
	return startTaskHandlers(t, server.URL(), time.Second, Handle(work))
}
