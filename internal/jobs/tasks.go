package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/failopen"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/telemetry"
)

// Tasks enqueues tasks.
type Tasks struct {
	guard   *failopen.Guard
	jobs    *Jobs // the outbox of durable tasks
	client  *taskqueue.Client
	metrics *Metrics
	known   *catalogue
}

// NewTasks returns an enqueuer that writes to the Redis that guard protects.
// Durable tasks pass through jobs.
func NewTasks(guard *failopen.Guard, jobs *Jobs, metrics *Metrics) (*Tasks, error) {
	client, err := taskqueue.NewClient(guard)
	if err != nil {
		return nil, err
	}
	return &Tasks{guard: guard, jobs: jobs, client: client, metrics: metrics}, nil
}

// Close ends the connections.
func (t *Tasks) Close() error { return t.client.Close() }

// Disabled reports whether the configuration names no Redis.
func (t *Tasks) Disabled() bool { return t.guard.Disabled() }

// Know lets the enqueuer refuse kinds that are no tasks of this application. Without
// it, every kind is enqueued.
func (t *Tasks) Know(kinds Handlers) {
	t.known = newCatalogue("task", kinds)
	t.metrics.startAtZero(Redis, kinds)
}

// Knows reports whether a kind is among those of Know.
func (t *Tasks) Knows(kind string) bool { return t.known.has(kind) }

// Enqueue sends transient tasks to worker-redis and reports whether Redis
// accepted all of them. It drops what Redis does not accept, counts that and reports
// it. It refuses tasks that can never run, and durable tasks, which need EnqueueTx:
// they are counted as dropped, and Sentry gets an alert.
func (t *Tasks) Enqueue(ctx context.Context, tasks ...Args) bool {
	return t.EnqueueAt(ctx, time.Time{}, tasks...)
}

// EnqueueAt is Enqueue for tasks that run at a time or later. The zero time means
// after the delay of their kind, if it has one.
func (t *Tasks) EnqueueAt(ctx context.Context, at time.Time, tasks ...Args) bool {
	accepted := true
	messages := make([]taskqueue.Message, 0, len(tasks))
	for _, task := range tasks {
		m, err := t.transient(ctx, task, at)
		if err != nil {
			accepted = false
			t.refuse(task.Declare().Kind, err)
			continue
		}
		messages = append(messages, m)
	}
	for i, outcome := range t.client.Enqueue(ctx, "Tasks.Enqueue", messages...) {
		if outcome == taskqueue.Refused {
			outcome, accepted = "dropped", false
			t.guard.Dropped(messages[i].Kind)
		}
		t.count(messages[i].Kind, outcome)
	}
	return accepted
}

// Inspector returns an inspector of the tasks in Redis, and of those that failed
// for good in db. It enqueues them again as kinds declare them. It is nil without
// Redis.
func (t *Tasks) Inspector(db *pgxpool.Pool, kinds Handlers) *taskqueue.Inspector {
	return taskqueue.NewInspector(t.client, taskqueue.NewFailedTasks(db), kinds.again)
}

// Private

// taskQueues are queues of tasks with their weights. They share the workers, because
// tasks are quick: a queue with a larger weight is asked first more often.
func taskQueues(queues Queues) []taskqueue.Queue {
	weights := map[Queue]int{Critical: 6, Default: 3, Low: 1}
	all := make([]taskqueue.Queue, len(queues))
	for i, queue := range queues {
		all[i] = taskqueue.Queue{Name: string(queue), Weight: cmp.Or(weights[queue], weights[Default])}
	}
	return all
}

// transient is the message of a task that is not durable.
func (t *Tasks) transient(ctx context.Context, task Args, at time.Time) (taskqueue.Message, error) {
	if declaration := task.Declare(); declaration.Durable {
		return taskqueue.Message{}, fmt.Errorf("the task %s is durable: enqueue it with EnqueueTx, in the transaction of the change",
			declaration.Kind)
	}
	return t.message(ctx, task, at)
}

// message is a task as its kind declares it.
func (t *Tasks) message(ctx context.Context, task Args, at time.Time) (taskqueue.Message, error) {
	declaration := task.Declare().withDefaults()
	if err := t.known.check(declaration.Kind); err != nil {
		return taskqueue.Message{}, err
	}
	payload, err := payloadOf(declaration.Kind, task)
	if err != nil {
		return taskqueue.Message{}, err
	}
	m, cause := messageOf(declaration, payload, at), causeOf(ctx)
	m.Request, m.Parent = cause.Request, cause.Parent
	telemetry.TraceOf(ctx).Add(telemetry.EnqueueSpan, m.Kind, time.Now(), nil)
	return m, nil
}

func messageOf(declaration Declaration, args json.RawMessage, at time.Time) taskqueue.Message {
	at, expiresAt := declaration.schedule(at)
	m := taskqueue.Message{
		Kind: declaration.Kind, Args: args, Queue: string(declaration.Queue),
		Attempts: declaration.mostAttempts(), Timeout: declaration.Timeout, NotBefore: at, EnqueuedAt: time.Now(), ExpiresAt: expiresAt,
	}
	if unique := declaration.Unique; unique.Within > 0 || unique.Waiting {
		m.Unique = uniqueKey(declaration, args)
		m.UniqueFor = unique.Within
		m.Retention = unique.Within // a task that is done is a duplicate's twin for that time
	}
	return m
}

// again is the message of a failed task that Redis does not have any more. It stays
// in its queue. A task of a kind that this release does not know has as many
// attempts as it had, and the default timeout.
func (h Handlers) again(task taskqueue.FailedTask) taskqueue.Message {
	m := taskqueue.Message{Kind: task.Kind, Args: task.Args, Attempts: max(task.Attempts, 1), Timeout: defaultTimeout}
	if handler, known := h.Find(task.Kind); known {
		m = messageOf(handler.Declaration, task.Args, time.Time{})
	}
	m.ID, m.Queue, m.Retention = task.ID, task.Queue, max(m.Retention, taskqueue.DoneRetention)
	m.Request, m.Parent = task.Request, task.Parent
	return m
}

// refuse counts and reports a task that can never run.
func (t *Tasks) refuse(kind string, err error) {
	t.metrics.enqueued.WithLabelValues(string(Redis), kind, "dropped").Inc()
	t.guard.Refused(kind, err)
}

// count counts one task that was sent to Redis.
func (t *Tasks) count(kind string, outcome taskqueue.Outcome) {
	t.metrics.enqueued.WithLabelValues(string(Redis), kind, string(outcome)).Inc()
}
