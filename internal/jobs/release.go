package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Private

// releaser makes jobs available again whose worker no longer runs them.
type releaser struct {
	db       *pgxpool.Pool // for the address of the database only
	log      *slog.Logger
	reporter *telemetry.Reporter
}

// releasedJob is a job whose worker no longer runs it.
type releasedJob struct {
	ID      int64
	Kind    string
	State   string // River's
	Crashes int
}

// releaseDead deletes the workers whose last heartbeat is older than deadAfter,
// and releases their jobs. Any number of workers may call it at the same time. It
// leaves out the worker that calls it, which is alive even when it was slow since
// its own heartbeat.
func (r *releaser) releaseDead(ctx context.Context, connection *pgx.Conn, caller string, deadAfter time.Duration) error {
	var dead []string
	var released []releasedJob
	err := pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			DELETE FROM job_processes
			WHERE id IN (
				SELECT id FROM job_processes
				WHERE beat_at NOT BETWEEN now() - $1::interval AND now() + $1::interval -- after: the clock was set back since
				AND id <> $2
				FOR UPDATE SKIP LOCKED
			)
			RETURNING id`, deadAfter, caller)
		if err != nil {
			return fmt.Errorf("find dead workers: %w", err)
		}
		dead, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(dead) == 0 {
			return err
		}
		released, err = release(ctx, tx, dead, true)
		return err
	})
	if err != nil || len(dead) == 0 {
		return err
	}
	r.log.WarnContext(ctx, "Jobs of dead workers were released", "workers", strings.Join(dead, " "), "jobs", len(released))
	r.reportDiscarded(ctx, released)
	return nil
}

// releaseOwn releases the jobs that a worker itself runs, and returns how many.
// It opens a connection of its own, because the heartbeat may be using the other.
func (r *releaser) releaseOwn(ctx context.Context, worker string, crashed bool) (jobs int, err error) {
	own := postgres.NewConnection(r.db)
	connection, err := own.Open(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to release the worker's own jobs: %w", err)
	}
	defer func() { _ = own.Close(ctx) }() // an error changes nothing any more
	released, err := release(ctx, connection, []string{worker}, crashed)
	r.reportDiscarded(ctx, released)
	return len(released), err
}

// reportDiscarded logs and reports jobs that failed for good because they killed
// their workers.
func (r *releaser) reportDiscarded(ctx context.Context, released []releasedJob) {
	for _, job := range released {
		if job.State == string(rivertype.JobStateDiscarded) {
			r.log.ErrorContext(ctx, "Job failed for good: its workers died while they ran it", "kind", job.Kind, "id", job.ID, "times", job.Crashes)
			r.reporter.Unexpected("job "+job.Kind, strconv.FormatInt(job.ID, 10), &taskqueue.WorkersDied{Times: job.Crashes})
		}
	}
}

// release makes the running jobs of workers available again as if they had not
// started, so that it uses up no attempt. When the workers crashed, it counts the
// crash; a job with more than taskqueue.FreeCrashes crashes loses an attempt.
func release(ctx context.Context, db querier, workers []string, crashed bool) ([]releasedJob, error) {
	rows, err := db.Query(ctx, `
		WITH orphans AS (
			SELECT id, metadata ? 'cancel_attempted_at' AS cancelled,
			       CASE WHEN $2 THEN coalesce((metadata->>'slipway:crashes')::int, 0) + 1 ELSE 0 END AS crashes
			FROM river_job
			WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = ANY($1)
			FOR UPDATE
		), decided AS (
			SELECT job.id, orphans.crashes,
			       CASE
			           WHEN orphans.cancelled THEN 'cancelled'
			           WHEN orphans.crashes <= $3 THEN 'available'
			           WHEN job.attempt >= job.max_attempts THEN 'discarded'
			           ELSE 'retryable'
			       END AS state
			FROM orphans JOIN river_job AS job USING (id)
		)
		UPDATE river_job AS job
		SET state = decided.state::river_job_state,
		    attempt = CASE WHEN decided.state = 'available' THEN greatest(job.attempt - 1, 0) ELSE job.attempt END,
		    scheduled_at = CASE WHEN decided.state = 'retryable' THEN now() + interval '1 minute' ELSE now() END,
		    finalized_at = CASE WHEN decided.state IN ('cancelled', 'discarded') THEN now() END,
		    errors = CASE
		        WHEN decided.state IN ('discarded', 'retryable') THEN array_append(job.errors, jsonb_build_object(
		            'at', now(), 'attempt', job.attempt, 'error', 'the worker died ' || decided.crashes || ' times while it ran this',
		            'trace', ''))
		        ELSE job.errors
		    END,
		    metadata = job.metadata || CASE WHEN $2 THEN jsonb_build_object('slipway:crashes', decided.crashes) ELSE '{}' END
		FROM decided
		WHERE job.id = decided.id
		RETURNING job.id, job.kind, decided.state, decided.crashes`, workers, crashed, taskqueue.FreeCrashes)
	if err != nil {
		return nil, fmt.Errorf("release jobs of %s: %w", strings.Join(workers, " "), err)
	}
	released, err := pgx.CollectRows(rows, pgx.RowToStructByPos[releasedJob])
	if err != nil {
		return nil, fmt.Errorf("release jobs of %s: %w", strings.Join(workers, " "), err)
	}
	return released, nil
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}
