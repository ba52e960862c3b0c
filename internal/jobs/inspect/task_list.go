package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
)

// Private

// taskStates are the states of tasks in Redis. Failed and cancelled tasks are in
// the archive in PostgreSQL, which holds all of them.
var taskStates = map[State]taskqueue.State{
	Pending: taskqueue.Pending, Scheduled: taskqueue.Scheduled, Running: taskqueue.Active,
	Retrying: taskqueue.Retry, Done: taskqueue.Completed,
}

// lister lists the tasks of one queue in one state.
func (i *Inspector) lister(queue string, state State) lister {
	return func(ctx context.Context, filter Filter, after position, limit int, budget *budget) (part, error) {
		if i.tasks == nil {
			return part{}, noRedis(filter)
		}
		found, err := i.tasks.List(ctx, queue, taskStates[state], after.Task, filter.readAtOnce(limit, budget))
		if err != nil {
			return part{}, fmt.Errorf("list tasks: %w", err)
		}
		meets, err := i.taskTest(ctx, filter, found.Tasks)
		if err != nil {
			return part{}, err
		}
		p := part{read: found.Read, next: position{Task: found.Next}, more: found.More}
		budget.parts, budget.tasks = budget.parts-1, budget.tasks-found.Read
		for n, task := range found.Tasks {
			if !meets(task) {
				continue
			}
			if len(p.items) == limit { // the rest of what was read is for the next page
				p.next.Task, p.more = found.Tasks[n-1].Place, true
				return p, nil
			}
			if len(task.Args) > taskqueue.MostListedArgs {
				task.Args = nil
			}
			p.items = append(p.items, i.itemOfTask(task, state))
		}
		return p, nil
	}
}

// noRedis is the error of a list of tasks when there is no Redis: they are not
// missed in a list of both backends.
func noRedis(filter Filter) error {
	if filter.Backend == jobs.Redis {
		return ErrNoRedis
	}
	return nil
}

// readAtOnce is the number of tasks to read at once to find up to limit tasks.
func (f Filter) readAtOnce(limit int, budget *budget) int {
	if !f.testsTasks() {
		return min(limit, budget.tasks)
	}
	return min(PageSize, budget.tasks)
}

// taskTest returns a test of what a filter asks for beside the queue and state, for
// some tasks in Redis.
func (i *Inspector) taskTest(ctx context.Context, filter Filter, tasks []taskqueue.Task) (func(taskqueue.Task) bool, error) {
	var now time.Time
	if filter.Since.Ago > 0 || filter.Until.Ago > 0 {
		if err := i.db.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
			return nil, fmt.Errorf("ask the database for the time: %w", err)
		}
	}
	causes := map[failure]int64{}
	if filter.Cause != "" {
		var err error
		if causes, err = i.causesOf(ctx, tasks); err != nil {
			return nil, err
		}
	}
	return func(task taskqueue.Task) bool {
		return (filter.Kind == "" || filter.Kind == task.Kind) &&
			filter.matchesTime(changed(task), now) &&
			(filter.Cause == "" || causes[failureOf(task)] == causeNumber(filter.Cause)) &&
			i.matchesArgs(filter.Args, task.Kind, task.Args)
	}, nil
}

// changed is when a task in Redis ended, or last failed, or was enqueued. It is zero
// when that is not known.
func changed(task taskqueue.Task) time.Time {
	switch {
	case !task.CompletedAt.IsZero():
		return task.CompletedAt
	case !task.LastFailedAt.IsZero():
		return task.LastFailedAt
	}
	return task.EnqueuedAt
}

func (i *Inspector) listFailedTasks(ctx context.Context, filter Filter, after position, limit int, budget *budget) (part, error) {
	found, err := i.failed.List(ctx, i.failedFilter(filter, after.Archive, limit))
	if err != nil {
		return part{}, err
	}
	p := part{read: found.Read, more: found.More}
	p.next.Archive = found.Next
	for _, task := range found.Tasks {
		p.items = append(p.items, i.itemOfFailed(withoutLargeArgs(task)))
	}
	if p.more && len(p.items) < limit {
		budget.end()
	}
	return p, nil
}

// failedFilter is the filter in the archive.
func (i *Inspector) failedFilter(filter Filter, after taskqueue.FailedPlace, limit int) taskqueue.FailedFilter {
	failed := taskqueue.FailedFilter{Queue: filter.Queue, Kind: filter.Kind, State: string(filter.State), After: after, Limit: limit}
	if filter.Cause != "" {
		cause := causeNumber(filter.Cause)
		failed.Cause = &cause
	}
	if filter.needsReading() {
		failed.Where = func(where *postgres.Conditions) { i.conditions(filter.withoutCause(), archiveTable, where) }
	}
	return failed
}

