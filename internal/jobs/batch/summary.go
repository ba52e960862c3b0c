package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/postgres"
)

// State is where a batch stands.
type State string

// The states.
const (
	Open      State = "open"      // some jobs have not ended
	Paused    State = "paused"    // its waiting jobs do not run
	Cancelled State = "cancelled" // its waiting jobs never run
	Finished  State = "finished"  // all jobs have ended, and some failed for good or were cancelled
	Succeeded State = "succeeded" // all jobs are done
)

// Summary describes one batch.
type Summary struct {
	ID        ID        `json:"id"`
	Name      string    `json:"name"`
	State     State     `json:"state"`
	Progress  Progress  `json:"progress"`
	OnSuccess string    `json:"on_success,omitempty"` // the kinds of the callbacks; empty: none
	OnFinish  string    `json:"on_finish,omitempty"`
	Request   string    `json:"request,omitempty"` // the id of the request that enqueued it; empty: none
	CreatedAt time.Time `json:"created_at"`

	PausedAt    *time.Time `json:"paused_at,omitempty"`
	CancelledAt *time.Time `json:"cancelled_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"` // when all jobs had ended for the first time
	SucceededAt *time.Time `json:"succeeded_at,omitempty"`
}

// Progress counts the jobs of a batch.
type Progress struct {
	Total     int `json:"total"`
	Done      int `json:"done"`
	Failed    int `json:"failed"`    // for good
	Cancelled int `json:"cancelled"` // or deleted before they ran
	Running   int `json:"running"`
	Waiting   int `json:"waiting"` // for a worker, for their time, for another attempt, or for the end of a pause

	// More means that more jobs are not done than were counted. Then the numbers but
	// Total and Done are too small, and Done is too large.
	More bool `json:"more,omitempty"`
}

// MostCounted is the largest number to which the jobs of a batch that are not done are
// counted, because each is read.
const MostCounted = 100_000

// A page of List counts at most countedOfPage jobs to MostCounted for each batch. From
// there on it counts to fewCounted.
const (
	countedOfPage = 2 * MostCounted
	fewCounted    = 10_000
)

// MostListed bounds one page of List.
const MostListed = 100

// Percent returns how many of a hundred jobs have ended in some way. It is 0 when more
// jobs are not done than were counted.
func (p Progress) Percent() int {
	switch {
	case p.More:
		return 0
	case p.Total == 0:
		return 100
	}
	return (p.Total - p.Running - p.Waiting) * 100 / p.Total
}

// Filter selects batches.
type Filter struct {
	State  State // empty: all
	Before ID    // lists those that are older than this one; 0: from the newest
	Limit  int   // at most MostListed; default: 25
}

// List returns batches, the newest first.
func (b *Batches) List(ctx context.Context, filter Filter) ([]Summary, error) {
	if filter.Limit <= 0 {
		filter.Limit = 25
	}
	return b.summaries(ctx, `
		WHERE ($1 = 0 OR id < $1) AND ($2 = '' OR `+stateOf+` = $2)
		ORDER BY id DESC
		LIMIT $3`, filter.Before, filter.State, min(filter.Limit, MostListed))
}

// Show returns one batch, or ErrNotFound.
func (b *Batches) Show(ctx context.Context, id ID) (Summary, error) {
	found, err := b.summaries(ctx, `WHERE id = $1`, id)
	if err != nil {
		return Summary{}, err
	}
	if len(found) == 0 {
		return Summary{}, fmt.Errorf("batch %d: %w", id, ErrNotFound)
	}
	return found[0], nil
}

// Pause keeps the waiting jobs of a batch from running, until Resume. Running jobs
// finish, and jobs may be added. The workers do it within about a second. It returns
// ErrFinished when all jobs are done, or the batch was cancelled.
func (b *Batches) Pause(ctx context.Context, id ID) error {
	return b.mark(ctx, "pause", id, `
		UPDATE job_batches SET paused_at = coalesce(paused_at, now())
		WHERE id = $1 AND succeeded_at IS NULL AND cancelled_at IS NULL`)
}

