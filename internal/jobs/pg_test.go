package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestEnqueue_CommitsWithTheChangeThatCausedIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	worked := make(chan string, 10)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	undone := errors.New("changed my mind")

	err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		require.NoError(t, queue.Enqueue(t.Context(), tx, greetArgs{Name: "nobody"}))
		return undone
	})
	require.ErrorIs(t, err, undone)
	enqueue(t, db, queue, "ada")

	require.Equal(t, "ada", receive(t, worked))
	require.Empty(t, worked)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job`))
}

func TestEnqueue_InBulkDoesTheSame(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	registry := prometheus.NewRegistry()
	queue := newJobs(t, db, registry)
	worked := make(chan string, 100)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	var all []Args
	var names []string
	for i := range 2 * copiedFrom {
		names = append(names, fmt.Sprint(i))
		all = append(all, greetArgs{Name: names[i]})
	}
	undone := errors.New("changed my mind")

	require.ErrorIs(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		require.NoError(t, queue.Enqueue(t.Context(), tx, all...))
		return undone
	}), undone)
	require.Zero(t, count(t, db, `SELECT count(*) FROM river_job`))
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error { return queue.Enqueue(t.Context(), tx, all...) }))

	var found []string
	for range all {
		found = append(found, receive(t, worked))
	}
	require.ElementsMatch(t, names, found)
	require.Equal(t, map[string]float64{"pg greet ok": float64(4 * copiedFrom)}, figures(t, registry, "app_jobs_enqueue_total"), "counted before the transaction ended")
}

func TestEnqueue_IsDueByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())

	for _, size := range []int{1, copiedFrom} {
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			require.NoError(t, queue.Enqueue(t.Context(), tx, slices.Repeat([]Args{greetArgs{Name: "ada"}}, size)...))
			var due int
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE scheduled_at = now() AND state = 'available'`).Scan(&due))
			require.Equal(t, size, due)
			return nil
		}))
	}
}

func TestEnqueue_WakesTheWorkerForEveryTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	listener, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer listener.Release()
	_, err = listener.Exec(t.Context(), `LISTEN "`+schemaOf(t, db)+`.river_insert"`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	for range 5 {
		pause := time.NewTimer(10 * time.Millisecond) // River by itself would wake nobody again for ten times as long
		<-pause.C
		enqueue(t, db, queue, "ada")
		_, err = listener.Conn().WaitForNotification(ctx)
		require.NoError(t, err)
	}
}

func schemaOf(t *testing.T, db *pgxpool.Pool) string {
	t.Helper()
	var schema string
	require.NoError(t, db.QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema))
	return schema
}

func TestPGWorker_RunsAFailedJobAgainAndLogsItOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	attempts := make(chan int, 10)
	runs := 0
	worker := startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
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
	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 1
	}, patience, 10*time.Millisecond)
	log := worker.log.String()
	require.Equal(t, 1, strings.Count(log, "out of paper"), log)
	require.Contains(t, log, `level=WARN msg="Job failed" kind=greet id=1 attempt=1`)
	require.Contains(t, log, `level=INFO msg="Job done" kind=greet id=1 attempt=2`)
	require.Equal(t, map[string]float64{"pg greet default failed": 1, "pg greet default done": 1}, figures(t, worker.registry, "app_jobs_processed_total"))
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
	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state IN ('retryable', 'available') AND attempt = 1 AND errors IS NOT NULL`) == 1
	}, patience, 10*time.Millisecond)
	enqueue(t, db, queue, "ada")

	require.Equal(t, "ada", receive(t, worked))
	require.Contains(t, worker.log.String(), `level=ERROR msg="Job panicked" kind=greet id=1 panic="eve is here" stack=`)
	require.Contains(t, worker.log.String(), "pg_test.go")
}

func TestPGWorker_LeavesJobsOfUnknownKindsToOthers(t *testing.T) {
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

func TestPGWorker_FinishesWhatItHasInHand(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan struct{}), make(chan struct{})
	worker := startPGWorker(t, db, patience, func(context.Context, greetArgs) error {
		close(began)
		<-finish
		return nil
	})
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)

	worker.stop()
	close(finish)

	require.NoError(t, worker.wait(t))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`))
}

func TestPGWorker_HandsAnUnfinishedJobBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began := make(chan struct{}, 10)
	worker := startPGWorker(t, db, 100*time.Millisecond, func(ctx context.Context, _ greetArgs) error {
		began <- struct{}{}
		_, err := db.Exec(ctx, `SELECT pg_sleep(60)`)
		return fmt.Errorf("sleep: %w", err)
	})
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)

	require.NoError(t, worker.end(t))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND errors IS NULL`))
	require.Contains(t, worker.log.String(), `level=INFO msg="Job returned"`)
	require.Equal(t, map[string]float64{"pg greet default returned": 1}, figures(t, worker.registry, "app_jobs_processed_total"))

	worked := make(chan string, 1)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	require.Equal(t, "ada", receive(t, worked))
	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 1`) == 1
	}, patience, 10*time.Millisecond)
}

