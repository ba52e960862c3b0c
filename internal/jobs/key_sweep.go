package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs/taskqueue"
)

// Private

const (
	// sweepEvery is how often a worker looks for keys whose waiters nobody wakes: a
	// worker died that held the key, or the woken work was cancelled.
	sweepEvery = 2 * time.Second
	// sweptAtOnce bounds the keys of one sweep.
	sweptAtOnce = 100
	// wakeWithin is how long a wake waits until the worker that parked a task has
	// stored the task in Redis.
	wakeWithin = 500 * time.Millisecond
	// wakeRounds bounds the deleted tasks that one run forgets when it ends.
	wakeRounds = 20
)

// sweepUntil sweeps until ctx ends.
func (k *keyLock) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		k.sweepOrLog(ctx)
	}
}

func (k *keyLock) sweepOrLog(ctx context.Context) {
	err := k.sweep(ctx)
	switch {
	case err == nil:
		k.sweeps.Worked(ctx)
	case ctx.Err() == nil:
		k.sweeps.Failed(ctx, err)
	}
}

// sweep wakes work that waits for a key with free slots, and forgets work that does
// not wait any more. It wakes tasks again that have not come: a worker of jobs
// leaves that to the workers of tasks.
func (k *keyLock) sweep(ctx context.Context) error {
	var stalled []limit
	var late []wokenTask
	err := k.inTurn(ctx, func(ctx context.Context) (err error) {
		if stalled, err = findStalled(ctx, k.connection); err != nil {
			return err
		}
		if late, err = findLate(ctx, k.connection); err != nil {
			return err
		}
		return tidyWaiters(ctx, k.connection, stalled)
	})
	if err != nil {
		return err
	}
	k.wakeTasks(ctx, late, 0)
	for _, l := range stalled {
		woken, err := k.wake(ctx, l)
		if err != nil {
			return err
		}
		k.wakeTasks(ctx, woken, wakeWithin)
	}
	return nil
}

// wake wakes as much work as the key has free slots. It returns the tasks among it,
// which are still to be made pending in Redis.
func (k *keyLock) wake(ctx context.Context, l limit) (woken []wokenTask, err error) {
	err = k.inTurn(ctx, func(ctx context.Context) (err error) {
		woken, err = wakeNext(ctx, k.connection, l, k.held[l.key], nil)
		return err
	})
	return woken, err
}

// wakeTasks makes woken tasks pending in Redis. Instead of a task that does not
// wait any more, it wakes the next. The sweep continues what ends here too soon.
func (k *keyLock) wakeTasks(ctx context.Context, woken []wokenTask, within time.Duration) {
	if k.tasks == nil {
		return
	}
	for rounds := 0; len(woken) > 0 && rounds < wakeRounds; rounds++ {
		var next []wokenTask
		for _, task := range woken {
			more, err := k.wakeTask(ctx, task, within)
			if err != nil && ctx.Err() == nil {
				k.wakes.Failed(ctx, err, "id", task.id)
				return
			}
			k.wakes.Worked(ctx)
			next = append(next, more...)
		}
		woken = next
	}
}

// wakeTask makes one task pending. It returns the tasks that were woken instead.
func (k *keyLock) wakeTask(ctx context.Context, task wokenTask, within time.Duration) ([]wokenTask, error) {
	state, err := k.tasks.Wake(ctx, within, task.queue, task.id)
	if err != nil || state == taskqueue.Pending || state == taskqueue.Active {
		return nil, err
	}
	if err := k.inTurn(ctx, func(ctx context.Context) error { return forgetTask(ctx, k.connection, task.id) }); err != nil {
		return nil, err
	}
	return k.wake(ctx, task.limit)
}

// inTurn calls use when no other run uses the connection.
func (k *keyLock) inTurn(ctx context.Context, use func(context.Context) error) error {
	if err := k.takeTurn(ctx); err != nil {
		return err
	}
	defer k.endTurn()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	defer cancel()
	if err := k.open(ctx); err != nil {
		return err
	}
	err := use(ctx)
	if err != nil {
		k.lose()
	}
	return err
}

