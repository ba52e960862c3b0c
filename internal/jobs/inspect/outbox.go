package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// A durable task that is not in Redis yet, or not any more, waits in the outbox: in
// a job that relays it. Operators see it as a pending task.

// Private

// unrelayed are River's states of an outbox job that relays its task later.
var unrelayed = riverStatesOf([]State{Pending, Scheduled, Running, Retrying})

// messageIn returns the task that an outbox job relays.
func messageIn(job storedJob) (taskqueue.Message, error) {
	var args struct {
		Task taskqueue.Message `json:"task"`
	}
	if err := json.Unmarshal(job.args, &args); err != nil {
		return taskqueue.Message{}, fmt.Errorf("read the outbox job pg:%d: %w", job.id, err)
	}
	return args.Task, nil
}

// listOutbox lists the tasks in the outbox that are not in Redis. When Redis does
// not reply, these are all tasks in the outbox.
func (i *Inspector) listOutbox(ctx context.Context, filter Filter, after position, limit int) (part, error) {
	found, err := i.findJobs(ctx, jobQuery{kind: jobs.OutboxKind, states: unrelayed, before: after.Job, limit: limit})
	if err != nil {
		return part{}, err
	}
	p := part{more: len(found) == limit}
	for _, job := range found {
		p.next.Job = job.id
		item, err := i.itemOfOutbox(job)
		if err != nil {
			return part{}, err
		}
		if filter.Kind != "" && filter.Kind != item.Kind || filter.Queue != "" && filter.Queue != item.Queue {
			continue
		}
		if i.tasks != nil {
			if _, err := i.tasks.Find(item.ID.Queue, item.ID.Task); err == nil {
				continue
			}
		}
		p.items = append(p.items, item)
	}
	return p, nil
}

func (i *Inspector) itemOfOutbox(job storedJob) (Item, error) {
	m, err := messageIn(job)
	if err != nil {
		return Item{}, err
	}
	return Item{
		ID: ID{Backend: jobs.Redis, Queue: m.Queue, Task: m.ID}, Kind: m.Kind, Queue: m.Queue, State: Pending,
		Args: i.mask.Args(m.Kind, m.Args), MaxAttempts: m.Attempts, CreatedAt: job.createdAt,
	}, nil
}

// ofTask finds the outbox jobs of a task by River's index of args.
const ofTask = `kind = '` + jobs.OutboxKind + `'
	AND args @> jsonb_build_object('task', jsonb_build_object('id', $1::text, 'queue', $2::text))`

// outboxOf returns the job that relays a task later, or ErrNotFound.
func (i *Inspector) outboxOf(ctx context.Context, id ID) (storedJob, error) {
	rows, err := i.db.Query(ctx, `
		SELECT `+jobColumns+`
		FROM river_job
		WHERE `+ofTask+` AND state = ANY($3::text[]::river_job_state[])
		ORDER BY id
		LIMIT 1`, id.Task, id.Queue, unrelayed)
	if err != nil {
		return storedJob{}, fmt.Errorf("read the outbox job of %s: %w", id, err)
	}
	job, err := pgx.CollectExactlyOneRow(rows, scanJob)
	if errors.Is(err, pgx.ErrNoRows) {
		return storedJob{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return storedJob{}, fmt.Errorf("read the outbox job of %s: %w", id, err)
	}
	return job, nil
}

// errRelays means that an outbox job did not end in time.
var errRelays = errors.New("a worker is sending it from the outbox to Redis at this moment: try again")

// relayEnds is how long an operator waits for an outbox job that runs.
const relayEnds = 5 * time.Second

// withoutOutbox deletes the outbox jobs of a task in the transaction of do, so that
// nothing sends the task to Redis once more. It stops an outbox job that runs, and
// waits for its end.
func (i *Inspector) withoutOutbox(ctx context.Context, id ID, do func(tx pgx.Tx, waited *taskqueue.Message) error) error {
	for deadline := time.Now().Add(relayEnds); ; {
		var running []int64
		err := pgx.BeginFunc(ctx, i.db, func(tx pgx.Tx) error {
			waited, relays, err := takeFromOutbox(ctx, tx, id)
			if running = relays; err != nil || len(running) > 0 {
				return errors.Join(err, errRelays)
			}
			return do(tx, waited)
		})
		if len(running) == 0 || time.Now().After(deadline) {
			return err
		}
		for _, job := range running {
			if _, err := i.river.JobCancel(ctx, job); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
				return fmt.Errorf("stop the outbox job of %s: %w", id, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// takeFromOutbox deletes the outbox jobs of a task that do not run, and returns
// the task, nil when none waited, and the jobs that run.
func takeFromOutbox(ctx context.Context, tx pgx.Tx, id ID) (waited *taskqueue.Message, running []int64, err error) {
	rows, err := tx.Query(ctx, `
		DELETE FROM river_job
		WHERE `+ofTask+` AND state NOT IN ('running', 'completed')
		RETURNING `+jobColumns, id.Task, id.Queue)
	if err != nil {
		return nil, nil, fmt.Errorf("take %s from the outbox: %w", id, err)
	}
	taken, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, nil, fmt.Errorf("take %s from the outbox: %w", id, err)
	}
	for _, job := range taken {
		m, err := messageIn(job)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(unrelayed, job.state) {
			waited = &m
		}
	}
	rows, err = tx.Query(ctx, `SELECT id FROM river_job WHERE `+ofTask+` AND state = 'running'`, id.Task, id.Queue)
	if err != nil {
		return nil, nil, fmt.Errorf("read the outbox job of %s: %w", id, err)
	}
	running, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, nil, fmt.Errorf("read the outbox job of %s: %w", id, err)
	}
	return waited, running, nil
}
