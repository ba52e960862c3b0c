package jobs

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/jobs/taskqueue"
)

// Private

const (
	// lateEvery is how often a worker marks a task anew whose handler is stuck.
	lateEvery = taskqueue.LateFor / 3
	// latePause is how long a task snoozes whose earlier handler still runs.
	latePause = 10 * time.Second
)

// performOrAbandon calls perform. A handler that ignores the end of its context for
// the grace is left alone, and its attempt has failed. The task does not run again
// while that handler runs, in this process or in another.
func (w *RedisWorker) performOrAbandon(ctx context.Context, handler Handler, run Run, task taskqueue.Run) error {
	// asynq's own timeout is longer than this one and the grace together.
	ctx, cancel := context.WithTimeout(ctx, handler.Timeout)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- w.perform(ctx, handler, run, task)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(w.stuck.grace)
	defer grace.Stop()
	select {
	case err := <-ended:
		return err
	case <-grace.C:
	}
	forget := w.stuck.add(handler.Kind, task.ID)
	w.markLate(ctx, task.ID)
	go w.awaitStuck(context.WithoutCancel(ctx), task.ID, ended, forget)
	return handler.judge(fmt.Errorf("the handler ignored the end of its context for %s", w.stuck.grace), run.Attempt)
}

// awaitStuck marks a task until its handler ends. Nobody waits for it but the end of
// the process.
func (w *RedisWorker) awaitStuck(ctx context.Context, id string, ended <-chan error, forget func()) {
	ticker := time.NewTicker(lateEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			forget()
			w.log.Warn("Handler ended that had ignored the end of its context", "id", id, "error", err)
			if err := w.late.Unmark(ctx, id); err != nil {
				w.log.Warn("Task still counts as running for a moment", "id", id, "error", err)
			}
			return
		case <-ticker.C:
			w.markLate(ctx, id)
		}
	}
}

func (w *RedisWorker) markLate(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.late.Mark(ctx, id); err != nil {
		w.marks.Failed(ctx, err, "id", id)
		return
	}
	w.marks.Worked(ctx)
}

// isLate reports whether an earlier handler of the task still runs. A first attempt
// has none in other processes.
func (w *RedisWorker) isLate(ctx context.Context, task taskqueue.Run) bool {
	if w.stuck.has(task.ID) {
		return true
	}
	if task.Retries == 0 {
		return false
	}
	late, err := w.late.Has(ctx, task.ID)
	return err == nil && late
}
