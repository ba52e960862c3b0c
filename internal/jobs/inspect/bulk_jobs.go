package inspect

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
)

// Private

// actOnJobs acts on jobs, a page at a time, from the newest to the oldest.
func (b *bulkRun) actOnJobs(ctx context.Context) error {
	if b.Filter.Backend == jobs.Redis {
		return nil
	}
	query := jobQuery{queue: b.Filter.Queue, kind: b.Filter.Kind, states: riverStatesOf(b.states), before: b.newest + 1}
	for !b.full() {
		if err := ctx.Err(); err != nil {
			return err
		}
		query.limit = PageSize
		found, err := b.findJobs(ctx, query)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		query.before = found[len(found)-1].id
		taken := allowed(b, slices.DeleteFunc(found, b.leavesAlone))
		if err := b.actOnPage(ctx, taken); err != nil {
			return err
		}
		if b.report.Rest {
			return nil
		}
	}
	return nil
}

// leavesAlone reports whether a job came into its state after the start, or relays
// a task that would be lost with it.
func (b *bulkRun) leavesAlone(job storedJob) bool {
	loses := job.kind == jobs.OutboxKind && b.Filter.Kind != jobs.OutboxKind && (b.Action == Cancel || b.Action == Discard)
	return loses && slices.Contains(unrelayed, job.state) || job.lastChanged().After(b.startedAt)
}

// actOnPage does the action to a page in one statement, and to the jobs that are
// left one by one.
func (b *bulkRun) actOnPage(ctx context.Context, page []storedJob) error {
	ids := make([]int64, len(page))
	for n, job := range page {
		ids[n] = job.id
	}
	done, err := b.actOnJobsAtOnce(context.WithoutCancel(ctx), ids)
	if err != nil && !isUniqueConflict(err) {
		return err
	}
	for _, id := range done {
		b.noteJob(id, nil)
	}
	for _, id := range ids {
		if slices.Contains(done, id) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b.noteJob(id, b.Act(context.WithoutCancel(ctx), b.Action, ID{Backend: jobs.PG, Job: id}))
	}
	return nil
}

func (b *bulkRun) noteJob(id int64, err error) {
	b.note(ID{Backend: jobs.PG, Job: id}, err)
	if err == nil && b.Action == Retry {
		b.revivedJobs = append(b.revivedJobs, id)
	}
}

// jobStatements change many jobs as River's methods change one. A job that runs is
// left to River, which tells its worker.
var jobStatements = map[Action]string{
	Retry: reviveJobs, RunNow: reviveJobs,
	Cancel: `
		UPDATE river_job
		SET state = 'cancelled', finalized_at = now(), metadata = metadata || jsonb_build_object('cancel_attempted_at', now())
		WHERE id = ANY($1) AND state = ANY($2::text[]::river_job_state[]) AND state <> 'running'
		RETURNING id`,
	Discard: `
		WITH gone AS (
			DELETE FROM river_job
			WHERE id = ANY($1) AND state = ANY($2::text[]::river_job_state[]) AND state <> 'running'
			RETURNING id, state
		), free AS (
			DELETE FROM unique_jobs WHERE job_id IN (SELECT id FROM gone WHERE state <> 'completed') -- it will not run, so an equal job may
		)
		SELECT id FROM gone`,
}

const reviveJobs = `
	UPDATE river_job
	SET state = 'available', finalized_at = NULL, scheduled_at = now(), metadata = metadata - 'cancel_attempted_at',
	    max_attempts = CASE WHEN attempt = max_attempts THEN max_attempts + 1 ELSE max_attempts END
	WHERE id = ANY($1) AND state = ANY($2::text[]::river_job_state[]) AND state <> 'running'
	RETURNING id`

// actOnJobsAtOnce returns the jobs that it changed. A job that would be equal to a
// unique one lets the whole statement fail.
func (b *bulkRun) actOnJobsAtOnce(ctx context.Context, ids []int64) ([]int64, error) {
	rows, err := b.db.Query(ctx, jobStatements[b.Action], ids, riverStatesOf(b.states))
	if err != nil {
		return nil, fmt.Errorf("%s jobs: %w", b.Action, err)
	}
	done, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("%s jobs: %w", b.Action, err)
	}
	return done, nil
}
