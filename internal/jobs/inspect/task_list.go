package inspect

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// Private

// taskStates are the states of tasks in Redis. Failed and cancelled tasks are in
// the archive in PostgreSQL, which holds all of them.
var taskStates = map[State]taskqueue.State{
	Pending: taskqueue.Pending, Scheduled: taskqueue.Scheduled, Running: taskqueue.Active,
	Retrying: taskqueue.Retry, Done: taskqueue.Completed,
}

// lister lists the tasks of one queue in one state.
func (i *Inspector) lister(queue string, state State) func(context.Context, Filter, position, int) (part, error) {
	return func(ctx context.Context, filter Filter, after position, limit int) (part, error) {
		if i.tasks == nil {
			if filter.Backend == jobs.Redis {
				return part{}, ErrNoRedis
			}
			return part{}, nil
		}
		found, err := i.tasks.List(ctx, queue, taskStates[state], after.Task, limit)
		if err != nil {
			return part{}, fmt.Errorf("list tasks: %w", err)
		}
		p := part{next: position{Task: found.Next}, more: found.More}
		for _, task := range found.Tasks {
			if filter.Kind == "" || filter.Kind == task.Kind {
				p.items = append(p.items, i.itemOfTask(task, state))
			}
		}
		return p, nil
	}
}

func (i *Inspector) listFailedTasks(ctx context.Context, filter Filter, after position, limit int) (part, error) {
	found, err := i.failed.List(ctx, taskqueue.FailedFilter{
		Queue: filter.Queue, Kind: filter.Kind, State: string(filter.State), After: after.Archive, Limit: limit + 1,
	})
	if err != nil {
		return part{}, err
	}
	p := part{more: len(found) > limit}
	for _, task := range found[:min(limit, len(found))] {
		p.items = append(p.items, i.itemOfFailed(task))
		p.next.Archive = taskqueue.FailedPlace{At: task.FailedAt, ID: task.ID}
	}
	return p, nil
}

// showTask looks for a task in the archive, in Redis and in the outbox.
func (i *Inspector) showTask(ctx context.Context, id ID) (Item, error) {
	failed, err := i.failed.Find(ctx, id.Queue, id.Task)
	if err == nil {
		return i.itemOfFailed(failed), nil
	}
	if !errors.Is(err, taskqueue.ErrNotFound) {
		return Item{}, fmt.Errorf("read task %s: %w", id, err)
	}
	if i.tasks != nil {
		task, err := i.tasks.Find(id.Queue, id.Task)
		if err == nil {
			return i.itemOfTask(task, stateOfTask(task)), nil
		}
		if !errors.Is(err, taskqueue.ErrNotFound) {
			return Item{}, fmt.Errorf("read task %s: %w", id, err)
		}
	}
	job, err := i.outboxOf(ctx, id)
	if err != nil {
		return Item{}, err
	}
	return i.itemOfOutbox(job)
}

func stateOfTask(task taskqueue.Task) State {
	if task.State == taskqueue.Archived {
		return Failed
	}
	for ours, theirs := range taskStates {
		if theirs == task.State {
			return ours
		}
	}
	return Pending
}

func (i *Inspector) itemOfTask(task taskqueue.Task, state State) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: state,
		Args: i.mask.Args(task.Kind, task.Args), Attempt: task.Retried, MaxAttempts: max(task.MaxRetry, 1),
		RunAt: task.NextProcessAt, FinishedAt: task.CompletedAt, Error: i.mask.Text(task.Kind, task.Args, task.LastError),
	}
	if state == Running || state == Done {
		item.Attempt++
	}
	if task.LastError != "" {
		item.Errors = []Attempt{{Number: task.Retried, At: task.LastFailedAt, Error: item.Error}}
	}
	return item
}

func (i *Inspector) itemOfFailed(task taskqueue.FailedTask) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: Failed,
		Args: i.mask.Args(task.Kind, task.Args), Attempt: task.Attempts, MaxAttempts: task.Attempts,
		FinishedAt: task.FailedAt, Error: i.mask.Text(task.Kind, task.Args, task.Error),
	}
	if task.Cancelled {
		item.State = Cancelled
	}
	item.Errors = []Attempt{{Number: item.Attempt, At: item.FinishedAt, Error: item.Error}}
	return item
}