// findStalled returns keys with waiting work and free slots that no woken work is
// about to take.
func findStalled(ctx context.Context, connection *pgx.Conn) ([]limit, error) {
	rows, err := connection.Query(ctx, `
		WITH RECURSIVE locks AS (
			(SELECT lock FROM key_waiters WHERE woken_at IS NULL ORDER BY lock LIMIT 1)
			UNION ALL
			SELECT (SELECT lock FROM key_waiters WHERE woken_at IS NULL AND lock > locks.lock ORDER BY lock LIMIT 1)
			FROM locks
			WHERE lock IS NOT NULL
		), held AS MATERIALIZED (
			SELECT classid::bigint << 32 | objid::bigint AS number
			FROM pg_locks
			WHERE locktype = 'advisory' AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		)
		SELECT waiter.key, waiter.slots
		FROM locks
		CROSS JOIN LATERAL (
			SELECT key, slots FROM key_waiters WHERE lock = locks.lock AND woken_at IS NULL ORDER BY priority, enqueued_at, number LIMIT 1
		) AS waiter
		WHERE waiter.slots >
			(SELECT count(*) FROM held WHERE number # locks.lock BETWEEN 0 AND waiter.slots - 1) +
			(SELECT count(*) FROM key_waiters WHERE lock = locks.lock AND woken_at > clock_timestamp() - $1::interval)
		LIMIT $2`, wokenFor, sweptAtOnce)
	if err != nil {
		return nil, fmt.Errorf("find keys whose work nobody wakes: %w", err)
	}
	stalled, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l limit, err error) {
		err = row.Scan(&l.key, &l.max)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("find keys whose work nobody wakes: %w", err)
	}
	return stalled, nil
}

// findLate returns tasks that were woken more than a moment ago and did not come.
func findLate(ctx context.Context, connection *pgx.Conn) ([]wokenTask, error) {
	rows, err := connection.Query(ctx, `
		SELECT key, slots, queue, work_id
		FROM key_waiters
		WHERE backend = 'redis' AND woken_at < clock_timestamp() - interval '1 second'
		ORDER BY woken_at
		LIMIT $1`, sweptAtOnce)
	if err != nil {
		return nil, fmt.Errorf("find woken tasks that did not come: %w", err)
	}
	late, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (task wokenTask, err error) {
		err = row.Scan(&task.limit.key, &task.limit.max, &task.queue, &task.id)
		return task, err
	})
	if err != nil {
		return nil, fmt.Errorf("find woken tasks that did not come: %w", err)
	}
	return late, nil
}

// tidyWaiters deletes jobs that do not wait any more: those that did not come when
// they were woken, and those of keys that stand still.
func tidyWaiters(ctx context.Context, connection *pgx.Conn, stalled []limit) error {
	keys := make([]string, len(stalled))
	for i, l := range stalled {
		keys[i] = l.key
	}
	_, err := connection.Exec(ctx, `
		DELETE FROM key_waiters AS waiter
		WHERE backend = 'pg'
		  AND (woken_at < now() - $1::interval OR woken_at IS NULL AND lock IN (SELECT hashtextextended(key, 1) FROM unnest($2::text[]) AS key))
		  AND NOT EXISTS (SELECT FROM river_job WHERE id = waiter.number AND state IN ('available', 'running', 'scheduled'))`, wokenFor, keys)
	if err != nil {
		return fmt.Errorf("forget jobs that do not wait for a key: %w", err)
	}
	return nil
}

func forgetTask(ctx context.Context, connection *pgx.Conn, id string) error {
	if _, err := connection.Exec(ctx, `DELETE FROM key_waiters WHERE backend = 'redis' AND work_id = $1`, id); err != nil {
		return fmt.Errorf("forget a task that does not wait for a key: %w", err)
	}
	return nil
}
