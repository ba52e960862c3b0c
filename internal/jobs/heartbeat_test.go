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

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestHeartbeat_EndsAWorkerThatWasDeclaredDead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	h := newTestHeartbeat(db)
	beating := run(t, &journal{}, h.run)
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 1 })

	execute(t, db, `DELETE FROM job_processes`)

	require.ErrorIs(t, beating.wait(t), ErrDeclaredDead)
}

func TestHeartbeat_IsNoErrorWhenAStoppingWorkerWasDeclaredDead(t *testing.T) {
	t.Parallel()
	h := newTestHeartbeat(pgtest.New(t, migrations))

	require.NoError(t, h.afterStop(ErrDeclaredDead))
	require.ErrorIs(t, h.afterStop(context.DeadlineExceeded), context.DeadlineExceeded)
}

func TestHeartbeat_EndsAWorkerThatStoodStill(t *testing.T) {
	t.Parallel()
	h := newTestHeartbeat(pgtest.New(t, migrations))
	beats := 0
	h.running = func() int {
		if beats++; beats == 3 {
			time.Sleep(2 * h.deadAfter) // as if the whole process stood still
		}
		return 0
	}

	require.ErrorIs(t, run(t, &journal{}, h.run).wait(t), ErrDeclaredDead)
}

func TestHeartbeat_DeclaresNoWorkerDeadAfterAnOutageOfItsOwn(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL())
	db := openDatabase(t, server.URL())
	one, other := newTestHeartbeat(db), newTestHeartbeat(db)
	one.deadAfter, other.deadAfter = 2*time.Second, 2*time.Second
	both := []*running{run(t, &journal{}, one.run), run(t, &journal{}, other.run)}
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM job_processes`) == 2 })

	require.NoError(t, server.Kill())
	outage := time.NewTimer(3 * time.Second) // longer than deadAfter
	<-outage.C
	require.NoError(t, server.Restart(t.Context()))

	stacktest.Eventually(t, func() bool {
		var beaten int
		err := db.QueryRow(t.Context(), `SELECT count(*) FROM job_processes WHERE beat_at > now() - interval '1 second'`).Scan(&beaten)
		return err == nil && beaten == 2
	})
	for _, beating := range both {
		require.NoError(t, beating.end(t))
	}
}

func TestHeartbeat_DeclaresNoWorkerDeadWhenTheClockWasSet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1) // it only looks dead: the database's clock was an hour slow until now
	beaten := make(chan struct{}, 100)
	h := newTestHeartbeat(db)
	require.NoError(t, h.beat(t.Context()))
	h.process.BeatAt = h.process.BeatAt.Add(-time.Hour) // as the slow clock reported it
	h.deadAfter, h.steadySince = patience, time.Now().Add(-time.Hour)
	h.running = func() int { beaten <- struct{}{}; return 0 }

	beating := run(t, &journal{}, h.run)
	for range 3 {
		receive(t, beaten)
	}
	require.NoError(t, beating.end(t))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes WHERE id = 'dead'`))
}

// A worker whose jobs or tasks use all connections does not count as dead.
func TestHeartbeat_ContinuesWhileThePoolIsExhausted(t *testing.T) {
	t.Parallel()
	options := func() (*slog.Logger, *Metrics, *telemetry.Reporter) {
		return slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), newReporter()
	}
	for backend, start := range map[Backend]func(*testing.T, *pgxpool.Pool) (*heartbeat, runner){
		PG: func(t *testing.T, db *pgxpool.Pool) (*heartbeat, runner) {
			log, metrics, reporter := options()
			handlers := Handlers{Handle(func(context.Context, greetArgs) error { return nil })}
			worker, err := NewPGWorker(db, handlers, PGWorkerOptions{
				Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second,
				Log: log, Metrics: metrics, Reporter: reporter,
			})
			require.NoError(t, err)
			return worker.heartbeat, worker
		},
		Redis: func(t *testing.T, db *pgxpool.Pool) (*heartbeat, runner) {
			log, metrics, reporter := options()
			worker, err := NewRedisWorker(db, nil, RedisWorkerOptions{
				URL: stacktest.Redis(t).URL(), PoolSize: 5, Servers: 1, Concurrency: 1,
				CheckInterval: 10 * time.Millisecond, ShutdownTimeout: time.Second,
				Log: log, Metrics: metrics, Reporter: reporter,
			})
			require.NoError(t, err)
			return worker.heartbeat, worker
		},
	} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			db := smallPool(t, 8)
			reader := postgres.NewConnection(db)
			beatAt := func() (at time.Time) {
				connection, err := reader.Open(t.Context())
				require.NoError(t, err)
				_ = connection.QueryRow(t.Context(), `SELECT beat_at FROM job_processes`).Scan(&at) // no error handling: there may be no row
				return at
			}
			heartbeat, work := start(t, db)
			heartbeat.every, heartbeat.deadAfter = 100*time.Millisecond, 2*time.Second
			worker := run(t, &journal{}, work.Run)
			stacktest.Eventually(t, func() bool { return work.Started() && !beatAt().IsZero() })

			busy := exhaust(t, db)
			began := beatAt()

			stacktest.Eventually(t, func() bool {
				return beatAt().Sub(began) > 2*heartbeat.deadAfter
			}, "heartbeats go on")
			require.Empty(t, worker.ended)
			busy()
			require.NoError(t, worker.end(t))
			require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
			require.NoError(t, reader.Close(t.Context()))
		})
	}
}

// Private

// newTestHeartbeat returns a heartbeat with short intervals.
func newTestHeartbeat(db *pgxpool.Pool) *heartbeat {
	h := newHeartbeat(db, newProcess(PG, "v1", StandardQueues, 5), func() int { return 0 }, (&journal{}).logger(), newReporter())
	h.every, h.deadAfter = 50*time.Millisecond, 200*time.Millisecond
	return h
}

// runner is a worker of either backend.
type runner interface {
	Run(ctx context.Context) error
	Started() bool
}

// exhaust takes all connections of a pool. Release returns them, at the latest at
// the end of the test.
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
