package jobs

import (
	"context"
	"time"

	"slipway/internal/telemetry"
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
	Cause      Cause
	Batch      int64 // that the job belongs to, or is a callback of; 0: none. See the package batch
	callback   bool  // it is a callback of its batch
}

// Cause is what enqueued a job or task.
type Cause struct {
	Request string // the id of the HTTP request at the beginning of the chain; empty: there was none
	Parent  string // the job or task that enqueued this one, as operators write its id: pg:123 or redis:QUEUE:ID; empty: none did
}

// RunOf returns the run that a handler or a middleware works for. The zero Run
// means that ctx is not that of a run.
func RunOf(ctx context.Context) Run {
	run, _ := ctx.Value(runOfContext{}).(Run)
	return run
}

// Private

type runOfContext struct{}

// withRun returns the context of a run: it has the id of the request that caused the
// run, so that its log lines and what it enqueues have that too.
func withRun(ctx context.Context, run Run) context.Context {
	return context.WithValue(telemetry.WithRequestID(ctx, run.Cause.Request), runOfContext{}, run)
}

// causeOf returns the cause of work that is enqueued with ctx.
func causeOf(ctx context.Context) Cause {
	return Cause{Request: telemetry.RequestID(ctx), Parent: RunOf(ctx).name()}
}

// name is the id of the work as operators write it, empty for the zero Run.
func (r Run) name() string {
	switch {
	case r.ID == "":
		return ""
	case r.Backend == Redis:
		return "redis:" + string(r.Queue) + ":" + r.ID
	}
	return "pg:" + r.ID
}

// expired reports whether the run came too late.
func (r Run) expired() bool { return !r.ExpiresAt.IsZero() && time.Now().After(r.ExpiresAt) }
