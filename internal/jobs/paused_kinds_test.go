package jobs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestPauseKind_HoldsBackJobsOfTheKindOverARestart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	runs := make(chan string, 100)
	handlers := []Handler{
		Handle(func(_ context.Context, args greetArgs) error {
			runs <- args.Name
			return nil
		}),
		Handle(func(context.Context, newerArgs) error {
			runs <- "other"
			return nil
		}),
	}
	require.NoError(t, PauseKind(t.Context(), db, PG, "greet"))
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		for n := range 30 {
			require.NoError(t, queue.Enqueue(t.Context(), tx, greetArgs{Name: fmt.Sprint(n)}))
		}
		return queue.Enqueue(t.Context(), tx, newerArgs{})
	}))
	held := func() int {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'pending' AND attempt = 0`)
	}

	first := newHandlers(t, db, time.Second, handlers...)
	require.Equal(t, "other", receive(t, runs))
	stacktest.Eventually(t, func() bool { return held() == 30 })
	require.NoError(t, first.end(t))
	second := newHandlers(t, db, time.Second, handlers...)
	require.NoError(t, queue.EnqueueNow(t.Context(), newerArgs{}))
	require.Equal(t, "other", receive(t, runs))
	require.NoError(t, queue.EnqueueNow(t.Context(), greetArgs{Name: "30"}))
	stacktest.Eventually(t, func() bool { return held() == 31 })
	require.Empty(t, runs)
	require.NoError(t, second.end(t))

	require.NoError(t, ResumeKind(t.Context(), db, PG, "greet"))
	startOneByOne(t, db, handlers...)

	for n := range 31 {
		require.Equal(t, fmt.Sprint(n), receive(t, runs))
	}
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 1 AND errors IS NULL`) == 33
	})
}

func TestPauseKind_AJobThatWasFetchedMeanwhileIsGivenBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	pauses := newPauses(db, (&journal{}).logger())
	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), greetArgs{}, greetArgs{}))
	execute(t, db, `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = '2026-01-01T00:00:00Z'`)
	execute(t, db, `UPDATE river_job SET metadata = '{"cancel_attempted_at": "now"}' WHERE id = 2`)
	fetched := func(id int64) error {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return pauses.park(t.Context(), id, &at)
	}

	require.NoError(t, fetched(1), "the pause has ended")
	require.NoError(t, PauseKind(t.Context(), db, PG, "greet"))
	require.ErrorIs(t, fetched(1), errParked)
	require.ErrorIs(t, fetched(2), errParked)
	after, snoozed := isSnooze(fetched(1))

	require.True(t, snoozed, "the job is not this run's any more")
	require.Less(t, after, parkedFor)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE id = 1 AND state = 'pending' AND attempt = 0`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE id = 2 AND state = 'cancelled'`))
}

func TestPauses_ReleaseWhatNothingHoldsBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	require.NoError(t, queue.EnqueueNow(t.Context(), slicesOf(greetArgs{}, 2500)...))
	require.NoError(t, queue.EnqueueNow(t.Context(), newerArgs{}))
	execute(t, db, `UPDATE river_job SET state = 'pending'`)
	require.NoError(t, PauseKind(t.Context(), db, PG, "newer"))

	require.NoError(t, newPauses(db, (&journal{}).logger()).round(t.Context()))

	require.Equal(t, 2500, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'pending' AND kind = 'newer'`))
}

func TestPauseKind_HoldsBackTasksOfTheKindOverARestart(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks, _ := newTasks(t, server.URL())
	runs := make(chan string, 100)
	handlers := []Handler{
		Handle(func(_ context.Context, task waveTask) error {
			runs <- task.Name
			return nil
		}),
		Handle(func(context.Context, waveOnceTask) error {
			runs <- "other"
			return nil
		}),
	}
	first := startTaskHandlers(t, server.URL(), time.Second, handlers...)
	require.NoError(t, PauseKind(t.Context(), first.db, Redis, "wave"))
	stacktest.Eventually(t, func() bool { return len(*first.worker.pauses.paused.Load()) == 1 })
	for n := range 30 {
		require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: fmt.Sprint(n)}))
	}
	require.True(t, tasks.Enqueue(t.Context(), waveOnceTask{}))
	client := stacktest.RedisClient(t, server)
	held := func() int64 { return client.ZCard(t.Context(), "asynq:{default}:retry").Val() }

	require.Equal(t, "other", receive(t, runs))
	stacktest.Eventually(t, func() bool { return held() == 30 })
	require.NoError(t, first.end(t))
	require.Empty(t, runs)
	require.Contains(t, client.HGet(t.Context(), "asynq:{default}:t:"+client.ZRange(t.Context(), "asynq:{default}:retry", 0, 0).Val()[0],
		"msg").Val(), "its kind is paused")

	require.NoError(t, ResumeKind(t.Context(), first.db, Redis, "wave"))
	worker := startTaskHandlersOn(t, first.db, server.URL(), time.Second, handlers...)
	seen := map[string]bool{}
	for range 30 {
		seen[receive(t, runs)] = true
	}

	require.Len(t, seen, 30)
	require.Zero(t, held())
	require.Zero(t, client.Exists(t.Context(), "paused:default:wave").Val())
	require.Equal(t, 30, strings.Count(worker.log.String(), "attempt=1"), "no attempt is used up")
}

// Private

func slicesOf(args Args, many int) (all []Args) {
	for range many {
		all = append(all, args)
	}
	return all
}

// startOneByOne starts a worker that runs one job at a time, and so in order.
func startOneByOne(t *testing.T, db *pgxpool.Pool, handlers ...Handler) {
	t.Helper()
	worker, err := NewPGWorker(db, handlers, PGWorkerOptions{
		Concurrency: map[Queue]int{Default: 1}, ShutdownTimeout: time.Second,
		Log: (&journal{}).logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	running := run(t, &journal{}, worker.Run)
	t.Cleanup(func() { require.NoError(t, running.end(t)) })
}
