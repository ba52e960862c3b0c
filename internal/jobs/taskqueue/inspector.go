package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// State is where a task stands in Redis, in asynq's words.
type State string

// The states.
const (
	Pending   State = "pending"   // due, and waits for a worker
	Scheduled State = "scheduled" // not due yet
	Active    State = "active"    // a worker runs it
	Retry     State = "retry"     // failed, and waits for its next attempt
	Archived  State = "archived"  // failed for good, or cancelled
	Completed State = "completed"
)

// Task is a task as Redis holds it.
type Task struct {
	ID            string
	Kind          string
	Queue         string
	Args          []byte
	State         State
	Retried       int // failed attempts
	MaxRetry      int
	LastError     string
	LastFailedAt  time.Time
	NextProcessAt time.Time
	CompletedAt   time.Time
	EnqueuedAt    time.Time // zero when another program or an older release enqueued it
	ExpiresAt     time.Time
	Headers       map[string]string
	Place         Place // in the list that it was read from
}

// Request is the id of the HTTP request at the beginning of the chain, empty when there
// was none.
func (t Task) Request() string { return t.Headers[headerRequest] }

// Parent is the job or task that enqueued the task, empty when none did.
func (t Task) Parent() string { return t.Headers[headerParent] }

// QueueCounts is how much one queue holds.
type QueueCounts struct {
	Paused    bool
	Oldest    time.Duration // how long the oldest pending task has waited
	Pending   int
	Scheduled int
	Active    int
	Retry     int
}

// Inspector reads the tasks in Redis and lets an operator act on them.
type Inspector struct {
	asynq         *asynq.Inspector
	namespace     namespace
	cancellations *Cancellations
	client        *Client
	failed        *FailedTasks
	again         func(FailedTask) Message
}

// NewInspector returns an inspector of the Redis of client, nil without Redis. Again
// is the message of a task that Revive enqueues anew, as its kind declares it.
func NewInspector(client *Client, failed *FailedTasks, again func(FailedTask) Message) *Inspector {
	if client.redis == nil {
		return nil
	}
	return &Inspector{
		asynq:         asynq.NewInspectorFromRedisClient(&canceller{client.redis, client.namespace}),
		namespace:     client.namespace,
		cancellations: &Cancellations{client.redis, client.namespace},
		client:        client, failed: failed, again: again,
	}
}

// Find returns one task, or ErrNotFound.
func (i *Inspector) Find(queue, id string) (Task, error) {
	task, err := i.asynq.GetTaskInfo(i.namespace.queue(queue), id)
	if isMissing(err) {
		return Task{}, ErrNotFound
	}
	if err != nil {
		return Task{}, ofRedis(err)
	}
	return taskOf(queue, task), nil
}

// FindAll returns those of the tasks of a queue that Redis has. Large args are left out.
func (i *Inspector) FindAll(ctx context.Context, queue string, ids []string) ([]Task, error) {
	var tasks []Task
	for len(ids) > 0 {
		found, err := i.read(ctx, queue, ids)
		if err != nil {
			return nil, err
		}
		for _, task := range found {
			if task == nil {
				continue
			}
			if len(task.Args) > MostListedArgs {
				task.Args = nil
			}
			tasks = append(tasks, *task)
		}
		ids = ids[len(found):]
	}
	return tasks, nil
}

// QueueNames returns the queues that Redis knows. A queue that was never used is
// missing.
func (i *Inspector) QueueNames() ([]string, error) {
	all, err := i.asynq.Queues()
	if err != nil {
		return nil, ofRedis(err)
	}
	var names []string
	for _, queue := range all {
		if name, own := i.namespace.name(queue); own {
			names = append(names, name)
		}
	}
	return names, nil
}

// CountQueue counts the tasks of one queue, which must exist.
func (i *Inspector) CountQueue(name string) (QueueCounts, error) {
	info, err := i.asynq.GetQueueInfo(i.namespace.queue(name))
	if err != nil {
		return QueueCounts{}, ofRedis(err)
	}
	return QueueCounts{
		Paused: info.Paused, Oldest: info.Latency,
		Pending: info.Pending, Scheduled: info.Scheduled, Active: info.Active, Retry: info.Retry,
	}, nil
}

