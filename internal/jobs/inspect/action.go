package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// Action is what an operator can do to a job or task.
type Action string

// The actions.
const (
	Retry   Action = "retry"   // run failed work again
	RunNow  Action = "run-now" // run waiting work before its time
	Cancel  Action = "cancel"  // end waiting or running work, and never run it again
	Discard Action = "discard" // delete work that does not run
)

// Actions are the states in which each action is allowed.
var Actions = map[Action][]State{
	Retry:   {Failed, Cancelled, Retrying},
	RunNow:  {Scheduled, Retrying},
	Cancel:  {Pending, Scheduled, Running, Retrying},
	Discard: {Pending, Scheduled, Retrying, Failed, Cancelled, Done},
}

// DefaultStates are the states of the work that a bulk action takes when its
// caller names no state. A bulk retry leaves out cancelled work, because an
// operator cancelled it on purpose.
func DefaultStates(action Action) []State {
	if action == Retry {
		return []State{Failed}
	}
	return Actions[action]
}

// Act does an action to one job or task. It returns ErrNotFound, ErrState when the
// action is not allowed in its state, or ErrEqual when equal unique work stands
// against it.
func (i *Inspector) Act(ctx context.Context, action Action, id ID) error {
	item, err := i.find(ctx, id)
	if err != nil {
		return err
	}
	if !slices.Contains(Actions[action], item.State) {
		return fmt.Errorf("%s %s: %w: it is %s", action, id, ErrState, item.State)
	}
	if id.Backend == jobs.PG {
		err = i.actOnJob(ctx, action, id)
	} else {
		err = i.actOnTask(ctx, action, item)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", action, id, err)
	}
	return nil
}

// Private

func (i *Inspector) actOnJob(ctx context.Context, action Action, id ID) error {
	var err error
	switch action {
	case Retry, RunNow:
		_, err = i.river.JobRetry(ctx, id.Job)
	case Cancel:
		_, err = i.river.JobCancel(ctx, id.Job)
	case Discard:
		err = i.discardJob(ctx, id)
	}
	switch {
	case errors.Is(err, rivertype.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, rivertype.ErrJobRunning):
		return fmt.Errorf("%w: it is running", ErrState)
	case isUniqueConflict(err):
		return ErrEqual
	}
	return err
}

// isUniqueConflict reports whether PostgreSQL refused a second job that is equal to
// a unique one.
func isUniqueConflict(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23505"
}

func (i *Inspector) actOnTask(ctx context.Context, action Action, item Item) error {
	if i.tasks == nil {
		return ErrNoRedis
	}
	queue, id := item.ID.Queue, item.ID.Task
	switch {
	case action == Retry && (item.State == Failed || item.State == Cancelled):
		failed, err := i.failed.Find(ctx, queue, id)
		if err != nil {
			return err
		}
		return i.revive(ctx, failed)
	case action == Retry:
		return i.tasks.Retry(ctx, queue, id)
	case action == RunNow:
		return i.tasks.RunNow(queue, id)
	case action == Cancel && item.State == Running:
		return i.tasks.CancelActive(ctx, id)
	case action == Cancel:
		return i.cancelTask(ctx, item.ID)
	default:
		return i.discardTask(ctx, item.ID)
	}
}

func (i *Inspector) revive(ctx context.Context, task taskqueue.FailedTask) error {
	return reviveError(i.tasks.Revive(ctx, task))
}

func reviveError(err error) error {
	if errors.Is(err, taskqueue.ErrDuplicate) {
		return ErrEqual
	}
	return err
}

// cancelTask moves a task that does not run to the archive, out of the outbox and
// out of Redis.
func (i *Inspector) cancelTask(ctx context.Context, id ID) error {
	return i.withoutOutbox(ctx, id, func(tx pgx.Tx, waited *taskqueue.Message) error {
		cancelled := taskqueue.FailedTask{ID: id.Task, Queue: id.Queue, Error: taskqueue.ErrCancelled.Error(), Cancelled: true}
		task, err := i.tasks.Archive(ctx, id.Queue, id.Task)
		switch {
		case err == nil:
			cancelled.Kind, cancelled.Args, cancelled.Attempts = task.Kind, task.Args, task.Retried
			cancelled.Request, cancelled.Parent = task.Request(), task.Parent()
		case errors.Is(err, taskqueue.ErrNotFound) && waited != nil:
			cancelled.Kind, cancelled.Args = waited.Kind, waited.Args
			cancelled.Request, cancelled.Parent = waited.Request, waited.Parent
		case errors.Is(err, taskqueue.ErrNotFound):
			return ErrNotFound
		default:
			return err
		}
		return i.failed.InsertIn(ctx, tx, cancelled)
	})
}

// discardTask deletes a task from the outbox, Redis and the archive.
func (i *Inspector) discardTask(ctx context.Context, id ID) error {
	return i.withoutOutbox(ctx, id, func(tx pgx.Tx, _ *taskqueue.Message) error {
		if err := i.failed.RemoveIn(ctx, tx, id.Queue, id.Task); err != nil {
			return err
		}
		return i.tasks.Delete(ctx, id.Queue, id.Task)
	})
}

// discardJob deletes a job. An equal unique job may be enqueued again, unless the
// deleted one was done.
func (i *Inspector) discardJob(ctx context.Context, id ID) error {
	job, err := i.river.JobDelete(ctx, id.Job)
	if err != nil || job.State == rivertype.JobStateCompleted {
		return err
	}
	if _, err := i.db.Exec(ctx, `DELETE FROM unique_jobs WHERE job_id = $1`, id.Job); err != nil {
		return fmt.Errorf("delete its claim as a unique job: %w", err)
	}
	return nil
}
