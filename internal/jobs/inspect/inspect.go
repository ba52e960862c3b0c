// Package inspect shows the work of both backends to operators and lets them
// act on it, the same way for jobs and tasks.
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

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"slipway/internal/jobs"
)

// PageSize is the most that one list or one bulk action reads. asynq's own
// actions on everything block Redis for seconds, and drop what is beyond ten
// thousand.
const PageSize = 500

// State is where work stands, in the same words for both backends.
type State string

// The states, in the order of a job's life.
const (
	Pending   State = "pending"   // due, and waits for a worker
	Scheduled State = "scheduled" // not due yet
	Running   State = "running"
	Retrying  State = "retrying" // failed, and waits for another attempt
	Failed    State = "failed"   // for good, until somebody acts
	Cancelled State = "cancelled"
	Done      State = "done"
)

// States are all states.
var States = []State{Pending, Scheduled, Running, Retrying, Failed, Cancelled, Done}

// What an action can be refused for.
var (
	ErrNotFound = errors.New("there is no such job or task")
	ErrState    = errors.New("not in this state")
)

// ID names a job as pg:123 and a task as redis:QUEUE:ID.
type ID struct {
	Backend jobs.Backend
	Job     int64
	Queue   string
	Task    string
}

// ParseID reads an id as people see it.
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
	return ID{}, fmt.Errorf("%q is no id: write pg:123 or redis:QUEUE:ID, as app jobs list shows it", text)
}

// String is the id as people see it.
func (id ID) String() string {
	if id.Backend == jobs.PG {
		return fmt.Sprintf("pg:%d", id.Job)
	}
	return "redis:" + id.Queue + ":" + id.Task
}

// MarshalText shows the id as people see it.
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
	CreatedAt   time.Time       `json:"created_at,omitzero"` // asynq does not know
	RunAt       time.Time       `json:"run_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	Worker      string          `json:"worker,omitempty"`
	Error       string          `json:"error,omitempty"` // the last one
	Errors      []Attempt       `json:"errors,omitempty"`
}

// Attempt is a run that failed. Redis remembers only the last.
type Attempt struct {
	Number int       `json:"attempt"`
	At     time.Time `json:"at"`
	Error  string    `json:"error"`
	Trace  string    `json:"trace,omitempty"`
}

// Filter chooses what is listed. Empty fields choose everything.
type Filter struct {
	Backend jobs.Backend
	Queue   string
	Kind    string
	State   State
	Limit   int // at most PageSize, which zero stands for
}

// Inspector reads both backends.
type Inspector struct {
	db    *pgxpool.Pool
	river *river.Client[pgx.Tx]
	asynq *asynq.Inspector // nil without Redis
	tasks *jobs.Tasks
	mask  map[string][]string // args of a kind that nobody is shown
}

// Options are what an inspector looks at.
type Options struct {
	DB    *pgxpool.Pool
	Tasks *jobs.Tasks
	Kinds jobs.Handlers // of both backends: says what to mask
}

// New makes an inspector.
func New(options Options) (*Inspector, error) {
	client, err := insertOnly(options.DB)
	if err != nil {
		return nil, err
	}
	i := &Inspector{db: options.DB, river: client, asynq: options.Tasks.Inspector(), tasks: options.Tasks, mask: map[string][]string{}}
	for _, kind := range options.Kinds {
		i.mask[kind.Kind] = kind.Masked
	}
	return i, nil
}

// List returns the newest work that a filter chooses, jobs before tasks. Where
// Redis does not answer, the jobs come with an error that says so.
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

// Show returns everything that is known about one job or task.
func (i *Inspector) Show(ctx context.Context, id ID) (Item, error) {
	if id.Backend == jobs.PG {
		return i.showJob(ctx, id)
	}
	return i.showTask(ctx, id)
}

// Action is what an operator can do to work.
type Action string

// Retry runs what failed again, RunNow what waits for its time; Cancel ends what
// runs or waits, so that it is never retried; Discard forgets it.
const (
	Retry   Action = "retry"
	RunNow  Action = "run-now"
	Cancel  Action = "cancel"
	Discard Action = "discard"
)

// Actions says in which states an action makes sense.
var Actions = map[Action][]State{
	Retry:   {Failed, Cancelled, Retrying},
	RunNow:  {Scheduled, Retrying},
	Cancel:  {Pending, Scheduled, Running, Retrying},
	Discard: {Pending, Scheduled, Retrying, Failed, Cancelled, Done},
}

// Unasked are the states in which an action takes work that nobody has named,
// neither by its id nor by its state. What was cancelled on purpose does not come
// back with what failed.
func Unasked(action Action) []State {
	if action == Retry {
		return []State{Failed}
	}
	return Actions[action]
}

// Act does an action to one job or task. ErrState tells that it makes no sense
// there.
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