// Pause stops all workers from taking tasks of a queue until Resume. A queue may
// be paused already. The database holds the pause too, so that workers pause the
// queue again when Redis has lost it.
func (i *Inspector) Pause(ctx context.Context, queue string) error {
	return i.failed.setPaused(ctx, queue, true, func() error {
		return unlessAlreadySo(ofRedis(i.asynq.PauseQueue(i.namespace.queue(queue))))
	})
}

// Resume ends a pause. A queue may not be paused.
func (i *Inspector) Resume(ctx context.Context, queue string) error {
	return i.failed.setPaused(ctx, queue, false, func() error {
		return unlessAlreadySo(ofRedis(i.asynq.UnpauseQueue(i.namespace.queue(queue))))
	})
}

// RunNow makes a task pending that waits for its time or for its next attempt.
func (i *Inspector) RunNow(queue, id string) error {
	return ofRedis(i.asynq.RunTask(i.namespace.queue(queue), id))
}

// Retry is RunNow for a task that waits for its next attempt. It also removes a
// cancellation mark.
func (i *Inspector) Retry(ctx context.Context, queue, id string) error {
	if err := i.cancellations.Unmark(ctx, id); err != nil {
		return err
	}
	return i.RunNow(queue, id)
}

// Revive enqueues a task of the archive again, and removes it from the archive. It
// returns ErrDuplicate when an equal unique task waits or runs, and ErrNotFound when
// another call has revived the task.
func (i *Inspector) Revive(ctx context.Context, task FailedTask) error {
	return i.failed.take(ctx, task, func() error {
		err := i.Retry(ctx, task.Queue, task.ID)
		if isMissing(err) {
			err = i.enqueueAgain(ctx, task)
		}
		return err
	})
}

// ReviveWith is Revive with the args of task, which may differ from those that asynq
// holds.
func (i *Inspector) ReviveWith(ctx context.Context, task FailedTask) error {
	return i.failed.take(ctx, task, func() error {
		if err := i.Delete(ctx, task.Queue, task.ID); err != nil {
			return err
		}
		return i.enqueueAgain(ctx, task)
	})
}

// CancelActive cancels the context of a task that runs. The task does not run
// again, whether its handler stops early or not.
func (i *Inspector) CancelActive(ctx context.Context, id string) error {
	if err := i.cancellations.Mark(ctx, id); err != nil {
		return err
	}
	return ofRedis(i.asynq.CancelProcessing(id))
}

// Archive ends a task that does not run: asynq keeps it in its own archive. It
// returns ErrNotFound when Redis does not have the task.
func (i *Inspector) Archive(ctx context.Context, queue, id string) (Task, error) {
	task, err := i.Find(queue, id)
	if err != nil {
		return Task{}, err
	}
	if err := i.cancellations.Mark(ctx, id); err != nil {
		return Task{}, err
	}
	if task.State == Archived {
		return task, nil
	}
	return task, ofRedis(i.asynq.ArchiveTask(i.namespace.queue(queue), id))
}

// Delete deletes a task that does not run from Redis, which may not have it.
func (i *Inspector) Delete(ctx context.Context, queue, id string) error {
	if err := i.asynq.DeleteTask(i.namespace.queue(queue), id); err != nil && !isMissing(err) {
		return ofRedis(err)
	}
	return i.cancellations.Unmark(ctx, id)
}

// Private

// enqueueAgain enqueues a failed task that asynq does not hold any more.
func (i *Inspector) enqueueAgain(ctx context.Context, task FailedTask) error {
	switch i.client.Enqueue(ctx, "Tasks.Again", i.again(task))[0] {
	case Refused:
		return fmt.Errorf("enqueue the task %s again: %w", task.ID, ErrRedis)
	case Duplicate:
		return ErrDuplicate
	}
	return nil
}

func unlessAlreadySo(err error) error {
	if isAlreadySo(err) {
		return nil
	}
	return err
}

func taskOf(queue string, task *asynq.TaskInfo) Task {
	t := Task{
		ID: task.ID, Kind: task.Type, Queue: queue, Args: task.Payload, State: State(task.State.String()),
		Retried: task.Retried, MaxRetry: task.MaxRetry, LastError: task.LastErr, LastFailedAt: task.LastFailedAt,
		NextProcessAt: task.NextProcessAt, CompletedAt: task.CompletedAt,
	}
	for name, text := range task.Headers {
		t.setHeader(name, text)
	}
	return t
}
