// Package jobstest helps the tests of an application to see what it enqueues, and
// to run it without a worker.
package jobstest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
)

// Enqueued returns the args of the jobs of the kind of T that wait in db, in the
// order in which they would run.
func Enqueued[T jobs.Args](t testing.TB, db *pgxpool.Pool) (all []T) {
	t.Helper()
	var kind T
	rows, err := db.Query(t.Context(), `
		SELECT args FROM river_job
		WHERE kind = $1 AND state IN ('available', 'scheduled', 'retryable')
		ORDER BY priority, scheduled_at, id`, kind.Declare().Kind)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(t, err)
	for _, payload := range found {
		var args T
		require.NoError(t, json.Unmarshal(payload, &args))
		all = append(all, args)
	}
	return all
}

// Run runs the work of args once, in the first attempt, as a worker does: its args
// become JSON and are read again. It returns the error of the run.
func Run(t testing.TB, handlers jobs.Handlers, args jobs.Args) error {
	t.Helper()
	kind := args.Declare().Kind
	handler, known := handlers.Find(kind)
	require.True(t, known, "%s has no handler", kind)
	payload, err := json.Marshal(args)
	require.NoError(t, err)
	run := jobs.Run{ID: "test", Kind: kind, Queue: handler.Queue, Attempt: 1, EnqueuedAt: time.Now()}
	return handler.Perform(t.Context(), run, payload)
}

// Drain runs all jobs in db that are due, and those that they enqueue, one after
// the other in the order of their priority, until none is left. It fails the test
// when a job fails. It returns the kinds in the order in which they ran.
func Drain(t testing.TB, db *pgxpool.Pool, handlers jobs.Handlers) (kinds []string) {
	t.Helper()
	for {
		var id int64
		var kind, queue string
		var payload []byte
		err := db.QueryRow(t.Context(), `
			UPDATE river_job SET state = 'completed', attempt = 1, attempted_at = now(), finalized_at = now()
			WHERE id = (
				SELECT id FROM river_job
				WHERE state IN ('available', 'scheduled') AND scheduled_at <= now() AND kind = ANY($1)
				ORDER BY priority, scheduled_at, id LIMIT 1
			)
			RETURNING id, kind, queue, args`, handlers.Kinds()).Scan(&id, &kind, &queue, &payload)
		if errors.Is(err, pgx.ErrNoRows) {
			return kinds
		}
		require.NoError(t, err)
		handler, _ := handlers.Find(kind)
		run := jobs.Run{Backend: jobs.PG, ID: "test", Kind: kind, Queue: jobs.Queue(queue), Attempt: 1, EnqueuedAt: time.Now()}
		require.NoError(t, handler.Perform(t.Context(), run, payload), "job %d (%s)", id, kind)
		kinds = append(kinds, kind)
	}
}
