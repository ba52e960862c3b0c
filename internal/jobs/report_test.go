package jobs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestPGWorker_TellsPeopleOfPanicsAndLastFailures(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	reporter, told := tellingReporter(t)
	work := Handle(func(_ context.Context, args greetArgs) error {
		if args.Name == "eve" {
			panic("eve is here")
		}
		return errors.New("no paper for " + args.Name)
	})
	worker, err := NewPGWorker(db, Handlers{work}, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: reporter,
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
	bodies := receive(t, told) + receive(t, told)
	require.NoError(t, running.end(t))

	require.Contains(t, bodies, `"value":"no paper for last"`)
	require.Contains(t, bodies, `"source":"job greet"`)
	require.Contains(t, bodies, `"value":"panic: eve is here"`)
	require.Contains(t, bodies, "report_test.go")
	require.NotContains(t, bodies, "again")
	require.Empty(t, told)
}

func TestPGWorker_TellsNobodyOfACancelledJob(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	reporter, told := tellingReporter(t)
	registry, log, began := prometheus.NewRegistry(), &journal{}, make(chan struct{})
	worker, err := NewPGWorker(db, Handlers{Handle(func(ctx context.Context, _ greetArgs) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})}, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second, Log: log.logger(), Metrics: NewMetrics(registry), Reporter: reporter,
	})
	require.NoError(t, err)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	execute(t, db, `UPDATE river_job SET max_attempts = 1`)
	running := run(t, log, worker.Run)
	receive(t, began)

	_, err = worker.client.JobCancel(t.Context(), 1)
	require.NoError(t, err)

	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'cancelled'`) == 1 }, patience, 10*time.Millisecond)
	require.NoError(t, running.end(t))
	require.EqualValues(t, 1, figures(t, registry, "app_jobs_processed_total")["pg greet default cancelled"])
	require.Contains(t, log.String(), `"Job cancelled"`)
	reporter.Close()
	require.Empty(t, told)
}

func TestRedisWorker_TellsPeopleOfPanicsAndLastFailures(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	reporter, told := tellingReporter(t)
	runs := make(chan string, 10)
	work := func(name string) error {
		runs <- name
		switch name {
		case "eve":
			panic("eve is here")
		case "away":
			return &pgconn.PgError{Code: "57P03"}
		}
		return errors.New("no paper for " + name)
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

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "again"}, waveOnceTask{Name: "away"}, waveOnceTask{Name: "last"}, waveTask{Name: "eve"}))
	running := run(t, &journal{}, worker.Run)
	for range 4 {
		receive(t, runs)
	}
	bodies := receive(t, told) + receive(t, told)
	require.NoError(t, running.end(t))

	require.Contains(t, bodies, `"value":"no paper for last"`)
	require.Contains(t, bodies, `"source":"task wave_once"`)
	require.Contains(t, bodies, `"value":"panic: eve is here"`)
	require.Contains(t, bodies, "report_test.go")
	require.NotContains(t, bodies, "again")
	require.NotContains(t, bodies, "57P03")
	require.Empty(t, told)
}

func TestRedisWorker_AnOutageDoesNotFloodTheLog(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	log := &journal{}
	reporter := telemetry.NewReporter(log.logger(), prometheus.NewRegistry())
	worker, err := NewRedisWorker(pgtest.New(t, migrations), nil, RedisWorkerOptions{
		URL: server.URL(), PoolSize: 10, Servers: 1, Concurrency: 5, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: reporter,
	})
	require.NoError(t, err)
	running := run(t, log, worker.Run)
	require.Eventually(t, worker.Started, patience, time.Millisecond)

	require.NoError(t, server.Kill())
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "[asynq.Server] Redis error: refused: ") }, patience, 10*time.Millisecond)
	for range 200 {
		asynqLog{reporter}.Error("could not dequeue: dial tcp 127.0.0.1:1: connect: connection refused")
	}
	require.Equal(t, 1, strings.Count(log.String(), "[asynq.Server] Redis error: refused: "))
	require.NoError(t, server.Restart(t.Context()))
	_ = running.end(t)
	reporter.Close()

	require.Regexp(t, `\[asynq.Server\] Redis error: refused: .* suppressed=2\d\d `, log.String())
}

func TestMetrics_LogWhatIsNews(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run  work
		err  error
		want string
	}{
		"job":                         {work{backend: PG, attempt: 1}, nil, `level=INFO msg="Job done"`},
		"transient task":              {work{backend: Redis, attempt: 1, routine: true}, nil, `level=DEBUG msg="Task done"`},
		"transient task, second time": {work{backend: Redis, attempt: 2, routine: true}, nil, `level=INFO msg="Task done"`},
		"transient task that fails":   {work{backend: Redis, attempt: 1, routine: true}, errors.New("no"), `level=WARN msg="Task failed"`},
		"durable task":                {work{backend: Redis, attempt: 1}, nil, `level=INFO msg="Task done"`},
		"put off":                     {work{backend: PG, attempt: 1}, Later(time.Second, "busy"), `level=DEBUG msg="Job later"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &journal{}

			NewMetrics(prometheus.NewRegistry()).finish(t.Context(), log.logger(), test.run, test.err)

			require.Contains(t, log.String(), test.want)
		})
	}
}

// Private

// tellingReporter makes a reporter whose Sentry hands on what it is told.
func tellingReporter(t *testing.T) (*telemetry.Reporter, <-chan string) {
	t.Helper()
	told := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		told <- string(body)
	}))
	t.Cleanup(server.Close)
	sentry, err := telemetry.OpenSentry(telemetry.SentryOptions{DSN: strings.Replace(server.URL, "://", "://key@", 1) + "/1"}, prometheus.NewRegistry())
	require.NoError(t, err)
	reporter := newReporter()
	reporter.SendTo(sentry)
	t.Cleanup(reporter.Close)
	return reporter, told
}
