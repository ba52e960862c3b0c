package jobs

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestHeart_ReleasesTheJobsOfADeadWorkerWithoutLosingAnAttempt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	enqueue(t, db, queue, "ada")
	enqueue(t, db, queue, "bob")
	die(t, db, 1)
	survivor := newTestHeart(db)

	beating := run(t, &journal{}, survivor.run)

	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`) == 2
	}, patience, 10*time.Millisecond)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes`))
	require.NoError(t, beating.end(t))
	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestHeart_LeavesJobsOfWorkersThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	execute(t, db, `UPDATE river_job SET state = 'running', attempt = 1, attempted_by = '{"a worker of the last release"}'`)
	survivor := newTestHeart(db)

	for range 3 {
		require.NoError(t, survivor.beat(t.Context()))
		require.NoError(t, survivor.releaseOrphans(t.Context()))
	}

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'running'`))
}

func TestHeart_FindsAWorkerThatDiedBeforeTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1)
	execute(t, db, `UPDATE job_processes SET beat_at = now() + interval '1 hour'`)

	require.NoError(t, newTestHeart(db).releaseOrphans(t.Context()))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`))
}

func TestHeart_CancelsAnOrphanThatWasToBeCancelled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1)
	execute(t, db, `UPDATE river_job SET metadata = '{"cancel_attempted_at": "2026-11-23T00:00:00Z"}'`)

	require.NoError(t, newTestHeart(db).releaseOrphans(t.Context()))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'cancelled' AND finalized_at IS NOT NULL`))
}

func TestHeart_GivesUpAJobThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "eve")
	execute(t, db, `UPDATE river_job SET max_attempts = 2`)
	survivor := newTestHeart(db)
	reporter, told := tellingReporter(t)
	survivor.reporter = reporter

	for range crashesForFree {
		die(t, db, 1)
		require.NoError(t, survivor.releaseOrphans(t.Context()))
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`))
	}
	die(t, db, 1)
	require.NoError(t, survivor.releaseOrphans(t.Context()))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'retryable' AND attempt = 1 AND scheduled_at > now()`))
	require.Empty(t, told)
	die(t, db, 2)
	for range 2 {
		require.NoError(t, survivor.releaseOrphans(t.Context()))
	}

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'discarded' AND errors[2]->>'error' LIKE 'the worker died 7 times%'`))
	reporter.Close()
	body := receive(t, told)
	require.Contains(t, body, `"source":"job greet"`)
	require.Contains(t, body, `"id":"1"`)
	require.Contains(t, body, "the worker died 7 times")
	require.Empty(t, told)
}

func TestHeart_EndsAWorkerThatOthersDeclaredDead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	h := newTestHeart(db)
	beating := run(t, &journal{}, h.run)
	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 1 }, patience, time.Millisecond)

	execute(t, db, `DELETE FROM job_processes`)

	require.ErrorIs(t, beating.wait(t), ErrDeclaredDead)
}

func TestHeart_EndsAWorkerThatStoodStill(t *testing.T) {
	t.Parallel()
	h := newTestHeart(pgtest.New(t, migrations))
	beats := 0
	h.inHand = func() int {
		if beats++; beats == 3 {
			time.Sleep(2 * h.deadAfter) // as the whole process would
		}
		return 0
	}

	require.ErrorIs(t, run(t, &journal{}, h.run).wait(t), ErrDeclaredDead)
}