// Resume ends a pause. The jobs keep their times and their order.
func (b *Batches) Resume(ctx context.Context, id ID) error {
	return b.mark(ctx, "resume", id, `UPDATE job_batches SET paused_at = NULL WHERE id = $1`)
}

// Cancel cancels all jobs of a batch that have not ended: those that wait never run,
// and the contexts of those that run end. The workers do it within seconds. It returns
// ErrFinished when all jobs have ended.
func (b *Batches) Cancel(ctx context.Context, id ID) error {
	return b.mark(ctx, "cancel", id, `
		UPDATE job_batches SET cancelled_at = coalesce(cancelled_at, now()), paused_at = NULL
		WHERE id = $1 AND finished_at IS NULL`)
}

// Private

// stateOf is the state of a row of job_batches.
const stateOf = `
	CASE
	    WHEN succeeded_at IS NOT NULL THEN 'succeeded'
	    WHEN cancelled_at IS NOT NULL THEN 'cancelled'
	    WHEN paused_at IS NOT NULL THEN 'paused'
	    WHEN finished_at IS NOT NULL THEN 'finished'
	    ELSE 'open'
	END`

// summaries returns the batches that a condition selects.
func (b *Batches) summaries(ctx context.Context, condition string, arguments ...any) (found []Summary, err error) {
	err = postgres.ByIndex(ctx, b.db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT id, name, `+stateOf+`, total, on_success_kind, on_finish_kind, request, created_at,
			       paused_at, cancelled_at, finished_at, succeeded_at
			FROM job_batches `+condition, arguments...)
		if err != nil {
			return err
		}
		if found, err = pgx.CollectRows(rows, scanSummary); err != nil {
			return err
		}
		counted, most := 0, MostCounted
		for i := range found {
			p, err := countJobs(ctx, tx, found[i].ID, found[i].Progress.Total, most)
			if err != nil {
				return err
			}
			found[i].Progress = p
			if counted += p.Failed + p.Cancelled + p.Running + p.Waiting; counted >= countedOfPage {
				most = fewCounted
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	return found, nil
}

func scanSummary(row pgx.CollectableRow) (s Summary, err error) {
	err = row.Scan(&s.ID, &s.Name, &s.State, &s.Progress.Total, &s.OnSuccess, &s.OnFinish, &s.Request, &s.CreatedAt,
		&s.PausedAt, &s.CancelledAt, &s.FinishedAt, &s.SucceededAt)
	return s, err
}

// countJobs counts the jobs of a batch that are not done, at most so many. The others are done: River
// deletes them after a while, and so nobody can count them.
func countJobs(ctx context.Context, tx pgx.Tx, id ID, total, most int) (Progress, error) {
	p := Progress{Total: total}
	rows, err := tx.Query(ctx, `
		SELECT state::text, count(*)
		FROM (SELECT state FROM river_job WHERE `+ofBatch+` LIMIT $2) AS counted
		GROUP BY state
		UNION ALL
		SELECT CASE WHEN failed THEN 'discarded' ELSE 'cancelled' END, count(*)
		FROM (SELECT failed FROM deleted_batch_jobs WHERE batch_id = $1 LIMIT $2) AS deleted
		GROUP BY failed`, id, most+1)
	if err != nil {
		return p, err
	}
	var state string
	var jobs, all int
	_, err = pgx.ForEachRow(rows, []any{&state, &jobs}, func() error {
		all += jobs
		switch state {
		case "discarded":
			p.Failed += jobs
		case "cancelled":
			p.Cancelled += jobs
		case "running":
			p.Running += jobs
		default:
			p.Waiting += jobs
		}
		return nil
	})
	p.Done, p.More = max(total-all, 0), all > most
	return p, err
}

// ofBatch finds the jobs of the batch $1 that are not done.
const ofBatch = jobs.InBatch + `$1::bigint::text`

// mark changes the row of a batch. Workers act by it.
func (b *Batches) mark(ctx context.Context, action string, id ID, statement string) error {
	marked, err := b.db.Exec(ctx, statement, id)
	if err == nil && marked.RowsAffected() == 0 {
		err = absentOr(ctx, b.db, id, ErrFinished)
	}
	if err != nil {
		return fmt.Errorf("%s batch %d: %w", action, id, err)
	}
	return nil
}
