package jobs

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

// Every accepted number is worked at least once, while processes and servers are
// killed and frozen. TORTURE_SECONDS sets the duration, TORTURE_SEED repeats a run.
func TestTorture_NoAcceptedNumberIsLost(t *testing.T) {
	t.Parallel()
	duration := time.Duration(fromEnvironment(t, "TORTURE_SECONDS", 20)) * time.Second
	seed := fromEnvironment(t, "TORTURE_SEED", time.Now().UnixNano()%1_000_000)
	t.Logf("TORTURE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	database := stacktest.Postgres(t)
	redis := stacktest.RedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Durable: true})
	migrateWith(t, database.URL(), tortureMigrations)
	victims := []*victim{}
	for _, role := range []string{"producer", "pg", "pg", "redis", "redis"} {
		victims = append(victims, startVictim(t, role, database.URL(), redis.URL()))
	}

	faults := map[string]int{}
	for end := time.Now().Add(duration); time.Now().Before(end); {
		name, fault := chooseFault(random, victims, database, redis)
		faults[name]++
		require.NoError(t, fault(), name)
		pause := time.NewTimer(time.Duration(300+random.IntN(1200)) * time.Millisecond)
		<-pause.C
	}
	victims[0].stop(t) // no more numbers

	db := openDatabase(t, database.URL())
	accepted := count(t, db, `SELECT count(*) FROM accepted`)
	require.Positive(t, accepted)
	require.Eventually(t, func() bool {
		var missing int
		err := db.QueryRow(t.Context(), `
			SELECT count(*) FROM accepted a
			WHERE NOT EXISTS (SELECT FROM worked w WHERE w.number = a.number)
			  AND NOT EXISTS (SELECT FROM failed_tasks f WHERE (f.args->>'number')::bigint = a.number)
			  AND NOT EXISTS (SELECT FROM river_job j WHERE j.state = 'discarded' AND (j.args->>'number')::bigint = a.number)`).Scan(&missing)
		return err == nil && missing == 0
	}, 3*time.Minute, 200*time.Millisecond, "accepted numbers are still missing: %s", missingNumbers(db))
	inspector := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, redis))
	require.Eventually(t, func() bool {
		queue, err := inspector.GetQueueInfo("default")
		unfinished := count(t, db, `SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'discarded')`)
		return err == nil && unfinished == 0 && queue.Pending+queue.Active+queue.Retry+queue.Scheduled == 0
	}, 3*time.Minute, 200*time.Millisecond, "all jobs and tasks end")

	doubles := count(t, db, `SELECT count(*) FROM worked WHERE runs > 1`)
	unaccepted := count(t, db, `SELECT count(*) FROM worked w WHERE NOT EXISTS (SELECT FROM accepted a WHERE a.number = w.number)`)
	t.Logf("%d numbers accepted, none lost, %d worked more than once; faults %v", accepted, doubles, faults)
	require.Zero(t, unaccepted)
	require.LessOrEqual(t, doubles, max(accepted/10, 50))
	for _, victim := range victims[1:] {
		victim.stop(t)
	}
}

// Private

// A number is accepted in the transaction that enqueues it.
var tortureMigrations fs.FS = fstest.MapFS{"00001_create_numbers.sql": {Data: []byte(`-- +goose Up
CREATE TABLE accepted (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, backend text NOT NULL);
CREATE TABLE worked (number bigint PRIMARY KEY, runs integer NOT NULL DEFAULT 1);
`)}}

// numberJob and numberTask bring a number to the workers of a backend.
type numberJob struct {
	Number int64 `json:"number"`
}

func (numberJob) Declare() Declaration { return Declaration{Kind: "number_job", Backoff: Quick} }

type numberTask struct {
	Number int64 `json:"number"`
}

func (numberTask) Declare() Declaration {
	return Declaration{Kind: "number_task", Durable: true, Backoff: Quick}
}

// chooseFault picks the next fault. A fault is repaired when its function returns.
func chooseFault(random *rand.Rand, victims []*victim, database *devstack.Postgres, redis *devstack.Redis) (string, func() error) {
	v := victims[random.IntN(len(victims))]
	worker := victims[1+random.IntN(len(victims)-1)]
	d := time.Duration(200+random.IntN(1800)) * time.Millisecond
	frozen := func(freeze, thaw func() error) func() error {
		return func() error {
			if err := freeze(); err != nil {
				return err
			}
			timer := time.NewTimer(d)
			<-timer.C
			return thaw()
		}
	}
	crashed := func(kill func() error, restart func(context.Context) error) func() error {
		return func() error {
			if err := kill(); err != nil {
				return err
			}
			return restart(context.Background())
		}
	}
	switch n := random.IntN(20); {
	case n < 7:
		return v.role + " killed", v.kill
	case n < 9:
		return v.role + " restarted", v.restart
	case n < 11:
		return worker.role + " frozen", func() error { return worker.freeze(d) }
	case n < 14:
		return "Redis killed", crashed(redis.Kill, redis.Restart)
	case n < 16:
		return "Redis frozen", frozen(redis.Freeze, redis.Thaw)
	case n < 18:
		return "PostgreSQL killed", crashed(database.Kill, database.Restart)
	default:
		return "PostgreSQL frozen", frozen(database.Freeze, database.Thaw)
	}
}

// produce accepts numbers for both backends, about a hundred a second, until ctx
// ends. A number whose transaction did not commit is not accepted.
func produce(ctx context.Context, db *pgxpool.Pool, queue *Jobs, tasks *Tasks) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		trying, cancel := context.WithTimeout(ctx, 2*time.Second)
		deliver := func(context.Context) {}
		err := pgx.BeginFunc(trying, db, func(tx pgx.Tx) error {
			var ofJob, ofTask int64
			if err := tx.QueryRow(trying, `INSERT INTO accepted (backend) VALUES ('pg') RETURNING number`).Scan(&ofJob); err != nil {
				return err
			}
			if err := tx.QueryRow(trying, `INSERT INTO accepted (backend) VALUES ('redis') RETURNING number`).Scan(&ofTask); err != nil {
				return err
			}
			if err := queue.Enqueue(trying, tx, numberJob{ofJob}); err != nil {
				return err
			}
			var err error
			deliver, err = tasks.EnqueueTx(trying, tx, numberTask{ofTask})
			return err
		})
		if err == nil {
			deliver(trying)
		}
		cancel()
	}
}

// missingNumbers describes the accepted numbers that are not worked, for the
// message of a failed test.
func missingNumbers(db *pgxpool.Pool) fmt.Stringer { return &missing{db} }

type missing struct{ db *pgxpool.Pool }

func (m *missing) String() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rows, err := m.db.Query(ctx, `
		SELECT a.backend || ' ' || a.number || ': ' ||
		       coalesce(string_agg(j.kind || ' ' || j.state::text || ' attempt ' || j.attempt, ', '), 'no job')
		FROM accepted a
		LEFT JOIN river_job j ON (j.args->>'number')::bigint = a.number OR (j.args->'task'->'args'->>'number')::bigint = a.number
		WHERE NOT EXISTS (SELECT FROM worked w WHERE w.number = a.number)
		GROUP BY a.backend, a.number
		LIMIT 20`)
	if err != nil {
		return err.Error()
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err.Error()
	}
	return strings.Join(lines, "; ")
}

func fromEnvironment(t *testing.T, name string, usual int64) int64 {
	t.Helper()
	if os.Getenv(name) == "" {
		return usual
	}
	value, err := strconv.ParseInt(os.Getenv(name), 10, 64)
	require.NoError(t, err, name)
	return value
}
