package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// Bulk is an action on everything that a filter selects. The Limit and After of
// the filter mean nothing here.
type Bulk struct {
	Action Action
	Filter Filter // an empty State selects DefaultStates
	Most   int    // jobs and tasks at most; 0: all
}

// Report says what a bulk action did. Taken is Done, Skipped and Failed together.
type Report struct {
	ID          ActionID       `json:"-"` // in the audit list
	Action      Action         `json:"action"`
	Taken       int            `json:"taken"`        // jobs and tasks that were selected and tried, each once
	Done        int            `json:"done"`         // those on which the action was done
	Skipped     map[string]int `json:"skipped"`      // those that need no action any more, or may not have it, by reason
	Failed      int            `json:"failed"`       // those on which the action ended with an error
	Problems    []string       `json:"problems"`     // the first of the errors
	FailedAgain int            `json:"failed_again"` // those that were retried, and have failed for good again already
	Rest        bool           `json:"rest"`         // the action ended before it came to all that was selected
}

// Complete reports whether the action was done on all that it took.
func (r Report) Complete() bool { return r.Done == r.Taken }

// ActOnAll does an action to everything that the filter selected at its start. It
// takes each job and task once, also when a retry fails again, and leaves alone
// what appears later. Jobs that relay durable tasks are cancelled and discarded
// only when the filter names their kind, because the tasks would be lost with
// them. When ctx ends, or a backend does not reply, it returns what it has done so
// far and an error.
func (i *Inspector) ActOnAll(ctx context.Context, bulk Bulk) (Report, error) {
	b := i.newBulkRun(bulk)
	err := b.begin(ctx)
	if err == nil {
		err = b.run(ctx)
	}
	return b.report, errors.Join(err, b.countFailedAgain(ctx))
}

// Private

const (
	actedAtOnce  = 8  // tasks of a page, side by side
	mostProblems = 10 // errors that a report holds
)

// bulkRun is one bulk action that runs.
type bulkRun struct {
	*Inspector
	Bulk
	states []State
	report Report
	place  bulkPlace
	mutex  sync.Mutex // guards the report while tasks are acted on side by side

	// save stores the report and the place, in the transaction of what they are about
	// when there is one. Nil: nobody goes on after this run.
	save func(ctx context.Context, db taskqueue.Execer) error

	resumed     bool // another run began with it
	tasksThen   []ID // in the outbox and in Redis at the start
	revivedJobs []int64
	revived     []string // tasks
}

// bulkPlace is how far a bulk action has come.
type bulkPlace struct {
	StartedAt time.Time             `json:"started_at,omitzero"` // by the database
	Newest    int64                 `json:"newest,omitempty"`    // the newest job then
	Job       jobPlace              `json:"job,omitzero"`
	Archive   taskqueue.FailedPlace `json:"archive,omitzero"`
	Jobs      bool                  `json:"jobs,omitempty"` // it has come to all jobs
	Archived  bool                  `json:"archived,omitempty"`
}

func (i *Inspector) newBulkRun(bulk Bulk) *bulkRun {
	b := &bulkRun{Inspector: i, Bulk: bulk, report: newReport(bulk.Action), states: bulk.states()}
	return b
}

func newReport(action Action) Report {
	return Report{Action: action, Skipped: map[string]int{}, Problems: []string{}}
}

// states are those of the work that the action takes.
func (b Bulk) states() []State {
	if b.Filter.State != "" {
		return []State{b.Filter.State}
	}
	return DefaultStates(b.Action)
}

// begin notes what there is at the start.
func (b *bulkRun) begin(ctx context.Context) error {
	err := b.db.QueryRow(ctx, `SELECT now(), coalesce((SELECT max(id) FROM river_job), 0)`).Scan(&b.place.StartedAt, &b.place.Newest)
	if err != nil {
		return fmt.Errorf("read the newest job: %w", err)
	}
	return nil
}

// run does the action from its place on.
func (b *bulkRun) run(ctx context.Context) error {
	b.report.Rest = false
	err := b.noteBegin(ctx)
	for _, step := range []func(context.Context) error{b.actOnJobs, b.actOnArchive, b.actOnTasks} {
		if err == nil && !b.full() {
			err = step(ctx)
		}
	}
	b.report.Rest = b.report.Rest || err != nil
	return err
}

// noteBegin notes the tasks that there are before the first is acted on.
func (b *bulkRun) noteBegin(ctx context.Context) error {
	if b.Filter.Backend == jobs.PG {
		return nil
	}
	if b.tasks == nil {
		return noRedis(b.Filter)
	}
	return b.noteTasks(ctx)
}

// saved stores how far the action has come.
func (b *bulkRun) saved(ctx context.Context) error {
	if b.save == nil {
		return nil
	}
	return b.save(ctx, b.db)
}

// full reports whether no more may be taken.
func (b *bulkRun) full() bool {
	if b.Most > 0 && b.report.Taken >= b.Most {
		b.report.Rest = true
		return true
	}
	return false
}

