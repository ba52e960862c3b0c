package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

// A worker ends in time whatever its handlers do, and returns unfinished work to
// its queue.
func TestStop_EndsInTimeAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, handler := range []struct {
		kind          string
		least, most   time.Duration
		done, waiting int
	}{
		{kind: "quick", most: shutdownOfStop + 5*time.Second, done: 1},
		{kind: "heedful", least: shutdownOfStop, most: shutdownOfStop + 5*time.Second, waiting: 1},
		{kind: "stubborn", least: shutdownOfStop, most: shutdownOfStop + stopGrace + 5*time.Second, waiting: 1},
	} {
		for _, backend := range []Backend{PG, Redis} {
			t.Run(fmt.Sprintf("%s on %s", handler.kind, backend), func(t *testing.T) {
				t.Parallel()
				s := newStopping(t, handler.kind, backend)

				started := time.Now()
				s.worker.stop(t)
				took := time.Since(started)

				t.Logf("took %s", took.Round(10*time.Millisecond))
				require.GreaterOrEqual(t, took, handler.least)
				require.Less(t, took, handler.most)
				require.Equal(t, handler.done, count(t, s.db, `SELECT count(*) FROM things WHERE name = 'done'`))
				require.Equal(t, handler.waiting, s.waiting(t), s.worker.output.String())
				require.Zero(t, count(t, s.db, `SELECT count(*) FROM job_processes`))
			})
		}
	}
}

func TestStop_EndsAtOnceAfterASecondSignal(t *testing.T) {
	t.Parallel()
	for _, backend := range []Backend{PG, Redis} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			s := newStopping(t, "stubborn", backend)
			workers := func() int { return count(t, s.db, `SELECT count(*) FROM job_processes`) }
			stacktest.Eventually(t, func() bool { return workers() == 1 })

			process := s.worker.cmd.Process
			require.NoError(t, process.Signal(syscall.SIGTERM))
			stacktest.Eventually(t, func() bool { return strings.Contains(s.worker.output.String(), "Stopping") })
			ended := make(chan struct{})
			go func() {
				_ = s.worker.cmd.Wait()
				close(ended)
			}()
			// More than once: a signal right after the first one may be merged with it.
			require.Eventually(t, func() bool {
				_ = process.Signal(syscall.SIGTERM) // fails when the process has ended
				select {
				case <-ended:
					return true
				default:
					return false
				}
			}, shutdownOfStop, 20*time.Millisecond)
			s.worker.cmd = nil

			require.Equal(t, 1, workers()) // another worker declares it dead and releases its jobs
		})
	}
}

// Private

const shutdownOfStop = 2 * time.Second

// stopping is a worker process that runs one job or task.
type stopping struct {
	backend Backend
	db      *pgxpool.Pool
	redis   *asynq.Inspector
	worker  *victim
}

func newStopping(t *testing.T, kind string, backend Backend) *stopping {
	t.Helper()
	url := pgtest.URL(t, migrations)
	server := stacktest.Redis(t)
	s := &stopping{backend: backend, db: openDatabase(t, url), redis: asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server))}
	if backend == PG {
		enqueue(t, s.db, newJobs(t, s.db, prometheus.NewRegistry()), kind)
	} else {
		tasks, _ := newTasks(t, server.URL())
		require.True(t, tasks.Enqueue(t.Context(), greetArgs{Name: kind}))
	}
	s.worker = startVictim(t, kind+" of "+string(backend), url, server.URL())
	stacktest.Eventually(t, func() bool {
		return count(t, s.db, `SELECT count(*) FROM things WHERE name = 'began'`) == 1
	}, s.worker.output)
	return s
}

// waiting counts the jobs or tasks that another worker would take, with all their
// attempts left.
func (s *stopping) waiting(t *testing.T) int {
	t.Helper()
	if s.backend == PG {
		return count(t, s.db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`)
	}
	pending, err := s.redis.ListPendingTasks("default")
	require.NoError(t, err)
	for _, task := range pending {
		require.Zero(t, task.Retried)
	}
	return len(pending)
}

// stopAs runs a worker whose handler behaves as kind names it.
func stopAs(ctx context.Context, kind, backend string, db *pgxpool.Pool) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	say := func(what string) error {
		_, err := db.Exec(context.Background(), `INSERT INTO things (name) VALUES ($1)`, what)
		return err
	}
	concurrency := 2
	if kind == "holder" {
		concurrency = 1
	}
	handlers := Handlers{Handle(func(ctx context.Context, args greetArgs) error {
		retries, _ := asynq.GetRetryCount(ctx)
		switch kind {
		case "finisher":
			return say(fmt.Sprintf("finished %s %d %d retries=%d", args.Name, os.Getpid(), time.Now().UnixMilli(), retries))
		case "holder":
			_ = say(fmt.Sprintf("began %s %d", args.Name, os.Getpid()))
			select {}
		}
		if err := say("began"); err != nil {
			return err
		}
		sleep := `SELECT pg_sleep(60)`
		switch kind {
		case "quick":
			sleep = `SELECT pg_sleep(1)`
		case "stubborn":
			connection, err := db.Acquire(ctx)
			if err != nil {
				return err
			}
			defer connection.Release()
			select {}
		}
		_, err := db.Exec(ctx, sleep)
		if err != nil {
			return err
		}
		return say("done")
	})}
	metrics := NewMetrics(prometheus.NewRegistry())
	if backend == string(PG) {
		worker, err := NewPGWorker(db, handlers, PGWorkerOptions{
			Concurrency: map[Queue]int{Critical: 1, Default: concurrency, Low: 1}, ShutdownTimeout: shutdownOfStop,
			Version: "stop", Log: log, Metrics: metrics, Reporter: newReporter(),
		})
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	}
	worker, err := NewRedisWorker(db, handlers, RedisWorkerOptions{
		URL: os.Getenv(tortureRedis), PoolSize: 5, Servers: 1, Concurrency: concurrency,
		CheckInterval: 10 * time.Millisecond, ShutdownTimeout: shutdownOfStop,
		Version: "stop", Log: log, Metrics: metrics, Reporter: newReporter(),
	})
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}
