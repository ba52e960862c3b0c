package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs/taskqueue"
)

// Private

func (i *Inspector) listJobs(ctx context.Context, filter Filter, after position, limit int, budget *budget) (part, error) {
	walk := jobWalk{filter: filter, after: after.Job, limit: limit}
	if filter.State != "" {
		walk.states = riverStates[filter.State]
	}
	found, err := i.walkJobs(ctx, walk)
	if err != nil {
		return part{}, err
	}
	p := part{read: found.read, more: found.more}
	p.next.Job = found.next
	if found.more && len(found.ids) < limit {
		budget.end()
	}
	stored, err := i.selectJobs(ctx, listedColumns, found.ids)
	if err != nil {
		return part{}, err
	}
	for _, job := range stored {
		p.items = append(p.items, i.itemOfListedJob(job))
	}
	return p, nil
}

// itemOfListedJob is itemOfJob for a job that was read with listedColumns.
func (i *Inspector) itemOfListedJob(job storedJob) Item {
	if len(job.args) > taskqueue.MostListedArgs {
		job.args = nil
	}
	item := i.itemOfJob(job)
	item.Errors = nil
	return item
}

// readJobs returns jobs with all that is stored of them.
func (i *Inspector) readJobs(ctx context.Context, ids []int64) ([]storedJob, error) {
	return i.selectJobs(ctx, jobColumns, ids)
}

// selectJobs returns the jobs that are still there, in the order of their ids in ids.
func (i *Inspector) selectJobs(ctx context.Context, columns string, ids []int64) ([]storedJob, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := i.db.Query(ctx, `SELECT `+columns+` FROM river_job WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	place := map[int64]int{}
	for n, id := range ids {
		place[id] = n
	}
	slices.SortFunc(found, func(a, b storedJob) int { return place[a.id] - place[b.id] })
	return found, nil
}

func (i *Inspector) showJob(ctx context.Context, id ID) (Item, error) {
	rows, err := i.db.Query(ctx, `SELECT `+jobColumns+` FROM river_job WHERE id = $1`, id.Job)
	if err != nil {
		return Item{}, fmt.Errorf("read job %s: %w", id, err)
	}
	job, err := pgx.CollectExactlyOneRow(rows, scanJob)
	if errors.Is(err, pgx.ErrNoRows) {
		return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Item{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return i.itemOfJob(job), nil
}