func TestPGWorker_HandsBackWhatItTookWhileOthersThoughtItDead(t *testing.T) {
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
	execute(t, db, `DELETE FROM job_processes`) // as others do, who do not see this job

	require.ErrorIs(t, worker.wait(t), ErrDeclaredDead)

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND errors IS NULL`))
}

func TestHeart_JudgesNobodyAfterItWasCutOffItself(t *testing.T) {
	t.Parallel()
	server := startPostgres(t)
	migrate(t, server.URL())
	db := openDatabase(t, server.URL())
	one, other := newTestHeart(db), newTestHeart(db)
	one.deadAfter, other.deadAfter = 2*time.Second, 2*time.Second
	both := []*running{run(t, &journal{}, one.run), run(t, &journal{}, other.run)}
	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 2 }, patience, time.Millisecond)

	require.NoError(t, server.Kill())
	away := time.NewTimer(3 * time.Second) // longer than a worker may be silent
	<-away.C
	require.NoError(t, server.Restart(t.Context()))

	require.Eventually(t, func() bool {
		var beaten int
		err := db.QueryRow(t.Context(), `SELECT count(*) FROM job_processes WHERE beat_at > now() - interval '1 second'`).Scan(&beaten)
		return err == nil && beaten == 2
	}, patience, 10*time.Millisecond)
	for _, beating := range both {
		require.NoError(t, beating.end(t))
	}
}

// Jobs and tasks that keep all connections busy do not make their worker look
// dead, to others or to itself.
func TestHeart_BeatsWhileThePoolIsExhausted(t *testing.T) {
	t.Parallel()
	options := func() (*slog.Logger, *Metrics, *telemetry.Reporter) {
		return slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), newReporter()
	}
	for backend, start := range map[Backend]func(*testing.T, *pgxpool.Pool) (*heart, runner){
		PG: func(t *testing.T, db *pgxpool.Pool) (*heart, runner) {
			log, metrics, reporter := options()
			worker, err := NewPGWorker(db, Handlers{Handle(func(context.Context, greetArgs) error { return nil })}, PGWorkerOptions{
				Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second, Log: log, Metrics: metrics, Reporter: reporter,
			})
			require.NoError(t, err)
			return worker.heart, worker
		},
		Redis: func(t *testing.T, db *pgxpool.Pool) (*heart, runner) {
			log, metrics, reporter := options()
			worker, err := NewRedisWorker(db, nil, RedisWorkerOptions{
				URL: startRedis(t).URL(), PoolSize: 5, Servers: 1, Concurrency: 1, CheckInterval: 10 * time.Millisecond, ShutdownTimeout: time.Second,
				Log: log, Metrics: metrics, Reporter: reporter,
			})
			require.NoError(t, err)
			return worker.heart, worker
		},
	} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			db := smallPool(t, 8)
			look := postgres.Beside(db)
			beatAt := func() (at time.Time) {
				connection, err := look.Open(t.Context())
				require.NoError(t, err)
				_ = connection.QueryRow(t.Context(), `SELECT beat_at FROM job_processes`).Scan(&at) // none yet, or no more
				return at
			}
			heart, work := start(t, db)
			heart.every, heart.deadAfter = 100*time.Millisecond, 2*time.Second
			worker := run(t, &journal{}, work.Run)
			require.Eventually(t, func() bool { return work.Started() && !beatAt().IsZero() }, patience, time.Millisecond)

			busy := exhaust(t, db)
			began := beatAt()

			require.Eventually(t, func() bool { return beatAt().Sub(began) > 2*heart.deadAfter }, patience, 10*time.Millisecond, "beats on")
			require.Empty(t, worker.ended)
			busy()
			require.NoError(t, worker.end(t))
			require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
			require.NoError(t, look.Close(t.Context()))
		})
	}
}

func TestPGWorker_SignsOffWhenItIsStoppedBeforeItCouldStart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	worker := newHandlers(t, db, time.Second) // River does not start without any
	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 1 }, patience, time.Millisecond)

	require.NoError(t, worker.end(t))

	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestPGWorker_EntersTheTableAnewWhenItWasDeclaredDeadBeforeItCouldStart(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	worker := newHandlers(t, db, time.Second) // River does not start without any
	entered := func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 1 }
	require.Eventually(t, entered, patience, time.Millisecond)

	execute(t, db, `DELETE FROM job_processes`)

	require.Eventually(t, entered, patience, 10*time.Millisecond)
	require.NoError(t, worker.end(t))
}

func TestPGWorker_HandsBackWhatKeepsItsPoolBusy(t *testing.T) {
	t.Parallel()
	db := smallPool(t, 8)
	began := make(chan struct{})
	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error {
		exhaust(t, db)
		close(began)
		select {} // heeds nothing
	})
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	receive(t, began)

	require.NoError(t, worker.end(t))

	connection, err := postgres.Beside(db).Open(t.Context())
	require.NoError(t, err)
	var waiting, workers int
	require.NoError(t, connection.QueryRow(t.Context(), `SELECT count(*), (SELECT count(*) FROM job_processes) FROM river_job WHERE state = 'available' AND attempt = 0`).Scan(&waiting, &workers))
	require.Equal(t, 1, waiting)
	require.Zero(t, workers)
}

func TestHeart_JudgesNobodyWhenTheClockWasSet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1) // or so it seems, by a clock that was an hour behind until now
	beaten := make(chan struct{}, 100)
	h := newTestHeart(db)
	require.NoError(t, h.beat(t.Context()))
	h.process.BeatAt = h.process.BeatAt.Add(-time.Hour) // as that clock told it a moment ago
	h.deadAfter, h.steadySince = patience, time.Now().Add(-time.Hour)
	h.inHand = func() int { beaten <- struct{}{}; return 0 }

	beating := run(t, &journal{}, h.run)
	for range 3 {
		receive(t, beaten)
	}
	require.NoError(t, beating.end(t))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes WHERE id = 'dead'`))
}

func TestPGWorker_IsInTheTableOfProcessesWhileItRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)

	worker := startPGWorker(t, db, time.Second, func(context.Context, greetArgs) error { return nil })

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes WHERE backend = 'pg' AND state = 'working' AND concurrency = 9 AND version = 'v1'`))
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

	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 1
	}, patience, 10*time.Millisecond)
	require.NoError(t, worker.end(t))
	require.Empty(t, began)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`))
}

// Private

// newTestHeart is the heart of a worker that beats and judges quickly.
func newTestHeart(db *pgxpool.Pool) *heart {
	h := newHeart(db, Process{Backend: PG, Version: "v1", Concurrency: 5}, func() int { return 0 }, (&journal{}).logger(), newReporter())
	h.every, h.deadAfter = 50*time.Millisecond, 200*time.Millisecond
	return h
}

// die makes all jobs those of a worker that has been silent for long.
func die(t *testing.T, db *pgxpool.Pool, attempt int) {
	t.Helper()
	execute(t, db, `
		INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, beat_at)
		VALUES ('dead', 'pg', 'host', 1, 'v1', '{}', 1, 'working', now() - interval '1 hour')`)
	execute(t, db, `UPDATE river_job SET state = 'running', attempt = $1, attempted_by = attempted_by || '{"dead"}'::text[]`, attempt)
}

// runner is a worker of either backend.
type runner interface {
	Run(ctx context.Context) error
	Started() bool
}

// exhaust takes every connection of a pool until it is called back or the test
// ends.
func exhaust(t *testing.T, db *pgxpool.Pool) (release func()) {
	var all []*pgxpool.Conn
	for range db.Config().MaxConns {
		connection, err := db.Acquire(context.Background())
		if err != nil {
			break // the test has ended
		}
		all = append(all, connection)
	}
	release = sync.OnceFunc(func() {
		for _, connection := range all {
			connection.Release()
		}
	})
	t.Cleanup(release)
	return release
}

func execute(t *testing.T, db *pgxpool.Pool, statement string, arguments ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}
