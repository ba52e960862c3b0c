package inspect

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// Private

// riverStates are River's names of each state.
var riverStates = map[State][]string{
	Pending: {"available"}, Scheduled: {"scheduled", "pending"}, Running: {"running"}, Retrying: {"retryable"},
	Failed: {"discarded"}, Cancelled: {"cancelled"}, Done: {"completed"},
}

// riverStatesOf are River's names of several states.
func riverStatesOf(states []State) []string {
	var all []string
	for _, state := range states {
		all = append(all, riverStates[state]...)
	}
	return all
}

func stateOfJob(river string) State {
	for ours, theirs := range riverStates {
		if slices.Contains(theirs, river) {
			return ours
		}
	}
	return Pending
}

const jobColumns = `id, kind, queue, state::text, args, attempt, max_attempts, created_at, scheduled_at, attempted_at, finalized_at,
	coalesce(attempted_by[array_upper(attempted_by, 1)], ''), coalesce(to_jsonb(errors), '[]')`

// listedColumns are jobColumns without large args, and with the beginning of the last
// error alone.
var listedColumns = fmt.Sprintf(`id, kind, queue, state::text, CASE WHEN pg_column_size(args) <= %d THEN args END,
	attempt, max_attempts, created_at, scheduled_at, attempted_at, finalized_at, coalesce(attempted_by[array_upper(attempted_by, 1)], ''),
	CASE WHEN errors IS NULL THEN '[]' ELSE
		jsonb_build_array(jsonb_build_object('error', left(errors[array_upper(errors, 1)]->>'error', 4096)))
	END`, taskqueue.MostListedArgs)

// storedJob is a job as River stores it, with secrets.
type storedJob struct {
	id                     int64
	kind, queue, state     string
	args                   []byte // nil when a list leaves them out
	attempt, maxAttempts   int
	createdAt, scheduledAt time.Time
	startedAt, finishedAt  *time.Time
	worker                 string
	failures               []rivertype.AttemptError
}

func scanJob(row pgx.CollectableRow) (storedJob, error) {
	var job storedJob
	var failures []byte
	err := row.Scan(&job.id, &job.kind, &job.queue, &job.state, &job.args, &job.attempt, &job.maxAttempts,
		&job.createdAt, &job.scheduledAt, &job.startedAt, &job.finishedAt, &job.worker, &failures)
	if err != nil {
		return job, err
	}
	return job, json.Unmarshal(failures, &job.failures)
}

func (i *Inspector) itemOfJob(job storedJob) Item {
	item := Item{
		ID: ID{Backend: jobs.PG, Job: job.id}, Kind: job.kind, Queue: job.queue, State: stateOfJob(job.state),
		Attempt: job.attempt, MaxAttempts: job.maxAttempts, CreatedAt: job.createdAt, RunAt: job.scheduledAt,
		parked: job.state == "pending",
	}
	i.setArgs(&item, job.args)
	if job.startedAt != nil {
		item.StartedAt = *job.startedAt
	}
	if job.finishedAt != nil {
		item.FinishedAt = *job.finishedAt
	}
	if item.State == Running {
		item.Worker = job.worker
	}
	if job.kind == jobs.OutboxKind && job.args != nil {
		if m, err := messageIn(job); err == nil {
			item.Task = &ID{Backend: jobs.Redis, Queue: m.Queue, Task: m.ID}
		}
	}
	for _, failure := range job.failures {
		item.Error = i.mask.Text(job.kind, job.args, failure.Error)
		item.Errors = append(item.Errors, Attempt{
			Number: failure.Attempt, At: failure.At, Error: item.Error, Trace: i.mask.Text(job.kind, job.args, failure.Trace),
		})
	}
	return item
}