// allowed is the part of a page that may be taken.
func allowed[T any](b *bulkRun, page []T) []T {
	if b.Most > 0 && len(page) > b.Most-b.report.Taken {
		b.report.Rest = true
		return page[:b.Most-b.report.Taken]
	}
	return page
}

// actOnArchive acts on failed and cancelled tasks.
func (b *bulkRun) actOnArchive(ctx context.Context) error {
	var states []string
	for _, state := range []State{Failed, Cancelled} {
		if slices.Contains(b.states, state) {
			states = append(states, string(state))
		}
	}
	if b.place.Archived || b.Filter.Backend == jobs.PG || len(states) == 0 || b.Filter.ofJobsOnly() || b.Filter.ID != "" {
		return nil
	}
	filter := b.failedFilter(b.Filter, b.place.Archive, PageSize)
	filter.Until, filter.State = b.place.StartedAt, ""
	if len(states) == 1 {
		filter.State = states[0]
	}
	for more := true; more && !b.report.Rest; {
		found, err := b.failed.List(ctx, filter)
		if err != nil {
			return err
		}
		filter.After, more = found.Next, found.More
		if err := sideBySide(ctx, allowed(b, found.Tasks), b.actOnFailed); err != nil {
			return err
		}
		b.place.Archive, b.place.Archived = found.Next, !found.More
		if err := b.saved(ctx); err != nil {
			return err
		}
	}
	return nil
}

// actOnFailed acts on a task that a list had, without its args when they are large.
func (b *bulkRun) actOnFailed(ctx context.Context, listed taskqueue.FailedTask) {
	id := ID{Backend: jobs.Redis, Queue: listed.Queue, Task: listed.ID}
	if b.tasks == nil {
		b.note(id, ErrNoRedis)
		return
	}
	if b.Bulk.Action != Retry {
		b.note(id, b.discardTask(ctx, id))
		return
	}
	task, err := b.failed.Find(ctx, id.Queue, id.Task)
	if err == nil && task.FailedAt.After(listed.FailedAt) {
		err = fmt.Errorf("%w: it has failed again", ErrState)
	}
	if err == nil {
		err = b.revive(ctx, task)
	}
	b.note(id, err)
	if err == nil {
		b.mutex.Lock()
		b.revived = append(b.revived, task.ID)
		b.mutex.Unlock()
	}
}

// actOnTasks acts on the tasks that were in the outbox or in Redis at the start.
func (b *bulkRun) actOnTasks(ctx context.Context) error {
	for page := range slices.Chunk(b.tasksThen, PageSize) {
		taken := allowed(b, page)
		if err := sideBySide(ctx, taken, b.actOnNoted); err != nil {
			return err
		}
		if b.report.Rest {
			return nil
		}
		if err := b.saved(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulkRun) actOnNoted(ctx context.Context, id ID) {
	item, err := b.find(ctx, id)
	switch {
	case err == nil && !slices.Contains(b.states, item.State):
		err = fmt.Errorf("%w: it is %s", ErrState, item.State)
	case err == nil && b.resumed && item.lastChanged().After(b.place.StartedAt):
		return // it is later than the start, or was acted on before
	case err == nil:
		err = b.actOnTask(ctx, b.Bulk.Action, item)
	}
	b.note(id, err)
}

// note adds one job or task to the report.
func (b *bulkRun) note(id ID, err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.report.Taken++
	switch {
	case err == nil:
		b.report.Done++
	case errors.Is(err, ErrNotFound), errors.Is(err, taskqueue.ErrNotFound):
		b.report.Skipped["it was gone"]++
	case errors.Is(err, ErrState):
		b.report.Skipped["it had changed its state"]++
	case errors.Is(err, ErrEqual):
		b.report.Skipped["equal work already waits or runs"]++
	default:
		b.report.Failed++
		if len(b.report.Problems) < mostProblems {
			b.report.Problems = append(b.report.Problems, fmt.Sprintf("%s %s: %v", b.Bulk.Action, id, err))
		}
	}
}

// countFailedAgain counts what failed for good again after its retry. It also does
// so after ctx has ended.
func (b *bulkRun) countFailedAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if len(b.revivedJobs) == 0 && len(b.revived) == 0 {
		return nil
	}
	err := b.db.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM river_job WHERE id = ANY($1) AND state = 'discarded')
		     + (SELECT count(*) FROM failed_tasks WHERE id = ANY($2) AND failed_at > $3 AND NOT cancelled)`,
		b.revivedJobs, b.revived, b.place.StartedAt).Scan(&b.report.FailedAgain)
	if err != nil {
		return fmt.Errorf("count what failed again: %w", err)
	}
	return nil
}

// sideBySide calls do for all, some at the same time. When ctx ends, it begins no
// more and lets the others finish, so that the report is exact.
func sideBySide[T any](ctx context.Context, all []T, do func(context.Context, T)) error {
	var running sync.WaitGroup
	defer running.Wait()
	turns := make(chan struct{}, actedAtOnce)
	for _, one := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		turns <- struct{}{}
		running.Go(func() {
			defer func() { <-turns }()
			do(context.WithoutCancel(ctx), one)
		})
	}
	return nil
}
