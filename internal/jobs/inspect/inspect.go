// Package inspect lets operators read and change the jobs and tasks of both
// backends in the same way.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// PageSize is the most jobs and tasks that one list or one bulk action reads.
// asynq's own bulk actions block Redis for seconds and ignore tasks beyond ten
// thousand.
const PageSize = 500

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
	ErrNotFound = errors.New("there is no such job or task")
	ErrState    = errors.New("not allowed in its state")
)

// ID names a job as pg:123 and a task as redis:QUEUE:ID.
type ID struct {
	Backend jobs.Backend
	Job     int64
	Queue   string
	Task    string
}

// ParseID reads an id as operators write it.
func ParseID(text string) (ID, error) {
	backend, rest, _ := strings.Cut(text, ":")
	switch jobs.Backend(backend) {
	case jobs.PG:
		if number, err := strconv.ParseInt(rest, 10, 64); err == nil && number > 0 {
			return ID{Backend: jobs.PG, Job: number}, nil
		}
	case jobs.Redis:
		if queue, task, found := strings.Cut(rest, ":"); found && queue != "" && task != "" {
			return ID{Backend: jobs.Redis, Queue: queue, Task: task}, nil
		}
	}
	return ID{}, fmt.Errorf("%q is no id: write pg:123 or redis:QUEUE:ID, as app jobs list prints it", text)
}

// String returns the id as operators write it.
func (id ID) String() string {
	if id.Backend == jobs.PG {
		return fmt.Sprintf("pg:%d", id.Job)
	}
	return "redis:" + id.Queue + ":" + id.Task
}

// MarshalText returns the id as operators write it.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Item is a job or task. Args are masked.
type Item struct {
	ID          ID              `json:"id"`
	Kind        string          `json:"kind"`
	Queue       string          `json:"queue"`
	State       State           `json:"state"`
	Args        json.RawMessage `json:"args"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	CreatedAt   time.Time       `json:"created_at,omitzero"` // zero for tasks
	RunAt       time.Time       `json:"run_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	Worker      string          `json:"worker,omitempty"`
	Error       string          `json:"error,omitempty"` // the last error
	Errors      []Attempt       `json:"errors,omitempty"`
}

// Attempt is a run that failed. Redis stores only the last one.
type Attempt struct {
	Number int       `json:"attempt"`
	At     time.Time `json:"at"`
	Error  string    `json:"error"`
	Trace  string    `json:"trace,omitempty"`
}

// Filter selects jobs and tasks. Empty fields select everything.
type Filter struct {
	Backend jobs.Backend
	Queue   string
	Kind    string
	State   State
	Limit   int // at most PageSize; default: PageSize
}

// Inspector reads and changes the jobs and tasks of both backends.
type Inspector struct {
	db     *pgxpool.Pool
	river  *river.Client[pgx.Tx]
	tasks  *taskqueue.Inspector // nil without Redis
	failed *taskqueue.FailedTasks
	mask   map[string][]string // names of masked args by kind
}

// Options configure an inspector. All fields are required.
type Options struct {
	DB    *pgxpool.Pool
	Tasks *jobs.Tasks
	Kinds jobs.Handlers // of both backends: they declare which args are masked
}

// New returns an inspector.
func New(options Options) (*Inspector, error) {
	client, err := insertOnly(options.DB)
	if err != nil {
		return nil, err
	}
	i := &Inspector{
		db: options.DB, river: client, tasks: options.Tasks.Inspector(options.DB),
		failed: taskqueue.NewFailedTasks(options.DB), mask: map[string][]string{},
	}
	for _, kind := range options.Kinds {
		i.mask[kind.Kind] = kind.Masked
	}
	return i, nil
}

// List returns the newest jobs and then the newest tasks that a filter selects.
// When Redis does not reply, it returns the jobs and an error.
func (i *Inspector) List(ctx context.Context, filter Filter) ([]Item, error) {
	if filter.Limit <= 0 || filter.Limit > PageSize {
		filter.Limit = PageSize
	}
	items := []Item{}
	var problems []error
	if filter.Backend != jobs.Redis {
		jobs, err := i.listJobs(ctx, filter)
		items, problems = append(items, jobs...), append(problems, err)
	}
	if filter.Backend != jobs.PG && len(items) < filter.Limit {
		filter.Limit -= len(items)
		tasks, err := i.listTasks(ctx, filter)
		items, problems = append(items, tasks...), append(problems, err)
	}
	return items, errors.Join(problems...)
}

// Show returns one job or task with all its fields, or ErrNotFound.
func (i *Inspector) Show(ctx context.Context, id ID) (Item, error) {
	if id.Backend == jobs.PG {
		return i.showJob(ctx, id)
	}
	return i.showTask(ctx, id)
}

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

// Act does an action to one job or task. It returns ErrNotFound, or ErrState when
// the action is not allowed in its state.
func (i *Inspector) Act(ctx context.Context, action Action, id ID) error {
	item, err := i.Show(ctx, id)
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
