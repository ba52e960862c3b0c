package inspect

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"slipway/internal/postgres"
)

// Private

// jobQuery selects jobs by their ids, the newest first.
type jobQuery struct {
	queue, kind string
	states      []string // River's; nil: all
	before      int64    // an id; 0: none
	limit       int
}

// jobGroups are the combinations of state, queue and kind of all jobs. Each costs
// one search in the index.
const jobGroups = `groups AS (
	(SELECT state, queue, kind FROM river_job ORDER BY state, queue, kind LIMIT 1)
	UNION ALL
	SELECT next.*
	FROM groups, LATERAL (
		SELECT j.state, j.queue, j.kind
		FROM river_job AS j
		WHERE (j.state, j.queue, j.kind) > (groups.state, groups.queue, groups.kind)
		ORDER BY j.state, j.queue, j.kind
		LIMIT 1
	) AS next
)`

// findJobs reads the newest jobs of each group, so that it reads a bounded number
// of rows with any filter.
func (i *Inspector) findJobs(ctx context.Context, query jobQuery) (found []storedJob, err error) {
	err = postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		found, err = query.find(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return found, nil
}

func (q jobQuery) find(ctx context.Context, tx pgx.Tx) ([]storedJob, error) {
	if q.before == 0 {
		q.before = math.MaxInt64
	}
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE `+jobGroups+`, found AS (
			SELECT j.id
			FROM groups, LATERAL (
				SELECT id
				FROM river_job
				WHERE state = groups.state AND queue = groups.queue AND kind = groups.kind AND id < $4
				ORDER BY id DESC
				LIMIT $5
			) AS j
			WHERE ($1 = '' OR groups.queue = $1)
			  AND ($2 = '' OR groups.kind = $2)
			  AND ($3::text[] IS NULL OR groups.state = ANY($3::text[]::river_job_state[]))
			ORDER BY j.id DESC
			LIMIT $5
		)
		SELECT `+jobColumns+`
		FROM river_job
		WHERE id IN (SELECT id FROM found)
		ORDER BY id DESC`, q.queue, q.kind, q.states, q.before, q.limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanJob)
}

func (i *Inspector) listJobs(ctx context.Context, filter Filter, after position, limit int) (part, error) {
	query := jobQuery{queue: filter.Queue, kind: filter.Kind, before: after.Job, limit: limit + 1}
	if filter.State != "" {
		query.states = riverStates[filter.State]
	}
	found, err := i.findJobs(ctx, query)
	if err != nil {
		return part{}, err
	}
	p := part{more: len(found) > limit}
	for _, job := range found[:min(limit, len(found))] {
		p.items = append(p.items, i.itemOfJob(job))
		p.next.Job = job.id
	}
	return p, nil
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
