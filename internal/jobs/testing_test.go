package jobs

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs/history"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestMain(m *testing.M) {
	failopen.LogThrough(func(string, error) {})
	if role := os.Getenv(tortureRole); role != "" {
		os.Exit(runVictim(role))
	}
	m.Run()
}

// Private

// patience is how long a test waits for something that must happen.
const patience = stacktest.Patience

// migrations make one table for jobs to write to.
var migrations fs.FS = fstest.MapFS{"00001_create_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (name text NOT NULL);\n")}}

// running is a worker whose Run was called.
type running struct {
	log   *journal
	stop  context.CancelFunc
	ended chan error
}

func run(t *testing.T, log *journal, work func(context.Context) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{log: log, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- work(ctx) }()
	return r
}

// end stops the worker and returns the result of Run.
func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		require.FailNow(t, "the worker does not end")
		return nil
	}
}

// receive waits for a value that a handler sends.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func newReporter() *telemetry.Reporter {
	return telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

func newRecorder(db *pgxpool.Pool) *history.Recorder {
	return history.NewRecorder(history.RecorderOptions{
		DB: db, Version: "v1", Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
}

// journal is a log that several goroutines may write and a test may read.
type journal struct{ stacktest.Journal }

// logger logs to the journal as text, from debug up.
func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func smallPool(t *testing.T, size int) *pgxpool.Pool {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: pgtest.URL(t, migrations), Name: t.Name(), PoolSize: size, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func openDatabase(t *testing.T, address string) *pgxpool.Pool {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: address, Name: t.Name(), PoolSize: 10, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func migrate(t *testing.T, address string) {
	t.Helper()
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, migrations, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, migrator.Close())
}

func migrateWith(t *testing.T, address string, migrations fs.FS) {
	t.Helper()
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, migrations, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, migrator.Close())
}

func count(t *testing.T, db *pgxpool.Pool, query string) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func execute(t *testing.T, db *pgxpool.Pool, statement string, arguments ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}
