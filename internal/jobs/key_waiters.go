package jobs

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/taskqueue"
)

// Private

// The table key_waiters orders the work that waits for a key. A run that finds no
// free slot parks: it enters the table, ends, and holds no worker slot. The end of
// a run wakes the first waiter.
//
// All statements about one key run one after the other, because each begins with
// enterGate. They are sent as one batch, which is one transaction, so that a
// worker that freezes cannot hold the gate.

const (
	// parkedFor is how long parked work waits when nobody wakes it. It is long
	// because the sweep of any worker notices sooner that nobody does.
	parkedFor = 5 * time.Minute
	// wokenFor is how long woken work keeps its place before the work behind it. It
	// may not come at all: its queue may be paused.
	wokenFor = 5 * time.Second
)

// waiter is a job or task that needs a slot of its key.
type waiter struct {
	backend     Backend
	id          string
	queue       string
	priority    int        // smaller numbers first
	enqueuedAt  *time.Time // nil: when it first waited
	number      int64      // orders the jobs of one transaction: the id of a job, 0 for a task
	attemptedAt *time.Time // of the run of a job; no other run has the same
	fresh       bool       // a job that has not waited for its key before
}

func jobWaiter(job *rivertype.JobRow) waiter {
	return waiter{
		backend: PG, id: strconv.FormatInt(job.ID, 10), queue: job.Queue, priority: job.Priority,
		enqueuedAt: &job.CreatedAt, number: job.ID, attemptedAt: job.AttemptedAt,
		fresh: !bytes.Contains(job.Metadata, []byte(`"snoozes"`)),
	}
}

func taskWaiter(task taskqueue.Run) waiter {
	w := waiter{backend: Redis, id: task.ID, queue: task.Queue, priority: river.PriorityDefault}
	if !task.EnqueuedAt.IsZero() {
		w.enqueuedAt = &task.EnqueuedAt
	}
	return w
}

// compare orders the work of a key. Tasks are in the order in which they ask.
func (w waiter) compare(other waiter) int {
	if w.enqueuedAt == nil || other.enqueuedAt == nil {
		return cmp.Compare(w.priority, other.priority)
	}
	return cmp.Or(cmp.Compare(w.priority, other.priority), w.enqueuedAt.Compare(*other.enqueuedAt), cmp.Compare(w.number, other.number))
}

// enterGate waits until no other transaction has entered the gate of the key. The
// number of its lock is the complement of the key's hash; the numbers of slots
// differ from the hash in the lowest bits.
const enterGate = `SELECT pg_advisory_xact_lock(~hashtextextended($1, 1))`

// takeSlot takes a free slot for a run when there are more free slots than waiters
// ahead of it. Otherwise it parks the run.
func takeSlot(ctx context.Context, connection *pgx.Conn, l limit, own []int, w waiter) (slot *int, parked bool, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enterGate, l.key)
	batch.Queue(takeSlotSQL,
		l.key, w.backend, w.id, w.enqueuedAt, w.priority, w.number, wokenFor, l.max, own, spread(parkedFor), w.attemptedAt, w.queue)
	results := connection.SendBatch(ctx, batch)
	defer func() { _ = results.Close() }() // the second statement has reported every error
	if _, err := results.Exec(); err != nil {
		return nil, false, err
	}
	err = results.QueryRow().Scan(&slot, &parked, nil)
	return slot, parked, err
}

// wakeNext returns the slot of a run, when returned is not nil, and wakes as many
// waiters of the key as there are free slots. It returns the woken tasks, which
// are still to be made pending in Redis.
func wakeNext(ctx context.Context, connection *pgx.Conn, l limit, own []int, returned *int) (woken []wokenTask, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enterGate, l.key)
	batch.Queue(`SELECT pg_advisory_unlock(hashtextextended($1, 1) # $2::int) WHERE $2 IS NOT NULL`, l.key, returned)
	batch.Queue(wakeNextSQL, l.key, l.max, wokenFor, own)
	results := connection.SendBatch(ctx, batch)
	defer func() { _ = results.Close() }() // the last statement has reported every error
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return nil, err
		}
	}
	var queues, ids []string
	if err := results.QueryRow().Scan(&queues, &ids, nil, nil); err != nil {
		return nil, err
	}
	for i := range ids {
		woken = append(woken, wokenTask{l, queues[i], ids[i]})
	}
	return woken, nil
}

// wokenTask is a task whose turn it is.
type wokenTask struct {
	limit     limit
	queue, id string
}

