package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestEnqueue_CommitsWithTheChangeThatCausedIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	worked := make(chan string, 10)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	undone := errors.New("changed my mind")

	err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		require.NoError(t, queue.Enqueue(t.Context(), tx, greetArgs{Name: "nobody"}))
		return undone
	})
	require.ErrorIs(t, err, undone)
	enqueue(t, db, queue, "ada")

	require.Equal(t, "ada", receive(t, worked))
	require.Empty(t, worked)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job`))
}

func TestEnqueue_InBulkDoesTheSame(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	registry := prometheus.NewRegistry()
	queue := newJobs(t, db, registry)
	worked := make(chan string, 100)
	startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		worked <- args.Name
		return nil
	})
	var all []Args
	var names []string
	for i := range 2 * copiedFrom {
		names = append(names, fmt.Sprint(i))
		all = append(all, greetArgs{Name: names[i]})
	}
	undone := errors.New("changed my mind")

	require.ErrorIs(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		require.NoError(t, queue.Enqueue(t.Context(), tx, all...))
		return undone
	}), undone)
	require.Zero(t, count(t, db, `SELECT count(*) FROM river_job`))
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error { return queue.Enqueue(t.Context(), tx, all...) }))

	var found []string
	for range all {
		found = append(found, receive(t, worked))
	}
	require.ElementsMatch(t, names, found)
	enqueued := map[string]float64{"pg greet ok": float64(4 * copiedFrom)} // counted before the transaction ended
	require.Equal(t, enqueued, counts(t, registry, "app_jobs_enqueue_total"))
}

func TestEnqueue_IsDueByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())

	for _, size := range []int{1, copiedFrom} {
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			require.NoError(t, queue.Enqueue(t.Context(), tx, slices.Repeat([]Args{greetArgs{Name: "ada"}}, size)...))
			var due int
			query := `SELECT count(*) FROM river_job WHERE scheduled_at = now() AND state = 'available'`
			require.NoError(t, tx.QueryRow(t.Context(), query).Scan(&due))
			require.Equal(t, size, due)
			return nil
		}))
	}
}

func TestEnqueue_WakesTheWorkerForEveryTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	listener, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer listener.Release()
	_, err = listener.Exec(t.Context(), `LISTEN "`+schemaOf(t, db)+`.river_insert"`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	for range 5 {
		pause := time.NewTimer(10 * time.Millisecond) // River's own default would notify again only after ten times as long
		<-pause.C
		enqueue(t, db, queue, "ada")
		_, err = listener.Conn().WaitForNotification(ctx)
		require.NoError(t, err)
	}
}

// Private

func schemaOf(t *testing.T, db *pgxpool.Pool) string {
	t.Helper()
	var schema string
	require.NoError(t, db.QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema))
	return schema
}

func newJobs(t *testing.T, db *pgxpool.Pool, registry *prometheus.Registry) *Jobs {
	t.Helper()
	queue, err := NewJobs(db, NewMetrics(registry))
	require.NoError(t, err)
	return queue
}

func enqueue(t *testing.T, db *pgxpool.Pool, queue *Jobs, name string) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Enqueue(t.Context(), tx, greetArgs{Name: name})
	}))
}
