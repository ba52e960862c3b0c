package taskqueue

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
)

// Run is one run of a task by a worker.
type Run struct {
	ID      string
	Kind    string
	Queue   string
	Args    []byte
	Retries int // failed attempts before this one

	EnqueuedAt time.Time // zero when another release enqueued the task
	DueAt      time.Time // of the first attempt; zero when another release enqueued the task
	ExpiresAt  time.Time // zero: never

	Request string // the id of the HTTP request that caused the task; empty: none
	Parent  string // the id of the job or task that enqueued it; empty: none

	unique string // the key of a unique task in hex; empty: it has no duplicates
}

// Snooze is the result of a run that is to be repeated after a pause. It uses up
// no attempt.
func Snooze(after time.Duration, cause error) error { return &snoozed{after, cause} }

// Archive is the result of a run after which the task never runs again.
func Archive(cause error) error {
	if isArchived(cause) {
		return cause
	}
	return &archived{cause}
}

// isArchived reports whether a run ended with Archive.
func isArchived(err error) bool { return errors.Is(err, asynq.SkipRetry) }

// Failure is a run that asynq ended with an error.
type Failure struct {
	Run
	Err       error
	Archived  bool // the run ended with Archive, so the task never runs again
	Cancelled bool // the context of the run was cancelled: by an operator, or because the worker stops
}

// Private

type snoozed struct {
	after time.Duration
	cause error
}

func (s *snoozed) Error() string { return s.cause.Error() }
func (s *snoozed) Unwrap() error { return s.cause }

// snoozeOf returns the pause that a run asked for, zero for a run that did not.
func snoozeOf(err error) time.Duration {
	var snooze *snoozed
	if errors.As(err, &snooze) {
		return snooze.after
	}
	return 0
}

type archived struct{ cause error }

func (a *archived) Error() string   { return a.cause.Error() }
func (a *archived) Unwrap() []error { return []error{a.cause, asynq.SkipRetry} }

// uncancelled is the error of a run that wraps context.Canceled although nobody
// cancelled the run, for example because its handler gave up a request of its own.
type uncancelled struct{ cause error }

func (u *uncancelled) Error() string { return u.cause.Error() }
func (u *uncancelled) Unwrap() error { return u.cause }

// runOf is the run that asynq gives a handler.
func runOf(ctx context.Context, n namespace, task *asynq.Task) Run {
	run := Run{Kind: task.Type(), Args: task.Payload()}
	run.ID, _ = asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	run.Queue, _ = n.name(queue)
	run.Retries, _ = asynq.GetRetryCount(ctx)
	headers := task.Headers()
	run.EnqueuedAt, _ = time.Parse(time.RFC3339Nano, headers[headerEnqueuedAt])
	run.ExpiresAt, _ = time.Parse(time.RFC3339Nano, headers[headerExpiresAt])
	run.DueAt = run.EnqueuedAt
	if due, delayed := headers[headerDueAt]; delayed {
		run.DueAt, _ = time.Parse(time.RFC3339Nano, due)
	}
	run.unique = headers[headerUnique]
	run.Request, run.Parent = headers[headerRequest], headers[headerParent]
	return run
}

func failureOf(ctx context.Context, n namespace, task *asynq.Task, err error) Failure {
	ended := endingOf(err)
	failure := Failure{Run: runOf(ctx, n, task), Err: err, Archived: ended == endedArchived, Cancelled: ended == endedCancelled}
	var wrapped *archived
	if errors.As(err, &wrapped) {
		failure.Err = wrapped.cause
	}
	return failure
}
