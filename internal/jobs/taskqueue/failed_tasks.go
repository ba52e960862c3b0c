package taskqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// FailedTask is a task that never runs again by itself. Its fields are in the
// order of failedColumns.
type FailedTask struct {
	ID        string
	Kind      string
	Queue     string
	Args      []byte
	Error     string
	Attempts  int
	FailedAt  time.Time // set by the database
	Cancelled bool      // by an operator; it did not fail
	Request   string    // that caused it: see Run; empty: none, or an older release stored the task
	Parent    string
}

// Execer is a transaction or a pool.
type Execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// FailedTasks is the archive of tasks that failed for good or were cancelled, in
// PostgreSQL. asynq's own archive drops the oldest task beyond ten thousand, and
// does not tell a cancelled task from a failed one.
type FailedTasks struct{ db *pgxpool.Pool }

// NewFailedTasks returns the archive in db.
func NewFailedTasks(db *pgxpool.Pool) *FailedTasks { return &FailedTasks{db} }

// Insert stores a task, or its newest failure when the task is there already.
func (f *FailedTasks) Insert(ctx context.Context, task FailedTask) error {
	return f.InsertIn(ctx, f.db, task)
}

// InsertIn is Insert in a transaction, or through a pool.
func (f *FailedTasks) InsertIn(ctx context.Context, db Execer, task FailedTask) error {
	args := task.Args
	if !json.Valid(args) {
		args, _ = json.Marshal(string(args)) // no error is possible for a string
	}
	_, err := db.Exec(ctx, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, cancelled, request, parent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET error = excluded.error, attempts = excluded.attempts, cancelled = excluded.cancelled, failed_at = now(),
			request = excluded.request, parent = excluded.parent`,
		task.ID, task.Kind, task.Queue, args, task.Error, task.Attempts, task.Cancelled, task.Request, task.Parent)
	if err != nil {
		return fmt.Errorf("store the failed task %s: %w", task.ID, err)
	}
	return nil
}

// InsertOrLog stores a task, or logs why it is not stored. asynq archives the task
// in either case, and the reaper copies it from there later.
func (f *FailedTasks) InsertOrLog(ctx context.Context, log *slog.Logger, task FailedTask) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := f.Insert(ctx, task); err != nil {
		log.WarnContext(ctx, "Failed task is not in the database yet", "kind", task.Kind, "id", task.ID, "error", err)
	}
}

// RemoveIn deletes a task, which may not be there, in a transaction or through a
// pool.
func (f *FailedTasks) RemoveIn(ctx context.Context, db Execer, queue, id string) error {
	if _, err := db.Exec(ctx, `DELETE FROM failed_tasks WHERE id = $1 AND queue = $2`, id, queue); err != nil {
		return fmt.Errorf("delete the failed task %s from the archive: %w", id, err)
	}
	return nil
}

// Find returns one task, or ErrNotFound.
func (f *FailedTasks) Find(ctx context.Context, queue, id string) (FailedTask, error) {
	rows, err := f.db.Query(ctx, `SELECT `+failedColumns+` FROM failed_tasks WHERE id = $1 AND queue = $2`, id, queue)
	if err != nil {
		return FailedTask{}, fmt.Errorf("read the failed task %s: %w", id, err)
	}
	task, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[FailedTask])
	if errors.Is(err, pgx.ErrNoRows) {
		return FailedTask{}, ErrNotFound
	}
	if err != nil {
		return FailedTask{}, fmt.Errorf("read the failed task %s: %w", id, err)
	}
	return task, nil
}

// FindAll returns those of the tasks of a queue that are in the archive, as a list has
// them.
func (f *FailedTasks) FindAll(ctx context.Context, queue string, ids []string) ([]FailedTask, error) {
	rows, err := f.db.Query(ctx, listFailed+` WHERE id = ANY($1) AND queue = $4`, ids, MostListedArgs, mostListedError, queue)
	if err != nil {
		return nil, fmt.Errorf("read failed tasks: %w", err)
	}
	tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FailedTask])
	if err != nil {
		return nil, fmt.Errorf("read failed tasks: %w", err)
	}
	return tasks, nil
}

// Private

const failedColumns = `id, kind, queue, args, error, attempts, failed_at, cancelled, request, parent`

// take deletes a task from the archive after do has returned no error, unless it has
// failed again since it was read. Two calls for one task run one after the other, and
// the second finds nothing.
func (f *FailedTasks) take(ctx context.Context, task FailedTask, do func() error) error {
	ctx = context.WithoutCancel(ctx)
	return pgx.BeginFunc(ctx, f.db, func(tx pgx.Tx) error {
		var there bool
		err := tx.QueryRow(ctx, `SELECT true FROM failed_tasks WHERE id = $1 AND failed_at <= $2 FOR UPDATE`, task.ID, task.FailedAt).Scan(&there)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err == nil {
			err = do()
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM failed_tasks WHERE id = $1`, task.ID); err != nil {
			return fmt.Errorf("delete the failed task %s from the archive: %w", task.ID, err)
		}
		return nil
	})
}

// remove deletes a task from the archive, unless it has failed again since it was
// read.
func (f *FailedTasks) remove(ctx context.Context, task FailedTask) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := f.db.Exec(ctx, `DELETE FROM failed_tasks WHERE id = $1 AND failed_at <= $2`, task.ID, task.FailedAt)
	if err != nil {
		return fmt.Errorf("delete the failed task %s from the archive: %w", task.ID, err)
	}
	return nil
}

// missing returns the ids that are not in the archive.
func (f *FailedTasks) missing(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := f.db.Query(ctx, `
		SELECT id
		FROM unnest($1::text[]) AS ids (id)
		WHERE NOT EXISTS (SELECT FROM failed_tasks f WHERE f.id = ids.id)`,
		ids)
	if err != nil {
		return nil, fmt.Errorf("compare the archive with asynq's: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("compare the archive with asynq's: %w", err)
	}
	return missing, nil
}
