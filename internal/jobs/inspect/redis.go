package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// ErrNoRedis tells that there is no Redis to look at, by configuration.
var ErrNoRedis = errors.New("there is no Redis: REDIS_URL is not set")

// Private

// mostRead bounds the tasks that one list reads to find those of a kind.
const mostRead = 5000

// taskStates are asynq's lists of a state. Those that failed for good or were
// cancelled are in the database, which keeps them longer and all of them.
func (i *Inspector) taskStates() map[State]func(queue string, options ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
	return map[State]func(queue string, options ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		Pending: i.asynq.ListPendingTasks, Scheduled: i.asynq.ListScheduledTasks, Running: i.asynq.ListActiveTasks,
		Retrying: i.asynq.ListRetryTasks, Done: i.asynq.ListCompletedTasks,
	}
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
	if i.asynq == nil {
		if filter.Backend == jobs.Redis {
			return items, ErrNoRedis
		}
		return items, nil
	}
	lists := i.taskStates()
	for _, state := range States {
		list, has := lists[state]
		if !has || filter.State != "" && filter.State != state {
			continue
		}
		for _, queue := range jobs.Queues {
			if filter.Queue != "" && filter.Queue != string(queue) {
				continue
			}
			for page := 1; len(items) < filter.Limit && page <= mostRead/PageSize; page++ {
				tasks, err := list(string(queue), asynq.Page(page), asynq.PageSize(PageSize))
				if errors.Is(err, asynq.ErrQueueNotFound) {
					break
				}
				if err != nil {
					return items, fmt.Errorf("list tasks: %w", err)
				}
				for _, task := range tasks {
					if (filter.Kind == "" || filter.Kind == task.Type) && len(items) < filter.Limit {
						items = append(items, i.itemOf(task, state))
					}
				}
				if len(tasks) < PageSize {
					break
				}
			}
		}
	}
	return items, nil
}

const failedColumns = `id, kind, queue, args, error, attempts, failed_at, cancelled`

func (i *Inspector) listFailedTasks(ctx context.Context, filter Filter) ([]Item, error) {
	rows, err := i.db.Query(ctx, `
		SELECT `+failedColumns+`
		FROM failed_tasks
		WHERE ($1 = '' OR queue = $1)
		  AND ($2 = '' OR kind = $2)
		  AND ($3 = '' OR cancelled = ($3 = 'cancelled'))
		ORDER BY failed_at DESC
		LIMIT $4`, filter.Queue, filter.Kind, string(filter.State), filter.Limit)
	if err != nil {
		return nil, fmt.Errorf("list failed tasks: %w", err)
	}
	items, err := pgx.CollectRows(rows, i.scanFailed)
	if err != nil {
		return nil, fmt.Errorf("list failed tasks: %w", err)
	}
	return items, nil
}

func (i *Inspector) scanFailed(row pgx.CollectableRow) (Item, error) {
	item := Item{ID: ID{Backend: jobs.Redis}, State: Failed}
	var args []byte
	var cancelled bool
	if err := row.Scan(&item.ID.Task, &item.Kind, &item.Queue, &args, &item.Error, &item.Attempt, &item.FinishedAt, &cancelled); err != nil {
		return Item{}, err
	}
	if cancelled {
		item.State = Cancelled
	}
	item.ID.Queue = item.Queue
	item.MaxAttempts, item.Error = item.Attempt, telemetry.Scrub(item.Error)
	item.Args = masked(args, i.hidden(item.Kind, args))
	item.Errors = []Attempt{{Number: item.Attempt, At: item.FinishedAt, Error: item.Error}}
	return item, nil
}

func (i *Inspector) showTask(ctx context.Context, id ID) (Item, error) {
	rows, err := i.db.Query(ctx, `SELECT `+failedColumns+` FROM failed_tasks WHERE id = $1 AND queue = $2`, id.Task, id.Queue)
	if err != nil {
		return Item{}, fmt.Errorf("read task %s: %w", id, err)
	}
	item, err := pgx.CollectExactlyOneRow(rows, i.scanFailed)
	if err == nil {
		return item, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return Item{}, fmt.Errorf("read task %s: %w", id, err)
	}
	if i.asynq == nil {
		return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	task, err := i.asynq.GetTaskInfo(id.Queue, id.Task)
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Item{}, fmt.Errorf("read task %s: %w", id, err)
	}
	return i.itemOf(task, stateOf(task)), nil
}

func stateOf(task *asynq.TaskInfo) State {
	switch task.State {
	case asynq.TaskStateActive:
		return Running
	case asynq.TaskStateScheduled:
		return Scheduled
	case asynq.TaskStateRetry:
		return Retrying
	case asynq.TaskStateArchived:
		return Failed
	case asynq.TaskStateCompleted:
		return Done
	default:
		return Pending
	}
}

func (i *Inspector) itemOf(task *asynq.TaskInfo, state State) Item {
	item := Item{
		ID: ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}, Kind: task.Type, Queue: task.Queue, State: state,
		Args: masked(task.Payload, i.hidden(task.Type, task.Payload)), Attempt: task.Retried, MaxAttempts: max(task.MaxRetry, 1),
		RunAt: task.NextProcessAt, FinishedAt: task.CompletedAt, Error: telemetry.Scrub(task.LastErr),
	}
	if state == Running || state == Done {
		item.Attempt++
	}
	if task.LastErr != "" {
		item.Errors = []Attempt{{Number: task.Retried, At: task.LastFailedAt, Error: item.Error}}
	}
	return item
}

func (i *Inspector) actOnTask(ctx context.Context, action Action, item Item) error {
	if i.asynq == nil {
		return ErrNoRedis
	}
	queue, id := item.ID.Queue, item.ID.Task
	switch action {
	case Retry, RunNow:
		if action == Retry {
			if err := i.tasks.UnmarkCancelled(ctx, id); err != nil {
				return err
			}
		}
		err := i.asynq.RunTask(queue, id)
		if item.State != Failed && item.State != Cancelled {
			return err
		}
		if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
			err = i.tasks.Again(ctx, i.db, id) // asynq has forgotten it
		}
		if err != nil {
			return err
		}
		return i.forgetFailed(ctx, id)
	case Cancel:
		return i.cancelTask(ctx, item)
	default:
		if err := i.asynq.DeleteTask(queue, id); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) && !errors.Is(err, asynq.ErrQueueNotFound) {
			return err
		}
		if err := i.tasks.UnmarkCancelled(ctx, id); err != nil {
			return err
		}
		return i.forgetFailed(ctx, id)
	}
}

// cancelTask ends a task. One that runs is told; whether it heeds that is up to
// it, and it does not run again.
func (i *Inspector) cancelTask(ctx context.Context, item Item) error {
	if err := i.tasks.MarkCancelled(ctx, item.ID.Task); err != nil {
		return err
	}
	if item.State != Running {
		task, err := i.asynq.GetTaskInfo(item.ID.Queue, item.ID.Task)
		if err != nil {
			return err
		}
		if err := i.asynq.ArchiveTask(item.ID.Queue, item.ID.Task); err != nil {
			return err
		}
		return i.tasks.KeepCancelled(ctx, i.db, task)
	}
	return i.asynq.CancelProcessing(item.ID.Task)
}

func (i *Inspector) forgetFailed(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := i.db.Exec(ctx, `DELETE FROM failed_tasks WHERE id = $1`, id); err != nil {
		return fmt.Errorf("take the task off the list of failed ones: %w", err)
	}
	return nil
}
