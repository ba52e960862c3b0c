package inspect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
)

// Private

// actOnJobs acts on jobs, a page at a time, from the newest to the oldest.
func (b *bulkRun) actOnJobs(ctx context.Context) error {
	if b.Filter.Backend == jobs.Redis || b.place.Jobs {
		return nil
	}
	walk := jobWalk{filter: b.Filter, states: riverStatesOf(b.states), limit: PageSize}
	if walk.after = b.place.Job; walk.after.Job == 0 {
		walk.after = jobPlace{Job: b.place.Newest + 1, At: endOfTime}
	}
	for more := true; more && !b.full(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := b.walkJobs(ctx, walk)
		if err != nil {
			return err
		}
		page, err := b.acted(ctx, found.ids)
		if err != nil {
			return err
		}
		walk.after, more = found.next, found.more
		b.place.Job, b.place.Jobs = found.next, !found.more
		taken := allowed(b, slices.DeleteFunc(page, b.leavesAlone))
		if err := b.actOnPage(ctx, taken); err != nil {
			return err
		}
		if b.report.Rest {
			return nil
		}
	}
	b.place.Jobs = true
	return b.saved(ctx)
}

// actedJob is what a bulk action needs to know of a job.
type actedJob struct {
	id          int64
	kind, state string
	changed     time.Time // when it came into its state, or earlier
}

// acted reads the jobs of a page in the order of their ids in ids.
func (b *bulkRun) acted(ctx context.Context, ids []int64) ([]actedJob, error) {
	rows, err := b.db.Query(ctx, `
		SELECT id, kind, state::text, `+jobTable.changed+`
		FROM river_job
		WHERE id = ANY($1)
		ORDER BY array_position($1, id)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (job actedJob, err error) {
		return job, row.Scan(&job.id, &job.kind, &job.state, &job.changed)
	})
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return page, nil
}

// leavesAlone reports whether a job came into its state after the start, or relays
// a task that would be lost with it.
func (b *bulkRun) leavesAlone(job actedJob) bool {
	loses := job.kind == jobs.OutboxKind && b.Filter.Kind != jobs.OutboxKind && (b.Bulk.Action == Cancel || b.Bulk.Action == Discard)
	return loses && slices.Contains(unrelayed, job.state) || job.changed.After(b.place.StartedAt)
}

// actOnPage does the action to a page in one statement, and to the jobs that are
// left one by one.
func (b *bulkRun) actOnPage(ctx context.Context, page []actedJob) error {
	ids := make([]int64, len(page))
	for n, job := range page {
		ids[n] = job.id
	}
	done, err := b.actOnJobsAtOnce(context.WithoutCancel(ctx), ids)
	if err != nil && !isUniqueConflict(err) {
		return err
	}
	for _, id := range ids {
		if slices.Contains(done, id) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		b.noteJob(id, b.Act(context.WithoutCancel(ctx), b.Bulk.Action, ID{Backend: jobs.PG, Job: id}))
	}
	return nil
}

func (b *bulkRun) noteJob(id int64, err error) {
	b.note(ID{Backend: jobs.PG, Job: id}, err)
	if err == nil && b.Bulk.Action == Retry {
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

// actOnJobsAtOnce returns the jobs that it changed, and notes them. What it did and
// how far it came commit together. A job that would be equal to a unique one lets the
// whole statement fail.
func (b *bulkRun) actOnJobsAtOnce(ctx context.Context, ids []int64) (done []int64, err error) {
	before := b.report
	err = pgx.BeginFunc(ctx, b.db, func(tx pgx.Tx) error {
		if done, err = collectIDs(tx.Query(ctx, jobStatements[b.Bulk.Action], ids, riverStatesOf(b.states))); err != nil {
			return err
		}
		for _, id := range done {
			b.noteJob(id, nil)
		}
		if b.save == nil {
			return nil
		}
		return b.save(ctx, tx)
	})
	if err != nil {
		b.report.Taken, b.report.Done = before.Taken, before.Done
		return nil, fmt.Errorf("%s jobs: %w", b.Bulk.Action, err)
	}
	return done, nil
}
