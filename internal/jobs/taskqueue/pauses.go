package taskqueue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Private

// setPaused stores in the database whether a queue is paused, if do succeeds.
func (f *FailedTasks) setPaused(ctx context.Context, queue string, paused bool, do func() error) error {
	statement := `DELETE FROM paused_task_queues WHERE queue = $1`
	if paused {
		statement = `INSERT INTO paused_task_queues (queue) VALUES ($1) ON CONFLICT DO NOTHING`
	}
	return pgx.BeginFunc(ctx, f.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, statement, queue); err != nil {
			return fmt.Errorf("store the pause of %s: %w", queue, err)
		}
		return do()
	})
}

// pauseAgain pauses the queues whose pause Redis has lost, as after FLUSHDB.
func (r *Reaper) pauseAgain(ctx context.Context) error {
	rows, err := r.failed.db.Query(ctx, `SELECT queue FROM paused_task_queues ORDER BY queue`)
	if err != nil {
		return fmt.Errorf("read the paused queues: %w", err)
	}
	paused, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the paused queues: %w", err)
	}
	for _, queue := range paused {
		err := r.inspector.PauseQueue(r.namespace.queue(queue))
		if unlessAlreadySo(err) != nil {
			return fmt.Errorf("pause %s again: %w", queue, err)
		}
		if err == nil {
			r.log.WarnContext(ctx, "Queue was paused again, because Redis had lost its pause", "queue", queue)
		}
	}
	return nil
}