// listTask lists the one task that a filter names.
func (i *Inspector) listTask(ctx context.Context, filter Filter, _ position, _ int, _ *budget) (part, error) {
	queue, task, _ := taskID(filter.ID)
	queues := i.taskQueueNames(filter)
	if queue != "" {
		queues = []string{queue}
	}
	p := part{}
	for _, name := range queues {
		p.read++
		found, err := i.findTask(ctx, ID{Backend: jobs.Redis, Queue: name, Task: task})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return p, err
		}
		if meets, err := found.meets(ctx, filter); err != nil || meets {
			if meets {
				p.items = append(p.items, found.item)
			}
			return p, err
		}
	}
	return p, nil
}

// showTask looks for a task in the archive, in Redis and in the outbox.
func (i *Inspector) showTask(ctx context.Context, id ID) (Item, error) {
	found, err := i.findTask(ctx, id)
	return found.item, err
}

// foundTask is a task wherever it is.
type foundTask struct {
	item  Item
	meets func(ctx context.Context, filter Filter) (bool, error)
}

func (i *Inspector) findTask(ctx context.Context, id ID) (foundTask, error) {
	failed, err := i.failed.Find(ctx, id.Queue, id.Task)
	if err == nil {
		return foundTask{i.itemOfFailed(failed), i.testOf(taskqueue.Task{
			Queue: failed.Queue, Kind: failed.Kind, Args: failed.Args, LastError: failed.Error, CompletedAt: failed.FailedAt,
		}, stateOfFailed(failed))}, nil
	}
	if !errors.Is(err, taskqueue.ErrNotFound) {
		return foundTask{}, fmt.Errorf("read task %s: %w", id, err)
	}
	if i.tasks != nil {
		task, err := i.tasks.Find(id.Queue, id.Task)
		if err == nil {
			return foundTask{i.itemOfTask(task, stateOfTask(task)), i.testOf(task, stateOfTask(task))}, nil
		}
		if !errors.Is(err, taskqueue.ErrNotFound) {
			return foundTask{}, fmt.Errorf("read task %s: %w", id, err)
		}
	}
	job, err := i.outboxOf(ctx, id)
	if err != nil {
		return foundTask{}, err
	}
	task, err := taskInOutbox(job)
	if err != nil {
		return foundTask{}, err
	}
	return foundTask{i.itemOfOutbox(job, task), i.testOf(task, Pending)}, nil
}

// testOf tests one task in a state.
func (i *Inspector) testOf(task taskqueue.Task, state State) func(ctx context.Context, filter Filter) (bool, error) {
	return func(ctx context.Context, filter Filter) (bool, error) {
		meets, err := i.taskTest(ctx, filter, []taskqueue.Task{task})
		if err != nil {
			return false, err
		}
		hasState := filter.State == "" || filter.State == state
		hasCause := filter.Cause == "" || state == Failed || state == Retrying
		return hasState && hasCause && (filter.Queue == "" || filter.Queue == task.Queue) && meets(task), nil
	}
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

func stateOfFailed(task taskqueue.FailedTask) State {
	if task.Cancelled {
		return Cancelled
	}
	return Failed
}

func (i *Inspector) itemOfTask(task taskqueue.Task, state State) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: state,
		Attempt: task.Retried, MaxAttempts: max(task.MaxRetry, 1), CreatedAt: task.EnqueuedAt,
		RunAt: task.NextProcessAt, FinishedAt: task.CompletedAt, Error: i.mask.Text(task.Kind, task.Args, task.LastError),
		RequestID: task.Request(), Parent: task.Parent(), ExpiresAt: task.ExpiresAt,
	}
	i.setArgs(&item, task.Args)
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
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Kind, Queue: task.Queue, State: stateOfFailed(task),
		Attempt: task.Attempts, MaxAttempts: task.Attempts,
		FinishedAt: task.FailedAt, Error: i.mask.Text(task.Kind, task.Args, task.Error),
		RequestID: task.Request, Parent: task.Parent,
	}
	i.setArgs(&item, task.Args)
	item.Errors = []Attempt{{Number: item.Attempt, At: item.FinishedAt, Error: item.Error}}
	return item
}
