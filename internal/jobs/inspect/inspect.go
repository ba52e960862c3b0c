// Package inspect lets operators read and change the jobs and tasks of both
// backends in the same way.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// State is where a job or task stands, in the same words for both backends.
type State string

// The states, in the order of a job's life.
const (
	Pending   State = "pending"   // due, and waits for a worker
	Scheduled State = "scheduled" // not due yet
	Running   State = "running"
	Retrying  State = "retrying" // failed, and waits for another attempt
	Failed    State = "failed"   // for good, until an operator acts
	Cancelled State = "cancelled"
	Done      State = "done"
)

// States are all states.
var States = []State{Pending, Scheduled, Running, Retrying, Failed, Cancelled, Done}

// The reasons for which an action is refused.
var (
	ErrArgs     = errors.New("these args cannot be used")
	ErrNotFound = errors.New("there is no such job or task")
	ErrState    = errors.New("not allowed in its state")
	ErrEqual    = errors.New("equal work already waits or runs, and its kind is unique: discard one, or wait until the other is done")
	// ErrRedis means that Redis does not reply, and not PostgreSQL.
	ErrRedis = taskqueue.ErrRedis
	// ErrNoRedis means that the configuration names no Redis.
	ErrNoRedis = errors.New("there is no Redis: REDIS_URL is not set")
)

// Inspector reads and changes the jobs and tasks of both backends.
type Inspector struct {
	db     *pgxpool.Pool
	river  *river.Client[pgx.Tx]
	tasks  *taskqueue.Inspector // nil without Redis
	failed *taskqueue.FailedTasks
	queues jobs.Queues
	mask   jobs.Mask
	kinds  jobs.Handlers

	enqueueJobs  *jobs.Jobs
	enqueueTasks *jobs.Tasks
}

// Options configure an inspector. All fields are required.
type Options struct {
	DB    *pgxpool.Pool
	Jobs  *jobs.Jobs
	Tasks *jobs.Tasks
	Kinds jobs.Handlers // of both backends: they declare which args are masked, and how a task is enqueued again
}

// New returns an inspector.
func New(options Options) (*Inspector, error) {
	client, err := river.NewClient(riverpgxv5.New(options.DB), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return &Inspector{
		db: options.DB, river: client, tasks: options.Tasks.Inspector(options.DB, options.Kinds),
		failed: taskqueue.NewFailedTasks(options.DB), queues: options.Kinds.Queues(), mask: options.Kinds.Mask(),
		kinds: options.Kinds, enqueueJobs: options.Jobs, enqueueTasks: options.Tasks,
	}, nil
}

// Show returns one job or task with all its fields, or ErrNotFound.
func (i *Inspector) Show(ctx context.Context, id ID) (Item, error) {
	item, err := i.find(ctx, id)
	if err == nil {
		err = i.addDetails(ctx, &item)
	}
	if err != nil {
		return item, err
	}
	one := []Item{item}
	err = i.markPaused(ctx, one)
	return one[0], err
}

// Private

// find returns one job or task as a list shows it, or ErrNotFound.
func (i *Inspector) find(ctx context.Context, id ID) (Item, error) {
	if id.Backend == jobs.PG {
		return i.showJob(ctx, id)
	}
	return i.showTask(ctx, id)
}
