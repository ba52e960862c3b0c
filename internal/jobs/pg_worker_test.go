package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/history"
	"slipway/internal/postgres/pgtest"
)

func TestPGWorker_RunsAFailedJobAgainAndLogsItOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	attempts := make(chan int, 10)
	runs := 0
	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error {
		runs++
		attempts <- runs
		if runs == 1 {
			return errors.New("out of paper")
		}
		return nil
	})

	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")

	require.Equal(t, 1, receive(t, attempts))
	require.Equal(t, 2, receive(t, attempts))
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 1
	})
	log := worker.log.String()
	require.Equal(t, 1, strings.Count(log, "out of paper"), log)
	require.Contains(t, log, `level=WARN msg="Job finished" result=failed kind=greet id=1 attempt=1`)
	require.Contains(t, log, `level=INFO msg="Job finished" result=done kind=greet id=1 attempt=2`)
	processed := map[string]float64{"pg greet default failed": 1, "pg greet default done": 1}
	require.Equal(t, processed, counts(t, worker.registry, "app_jobs_processed_total"))
}

func TestPGWorker_SurvivesAPanic(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	worked := make(chan string, 10)
	worker := startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		if args.Name == "eve" {
			panic("eve is here")
		}
		worked <- args.Name
		return nil
	})

	enqueue(t, db, queue, "eve")
	stacktest.Eventually(t, func() bool {
		return count(t, db, `
			SELECT count(*) FROM river_job
			WHERE state IN ('retryable', 'available') AND attempt = 1 AND errors IS NOT NULL`) == 1
	})
	enqueue(t, db, queue, "ada")

	require.Equal(t, "ada", receive(t, worked))
	require.Contains(t, worker.log.String(), `level=ERROR msg="Job panicked" kind=greet id=1 panic="eve is here" stack=`)
	require.Contains(t, worker.log.String(), "pg_worker_test.go")
}

func TestPGWorker_LeavesJobsOfUnknownKindsToOtherWorkers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	worked := make(chan string, 10)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})

	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Enqueue(t.Context(), tx, newerArgs{})
	}))
	enqueue(t, db, queue, "ada")

	require.Equal(t, "ada", receive(t, worked))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'newer' AND state = 'available' AND attempt = 0`))
}

func TestPGWorker_WaitsForADatabaseThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	db := openDatabase(t, server.URL())
	migrate(t, server.URL())
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	db.Reset()
	require.NoError(t, server.Kill())
	worked := make(chan string, 10)
	worker := newPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	stacktest.Eventually(t, func() bool {
		return strings.Contains(worker.log.String(), "Worker cannot take jobs yet and tries again")
	})
	require.False(t, worker.worker.Started())

	require.NoError(t, server.Restart(t.Context()))

	require.Equal(t, "ada", receive(t, worked))
	stacktest.Eventually(t, worker.worker.Started)
	tries := strings.Count(worker.log.String(), "Worker cannot take jobs yet and tries again")
	require.LessOrEqual(t, tries, 3, "a line for each kind of failure")
	require.Contains(t, worker.log.String(), "Worker could not take jobs at first and does now")
}

func TestPGWorker_SurvivesARestartOfTheDatabase(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	db := openDatabase(t, server.URL())
	migrate(t, server.URL())
	worked := make(chan string, 10)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})

	require.NoError(t, server.Restart(t.Context()))
	db.Reset()
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")

	require.Equal(t, "ada", receive(t, worked))
}

func TestPGWorker_LogsRecurringRunsAtDebugOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	handler := Handle(func(context.Context, greetArgs) error { return nil })
	for _, run := range []string{RecurringPrefix + "greet:2026-01-01T00:00:00Z", "manual:2026-01-01T00:00:00Z"} {
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			_, err := queue.EnqueueRun(t.Context(), tx, NamedRun{Name: run, Handler: handler, Queue: Default, Args: json.RawMessage(`{}`)})
			return err
		}))
	}

	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error { return nil })

	stacktest.Eventually(t, func() bool {
		return strings.Count(worker.log.String(), `"Job finished" result=done`) == 2
	})
	require.Contains(t, worker.log.String(), `level=DEBUG msg="Job finished" result=done kind=greet id=1 `)
	require.Contains(t, worker.log.String(), `level=INFO msg="Job finished" result=done kind=greet id=2 `)
}

func TestPGWorker_IsInTheTableOfProcessesWhileItRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)

	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error { return nil })

	require.Equal(t, 1, count(t, db, `
		SELECT count(*) FROM job_processes
		WHERE backend = 'pg' AND state = 'working' AND concurrency = 9 AND version = 'v1'`))
	require.NoError(t, worker.end(t))
	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestPGWorker_TakesNoMoreJobsWhenItIsQuiet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan string, 10), make(chan struct{})
	worker := startPGWorker(t, db, patience, func(_ context.Context, args greetArgs) error {
		began <- args.Name
		<-finish
		return nil
	})
	queue := newJobs(t, db, prometheus.NewRegistry())
	enqueue(t, db, queue, "ada")
	require.Equal(t, "ada", receive(t, began))

	worker.worker.Quiet(t.Context())
	enqueue(t, db, queue, "bob")
	close(finish)

	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 1
	})
	require.NoError(t, worker.end(t))
	require.Empty(t, began)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`))
}

// Private

// greetArgs is the usual job of these tests.
type greetArgs struct {
	Name string `json:"name"`
}

func (greetArgs) Declare() Declaration { return Declaration{Kind: "greet"} }

// newerArgs is a job that only a newer program knows.
type newerArgs struct{}

func (newerArgs) Declare() Declaration { return Declaration{Kind: "newer"} }

// pgWorker is a running worker of greet jobs.
type pgWorker struct {
	*running
	worker   *PGWorker
	registry *prometheus.Registry
	recorder *history.Recorder
}

// startPGWorker starts a worker and waits until it takes jobs.
func startPGWorker(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, work func(context.Context, greetArgs) error) *pgWorker {
	t.Helper()
	w := newPGWorker(t, db, shutdown, work)
	stacktest.Eventually(t, w.worker.Started)
	return w
}

func newPGWorker(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, work func(context.Context, greetArgs) error) *pgWorker {
	t.Helper()
	return newHandlers(t, db, shutdown, Handle(work))
}

// startHandlers starts a worker of any kinds and waits until it takes jobs.
func startHandlers(t *testing.T, db *pgxpool.Pool, handlers ...Handler) {
	t.Helper()
	w := newHandlers(t, db, time.Second, handlers...)
	stacktest.Eventually(t, w.worker.Started)
}

func newHandlers(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, handlers ...Handler) *pgWorker {
	t.Helper()
	log := &journal{}
	w := &pgWorker{registry: prometheus.NewRegistry(), recorder: newRecorder(db)}
	metrics := NewMetrics(w.registry)
	metrics.RecordTo(w.recorder)
	var err error
	w.worker, err = NewPGWorker(db, handlers, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 2, Default: 5, Low: 2}, ShutdownTimeout: shutdown, Version: "v1",
		Log: log.logger(), Metrics: metrics, Reporter: newReporter(),
	})
	require.NoError(t, err)
	w.running = run(t, log, w.worker.Run)
	t.Cleanup(func() {
		w.stop()
		select {
		case err := <-w.ended:
			t.Logf("the worker ended: %v", err)
		case <-time.After(100 * time.Millisecond): // the test has received the result
		}
	})
	return w
}
