package inspect

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/telemetry"
)

// ErrNoRedis means that the configuration names no Redis.
var ErrNoRedis = errors.New("there is no Redis: REDIS_URL is not set")

// Private

// mostRead is the most tasks of one queue and state that a list reads to find
// those of a kind.
const mostRead = 5000

// taskStates are the states of tasks in Redis. Failed and cancelled tasks are in
// the archive in PostgreSQL, which holds all of them.
var taskStates = map[State]taskqueue.State{
	Pending: taskqueue.Pending, Scheduled: taskqueue.Scheduled, Running: taskqueue.Active,
	Retrying: taskqueue.Retry, Done: taskqueue.Completed,
}

func (i *Inspector) listTasks(ctx context.Context, filter Filter) ([]Item, error) {
	var items []Item
	if filter.State == "" || filter.State == Failed || filter.State == Cancelled {
		failed, err := i.listFailedTasks(ctx, filter)
		if err != nil {
			return nil, err
		}
		items = failed
	}
	if i.tasks == nil {
		if filter.Backend == jobs.Redis {
			return items, ErrNoRedis
		}
		return items, nil
	}
	for _, state := range States {
		if _, has := taskStates[state]; !has || filter.State != "" && filter.State != state {
			continue
		}
		for _, queue := range jobs.Queues {
			if filter.Queue != "" && filter.Queue != string(queue) {
				continue
			}
			found, err := i.listQueue(string(queue), state, filter.Kind, filter.Limit-len(items))
			items = append(items, found...)
			if err != nil {
				return items, fmt.Errorf("list tasks: %w", err)
			}
		}
	}
	return items, nil
}

// listQueue returns the tasks of one queue in one state, of a kind unless that is
// empty.
func (i *Inspector) listQueue(queue string, state State, kind string, limit int) ([]Item, error) {
	var items []Item
	for page := 1; len(items) < limit && page <= mostRead/PageSize; page++ {
		tasks, err := i.tasks.List(queue, taskStates[state], page, PageSize)
		if err != nil {
			return items, err
		}
		for _, task := range tasks {
			if (kind == "" || kind == task.Kind) && len(items) < limit {
				items = append(items, i.itemOf(task, state))
			}
		}
		if len(tasks) < PageSize {
			break
		}
	}
	return items, nil
}

func (i *Inspector) listFailedTasks(ctx context.Context, filter Filter) ([]Item, error) {
	failed, err := i.failed.List(ctx, taskqueue.FailedFilter{
		Queue: filter.Queue, Kind: filter.Kind, State: string(filter.State), Limit: filter.Limit,
	})
	if err != nil {
		return nil, err
	}
	items := make([]Item, len(failed))
	for n, task := range failed {
		items[n] = i.failedItemOf(task)
	}
	return items, nil
}

func (i *Inspector) showTask(ctx context.Context, id ID) (Item, error) {
	failed, err := i.failed.Find(ctx, id.Queue, id.Task)
	if err == nil {
		return i.failedItemOf(failed), nil
	}
	if !errors.Is(err, taskqueue.ErrNotFound) {
		return Item{}, fmt.Errorf("read task %s: %w", id, err)
	}
	if i.tasks == nil {
		return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	task, err := i.tasks.Find(id.Queue, id.Task)
	if errors.Is(err, taskqueue.ErrNotFound) {
		return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Item{}, fmt.Errorf("read task %s: %w", id, err)
	}
	return i.itemOf(task, stateOf(task)), nil
}

func stateOf(task taskqueue.Task) State {
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

func (i *Inspector) itemOf(task taskqueue.Task, state State) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: state,
		Args: masked(task.Args, i.hidden(task.Kind, task.Args)), Attempt: task.Retried, MaxAttempts: max(task.MaxRetry, 1),
		RunAt: task.NextProcessAt, FinishedAt: task.CompletedAt, Error: telemetry.Scrub(task.LastError),
	}
	if state == Running || state == Done {
		item.Attempt++
	}
	if task.LastError != "" {
		item.Errors = []Attempt{{Number: task.Retried, At: task.LastFailedAt, Error: item.Error}}
	}
	return item
}

func (i *Inspector) failedItemOf(task taskqueue.FailedTask) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: Failed,
		Args: masked(task.Args, i.hidden(task.Kind, task.Args)), Attempt: task.Attempts, MaxAttempts: task.Attempts,
		FinishedAt: task.FailedAt, Error: telemetry.Scrub(task.Error),
	}
	if task.Cancelled {
		item.State = Cancelled
	}
	item.Errors = []Attempt{{Number: item.Attempt, At: item.FinishedAt, Error: item.Error}}
	return item
}

func (i *Inspector) actOnTask(ctx context.Context, action Action, item Item) error {
	if i.tasks == nil {
		return ErrNoRedis
	}
	queue, id := item.ID.Queue, item.ID.Task
	switch {
	case action == Retry && (item.State == Failed || item.State == Cancelled):
		return i.tasks.Revive(ctx, queue, id)
	case action == Retry:
		return i.tasks.Retry(ctx, queue, id)
	case action == RunNow:
		return i.tasks.RunNow(queue, id)
	case action == Cancel && item.State == Running:
		return i.tasks.CancelActive(ctx, id)
	case action == Cancel:
		return i.tasks.CancelWaiting(ctx, queue, id)
	default:
		return i.tasks.Discard(ctx, queue, id)
	}
}
