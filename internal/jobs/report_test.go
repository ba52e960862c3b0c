package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestPGWorker_ReportsPanicsAndLastFailures(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	reporter, sent := sentryReporter(t)
	work := Handle(func(_ context.Context, args greetArgs) error {
		if args.Name == "eve" {
			panic("eve is here")
		}
		return fmt.Errorf("no paper for %s: %w", args.Name, context.Canceled) // of a call that the handler itself gave up
	})
	worker, err := NewPGWorker(db, Handlers{work}, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: reporter,
	})
	require.NoError(t, err)

	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		require.NoError(t, queue.Enqueue(t.Context(), tx, greetArgs{Name: "again"}))
		require.NoError(t, queue.Enqueue(t.Context(), tx, greetArgs{Name: "last"}))
		require.NoError(t, queue.Enqueue(t.Context(), tx, greetArgs{Name: "eve"}))
		_, err := tx.Exec(t.Context(), `UPDATE river_job SET max_attempts = 1 WHERE args->>'name' = 'last'`)
		return err
	}))
	running := run(t, &journal{}, worker.Run)
	bodies := sent.Await(t, 2)
	require.NoError(t, running.end(t))

	require.Contains(t, bodies, `"value":"no paper for last: context canceled"`)
	require.Contains(t, bodies, `"source":"job greet"`)
	require.Contains(t, bodies, `"value":"panic: eve is here"`)
	require.Contains(t, bodies, "report_test.go")
	require.NotContains(t, bodies, "again")
	require.Len(t, sent.Requests(), 2)
}

func TestPGWorker_DoesNotReportACancelledJob(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	reporter, sent := sentryReporter(t)
	registry, log, began := prometheus.NewRegistry(), &journal{}, make(chan struct{})
	worker, err := NewPGWorker(db, Handlers{Handle(func(ctx context.Context, _ greetArgs) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})}, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second,
		Log: log.logger(), Metrics: NewMetrics(registry), Reporter: reporter,
	})
	require.NoError(t, err)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	execute(t, db, `UPDATE river_job SET max_attempts = 1`)
	running := run(t, log, worker.Run)
	receive(t, began)

	_, err = worker.client.JobCancel(t.Context(), 1)
	require.NoError(t, err)

	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'cancelled'`) == 1
	})
	require.NoError(t, running.end(t))
	require.EqualValues(t, 1, counts(t, registry, "app_jobs_processed_total")["pg greet default cancelled"])
	require.Contains(t, log.String(), `"Job finished" result=cancelled`)
	reporter.Close()
	require.Empty(t, sent.Requests())
}

func TestRedisWorker_ReportsPanicsAndLastFailures(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	reporter, sent := sentryReporter(t)
	runs := make(chan string, 10)
	work := func(name string) error {
		runs <- name
		switch name {
		case "eve":
			panic("eve is here")
		case "unavailable":
			return &pgconn.PgError{Code: "57P03"}
		}
		return fmt.Errorf("no paper for %s: %w", name, context.Canceled) // of a call that the handler itself gave up
	}
	handlers := Handlers{
		Handle(func(_ context.Context, task waveTask) error { return work(task.Name) }),
		Handle(func(_ context.Context, task waveOnceTask) error { return work(task.Name) }),
	}
	worker, err := NewRedisWorker(pgtest.New(t, migrations), handlers, RedisWorkerOptions{
		URL: server.URL(), PoolSize: 10, Servers: 1, Concurrency: 1, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: reporter,
	})
	require.NoError(t, err)
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(),
		waveTask{Name: "again"}, waveOnceTask{Name: "unavailable"}, waveOnceTask{Name: "last"}, waveTask{Name: "eve"}))
	running := run(t, &journal{}, worker.Run)
	for range 4 {
		receive(t, runs)
	}
	bodies := sent.Await(t, 2)
	require.NoError(t, running.end(t))

	require.Contains(t, bodies, `"value":"no paper for last: context canceled"`)
	require.Contains(t, bodies, `"source":"task wave_once"`)
	require.Contains(t, bodies, `"value":"panic: eve is here"`)
	require.Contains(t, bodies, "report_test.go")
	require.NotContains(t, bodies, "again")
	require.NotContains(t, bodies, "57P03")
	require.Len(t, sent.Requests(), 2)
}

// Private

// sentryReporter returns a reporter and the Sentry to which it sends.
func sentryReporter(t *testing.T) (*telemetry.Reporter, *stacktest.Sentry) {
	t.Helper()
	server := stacktest.StartSentry(t)
	sentry, err := telemetry.OpenSentry(telemetry.SentryOptions{DSN: server.DSN}, prometheus.NewRegistry())
	require.NoError(t, err)
	reporter := newReporter()
	reporter.SendTo(sentry)
	t.Cleanup(reporter.Close)
	return reporter, server
}
