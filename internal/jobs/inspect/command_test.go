package inspect

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

func TestInspector_CommandsReachARunningWorker(t *testing.T) {
	t.Parallel()
	s := setup(t)
	release, entered := make(chan struct{}), make(chan struct{}, 2)
	defer close(release)
	signals := make(chan syscall.Signal, 10)
	signal := func(one syscall.Signal) error { signals <- one; return nil }
	hang := func() { entered <- struct{}{}; <-release }
	log := slog.New(slog.DiscardHandler)
	hangs := jobs.Handlers{jobs.Handle(func(context.Context, mailArgs) error { hang(); return nil })}
	pg, err := jobs.NewPGWorker(s.db, hangs, jobs.PGWorkerOptions{
		Concurrency: map[jobs.Queue]int{jobs.Critical: 2, jobs.Default: 2, jobs.Low: 2}, ShutdownTimeout: time.Second, Signal: signal,
		Log: log, Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	tasks, err := jobs.NewRedisWorker(s.db, jobs.Handlers{jobs.Handle(func(context.Context, waveArgs) error { hang(); return nil })},
		jobs.RedisWorkerOptions{
			URL: s.redis.URL(), Servers: 1, Concurrency: 2, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second, Signal: signal,
			Log: log, Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
		})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- pg.Run(ctx) }()
	go func() { ended <- tasks.Run(ctx) }()
	s.execute(t, `INSERT INTO river_job (kind, args, max_attempts) VALUES ('mail', '{}', 3)`)
	stacktest.Eventually(t, tasks.Started)
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	<-entered
	<-entered
	var job int64
	require.NoError(t, s.db.QueryRow(t.Context(), `SELECT id FROM river_job WHERE kind = 'mail'`).Scan(&job))
	page, err := s.inspector.List(t.Context(), Filter{Backend: jobs.Redis})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Equal(t, Running, page.Items[0].State)

	stack, err := s.inspector.Stack(t.Context(), ID{Backend: jobs.PG, Job: job})
	require.NoError(t, err)
	require.Contains(t, stack, "TestInspector_CommandsReachARunningWorker")
	stack, err = s.inspector.Stack(t.Context(), page.Items[0].ID)
	require.NoError(t, err)
	require.Contains(t, stack, "TestInspector_CommandsReachARunningWorker")
	_, err = s.inspector.Stack(t.Context(), ID{Backend: jobs.PG, Job: job + 1})
	require.ErrorIs(t, err, ErrState)
	_, err = s.inspector.Stack(t.Context(), ID{Backend: jobs.Redis, Queue: "default", Task: "nobody"})
	require.ErrorIs(t, err, ErrState)

	workers, err := s.inspector.Workers(t.Context())
	require.NoError(t, err)
	require.Len(t, workers, 2)
	for _, worker := range workers {
		require.NoError(t, s.inspector.QuietWorker(t.Context(), worker.ID))
		require.Equal(t, syscall.SIGTSTP, <-signals)
		require.NoError(t, s.inspector.StopWorker(t.Context(), worker.ID))
		require.Equal(t, syscall.SIGTERM, <-signals)
	}
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
}

func TestInspector_CommandsToNobodyFail(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, beat_at)
		VALUES ('dead', 'pg', 'h', 1, 'v', '{}', 1, 'working', now() - interval '1 minute'),
		       ('older', 'pg', 'h', 1, 'v', '{}', 1, 'working', now())`) // a release that knows no commands

	require.ErrorIs(t, s.inspector.QuietWorker(t.Context(), "dead"), ErrGone)
	require.ErrorIs(t, s.inspector.StopWorker(t.Context(), "unknown"), ErrGone)
	require.ErrorIs(t, s.inspector.QuietWorker(t.Context(), "older"), ErrNoAnswer)

	var open int
	require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM worker_commands WHERE answered_at IS NULL`).Scan(&open))
	require.Zero(t, open, "nobody obeys it later")
}
