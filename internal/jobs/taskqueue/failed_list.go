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
	Bare  bool        // finds the ids alone
	Cause *int64      // selects failed tasks of one FailedCause; nil: all

	// Where adds further conditions on the columns of failed_tasks. To find tasks that
	// meet them, a list reads up to mostFailedRead. Nil: there are none.
	Where func(where *postgres.Conditions)
}

// FailedCause is the cause of a failed task in SQL, a number. An index has it.
const FailedCause = `hashtextextended(kind || E'\n' || error_pattern(error), 0)`

// FailedPlace is a task in the archive, after which the next part of a list
// begins.
type FailedPlace struct {
	At time.Time `json:"at,omitzero"`
	ID string    `json:"id,omitempty"`
}

// FailedPage is a part of a list of failed tasks.
type FailedPage struct {
	IDs   []string
	Tasks []FailedTask // large args are left out, and a long error is cut
	Read  int          // tasks that were read
	Next  FailedPlace
	More  bool // the list goes on
}

// MostListedArgs is the size of args in bytes, as they are stored, above which a
// list leaves them out.
const MostListedArgs = 16 << 10

// List returns the selected tasks, the newest first. Its cost depends on Limit and
// on the number of queues and kinds, but not on the number of tasks.
func (f *FailedTasks) List(ctx context.Context, filter FailedFilter) (page FailedPage, err error) {
	if filter.After.At.IsZero() {
		filter.After.At = endOfTime
	}
	if filter.Until.IsZero() {
		filter.Until = endOfTime
	}
	err = postgres.ByIndex(ctx, f.db, func(tx pgx.Tx) error {
		page, err = filter.find(ctx, tx)
		return err
	})
	if err != nil {
		return FailedPage{}, fmt.Errorf("list failed tasks: %w", err)
	}
	return page, nil
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

const (
	// mostFailedRead is the number of tasks that a list reads to test conditions.
	mostFailedRead = 5000
	// mostFailedBytes bounds the args that are tested at once, as they are stored.
	mostFailedBytes = 32 << 20
	// mostListedError is the number of characters of an error in a list.
	mostListedError = 4096
)

func (f FailedFilter) find(ctx context.Context, tx pgx.Tx) (page FailedPage, err error) {
	most, measure := f.Limit+1, "0"
	if f.Where != nil || f.Cause != nil {
		most, measure = mostFailedRead, "pg_column_size(t.args)"
	}
	where := postgres.NewConditions(f.Queue, f.Kind, f.State, f.After.At, f.After.ID, f.Until, most+1, f.Limit, mostFailedBytes)
	if f.Where != nil {
		f.Where(where)
	}
	candidates := fmt.Sprintf(failedOfGroups, measure)
	if f.Cause != nil {
		candidates = fmt.Sprintf(failedOfCause, measure, where.Place(*f.Cause))
	}
	var ids []string
	var last, lastFound *string
	var at *time.Time
	err = tx.QueryRow(ctx, `
		WITH RECURSIVE `+failedGroups+`, walked AS MATERIALIZED (
			SELECT id, failed_at, row_number() OVER newest AS number, sum(size) OVER newest AS bytes
			FROM (`+candidates+`) AS t
			WINDOW newest AS (ORDER BY failed_at DESC, id DESC)
			ORDER BY number
			LIMIT $7
		), tested AS MATERIALIZED (
			SELECT id, number FROM walked WHERE number < $7 AND (bytes <= $9 OR number = 1)
		), found AS MATERIALIZED (
			SELECT id, number, row_number() OVER (ORDER BY number) AS place
			FROM tested
			JOIN failed_tasks USING (id)
			WHERE `+where.String()+`
			ORDER BY number
			LIMIT $8::int + 1
		), ends AS (
			SELECT coalesce((SELECT number FROM found WHERE place = $8 AND EXISTS (SELECT FROM found WHERE place > $8)),
			                (SELECT max(number) FROM tested)) AS number
		)
		SELECT ARRAY(SELECT id FROM found WHERE place <= $8 ORDER BY place), coalesce(ends.number, 0),
		       (SELECT id FROM walked WHERE walked.number = ends.number), (SELECT failed_at FROM walked WHERE walked.number = ends.number),
		       (SELECT id FROM walked WHERE walked.number > ends.number LIMIT 1)
		FROM ends`, where.Args()...).Scan(&ids, &page.Read, &last, &at, &lastFound)
	if err != nil || last == nil {
		return page, err
	}
	page.IDs, page.Next, page.More = ids, FailedPlace{*at, *last}, lastFound != nil
	if f.Bare {
		return page, nil
	}
	rows, err := tx.Query(ctx, listFailed+` WHERE id = ANY($1) ORDER BY failed_at DESC, id DESC`, ids, MostListedArgs, mostListedError)
	if err != nil {
		return page, err
	}
	page.Tasks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[FailedTask])
	return page, err
}

// listFailed reads tasks without args larger than $2, and without an error beyond $3
// characters.
const listFailed = `
	SELECT id, kind, queue, CASE WHEN pg_column_size(args) <= $2 THEN args END, left(error, $3), attempts, failed_at, cancelled,
	       request, parent
	FROM failed_tasks`

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

// failedOfGroups reads the newest tasks of each group of the filter. The index
// failed_tasks_inspect has the tasks of each group in this order.
const failedOfGroups = `
	SELECT t.*
	FROM groups, LATERAL (
		SELECT id, failed_at, %s AS size
		FROM failed_tasks AS t
		WHERE cancelled = groups.cancelled AND queue = groups.queue AND kind = groups.kind
		  AND (failed_at, id) < ($4, $5) AND failed_at <= $6
		ORDER BY failed_at DESC, id DESC
		LIMIT $7
	) AS t
	WHERE ($1 = '' OR groups.queue = $1)
	  AND ($2 = '' OR groups.kind = $2)
	  AND ($3 = '' OR groups.cancelled = ($3 = 'cancelled'))`

// failedOfCause reads the newest failed tasks of one cause.
const failedOfCause = `
	SELECT id, failed_at, %s AS size
	FROM failed_tasks AS t
	WHERE ` + FailedCause + ` = %s AND NOT cancelled
	  AND (failed_at, id) < ($4, $5) AND failed_at <= $6
	  AND ($1 = '' OR queue = $1) AND ($2 = '' OR kind = $2) AND $3 <> 'cancelled'
	ORDER BY failed_at DESC, id DESC
	LIMIT $7`

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
