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

// taskInOutbox returns the task that an outbox job relays as Redis would hold it.
func taskInOutbox(job storedJob) (taskqueue.Task, error) {
	m, err := messageIn(job)
	return taskqueue.Task{
		ID: m.ID, Kind: m.Kind, Queue: m.Queue, Args: m.Args, State: taskqueue.Pending, MaxRetry: m.Attempts,
		EnqueuedAt: m.EnqueuedAt, ExpiresAt: m.ExpiresAt,
	}, err
}

// listOutbox lists the tasks in the outbox that are not in Redis. When Redis does
// not reply, these are all tasks in the outbox.
func (i *Inspector) listOutbox(ctx context.Context, filter Filter, after position, limit int, budget *budget) (part, error) {
	found, err := i.walkJobs(ctx, jobWalk{
		filter: Filter{Kind: jobs.OutboxKind}, states: unrelayed, after: after.Job, limit: min(limit, outboxAtOnce),
	})
	if err != nil {
		return part{}, err
	}
	stored, err := i.readJobs(ctx, found.ids)
	if err != nil {
		return part{}, err
	}
	p := part{read: len(found.ids), more: found.more}
	p.next.Job = found.next
	budget.parts, budget.tasks = budget.parts-1, budget.tasks-p.read
	tasks := make([]taskqueue.Task, len(stored))
	for n, job := range stored {
		if tasks[n], err = taskInOutbox(job); err != nil {
			return part{}, err
		}
	}
	meets, err := i.taskTest(ctx, filter, tasks)
	if err != nil {
		return part{}, err
	}
	inRedis := i.inRedis(ctx, tasks)
	for n, task := range tasks {
		if meets(task) && !inRedis[n] && (filter.Queue == "" || filter.Queue == task.Queue) {
			if len(task.Args) > taskqueue.MostListedArgs {
				task.Args = nil
			}
			p.items = append(p.items, i.itemOfOutbox(stored[n], task))
		}
	}
	return p, nil
}

// outboxAtOnce is the number of outbox jobs that are read at once. Each holds the
// args of its task.
const outboxAtOnce = 100

// inRedis reports which tasks Redis has.
func (i *Inspector) inRedis(ctx context.Context, tasks []taskqueue.Task) []bool {
	found := make([]bool, len(tasks))
	if i.tasks == nil {
		return found
	}
	ofQueue := map[string][]int{}
	for n, task := range tasks {
		ofQueue[task.Queue] = append(ofQueue[task.Queue], n)
	}
	for queue, places := range ofQueue {
		ids := make([]string, len(places))
		for n, place := range places {
			ids[n] = tasks[place].ID
		}
		has, err := i.tasks.Has(ctx, queue, ids)
		if err != nil {
			return found
		}
		for n, place := range places {
			found[place] = has[n]
		}
	}
	return found
}

func (i *Inspector) itemOfOutbox(job storedJob, task taskqueue.Task) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: Pending,
		MaxAttempts: task.MaxRetry, CreatedAt: job.createdAt,
	}
	i.setArgs(&item, task.Args)
	return item
}

// ofTask finds the outbox jobs of the task $1 of the queue $2.
var ofTask = relays("$1", "$2")

// relays is the condition in SQL that a job is an outbox job of a task. River's index
// of args serves it.
func relays(task, queue string) string {
	return fmt.Sprintf(`kind = '%s' AND args @> jsonb_build_object('task', jsonb_build_object('id', %s::text, 'queue', %s::text))`,
		jobs.OutboxKind, task, queue)
}

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
