package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
)

// Workers of both backends share keys while they are killed, stopped and frozen.
// TORTURE_SECONDS sets the duration, TORTURE_SEED repeats a run.
func TestTorture_NoKeyIsHeldByMoreRunsThanItsLimit(t *testing.T) {
	t.Parallel()
	duration := time.Duration(fromEnvironment(t, "TORTURE_SECONDS", 20)) * time.Second
	seed := fromEnvironment(t, "TORTURE_SEED", time.Now().UnixNano()%1_000_000)
	t.Logf("TORTURE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	database := stacktest.Postgres(t)
	redis := stacktest.RedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Durable: true})
	migrateWith(t, database.URL(), limitMigrations)
	db := openDatabase(t, database.URL())
	many := enqueueLimited(t, db, redis.URL(), 150)
	victims := []*victim{}
	for _, role := range []string{"limited-pg", "limited-pg", "limited-redis", "limited-redis"} {
		victims = append(victims, startVictim(t, role, database.URL(), redis.URL()))
	}

	faults := 0
	for end := time.Now().Add(duration); time.Now().Before(end); faults++ {
		v := victims[random.IntN(len(victims))]
		switch random.IntN(4) {
		case 0:
			require.NoError(t, v.restart())
		case 1:
			require.NoError(t, v.freeze(time.Duration(random.IntN(1500))*time.Millisecond))
		default:
			require.NoError(t, v.kill())
		}
		pause := time.NewTimer(time.Duration(500+random.IntN(1500)) * time.Millisecond)
		<-pause.C
	}

	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM worked`) == many }, 4*time.Minute, 200*time.Millisecond)
	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM key_waiters`) == 0 }, time.Minute, 200*time.Millisecond)
	require.Zero(t, count(t, db, `SELECT count(*) FROM violations`))
	t.Logf("%d runs, %d of them repeated, %d faults", many, count(t, db, `SELECT count(*) FROM worked WHERE runs > 1`), faults)
	for _, victim := range victims {
		victim.stop(t)
	}
}

// Private

var limitMigrations fs.FS = fstest.MapFS{"00001_create_runs.sql": {Data: []byte(`-- +goose Up
CREATE TABLE worked (number bigint PRIMARY KEY, runs integer NOT NULL DEFAULT 1);
CREATE TABLE violations (number bigint NOT NULL);
`)}}

// limitedArgs are jobs of which a few run at a time for each key. Durable tasks of
// the same kind share their keys.
type limitedArgs struct {
	Key    int   `json:"key"`
	Number int64 `json:"number"`
}

func (limitedArgs) Declare() Declaration {
	return Declaration{Kind: "limited", Attempts: 100, Backoff: Quick, Limit: Limit{Key: keyOfLimited, Max: limitedMax}}
}

type limitedTask limitedArgs

func (limitedTask) Declare() Declaration {
	declaration := limitedArgs{}.Declare()
	declaration.Durable = true
	return declaration
}

const limitedMax = 2

func keyOfLimited(args json.RawMessage) string {
	var read limitedArgs
	if err := json.Unmarshal(args, &read); err != nil {
		return ""
	}
	return string(rune('a' + read.Key))
}

// enqueueLimited enqueues the same number of jobs and of tasks, and returns the
// number of both.
func enqueueLimited(t *testing.T, db *pgxpool.Pool, redisURL string, each int) int {
	t.Helper()
	queue := newJobs(t, db, prometheus.NewRegistry())
	tasks, err := NewTasks(failopen.NewGuard(failopen.Options{URL: redisURL}, newReporter()), queue, NewMetrics(prometheus.NewRegistry()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tasks.Close()) })
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		for n := range int64(each) {
			if err := queue.Enqueue(t.Context(), tx, limitedArgs{Key: int(n % 3), Number: n}); err != nil {
				return err
			}
			if _, err := tasks.EnqueueTx(t.Context(), tx, limitedTask{Key: int(n % 3), Number: int64(each) + n}); err != nil {
				return err
			}
		}
		return nil
	}))
	return 2 * each
}

// workLimited takes part in the work of limitedArgs. An advisory lock of another
// transaction than that of the limit tells whether too many runs hold a key.
func workLimited(ctx context.Context, backend Backend, db *pgxpool.Pool, outbox Handlers, log *slog.Logger, metrics *Metrics) error {
	work := func(ctx context.Context, args limitedArgs) error {
		err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			if err := claimPlace(ctx, tx, args.Key); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.03)`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO worked (number) VALUES ($1) ON CONFLICT (number) DO UPDATE SET runs = worked.runs + 1`, args.Number)
			return err
		})
		if errors.Is(err, errNoPlace) {
			_, err = db.Exec(ctx, `INSERT INTO violations (number) VALUES ($1)`, args.Number)
		}
		return err
	}
	handler := Handle(work)
	if backend == Redis {
		handler = Handle(func(ctx context.Context, task limitedTask) error { return work(ctx, limitedArgs(task)) })
	}
	return runLimited(ctx, backend, db, append(Handlers{handler}, outbox...), log, metrics)
}

var errNoPlace = errors.New("more runs than the limit hold the key")

// claimPlace claims one of the places of a key until the transaction ends. It tries
// for a while, because the server may not have seen yet that a killed worker is gone.
func claimPlace(ctx context.Context, tx pgx.Tx, key int) error {
	for range 300 {
		var claimed int
		err := tx.QueryRow(ctx, `
			SELECT count(*) FROM (
				SELECT FROM generate_series(1, $2::int) AS place WHERE pg_try_advisory_xact_lock(77, $1::int * 10 + place) LIMIT 1
			) AS claimed`, key, limitedMax).Scan(&claimed)
		if err != nil || claimed == 1 {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.01)`); err != nil {
			return err
		}
	}
	return errNoPlace
}

func runLimited(ctx context.Context, backend Backend, db *pgxpool.Pool, handlers Handlers, log *slog.Logger, metrics *Metrics) error {
	if backend == PG {
		worker, err := NewPGWorker(db, handlers, PGWorkerOptions{
			Concurrency: map[Queue]int{Critical: 1, Default: 8, Low: 1}, ShutdownTimeout: 5 * time.Second,
			Version: "torture", Log: log, Metrics: metrics, Reporter: newReporter(),
		})
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	}
	worker, err := NewRedisWorker(db, handlers[:1], RedisWorkerOptions{
		URL: os.Getenv(tortureRedis), PoolSize: 10, Servers: 2, Concurrency: 8,
		CheckInterval: 10 * time.Millisecond, ShutdownTimeout: 5 * time.Second,
		Version: "torture", Log: log, Metrics: metrics, Reporter: newReporter(),
	})
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}
