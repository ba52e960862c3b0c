package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/postgres"
)

// FailedFilter selects failed tasks. An empty Queue, Kind or State selects all.
type FailedFilter struct {
	Queue string
	Kind  string
	State string      // "failed" or "cancelled"
	After FailedPlace // the zero place is the beginning
	Until time.Time   // leaves out tasks that failed later; zero: none
	Limit int         // most tasks of a list; 0 lists none
}

// FailedPlace is a task in the archive, after which the next part of a list
// begins.
type FailedPlace struct {
	At time.Time `json:"at,omitzero"`
	ID string    `json:"id,omitempty"`
}

// List returns the selected tasks, the newest first. Its cost depends on Limit and
// on the number of queues and kinds, but not on the number of tasks.
func (f *FailedTasks) List(ctx context.Context, filter FailedFilter) (tasks []FailedTask, err error) {
	if filter.After.At.IsZero() {
		filter.After.At = endOfTime
	}
	if filter.Until.IsZero() {
		filter.Until = endOfTime
	}
	err = postgres.ByIndex(ctx, f.db, func(tx pgx.Tx) error {
		tasks, err = filter.find(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list failed tasks: %w", err)
	}
	return tasks, nil
}

// FailedCount is how many tasks of one queue are in the archive.
type FailedCount struct{ Failed, Cancelled int }

// Count returns the counts by queue. It counts up to most tasks of a queue, and
// returns most+1 when there are more.
func (f *FailedTasks) Count(ctx context.Context, most int) (counts map[string]FailedCount, err error) {
	err = postgres.ByIndex(ctx, f.db, func(tx pgx.Tx) error {
		counts, err = countFailed(ctx, tx, most)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count failed tasks: %w", err)
	}
	return counts, nil
}

// Private

func (f FailedFilter) find(ctx context.Context, tx pgx.Tx) ([]FailedTask, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE `+failedGroups+`, found AS (
			SELECT t.id
			FROM groups, LATERAL (
				SELECT id, failed_at
				FROM failed_tasks
				WHERE cancelled = groups.cancelled AND queue = groups.queue AND kind = groups.kind
				  AND (failed_at, id) < ($4, $5) AND failed_at <= $6
				ORDER BY failed_at DESC, id DESC
				LIMIT $7
			) AS t
			WHERE ($1 = '' OR groups.queue = $1)
			  AND ($2 = '' OR groups.kind = $2)
			  AND ($3 = '' OR groups.cancelled = ($3 = 'cancelled'))
			ORDER BY t.failed_at DESC, t.id DESC
			LIMIT $7
		)
		SELECT `+failedColumns+`
		FROM failed_tasks
		WHERE id IN (SELECT id FROM found)
		ORDER BY failed_at DESC, id DESC`,
		f.Queue, f.Kind, f.State, f.After.At, f.After.ID, f.Until, f.Limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[FailedTask])
}

func countFailed(ctx context.Context, tx pgx.Tx, most int) (map[string]FailedCount, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE `+failedGroups+`
		SELECT queue, cancelled, count
		FROM (SELECT DISTINCT queue, cancelled FROM groups) AS g, LATERAL (
			SELECT count(*) FROM (
				SELECT FROM failed_tasks WHERE cancelled = g.cancelled AND queue = g.queue LIMIT $1
			) AS counted
		) AS counts`, most+1)
	if err != nil {
		return nil, err
	}
	counts := map[string]FailedCount{}
	var queue string
	var cancelled bool
	var number int
	_, err = pgx.ForEachRow(rows, []any{&queue, &cancelled, &number}, func() error {
		count := counts[queue]
		if cancelled {
			count.Cancelled = number
		} else {
			count.Failed = number
		}
		counts[queue] = count
		return nil
	})
	return counts, err
}

// endOfTime is later than every task, and a time that JSON and PostgreSQL accept.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// failedGroups are the combinations of state, queue and kind in the archive. Each
// costs one search in the index.
const failedGroups = `groups AS (
	(SELECT cancelled, queue, kind FROM failed_tasks ORDER BY cancelled, queue, kind LIMIT 1)
	UNION ALL
	SELECT next.*
	FROM groups, LATERAL (
		SELECT t.cancelled, t.queue, t.kind
		FROM failed_tasks AS t
		WHERE (t.cancelled, t.queue, t.kind) > (groups.cancelled, groups.queue, groups.kind)
		ORDER BY t.cancelled, t.queue, t.kind
		LIMIT 1
	) AS next
)`
