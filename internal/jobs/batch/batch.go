// Package batch keeps jobs together: how far they are, one pause and one cancellation
// for all of them, and a job that is enqueued when they are done.
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// Batch is jobs that belong together.
type Batch struct {
	Name string // tells operators what the jobs do together

	// OnSuccess is enqueued once all jobs are done, nil for nothing. After a job failed
	// for good or was cancelled, it is enqueued if an operator retries that job and it
	// is done then.
	OnSuccess jobs.Args
	// OnFinish is enqueued once all jobs have ended in some way: done, failed for good
	// or cancelled. It is not enqueued again when an operator retries some of them.
	OnFinish jobs.Args
}

// ID names a batch.
type ID int64

// The reasons for which an action is refused.
var (
	ErrNotFound = errors.New("there is no such batch")
	ErrFinished = errors.New("all jobs of the batch have ended")
)

// Batches enqueues batches of jobs, and shows them to operators.
type Batches struct {
	db   *pgxpool.Pool
	jobs *jobs.Jobs
}

// New returns the batches in db. It enqueues through queue.
func New(db *pgxpool.Pool, queue *jobs.Jobs) *Batches { return &Batches{db, queue} }

// Of returns the batch of the job that a handler runs, or the batch of which the job is
// a callback. It is 0 for other work.
func Of(ctx context.Context) ID { return ID(jobs.RunOf(ctx).Batch) }

// Enqueue inserts a batch with its first jobs in the transaction of the change that
// causes it. The jobs are inserted as by jobs.Jobs.Enqueue; duplicates of unique jobs
// do not belong to the batch. A batch without jobs succeeds at once.
func (b *Batches) Enqueue(ctx context.Context, tx pgx.Tx, batch Batch, args ...jobs.Args) (ID, error) {
	success, err := b.callback(batch.OnSuccess)
	if err != nil {
		return 0, err
	}
	finish, err := b.callback(batch.OnFinish)
	if err != nil {
		return 0, err
	}
	var id ID
	err = tx.QueryRow(ctx, `
		INSERT INTO job_batches (name, total, request, on_success_kind, on_success_args, on_finish_kind, on_finish_args)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		RETURNING id`,
		batch.Name, len(args), telemetry.RequestID(ctx), success.kind, success.args, finish.kind, finish.args).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("insert the batch %s: %w", batch.Name, err)
	}
	return id, b.insert(ctx, tx, id, args)
}

// Add inserts further jobs of a batch, for example from one of its jobs. It returns
// ErrFinished when all its jobs have ended or it was cancelled, and ErrNotFound when
// there is no such batch. Other calls for the batch wait until tx ends.
func (b *Batches) Add(ctx context.Context, tx pgx.Tx, id ID, args ...jobs.Args) error {
	added, err := tx.Exec(ctx, `
		UPDATE job_batches SET total = total + $2 WHERE id = $1 AND finished_at IS NULL AND cancelled_at IS NULL`, id, len(args))
	if err != nil {
		return fmt.Errorf("add jobs to batch %d: %w", id, err)
	}
	if added.RowsAffected() == 0 {
		return fmt.Errorf("add jobs to batch %d: %w", id, absentOr(ctx, tx, id, ErrFinished))
	}
	return b.insert(ctx, tx, id, args)
}

// Private

// callback is a job that is enqueued later, stored as its kind and its JSON.
type callback struct {
	kind string // empty: there is none
	args json.RawMessage
}

func (b *Batches) callback(args jobs.Args) (c callback, err error) {
	if args == nil {
		return callback{}, nil
	}
	if c.kind, c.args, err = b.jobs.Callback(args); err != nil {
		return callback{}, fmt.Errorf("callback of a batch: %w", err)
	}
	return c, nil
}

// insert inserts jobs that are counted in the total of the batch already.
func (b *Batches) insert(ctx context.Context, tx pgx.Tx, id ID, args []jobs.Args) error {
	inserted, err := b.jobs.EnqueueInBatch(ctx, tx, int64(id), args...)
	if err != nil || inserted == len(args) {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE job_batches SET total = total - $2 WHERE id = $1`, id, len(args)-inserted); err != nil {
		return fmt.Errorf("count the jobs of batch %d: %w", id, err)
	}
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// absentOr returns ErrNotFound when there is no such batch, and else a reason.
func absentOr(ctx context.Context, db querier, id ID, reason error) error {
	var exists bool
	if err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM job_batches WHERE id = $1)`, id).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		return ErrNotFound
	}
	return reason
}
