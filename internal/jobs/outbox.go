package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/time/rate"

	"slipway/internal/jobs/taskqueue"
)

// OutboxKind is the kind of the jobs that relay durable tasks to Redis.
const OutboxKind = "carry_task"

// EnqueueTx enqueues durable tasks in the transaction of the change that causes
// them. It inserts one outbox job a task, which relays the task to Redis and ends
// when the task is on Redis's disk. Call deliver after the commit to send the
// tasks at once. Without that call, or when Redis is unavailable, the outbox jobs
// send them within seconds after Redis replies again.
func (t *Tasks) EnqueueTx(ctx context.Context, tx pgx.Tx, tasks ...Args) (deliver func(context.Context), err error) {
	return t.EnqueueTxAt(ctx, tx, time.Time{}, tasks...)
}

// EnqueueTxAt is EnqueueTx for tasks that run at a time or later. The zero time
// means after the delay of their kind, if it has one.
func (t *Tasks) EnqueueTxAt(ctx context.Context, tx pgx.Tx, at time.Time, tasks ...Args) (deliver func(context.Context), err error) {
	messages := make([]taskqueue.Message, len(tasks))
	for i, task := range tasks {
		if declaration := task.Declare(); !declaration.Durable {
			return nil, fmt.Errorf("the task %s is transient: enqueue it with Enqueue after the commit, or declare it Durable", declaration.Kind)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an id for the task %s: %w", task.Declare().Kind, err)
		}
		if messages[i], err = t.message(ctx, task, at); err != nil {
			return nil, err
		}
		messages[i].ID = id.String()
		messages[i].Retention = max(messages[i].Retention, taskqueue.DoneRetention)
	}
	return t.insertOutbox(ctx, tx, messages...)
}

// OutboxHandlers are the handlers by which worker-pg relays durable tasks to
// Redis.
func (t *Tasks) OutboxHandlers() Handlers {
	pace := rate.NewLimiter(relaysPerSecond, relaysPerSecond/10)
	return Handlers{Handle(func(ctx context.Context, job outboxJob) error { return t.relay(ctx, job.Task, pace) })}
}

// Private

const (
	// safeAfter is the age from which a task survives a crash of Redis: with
	// appendfsync everysec, a write is on Redis's disk within two seconds.
	safeAfter = 5 * time.Second
	// relaysPerSecond bounds the tasks that a worker relays to a Redis that is
	// available again.
	relaysPerSecond = 500
)

// outboxJob is the job that holds a durable task in PostgreSQL.
type outboxJob struct {
	Task taskqueue.Message `json:"task"`
}

// Declare describes the job.
func (outboxJob) Declare() Declaration {
	return Declaration{Kind: OutboxKind, Attempts: 1000, Backoff: Quick, Timeout: time.Minute}
}

// insertOutbox inserts the outbox jobs of tasks.
func (t *Tasks) insertOutbox(ctx context.Context, tx pgx.Tx, messages ...taskqueue.Message) (deliver func(context.Context), err error) {
	outbox := make([]Args, len(messages))
	for i, m := range messages {
		outbox[i] = outboxJob{m}
	}
	if err := t.jobs.EnqueueAt(ctx, tx, time.Now().Add(safeAfter), outbox...); err != nil {
		return nil, err
	}
	return func(ctx context.Context) { t.deliver(ctx, messages) }, nil
}

// deliver sends durable tasks to Redis right after their commit.
func (t *Tasks) deliver(ctx context.Context, messages []taskqueue.Message) {
	for i, outcome := range t.client.Enqueue(ctx, "Tasks.EnqueueTx", messages...) {
		if outcome == taskqueue.Refused {
			outcome = "carried" // the outbox job sends it later
		}
		t.count(messages[i].Kind, outcome)
	}
}

// relay is done when Redis has the task. Otherwise it sends the task and snoozes,
// to check after safeAfter whether Redis still has it.
func (t *Tasks) relay(ctx context.Context, m taskqueue.Message, pace *rate.Limiter) error {
	has, ok := t.client.Has(ctx, "Tasks.knows", m.Queue, m.ID)
	switch {
	case !ok:
		return Snooze(safeAfter, "Redis does not reply")
	case has:
		return nil
	}
	if err := pace.Wait(ctx); err != nil {
		return fmt.Errorf("wait for a turn to write to Redis: %w", err)
	}
	switch t.client.Enqueue(ctx, "Tasks.carry", m)[0] {
	case taskqueue.Refused:
		return Snooze(safeAfter, "Redis does not accept the task")
	case taskqueue.Duplicate:
		return nil // an equal task is in Redis, with an outbox job of its own
	}
	return Snooze(safeAfter, "the task may not be on Redis's disk yet")
}
