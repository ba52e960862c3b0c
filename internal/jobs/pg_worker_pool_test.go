package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

// TestPGWorker_CriticalJobsDoNotWaitForTheTransactionsOfOthers has a pool that is
// far too small: 30 jobs want to hold a transaction, and 8 can.
func TestPGWorker_CriticalJobsDoNotWaitForTheTransactionsOfOthers(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, migrations)
	db, river := poolOf(t, address, 10, 2), poolOf(t, address, RiverPoolSize, 0)
	queue := newJobs(t, db, prometheus.NewRegistry())
	holding, finish, urgent := make(chan struct{}, 30), make(chan struct{}), make(chan struct{}, 1)
	startWorkerOn(t, db, river,
		Handle(func(ctx context.Context, _ greetArgs) error {
			return pgx.BeginFunc(ctx, db, func(pgx.Tx) error {
				holding <- struct{}{}
				<-finish
				return nil
			})
		}),
		Handle(func(ctx context.Context, _ urgentArgs) error {
			_, err := db.Exec(ctx, `INSERT INTO things (name) VALUES ('urgent')`)
			urgent <- struct{}{}
			return err
		}))
	t.Cleanup(func() { close(finish) })
	for range 30 {
		enqueue(t, db, queue, "ada")
	}
	for range 8 {
		receive(t, holding)
	}

	enqueued := time.Now()
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error { return queue.Enqueue(t.Context(), tx, urgentArgs{}) }))

	receive(t, urgent)
	t.Logf("the critical job ran after %s", time.Since(enqueued))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM things`))
}

func TestPGWorker_FetchesWhileJobsUseTheWholePool(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, migrations)
	db, river := poolOf(t, address, 4, 0), poolOf(t, address, RiverPoolSize, 0)
	queue := newJobs(t, river, prometheus.NewRegistry())
	holding, finish, urgent := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	startWorkerOn(t, db, river,
		Handle(func(context.Context, greetArgs) error {
			release := exhaust(t, db)
			close(holding)
			<-finish
			release()
			return nil
		}),
		Handle(func(context.Context, urgentArgs) error {
			urgent <- struct{}{}
			return nil
		}))
	t.Cleanup(func() { close(finish) })
	enqueue(t, river, queue, "ada")
	receive(t, holding)

	require.NoError(t, pgx.BeginFunc(t.Context(), river, func(tx pgx.Tx) error { return queue.Enqueue(t.Context(), tx, urgentArgs{}) }))

	receive(t, urgent)
}

// Private

// urgentArgs is a job of the queue critical.
type urgentArgs struct{}

func (urgentArgs) Declare() Declaration { return Declaration{Kind: "urgent", Queue: Critical} }

func poolOf(t *testing.T, address string, size, reserve int) *pgxpool.Pool {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: address, Name: t.Name(), PoolSize: size, Reserve: reserve, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second, IdleInTransactionTimeout: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { postgres.Close(db) })
	return db
}

// startWorkerOn starts a worker with 30 slots for jobs of the queue default.
func startWorkerOn(t *testing.T, db, river *pgxpool.Pool, handlers ...Handler) {
	t.Helper()
	log := &journal{}
	worker, err := NewPGWorker(db, handlers, PGWorkerOptions{
		River: river, Concurrency: map[Queue]int{Critical: 5, Default: 30, Low: 2}, ShutdownTimeout: time.Second, Version: "v1",
		Log: log.logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	running := run(t, log, worker.Run)
	t.Cleanup(func() { require.NoError(t, running.end(t)) })
}
