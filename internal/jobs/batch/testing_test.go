package batch

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(victimDatabase); address != "" {
		os.Exit(runVictim(address))
	}
	m.Run()
}

// Private

// migrations make the table to which callbacks write.
var migrations fs.FS = fstest.MapFS{"00001_create_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (name text NOT NULL);\n")}}

// step is a job of a batch.
type step struct {
	Number int `json:"number"`
}

func (step) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "step", Attempts: 2, Backoff: func(int) time.Duration { return 10 * time.Millisecond }}
}

// report is a callback.
type report struct {
	Of string `json:"of"`
}

func (report) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "report", Queue: jobs.Critical}
}

// fixture is a database with batches.
type fixture struct {
	*Batches
	queue *jobs.Jobs
	log   *stacktest.Journal
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db := pgtest.New(t, migrations)
	queue, err := jobs.NewJobs(db, jobs.NewMetrics(prometheus.NewRegistry()))
	require.NoError(t, err)
	return &fixture{Batches: New(db, queue), queue: queue, log: &stacktest.Journal{}}
}

// enqueue enqueues a batch of steps that reports both of its ends.
func (f *fixture) enqueue(t *testing.T, steps int) (id ID) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) (err error) {
		id, err = f.Enqueue(t.Context(), tx, reported, stepsTo(steps)...)
		return err
	}))
	return id
}

var reported = Batch{Name: "import", OnSuccess: report{Of: "success"}, OnFinish: report{Of: "finish"}}

func stepsTo(last int) []jobs.Args {
	all := make([]jobs.Args, last)
	for i := range all {
		all[i] = step{Number: i + 1}
	}
	return all
}

// work starts a worker of the steps, two finishers, and a worker of the callbacks.
func (f *fixture) work(t *testing.T, do func(context.Context, step) error) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(f.log, nil))
	worker, err := newWorker(f.db, log, do)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return worker.Run(ctx) })
	for range 2 {
		group.Go(func() error { return NewFinisher(f.Batches, handlers(f.db, do), log).Run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		require.NoError(t, group.Wait())
		if t.Failed() {
			t.Log(f.log.String())
		}
	})
}

func newWorker(db *pgxpool.Pool, log *slog.Logger, do func(context.Context, step) error) (*jobs.PGWorker, error) {
	return jobs.NewPGWorker(db, handlers(db, do), jobs.PGWorkerOptions{
		Concurrency:     map[jobs.Queue]int{jobs.Critical: 2, jobs.Default: 20},
		ShutdownTimeout: time.Second, Log: log, Metrics: jobs.NewMetrics(prometheus.NewRegistry()),
		Reporter: telemetry.NewReporter(log, prometheus.NewRegistry()),
	})
}

func handlers(db *pgxpool.Pool, do func(context.Context, step) error) jobs.Handlers {
	return jobs.Handlers{jobs.Handle(do), jobs.Handle(func(ctx context.Context, job report) error {
		_, err := db.Exec(ctx, `INSERT INTO things (name) VALUES ($1 || ' ' || $2::bigint)`, job.Of, Of(ctx))
		return err
	})}
}

// reports returns what the callbacks wrote.
func (f *fixture) reports(t *testing.T) []string {
	t.Helper()
	rows, err := f.db.Query(t.Context(), `SELECT name FROM things ORDER BY name`)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// show returns a batch.
func (f *fixture) show(t *testing.T, id ID) Summary {
	t.Helper()
	summary, err := f.Show(t.Context(), id)
	require.NoError(t, err)
	return summary
}

// await waits until a batch is in a state, and its callbacks have run.
func (f *fixture) await(t *testing.T, id ID, state State) Summary {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		return f.show(t, id).State == state && f.count(t, `SELECT count(*) FROM river_job WHERE kind = 'report' AND state <> 'completed'`) == 0
	})
	return f.show(t, id)
}

func (f *fixture) count(t *testing.T, query string) (n int) {
	t.Helper()
	require.NoError(t, f.db.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func (f *fixture) execute(t *testing.T, statement string) {
	t.Helper()
	_, err := f.db.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func openDatabase(ctx context.Context, address string) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Options{
		URL: address, Name: "batch", PoolSize: 15, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
}