// takeSlotSQL either keeps the lock of one slot, or parks the run. To count the
// free slots, it locks as many as it needs and unlocks the others, which nobody
// sees because all of them pass the gate.
const takeSlotSQL = `
	WITH me AS MATERIALIZED (
		SELECT hashtextextended($1, 1) AS lock,
		       coalesce((SELECT enqueued_at FROM key_waiters WHERE backend = $2 AND work_id = $3), $4::timestamptz, clock_timestamp()) AS since
	), ahead AS MATERIALIZED (
		SELECT count(*) AS waiters
		FROM (
			SELECT FROM key_waiters AS other, me
			WHERE other.lock = me.lock AND woken_at IS NULL AND (priority, enqueued_at, number) < ($5::int, me.since, $6::bigint)
			UNION ALL
			SELECT FROM key_waiters AS other, me
			WHERE other.lock = me.lock AND woken_at > clock_timestamp() - $7::interval
			  AND (priority, enqueued_at, number) < ($5::int, me.since, $6::bigint)
			LIMIT $8::int
		) AS first
	), taken AS MATERIALIZED (
		SELECT slot
		FROM me, generate_series(0, $8::int - 1) AS slot
		WHERE CASE WHEN slot = ANY($9::int[]) THEN false ELSE pg_try_advisory_lock(me.lock # slot) END
		LIMIT (SELECT CASE WHEN waiters < $8::int THEN waiters + 1 ELSE 0 END FROM ahead)
	), kept AS MATERIALIZED (
		SELECT min(slot) AS slot FROM taken HAVING count(*) > (SELECT waiters FROM ahead)
	), returned AS MATERIALIZED (
		SELECT pg_advisory_unlock(me.lock # slot) AS unlocked FROM me, taken WHERE slot IS DISTINCT FROM (SELECT slot FROM kept)
	), left_queue AS (
		DELETE FROM key_waiters
		WHERE backend = $2 AND work_id = $3 AND EXISTS (SELECT FROM kept)
	), parked_job AS (
		UPDATE river_job
		SET state = (CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled' ELSE 'scheduled' END)::river_job_state,
		    finalized_at = CASE WHEN metadata ? 'cancel_attempted_at' THEN now() END,
		    attempt = greatest(attempt - 1, 0),
		    scheduled_at = now() + $10::interval,
		    metadata = metadata || jsonb_build_object('snoozes', coalesce((metadata->>'snoozes')::int, 0) + 1)
		WHERE id = (
			SELECT id FROM river_job
			WHERE $2 = 'pg' AND id = $6 AND state = 'running' AND attempted_at = $11 AND NOT EXISTS (SELECT FROM kept)
			FOR UPDATE SKIP LOCKED
		)
		RETURNING state
	), parked AS (
		INSERT INTO key_waiters (backend, work_id, key, lock, slots, queue, priority, enqueued_at, number)
		SELECT $2, $3, $1, me.lock, $8, $12, $5, me.since, $6
		FROM me
		WHERE NOT EXISTS (SELECT FROM kept) AND ($2 = 'redis' OR EXISTS (SELECT FROM parked_job WHERE state = 'scheduled'))
		ON CONFLICT (backend, work_id) DO UPDATE
		SET key = excluded.key, lock = excluded.lock, slots = excluded.slots, queue = excluded.queue, woken_at = NULL
		RETURNING work_id
	)
	SELECT (SELECT slot FROM kept), EXISTS (SELECT FROM parked) OR EXISTS (SELECT FROM parked_job), (SELECT count(unlocked) FROM returned)`

// wakeNextSQL wakes work for the slots that are free and that no woken work is
// about to take.
const wakeNextSQL = `
	WITH asleep AS MATERIALIZED (
		SELECT waiter.backend, waiter.work_id, waiter.number, waiter.queue,
		       row_number() OVER (ORDER BY waiter.priority, waiter.enqueued_at, waiter.number) AS place
		FROM key_waiters AS waiter
		LEFT JOIN river_job AS job ON waiter.backend = 'pg' AND job.id = waiter.number
		WHERE waiter.lock = hashtextextended($1, 1) AND waiter.woken_at IS NULL AND (waiter.backend = 'redis' OR job.state = 'scheduled')
		ORDER BY waiter.priority, waiter.enqueued_at, waiter.number
		LIMIT $2::int
	), coming AS MATERIALIZED (
		SELECT count(*) AS waiters
		FROM key_waiters
		WHERE lock = hashtextextended($1, 1) AND woken_at > clock_timestamp() - $3::interval
	), free AS MATERIALIZED (
		SELECT slot
		FROM generate_series(0, $2::int - 1) AS slot
		WHERE CASE WHEN slot = ANY($4::int[]) THEN false ELSE pg_try_advisory_lock(hashtextextended($1, 1) # slot) END
		LIMIT (SELECT CASE WHEN EXISTS (SELECT FROM asleep) THEN $2::int ELSE 0 END)
	), returned AS MATERIALIZED (
		SELECT pg_advisory_unlock(hashtextextended($1, 1) # slot) AS unlocked FROM free
	), chosen AS MATERIALIZED (
		SELECT * FROM asleep
		WHERE place <= (SELECT count(*) FROM free) - (SELECT waiters FROM coming)
	), woken AS (
		UPDATE river_job AS job
		SET state = 'available',
		    -- Ahead of the queue, in which the job has waited already.
		    scheduled_at = least(now(), (
		        SELECT min(other.scheduled_at) - interval '1 microsecond'
		        FROM river_job AS other
		        WHERE other.state = 'available' AND other.queue = job.queue AND other.priority = job.priority
		    ))
		WHERE job.id IN (
			SELECT id FROM river_job
			WHERE id IN (SELECT number FROM chosen WHERE backend = 'pg') AND state = 'scheduled'
			FOR UPDATE SKIP LOCKED
		)
		RETURNING job.id, job.queue
	), marked AS (
		UPDATE key_waiters AS waiter
		SET woken_at = clock_timestamp()
		FROM chosen
		WHERE waiter.backend = chosen.backend AND waiter.work_id = chosen.work_id
		  AND (chosen.backend = 'redis' OR chosen.number IN (SELECT id FROM woken))
	), notified AS MATERIALIZED (
		-- As River does when it inserts a job.
		SELECT pg_notify(current_schema() || '.river_insert', json_build_object('queue', queue)::text)::text AS sent
		FROM (SELECT DISTINCT queue FROM woken) AS queues
	), tasks AS (
		SELECT queue, work_id FROM chosen WHERE backend = 'redis' ORDER BY place
	)
	SELECT coalesce((SELECT array_agg(queue) FROM tasks), '{}'), coalesce((SELECT array_agg(work_id) FROM tasks), '{}'),
	       (SELECT count(unlocked) FROM returned), (SELECT count(sent) FROM notified)`
