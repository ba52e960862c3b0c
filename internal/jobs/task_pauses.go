package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/telemetry"
)

// Private

const (
	// pausedFor is how long a task of a paused kind snoozes. When the pause ends, it is
	// woken; a task that was missed runs after this time, also on an older release.
	pausedFor = time.Hour
	// pausedUnnoted is how long one snoozes that Redis could not note.
	pausedUnnoted = 10 * time.Second
	// settleFor is how long after the end of a pause a worker looks for tasks that
	// others have parked meanwhile.
	settleFor = 10 * time.Second
)

// taskPauses hold back the tasks of paused kinds. A worker that fetches one snoozes it,
// and notes it in Redis. When the pause ends, workers wake what was noted, in order.
type taskPauses struct {
	db       *pgxpool.Pool
	tasks    *taskqueue.PausedTasks
	queues   Queues
	kinds    []string // that this worker runs
	paused   atomic.Pointer[[]string]
	log      *telemetry.LoopLog
	endedAt  time.Time // when a pause last ended, or the worker started
	lookedAt time.Time // when it last looked for tasks to wake
}

func newTaskPauses(db *pgxpool.Pool, tasks *taskqueue.PausedTasks, queues Queues, kinds Handlers, log *slog.Logger) *taskPauses {
	p := &taskPauses{
		db: db, tasks: tasks, queues: queues, kinds: kinds.Kinds(), endedAt: time.Now(),
		log: telemetry.NewLoopLog(log, "Worker could not apply pauses of tasks", "Worker applies pauses of tasks again"),
	}
	p.paused.Store(&[]string{})
	return p
}

// awaitFirst returns when the worker knows which kinds are paused. It reports false when
// ctx ended first.
func (p *taskPauses) awaitFirst(ctx context.Context) bool {
	for p.logged(ctx, p.read(ctx)) != nil {
		if !waitFor(ctx, pausesEvery) {
			return false
		}
	}
	return true
}

// run applies pauses until ctx ends.
func (p *taskPauses) run(ctx context.Context) {
	for waitFor(ctx, pausesEvery) {
		_ = p.logged(ctx, p.round(ctx))
	}
}

// hold snoozes a task of a paused kind. It returns nil for a task that runs.
func (p *taskPauses) hold(ctx context.Context, task taskqueue.Run) error {
	if !slices.Contains(*p.paused.Load(), task.Kind) {
		return nil
	}
	if err := p.tasks.Add(context.WithoutCancel(ctx), task); err != nil {
		return Snooze(spread(pausedUnnoted), fmt.Sprintf("its kind is paused: %v", err))
	}
	return Snooze(spread(pausedFor), "its kind is paused")
}

func (p *taskPauses) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	rows, err := p.db.Query(ctx, `SELECT kind FROM paused_kinds WHERE backend = 'redis' ORDER BY kind`)
	if err != nil {
		return fmt.Errorf("read which kinds are paused: %w", err)
	}
	paused, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read which kinds are paused: %w", err)
	}
	if before := p.paused.Swap(&paused); !slices.Equal(*before, paused) {
		p.endedAt = time.Now()
	}
	return nil
}

func (p *taskPauses) round(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	if time.Since(p.endedAt) > settleFor && time.Since(p.lookedAt) < releaseEvery {
		return nil
	}
	until := time.Now().Add(moveFor)
	for _, kind := range p.kinds {
		if slices.Contains(*p.paused.Load(), kind) {
			continue
		}
		for _, queue := range p.queues {
			if err := p.release(ctx, string(queue), kind, until); err != nil {
				return err
			}
		}
	}
	p.lookedAt = time.Now()
	return nil
}

// release wakes the tasks of a kind. What is left when the time is up is woken in the
// next rounds.
func (p *taskPauses) release(ctx context.Context, queue, kind string, until time.Time) error {
	for {
		more, err := p.tasks.Release(ctx, queue, kind)
		if err != nil || !more {
			return err
		}
		if time.Now().After(until) {
			p.endedAt = time.Now()
			return nil
		}
	}
}

// logged logs an error of a round, and returns it.
func (p *taskPauses) logged(ctx context.Context, err error) error {
	switch {
	case err == nil:
		p.log.Worked(ctx)
	case ctx.Err() == nil:
		p.log.Failed(ctx, err)
	}
	return err
}
