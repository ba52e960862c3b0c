package jobs

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestPGWorker_FinishesRunningJobs(t *testing.T) {
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
	require.Contains(t, worker.log.String(), `level=INFO msg="Job finished" result=returned`)
	require.Equal(t, map[string]float64{"pg greet default returned": 1}, counts(t, worker.registry, "app_jobs_processed_total"))

	worked := make(chan string, 1)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	require.Equal(t, "ada", receive(t, worked))
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 1`) == 1
	})
}

func TestPGWorker_HandsBackAJobThatIgnoresItsContext(t *testing.T) {
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

	require.Contains(t, worker.log.String(),
		`level=ERROR msg="Jobs still run after their context ended and were returned to their queues" jobs=1`)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND errors IS NULL`))
	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestPGWorker_StopsWhileItWaitsForADatabase(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	frozen := openDatabase(t, server.URL())
	require.NoError(t, server.Freeze())
	nowhere := openDatabase(t, "postgres://shop@127.0.0.1:1/shop")
	work := func(context.Context, greetArgs) error { return nil }

	for _, db := range []*pgxpool.Pool{nowhere, frozen} {
		require.NoError(t, newPGWorker(t, db, time.Second, work).end(t))
	}
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

func TestPGWorker_DeletesItsRowWhenStoppedBeforeItCouldStart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	worker := newHandlers(t, db, time.Second) // River does not start without any
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 1 })

	require.NoError(t, worker.end(t))

	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestPGWorker_HandsBackJobsThatItTookAfterItWasDeclaredDead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan struct{}), make(chan struct{})
	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error {
		close(began)
		<-finish
		return nil
	})
	t.Cleanup(func() { close(finish) })
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)
	execute(t, db, `DELETE FROM job_processes`) // another worker declares this one dead before it sees the job

	require.ErrorIs(t, worker.wait(t), ErrDeclaredDead)

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND errors IS NULL`))
}

func TestPGWorker_InsertsItsRowAgainWhenDeclaredDeadBeforeItCouldStart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	worker := newHandlers(t, db, time.Second) // River does not start without any
	entered := func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 1 }
	stacktest.Eventually(t, entered)

	execute(t, db, `DELETE FROM job_processes`)

	stacktest.Eventually(t, entered)
	require.NoError(t, worker.end(t))
}

func TestPGWorker_HandsBackAJobThatUsesTheWholePool(t *testing.T) {
	t.Parallel()
	db := smallPool(t, 8)
	began := make(chan struct{})
	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error {
		exhaust(t, db)
		close(began)
		select {} // ignores its context
	})
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)

	require.NoError(t, worker.end(t))

	connection, err := postgres.NewConnection(db).Open(t.Context())
	require.NoError(t, err)
	var waiting, workers int
	require.NoError(t, connection.QueryRow(t.Context(), `
		SELECT count(*), (SELECT count(*) FROM job_processes)
		FROM river_job
		WHERE state = 'available' AND attempt = 0`).Scan(&waiting, &workers))
	require.Equal(t, 1, waiting)
	require.Zero(t, workers)
}

func TestPGWorker_StopsWithoutAnErrorWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL())
	db := openDatabase(t, server.URL())
	began := make(chan struct{})
	worker := startPGWorker(t, db, 100*time.Millisecond, func(ctx context.Context, _ greetArgs) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)
	require.NoError(t, server.Freeze())

	require.NoError(t, worker.end(t))

	require.NotContains(t, worker.log.String(), "Jobs still run")
	require.Contains(t, worker.log.String(), `level=WARN msg="Worker stops although River has not ended, because no job runs `+
		`and the database does not accept the results of the last jobs. Another worker runs these jobs again" again_within=25s`)
	require.NoError(t, server.Thaw())
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes`), "another worker finds the row, and releases the job")
}

func TestPGWorker_CountsTheJobsThatItCouldNotHandBack(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL())
	db := openDatabase(t, server.URL())
	began, finish := make(chan struct{}), make(chan struct{})
	worker := startPGWorker(t, db, 100*time.Millisecond, func(context.Context, greetArgs) error {
		close(began)
		<-finish
		return nil
	})
	t.Cleanup(func() { close(finish) })
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)
	require.NoError(t, server.Kill())

	require.NoError(t, worker.end(t))

	require.Contains(t, worker.log.String(), `level=ERROR msg="Jobs still run after their context ended, and the database does not accept `+
		`that they return to their queues. Another worker runs them again" jobs=1`)
}

func TestPGWorker_StopsWhileRiverWaitsForAFrozenDatabase(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL())
	db := openDatabase(t, server.URL())
	connection, err := db.Acquire(t.Context()) // River's first statement finds an open connection
	require.NoError(t, err)
	connection.Release()
	worker, err := NewPGWorker(db, Handlers{Handle(func(context.Context, greetArgs) error { return nil })}, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second,
		Log: (&journal{}).logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	require.NoError(t, server.Freeze())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.startRiver(ctx) }()

	stop()

	require.ErrorIs(t, receive(t, ended), context.Canceled)
}
