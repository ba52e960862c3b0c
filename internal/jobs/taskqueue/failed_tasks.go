package taskqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
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
}

// FailedTasks is the archive of tasks that failed for good or were cancelled, in
// PostgreSQL. asynq's own archive drops the oldest task beyond ten thousand, and
// does not tell a cancelled task from a failed one.
type FailedTasks struct{ db *pgxpool.Pool }

// NewFailedTasks returns the archive in db.
func NewFailedTasks(db *pgxpool.Pool) *FailedTasks { return &FailedTasks{db} }

// Insert stores a task, or its newest failure when the task is there already.
func (f *FailedTasks) Insert(ctx context.Context, task FailedTask) error {
	args := task.Args
	if !json.Valid(args) {
		args, _ = json.Marshal(string(args)) // no error is possible for a string
	}
	_, err := f.db.Exec(ctx, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, cancelled)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET error = excluded.error, attempts = excluded.attempts, cancelled = excluded.cancelled, failed_at = now()`,
		task.ID, task.Kind, task.Queue, args, task.Error, task.Attempts, task.Cancelled)
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

// FailedFilter selects failed tasks. An empty Queue, Kind or State selects all.
type FailedFilter struct {
	Queue string
	Kind  string
	State string // "failed" or "cancelled"
	Limit int    // most tasks of a list; 0 lists none
}

// List returns the selected tasks, the newest first.
func (f *FailedTasks) List(ctx context.Context, filter FailedFilter) ([]FailedTask, error) {
	rows, err := f.db.Query(ctx, `
		SELECT `+failedColumns+`
		FROM failed_tasks
		WHERE ($1 = '' OR queue = $1)
		  AND ($2 = '' OR kind = $2)
		  AND ($3 = '' OR cancelled = ($3 = 'cancelled'))
		ORDER BY failed_at DESC
		LIMIT $4`, filter.Queue, filter.Kind, filter.State, filter.Limit)
	if err != nil {
		return nil, fmt.Errorf("list failed tasks: %w", err)
	}
	tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FailedTask])
	if err != nil {
		return nil, fmt.Errorf("list failed tasks: %w", err)
	}
	return tasks, nil
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

// FailedCount is how many tasks of one queue are in the archive.
type FailedCount struct{ Failed, Cancelled int }

// Count returns the counts by queue.
func (f *FailedTasks) Count(ctx context.Context) (map[string]FailedCount, error) {
	rows, err := f.db.Query(ctx, `
		SELECT queue, count(*) FILTER (WHERE NOT cancelled), count(*) FILTER (WHERE cancelled)
		FROM failed_tasks
		GROUP BY queue`)
	if err != nil {
		return nil, fmt.Errorf("count failed tasks: %w", err)
	}
	counts := map[string]FailedCount{}
	var queue string
	var count FailedCount
	_, err = pgx.ForEachRow(rows, []any{&queue, &count.Failed, &count.Cancelled}, func() error {
		counts[queue] = count
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count failed tasks: %w", err)
	}
	return counts, nil
}

// Private

const failedColumns = `id, kind, queue, args, error, attempts, failed_at, cancelled`

// failedRetention is how long the archive holds a task.
const failedRetention = 90 * 24 * time.Hour

// message returns a failed task as a new task with the id and the args that it
// had. The archive does not hold its timeout.
func (f *FailedTasks) message(ctx context.Context, id string, timeout time.Duration) (Message, error) {
	var m Message
	var attempts int
	err := f.db.QueryRow(ctx, `SELECT id, kind, queue, args, attempts FROM failed_tasks WHERE id = $1`, id).
		Scan(&m.ID, &m.Kind, &m.Queue, &m.Args, &attempts)
	if err != nil {
		return Message{}, fmt.Errorf("read the failed task %s: %w", id, err)
	}
	m.Attempts, m.Timeout, m.Retention = max(attempts, 1), timeout, DoneRetention
	return m, nil
}

// remove deletes a task from the archive.
func (f *FailedTasks) remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := f.db.Exec(ctx, `DELETE FROM failed_tasks WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete the failed task %s from the archive: %w", id, err)
	}
	return nil
}

// prune deletes tasks that are older than failedRetention.
func (f *FailedTasks) prune(ctx context.Context) error {
	if _, err := f.db.Exec(ctx, `DELETE FROM failed_tasks WHERE failed_at < now() - $1::interval`, failedRetention); err != nil {
		return fmt.Errorf("delete old failed tasks: %w", err)
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