func TestPGWorker_HandsBackAJobThatDoesNotHeedItsContext(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan struct{}), make(chan struct{})
	worker := startPGWorker(t, db, 10*time.Millisecond, func(context.Context, greetArgs) error {
		close(began)
		<-finish
		return nil
	})
	t.Cleanup(func() { close(finish) })
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)

	require.NoError(t, worker.end(t))

	require.Contains(t, worker.log.String(), `level=ERROR msg="Jobs did not heed the end of their context and were handed back as they are" jobs=1`)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND errors IS NULL`))
	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestPGWorker_WaitsForADatabaseThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
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
	require.Eventually(t, func() bool {
		return strings.Count(worker.log.String(), "Cannot work jobs yet, trying again") >= 2
	}, patience, 10*time.Millisecond)
	require.False(t, worker.worker.Started())

	require.NoError(t, server.Restart(t.Context()))

	require.Equal(t, "ada", receive(t, worked))
	require.True(t, worker.worker.Started())
}

func TestPGWorker_SurvivesARestartOfTheDatabase(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
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

func TestPGWorker_StopsWhileItWaitsForADatabase(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
	frozen := openDatabase(t, server.URL())
	require.NoError(t, server.Freeze())
	nowhere := openDatabase(t, "postgres://shop@127.0.0.1:1/shop")
	work := func(context.Context, greetArgs) error { return nil }

	for _, db := range []*pgxpool.Pool{nowhere, frozen} {
		require.NoError(t, newPGWorker(t, db, time.Second, work).end(t))
	}
}

func TestPGWorker_LogsRunsByTheClockForDebuggingOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	handler := Handle(func(context.Context, greetArgs) error { return nil })
	for _, run := range []string{ByTheClock + "greet:2026-01-01T00:00:00Z", "manual:2026-01-01T00:00:00Z"} {
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			return queue.EnqueueRun(t.Context(), tx, handler, Default, json.RawMessage(`{}`), run)
		}))
	}

	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error { return nil })

	require.Eventually(t, func() bool { return strings.Count(worker.log.String(), "Job done") == 2 }, patience, time.Millisecond)
	require.Contains(t, worker.log.String(), `level=DEBUG msg="Job done" kind=greet id=1 `)
	require.Contains(t, worker.log.String(), `level=INFO msg="Job done" kind=greet id=2 `)
}

func TestPGWorker_StopsWhenItWasQuietAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	for range 5 {
		worker := newPGWorker(t, db, patience, func(context.Context, greetArgs) error { return nil })
		for !worker.worker.Started() { // River may still be starting its queues
			runtime.Gosched()
		}
		worker.worker.Quiet(t.Context())

		require.NoError(t, worker.end(t))
	}
}

// Private

// greetArgs is the job of these tests.
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
}

// startPGWorker starts a worker and waits until it takes jobs.
func startPGWorker(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, work func(context.Context, greetArgs) error) *pgWorker {
	t.Helper()
	w := newPGWorker(t, db, shutdown, work)
	require.Eventually(t, w.worker.Started, patience, time.Millisecond)
	return w
}

func newPGWorker(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, work func(context.Context, greetArgs) error) *pgWorker {
	t.Helper()
	return newHandlers(t, db, shutdown, Handle(work))
}

// startHandlers starts a worker of any kinds and waits until it takes jobs.
func startHandlers(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, handlers ...Handler) *pgWorker {
	t.Helper()
	w := newHandlers(t, db, shutdown, handlers...)
	require.Eventually(t, w.worker.Started, patience, time.Millisecond)
	return w
}

func newHandlers(t *testing.T, db *pgxpool.Pool, shutdown time.Duration, handlers ...Handler) *pgWorker {
	t.Helper()
	log := &journal{}
	w := &pgWorker{registry: prometheus.NewRegistry()}
	var err error
	w.worker, err = NewPGWorker(db, handlers, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 2, Default: 5, Low: 2}, ShutdownTimeout: shutdown, Version: "v1", Log: log.logger(), Metrics: NewMetrics(w.registry), Reporter: newReporter(),
	})
	require.NoError(t, err)
	w.running = run(t, log, w.worker.Run)
	t.Cleanup(func() {
		w.stop()
		select {
		case err := <-w.ended:
			t.Logf("the worker ended: %v", err)
		case <-time.After(100 * time.Millisecond): // the test has seen the end
		}
	})
	return w
}

func newJobs(t *testing.T, db *pgxpool.Pool, registry *prometheus.Registry) *Jobs {
	t.Helper()
	queue, err := NewJobs(db, NewMetrics(registry))
	require.NoError(t, err)
	return queue
}

func enqueue(t *testing.T, db *pgxpool.Pool, queue *Jobs, name string) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Enqueue(t.Context(), tx, greetArgs{Name: name})
	}))
}

func count(t *testing.T, db *pgxpool.Pool, query string) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func startPostgres(t *testing.T) *devstack.Postgres {
	t.Helper()
	server, err := devstack.StartPostgres(t.Context(), devstack.PostgresOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = server.Thaw() // a frozen one would not stop
		require.NoError(t, server.Stop(ctx))
	})
	return server
}

func openDatabase(t *testing.T, address string) *pgxpool.Pool {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: address, Name: t.Name(), PoolSize: 10, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func migrate(t *testing.T, address string) {
	t.Helper()
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, migrations, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, migrator.Close())
}
