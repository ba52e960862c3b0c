package jobs

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/failopen"
	"slipway/internal/postgres"
)

// Every number that was accepted is worked at least once, whatever dies while
// it is on its way. TORTURE_SECONDS makes it longer, TORTURE_SEED repeats a run.
func TestTorture_NoAcceptedNumberIsLost(t *testing.T) {
	t.Parallel()
	duration := time.Duration(fromEnvironment(t, "TORTURE_SECONDS", 20)) * time.Second
	seed := fromEnvironment(t, "TORTURE_SEED", time.Now().UnixNano()%1_000_000)
	t.Logf("TORTURE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	database := startPostgres(t)
	redis := startRedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Durable: true})
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
	inspector := asynq.NewInspectorFromRedisClient(newClient(t, redis))
	require.Eventually(t, func() bool {
		queue, err := inspector.GetQueueInfo("default")
		unfinished := count(t, db, `SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'discarded')`)
		return err == nil && unfinished == 0 && queue.Pending+queue.Active+queue.Retry+queue.Scheduled == 0
	}, 3*time.Minute, 200*time.Millisecond, "nothing may stay in limbo")

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

const (
	tortureRole     = "TORTURE_ROLE"
	tortureDatabase = "TORTURE_DATABASE_URL"
	tortureRedis    = "TORTURE_REDIS_URL"
)

// Numbers are accepted in the transaction that enqueues them. What is worked
// takes so long that a kill meets it at work.
var tortureMigrations fs.FS = fstest.MapFS{"00001_create_numbers.sql": {Data: []byte(`-- +goose Up
CREATE TABLE accepted (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, backend text NOT NULL);
CREATE TABLE worked (number bigint PRIMARY KEY, runs integer NOT NULL DEFAULT 1);
`)}}

// numberJob and numberTask carry a number through a backend.
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

// victim is a process that the test kills and freezes: this test's own binary.
type victim struct {
	role        string
	environment []string
	mutex       sync.Mutex
	cmd         *exec.Cmd
	output      *journal
}

func startVictim(t *testing.T, role, databaseURL, redisURL string) *victim {
	t.Helper()
	v := &victim{role: role, output: &journal{}, environment: append(os.Environ(), tortureRole+"="+role, tortureDatabase+"="+databaseURL, tortureRedis+"="+redisURL)}
	require.NoError(t, v.launch())
	t.Cleanup(func() {
		v.mutex.Lock()
		defer v.mutex.Unlock()
		if v.cmd != nil {
			_ = v.cmd.Process.Kill()
			_ = v.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("%s:\n%s", role, v.output.String())
		}
	})
	return v
}

func (v *victim) launch() error {
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = v.environment
	v.cmd.Stdout, v.cmd.Stderr = v.output, v.output
	return v.cmd.Start()
}

// kill ends the process without a word and starts it anew.
func (v *victim) kill() error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if err := v.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = v.cmd.Wait()
	return v.launch()
}

// restart is what a deploy does.
func (v *victim) restart() error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = v.cmd.Wait()
	return v.launch()
}

// freeze lets the process stand still for a while.
func (v *victim) freeze(d time.Duration) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if err := v.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	<-timer.C
	return v.cmd.Process.Signal(syscall.SIGCONT)
}

func (v *victim) stop(t *testing.T) {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	require.NoError(t, v.cmd.Process.Signal(syscall.SIGTERM))
	late := time.AfterFunc(patience, func() { _ = v.cmd.Process.Kill() })
	defer late.Stop()
	require.NoError(t, v.cmd.Wait(), v.output)
	v.cmd = nil
}

// chooseFault picks what breaks next. Every fault has mended itself when it
// returns.
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

// runVictim is the program of a victim, when this test's binary is run as one.
func runVictim(role string) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends it at once
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := workAs(ctx, role, log); err != nil {
		log.Error("Ended", "error", err)
		return 1
	}
	return 0
}

func workAs(ctx context.Context, role string, log *slog.Logger) error {
	db, err := postgres.Open(ctx, postgres.Options{
		URL: os.Getenv(tortureDatabase), Name: "torture " + role, PoolSize: 12, ConnectTimeout: time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
	if err != nil {
		return err
	}
	defer postgres.Close(db)
	metrics := NewMetrics(prometheus.NewRegistry())
	queue, err := NewJobs(db, metrics)
	if err != nil {
		return err
	}
	guard := failopen.NewGuard(failopen.Options{URL: os.Getenv(tortureRedis)}, newReporter())
	tasks, err := NewTasks(guard, queue, metrics)
	if err != nil {
		return err
	}
	probing := make(chan error, 1)
	background, stop := context.WithCancel(context.Background())
	go func() { probing <- guard.Run(background) }()
	defer func() {
		stop()
		if err := <-probing; err != nil {
			log.Warn("Redis was not probed to the end", "error", err)
		}
	}()
	if kind, backend, is := strings.Cut(role, " of "); is {
		return stopAs(ctx, kind, backend, db)
	}
	done := func(ctx context.Context, number int64) error {
		if _, err := db.Exec(ctx, `SELECT pg_sleep(0.02)`); err != nil {
			return err
		}
		_, err := db.Exec(ctx, `INSERT INTO worked (number) VALUES ($1) ON CONFLICT (number) DO UPDATE SET runs = worked.runs + 1`, number)
		return err
	}
	switch role {
	case "producer":
		return produce(ctx, db, queue, tasks)
	case "pg":
		worker, err := NewPGWorker(db, append(Handlers{Handle(func(ctx context.Context, job numberJob) error { return done(ctx, job.Number) })}, tasks.Carriers()...), PGWorkerOptions{
			Concurrency: map[Queue]int{Critical: 1, Default: 8, Low: 1}, ShutdownTimeout: 5 * time.Second, Version: "torture", Log: log, Metrics: metrics, Reporter: newReporter(),
		})
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	default:
		worker, err := NewRedisWorker(db, Handlers{Handle(func(ctx context.Context, task numberTask) error { return done(ctx, task.Number) })}, RedisWorkerOptions{
			URL: os.Getenv(tortureRedis), PoolSize: 10, Servers: 2, Concurrency: 8, CheckInterval: 10 * time.Millisecond, ShutdownTimeout: 5 * time.Second,
			Version: "torture", Log: log, Metrics: metrics, Reporter: newReporter(),
		})
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	}
}

// produce accepts numbers for both backends, about a hundred a second, until
// ctx ends. What it could not commit was not accepted.
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

func migrateWith(t *testing.T, address string, migrations fs.FS) {
	t.Helper()
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, migrations, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, migrator.Close())
}

// missingNumbers says what became of numbers, for who reads a failure.
func missingNumbers(db *pgxpool.Pool) fmt.Stringer { return &missing{db} }

type missing struct{ db *pgxpool.Pool }

func (m *missing) String() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rows, err := m.db.Query(ctx, `
		SELECT a.backend || ' ' || a.number || ': ' || coalesce(string_agg(j.kind || ' ' || j.state::text || ' attempt ' || j.attempt, ', '), 'no job')
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
