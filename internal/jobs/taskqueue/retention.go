package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Retention is how long jobs and tasks stay visible to operators after their end.
type Retention struct {
	Failed     time.Duration // for good; zero: until an operator acts
	MostFailed int           // jobs, and tasks, that may have failed for good; beyond it the oldest are deleted; zero: any number
	Cancelled  time.Duration // zero: a day for jobs, and until an operator acts for tasks
	Done       time.Duration // jobs only; zero: a day
}

// CountFailed counts the failed tasks, up to most+1.
func (f *FailedTasks) CountFailed(ctx context.Context, most int) (int, error) {
	var count int
	err := f.db.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM failed_tasks WHERE NOT cancelled LIMIT $1) AS counted`, most+1).Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("count failed tasks: %w", err)
	}
	return count, nil
}

// Trim deletes the oldest failed tasks beyond a number, at most ten thousand in a
// call, and returns how many.
func (r *Reaper) Trim(ctx context.Context, most int) (int, error) {
	total := 0
	for range prunedAtOnce / pruneBatch {
		deleted, err := r.deleteOld(ctx, `
			SELECT id, queue, failed_at FROM failed_tasks
			WHERE NOT cancelled AND failed_at <= (SELECT failed_at FROM failed_tasks WHERE NOT cancelled ORDER BY failed_at DESC OFFSET $1 LIMIT 1)
			ORDER BY failed_at
			LIMIT $2`, most, pruneBatch)
		total += deleted
		if err != nil || deleted < pruneBatch {
			return total, err
		}
	}
	return total, nil
}

// Private

const (
	pruneBatch   = 500
	prunedAtOnce = 10_000
)

// prune deletes tasks of the archive that are older than the retention.
func (r *Reaper) prune(ctx context.Context) error {
	for cancelled, period := range map[bool]time.Duration{true: r.retention.Cancelled, false: r.retention.Failed} {
		if period == 0 {
			continue
		}
		_, err := r.deleteOld(ctx, `
			SELECT id, queue, failed_at FROM failed_tasks
			WHERE cancelled = $1 AND failed_at < now() - $2::interval
			ORDER BY failed_at
			LIMIT $3`, cancelled, period, pruneBatch)
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteOld deletes the tasks that a query selects, and returns how many. It deletes
// them from asynq's archive first, because the reaper copies the tasks that it finds
// there.
func (r *Reaper) deleteOld(ctx context.Context, query string, arguments ...any) (int, error) {
	rows, err := r.failed.db.Query(ctx, query, arguments...)
	if err != nil {
		return 0, fmt.Errorf("find old failed tasks: %w", err)
	}
	old, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (task FailedTask, err error) {
		return task, row.Scan(&task.ID, &task.Queue, &task.FailedAt)
	})
	if err != nil {
		return 0, fmt.Errorf("find old failed tasks: %w", err)
	}
	for n, task := range old {
		err := r.inspector.DeleteTask(r.namespace.queue(task.Queue), task.ID)
		if err != nil && !isMissing(err) {
			return n, fmt.Errorf("delete the old failed task %s: %w", task.ID, err)
		}
		if err := r.failed.remove(ctx, task); err != nil {
			return n, err
		}
	}
	return len(old), nil
}
