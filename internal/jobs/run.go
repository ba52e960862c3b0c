package jobs

import (
	"context"
	"time"
)

// Run describes one run of a job or task.
type Run struct {
	Backend    Backend
	ID         string // of the job or task, the same in every attempt
	Kind       string
	Queue      Queue
	Attempt    int       // counts from 1
	EnqueuedAt time.Time // zero when unknown, as for a task that another release enqueued
	ExpiresAt  time.Time // zero: never
}

// RunOf returns the run that a handler or a middleware works for. The zero Run
// means that ctx is not that of a run.
func RunOf(ctx context.Context) Run {
	run, _ := ctx.Value(runOfContext{}).(Run)
	return run
}

// Private

type runOfContext struct{}

func withRun(ctx context.Context, run Run) context.Context {
	return context.WithValue(ctx, runOfContext{}, run)
}

// expired reports whether the run came too late.
func (r Run) expired() bool { return !r.ExpiresAt.IsZero() && time.Now().After(r.ExpiresAt) }
