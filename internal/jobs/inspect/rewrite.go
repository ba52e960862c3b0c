package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
)

// RetryWith retries failed work with other args. A secret that is still *** keeps its
// stored value. Its kind checks the args before anything changes: ErrArgs. It returns
// ErrState for a task that has not failed for good, because asynq cannot change the
// others.
func (i *Inspector) RetryWith(ctx context.Context, actor string, id ID, args json.RawMessage) error {
	err := i.retryWith(ctx, id, args)
	return i.written(ctx, actor, "edit and retry", id.String(), err)
}

// Enqueue enqueues one job or task that runs at a time or later, and returns its id. The
// zero time means now, or after the delay of the kind. It reports false when the work is
// unique and equal work exists. The kind checks the args: ErrArgs.
func (i *Inspector) Enqueue(ctx context.Context, actor, kind string, args json.RawMessage, at time.Time) (id ID, enqueued bool, err error) {
	id, enqueued, err = i.enqueue(ctx, kind, args, at)
	subject := kind
	if enqueued {
		subject += " " + id.String()
	}
	if enqueued && !at.IsZero() {
		subject += " for " + at.UTC().Format(time.RFC3339)
	}
	return id, enqueued, i.written(ctx, actor, "enqueue", subject, err)
}

// Private

// written notes an action in the audit list, and returns its error.
func (i *Inspector) written(ctx context.Context, actor string, action Action, subject string, failure error) error {
	err := i.Note(context.WithoutCancel(ctx), actor, action, subject, failure)
	if failure != nil {
		return failure
	}
	return err
}

func (i *Inspector) retryWith(ctx context.Context, id ID, args json.RawMessage) error {
	if id.Backend == jobs.Redis {
		return i.retryTaskWith(ctx, id, args)
	}
	err := pgx.BeginFunc(ctx, i.db, func(tx pgx.Tx) error {
		var kind, state string
		var stored []byte
		err := tx.QueryRow(ctx, `SELECT kind, state::text, args FROM river_job WHERE id = $1 FOR UPDATE`, id.Job).Scan(&kind, &state, &stored)
		if err != nil {
			return err
		}
		if !slices.Contains(Actions[Retry], stateOfJob(state)) {
			return fmt.Errorf("%w: it is %s", ErrState, stateOfJob(state))
		}
		checked, err := i.checked(kind, stored, args)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE river_job SET args = $2 WHERE id = $1`, id.Job, string(checked)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, reviveJobs, []int64{id.Job}, riverStatesOf(Actions[Retry]))
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("edit %s: %w", id, ErrNotFound)
	case isUniqueConflict(err):
		return fmt.Errorf("edit %s: %w", id, ErrEqual)
	case err != nil:
		return fmt.Errorf("edit %s: %w", id, err)
	}
	return nil
}

func (i *Inspector) retryTaskWith(ctx context.Context, id ID, args json.RawMessage) error {
	item, err := i.find(ctx, id)
	if err != nil {
		return err
	}
	if item.State != Failed && item.State != Cancelled {
		return fmt.Errorf("edit %s: %w: it is %s, and only a failed or cancelled task can be edited", id, ErrState, item.State)
	}
	if i.tasks == nil {
		return ErrNoRedis
	}
	failed, err := i.failed.Find(ctx, id.Queue, id.Task)
	if err != nil {
		return fmt.Errorf("edit %s: %w", id, err)
	}
	if failed.Args, err = i.checked(failed.Kind, failed.Args, args); err != nil {
		return err
	}
	return reviveError(i.tasks.ReviveWith(ctx, failed))
}

// checked returns edited args that their kind can read, with their secrets. The args
// of unique work cannot be edited, because its claim is for the stored ones.
func (i *Inspector) checked(kind string, stored, args json.RawMessage) (json.RawMessage, error) {
	handler, known := i.kinds.Find(kind)
	if !known {
		return nil, unusable("this build does not know the kind %s, and cannot check them", kind)
	}
	if handler.Unique.Waiting || handler.Unique.Within > 0 {
		return nil, unusable("%s is unique by its args: enqueue it with other args, and discard this one", kind)
	}
	whole, err := i.mask.Unmask(kind, stored, args)
	if err != nil {
		return nil, &argsError{i.mask.Error(kind, args, err)}
	}
	if err := handler.CheckWritten(whole); err != nil {
		return nil, &argsError{i.mask.Error(kind, whole, err)}
	}
	return whole, nil
}

func (i *Inspector) enqueue(ctx context.Context, kind string, args json.RawMessage, at time.Time) (id ID, enqueued bool, err error) {
	handler, known := i.kinds.Find(kind)
	if !known {
		return id, false, unusable("there is no kind of work called %q: there are %s", kind, strings.Join(i.kinds.Kinds(), ", "))
	}
	if _, err := i.mask.Unmask(kind, []byte("{}"), args); err != nil {
		return id, false, &argsError{i.mask.Error(kind, args, err)}
	}
	if err := handler.CheckWritten(args); err != nil {
		return id, false, &argsError{i.mask.Error(kind, args, err)}
	}
	isTask := i.enqueueTasks.Knows(kind)
	if isTask && i.tasks == nil {
		return id, false, fmt.Errorf("%s is a task, and cannot be enqueued: %w", kind, ErrNoRedis)
	}
	name := "manual:" + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	run := jobs.NamedRun{Name: name, Handler: handler, Queue: handler.Queue, Args: args, At: at}
	deliver := func(context.Context) {}
	err = pgx.BeginFunc(ctx, i.db, func(tx pgx.Tx) (err error) {
		if isTask {
			id = ID{Backend: jobs.Redis, Queue: string(handler.Queue), Task: name}
			enqueued = true // whether Redis has an equal one is known at the delivery
			deliver, err = i.enqueueTasks.EnqueueRun(ctx, tx, run)
			return err
		}
		id.Backend = jobs.PG
		if enqueued, err = i.enqueueJobs.EnqueueRun(ctx, tx, run); err != nil || !enqueued {
			return err
		}
		return tx.QueryRow(ctx, `SELECT id FROM river_job WHERE metadata @> jsonb_build_object($1::text, $2::text) ORDER BY id DESC LIMIT 1`,
			jobs.RunKey, name).Scan(&id.Job)
	})
	if err != nil {
		return id, false, fmt.Errorf("enqueue %s: %w", kind, err)
	}
	deliver(ctx)
	return id, enqueued, nil
}

// argsError is an error that other args, or another kind, would mend.
type argsError struct{ error }

func (e *argsError) Unwrap() error { return e.error }

// Is makes the error ErrArgs.
func (e *argsError) Is(target error) bool { return target == ErrArgs }

func unusable(format string, values ...any) error { return &argsError{fmt.Errorf(format, values...)} }
