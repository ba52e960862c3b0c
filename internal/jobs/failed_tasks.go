package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// KeepCancelled puts a task on the list of those that will not run again by
// themselves, as one that an operator has cancelled.
func (t *Tasks) KeepCancelled(ctx context.Context, db *pgxpool.Pool, task *asynq.TaskInfo) error {
	cancelled := failedTask{ID: task.ID, Kind: task.Type, Queue: task.Queue, Args: task.Payload, Error: errCancelled.Error(), Attempts: task.Retried, Cancelled: true}
	return (&failedTasks{db}).insert(ctx, cancelled)
}

// Private

// failedTasksKept is how long tasks that failed for good can be looked at.
const failedTasksKept = 90 * 24 * time.Hour

// failedTask is a task that will not run again by itself.
type failedTask struct {
	ID        string
	Kind      string
	Queue     string
	Args      []byte
	Error     string
	Attempts  int
	Cancelled bool // by an operator: it did not fail
}

// failedTasks is the durable list of tasks that failed for good or were
// cancelled: asynq's own keeps ten thousand, drops the oldest without a word and
// knows no difference.
type failedTasks struct{ db *pgxpool.Pool }

// add stores a failure. Where it cannot, asynq's list still has the task, and
// the sweeper copies it later.
func (f *failedTasks) add(ctx context.Context, log *slog.Logger, task failedTask) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := f.insert(ctx, task); err != nil {
		log.WarnContext(ctx, "Failed task was not copied to the database yet", "kind", task.Kind, "id", task.ID, "error", err)
	}
}

func (f *failedTasks) insert(ctx context.Context, task failedTask) error {
	args := task.Args
	if !json.Valid(args) {
		args, _ = json.Marshal(string(args)) // a string always can
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

// prune forgets what is too old to be of use.
func (f *failedTasks) prune(ctx context.Context) error {
	if _, err := f.db.Exec(ctx, `DELETE FROM failed_tasks WHERE failed_at < now() - $1::interval`, failedTasksKept); err != nil {
		return fmt.Errorf("prune failed tasks: %w", err)
	}
	return nil
}

// missing are those of ids that are not stored yet.
func (f *failedTasks) missing(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := f.db.Query(ctx, `SELECT id FROM unnest($1::text[]) AS ids (id) WHERE NOT EXISTS (SELECT FROM failed_tasks f WHERE f.id = ids.id)`, ids)
	if err != nil {
		return nil, fmt.Errorf("look for failed tasks: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for failed tasks: %w", err)
	}
	return missing, nil
}
