package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Finisher notices when all jobs of a batch have ended, and enqueues its callbacks.
// Any number of workers may have one: each callback is enqueued once, in the
// transaction that marks its batch.
type Finisher struct {
	batches   *Batches
	kinds     jobs.Handlers
	log       *slog.Logger
	rounds    *telemetry.LoopLog
	afterOpen ID // where the next round goes on
	afterDone ID
	pruned    time.Time
}

// NewFinisher returns a finisher that leaves batches with other callbacks than these
// kinds to the workers of other releases.
func NewFinisher(batches *Batches, kinds jobs.Handlers, log *slog.Logger) *Finisher {
	return &Finisher{
		batches: batches, kinds: kinds, log: log,
		rounds: telemetry.NewLoopLog(log, "Batches of jobs could not be checked", "Batches of jobs are checked again"),
	}
}

// Run checks the batches each second until ctx ends.
func (f *Finisher) Run(ctx context.Context) error {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		switch err := f.round(ctx); {
		case err == nil:
			f.rounds.Worked(ctx)
		case ctx.Err() == nil:
			f.rounds.Failed(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Private

const (
	checkEvery = time.Second
	// checkedAtOnce bounds the batches of one round.
	checkedAtOnce = 500
	// retention is how long a batch stays after all its jobs have ended.
	retention  = 30 * 24 * time.Hour
	pruneEvery = time.Minute
	// prunedAtOnce bounds the batches that are deleted in one round.
	prunedAtOnce = 20
)

// round checks the next part of the batches whose jobs have not all ended, and of those
// that may still succeed because an operator retried the jobs that failed.
func (f *Finisher) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var errs []error
	var err error
	f.afterOpen, err = f.check(ctx, "finished_at IS NULL", unfinishedJobs, f.afterOpen)
	errs = append(errs, err)
	f.afterDone, err = f.check(ctx, "finished_at IS NOT NULL AND succeeded_at IS NULL", unsuccessfulJobs, f.afterDone)
	errs = append(errs, err)
	if time.Since(f.pruned) > pruneEvery {
		errs = append(errs, f.prune(ctx))
		f.pruned = time.Now()
	}
	return errors.Join(errs...)
}

// check ends the batches of one part that have no job of some kind left, and returns
// where the next part begins.
func (f *Finisher) check(ctx context.Context, which, left string, after ID) (next ID, err error) {
	var ended []ID
	var checked int
	err = postgres.ByIndex(ctx, f.batches.db, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			WITH part AS MATERIALIZED (
				SELECT id FROM job_batches AS batch
				WHERE `+which+` AND id > $1 AND `+knownCallbacks+`
				ORDER BY id
				LIMIT $3
			)
			SELECT (SELECT count(*) FROM part), (SELECT coalesce(max(id), 0) FROM part),
			       ARRAY(SELECT id FROM part AS batch WHERE NOT `+left+` ORDER BY id)`,
			after, f.kinds.Kinds(), checkedAtOnce).Scan(&checked, &next, &ended)
	})
	if err != nil {
		return after, fmt.Errorf("find batches whose jobs have ended: %w", err)
	}
	if checked < checkedAtOnce {
		next = 0
	}
	for _, id := range ended {
		if err := f.end(ctx, id); err != nil {
			return next, fmt.Errorf("end batch %d: %w", id, err)
		}
	}
	return next, nil
}

// end marks a batch whose jobs have ended, and enqueues its callbacks in the same
// transaction. A worker that adds jobs holds the row until they are visible.
func (f *Finisher) end(ctx context.Context, id ID) error {
	var done ended
	err := pgx.BeginFunc(ctx, f.batches.db, func(tx pgx.Tx) (err error) {
		if err := postgres.PreferIndexes(ctx, tx); err != nil {
			return err
		}
		locked, err := lock(ctx, tx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // another worker ends it, or jobs are added
		}
		if err != nil {
			return err
		}
		done, err = locked.mark(ctx, tx)
		if err != nil {
			return err
		}
		ctx := telemetry.WithRequestID(ctx, locked.request)
		if done.finished {
			if err := f.enqueue(ctx, tx, id, locked.onFinish); err != nil {
				return err
			}
		}
		if done.succeeded {
			return f.enqueue(ctx, tx, id, locked.onSuccess)
		}
		return nil
	})
	if err == nil && (done.finished || done.succeeded) {
		f.log.InfoContext(ctx, "Batch finished", "batch", int64(id), "succeeded", done.succeeded)
	}
	return err
}

func (f *Finisher) enqueue(ctx context.Context, tx pgx.Tx, id ID, job callback) error {
	if job.kind == "" {
		return nil
	}
	handler, known := f.kinds.Find(job.kind)
	if !known {
		return fmt.Errorf("its callback %s has no handler in this release", job.kind)
	}
	return f.batches.jobs.EnqueueCallback(ctx, tx, handler, job.args, int64(id))
}

// prune deletes batches that ended long ago.
func (f *Finisher) prune(ctx context.Context) error {
	_, err := f.batches.db.Exec(ctx, `
		WITH old AS (
			DELETE FROM job_batches
			WHERE id IN (
				SELECT id FROM job_batches WHERE finished_at < now() - $1::interval ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
			)
			RETURNING id
		)
		DELETE FROM deleted_batch_jobs WHERE batch_id IN (SELECT id FROM old)`, retention, prunedAtOnce)
	if err != nil {
		return fmt.Errorf("delete old batches: %w", err)
	}
	return nil
}

// lockedBatch is a batch whose row this transaction holds.
type lockedBatch struct {
	id                  ID
	finished            bool
	request             string
	onSuccess, onFinish callback
}

func lock(ctx context.Context, tx pgx.Tx, id ID) (b lockedBatch, err error) {
	b.id = id
	var success, finish []byte
	err = tx.QueryRow(ctx, `
		SELECT finished_at IS NOT NULL, request, on_success_kind, on_success_args, on_finish_kind, on_finish_args
		FROM job_batches
		WHERE id = $1 AND succeeded_at IS NULL
		FOR UPDATE SKIP LOCKED`, id).Scan(&b.finished, &b.request, &b.onSuccess.kind, &success, &b.onFinish.kind, &finish)
	b.onSuccess.args, b.onFinish.args = json.RawMessage(success), json.RawMessage(finish)
	return b, err
}

// ended is what a batch has become now.
type ended struct{ finished, succeeded bool }

// mark looks at the jobs once more, now that none can be added.
func (b lockedBatch) mark(ctx context.Context, tx pgx.Tx) (now ended, err error) {
	var unfinished, unsuccessful bool
	err = tx.QueryRow(ctx, `SELECT `+unfinishedJobs+`, `+unsuccessfulJobs+` FROM job_batches AS batch WHERE id = $1`, b.id).
		Scan(&unfinished, &unsuccessful)
	if err != nil || unfinished {
		return now, err
	}
	now = ended{finished: !b.finished, succeeded: !unsuccessful}
	_, err = tx.Exec(ctx, `
		UPDATE job_batches
		SET finished_at = coalesce(finished_at, clock_timestamp()),
		    succeeded_at = CASE WHEN $2 THEN clock_timestamp() END
		WHERE id = $1`, b.id, now.succeeded)
	return now, err
}

// knownCallbacks is whether this release has the handlers $2 of the callbacks.
const knownCallbacks = `(on_success_kind = '' OR on_success_kind = ANY ($2)) AND (on_finish_kind = '' OR on_finish_kind = ANY ($2))`

// unfinishedJobs is whether a job of the batch waits or runs.
const unfinishedJobs = `EXISTS (
	SELECT FROM river_job
	WHERE ` + jobs.InBatch + `batch.id::text
	  AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
)`

// unsuccessfulJobs is whether a job of the batch is not done. One that was deleted
// never will be.
const unsuccessfulJobs = `(EXISTS (
	SELECT FROM river_job
	WHERE ` + jobs.InBatch + `batch.id::text
) OR EXISTS (SELECT FROM deleted_batch_jobs WHERE batch_id = batch.id))`
