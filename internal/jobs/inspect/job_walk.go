package inspect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"slipway/internal/postgres"
)

// Private

// The bounds of what one walk reads.
const (
	// mostWalked is the number of jobs that a walk reads to test their columns.
	mostWalked = 10_000
	// mostArgsWalked is the same for args, which are larger.
	mostArgsWalked = 5_000
	// mostArgsBytes bounds the args of a walk as they are stored.
	mostArgsBytes = 32 << 20
	// searchTime is how long River's index of args may take. It is slow for args that
	// much work has, and then a walk soon finds some of it.
	searchTime = 150 * time.Millisecond
)

// jobWalk selects jobs, the newest first.
type jobWalk struct {
	filter Filter   // its Backend, State, Limit and After mean nothing here
	states []string // River's; nil: all
	after  jobPlace
	limit  int // jobs to find
}

// jobPlace is a job after which a walk goes on. The zero place is the beginning.
type jobPlace struct {
	Job  int64     `json:"job,omitempty"`
	At   time.Time `json:"at,omitzero"`    // of a walk through one cause, which goes by time
	Slow bool      `json:"slow,omitempty"` // the index of args was too slow for this filter
}

// jobsFound is what one walk found.
type jobsFound struct {
	ids  []int64
	read int // jobs that were read
	next jobPlace
	more bool
}

// walkJobs reads a bounded number of jobs with any filter.
func (i *Inspector) walkJobs(ctx context.Context, walk jobWalk) (found jobsFound, err error) {
	if walk.after.Job == 0 {
		walk.after.Job, walk.after.At = math.MaxInt64, endOfTime
	}
	switch {
	case walk.filter.ID != "":
		found, err = i.findJob(ctx, walk)
	case walk.filter.Cause != "":
		found, err = i.walkCause(ctx, walk)
	case !walk.after.Slow && (len(walk.filter.Args) > 0 || walk.filter.Batch != ""):
		if found, err = i.searchJobs(ctx, walk); tookTooLong(err) && ctx.Err() == nil {
			walk.after.Slow = true
			found, err = i.walkGroups(ctx, walk)
		}
	default:
		found, err = i.walkGroups(ctx, walk)
	}
	if err != nil {
		return jobsFound{}, fmt.Errorf("list jobs: %w", err)
	}
	found.next.Slow = walk.after.Slow
	return found, nil
}

// findJob finds one job by its id.
func (i *Inspector) findJob(ctx context.Context, walk jobWalk) (found jobsFound, err error) {
	id, is := jobID(walk.filter.ID)
	if !is || id >= walk.after.Job {
		return jobsFound{}, nil
	}
	where := postgres.NewConditions(id)
	walk.columns(where)
	i.conditions(walk.filter, jobTable, where)
	found.read, found.next.Job = 1, id
	found.ids, err = collectIDs(i.db.Query(ctx, `SELECT id FROM river_job WHERE id = $1 AND `+where.String(), where.Args()...))
	return found, err
}

// searchJobs finds jobs by River's indexes of args and metadata, which find all of
// them at once.
func (i *Inspector) searchJobs(ctx context.Context, walk jobWalk) (found jobsFound, err error) {
	indexed := postgres.NewConditions(walk.after.Job, walk.limit+1)
	i.conditions(Filter{Args: walk.filter.Args, Batch: walk.filter.Batch}, jobTable, indexed)
	rest := indexed.More()
	walk.columns(rest)
	i.conditions(walk.filter.withoutArgs(), jobTable, rest)
	err = postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		limits := fmt.Sprintf(`SET LOCAL enable_bitmapscan = on; SET LOCAL statement_timeout = %d`, searchTime.Milliseconds())
		if _, err := tx.Exec(ctx, limits); err != nil {
			return err
		}
		found.ids, err = collectIDs(tx.Query(ctx, `
			WITH hits AS MATERIALIZED (
				SELECT id FROM river_job WHERE `+indexed.String()+`
			)
			SELECT id
			FROM hits
			JOIN river_job USING (id)
			WHERE id < $1 AND `+rest.String()+`
			ORDER BY id DESC
			LIMIT $2`, indexed.Args()...))
		return err
	})
	if err != nil {
		return jobsFound{}, err
	}
	if found.read = len(found.ids); len(found.ids) > walk.limit {
		found.ids, found.more = found.ids[:walk.limit], true
		found.next.Job = found.ids[walk.limit-1]
	}
	return found, nil
}

// columns adds the conditions on the columns that the groups of jobs have.
func (w jobWalk) columns(where *postgres.Conditions) {
	if w.states != nil {
		where.Add("state = ANY(%s::text[]::river_job_state[])", w.states)
	}
	if w.filter.Queue != "" {
		where.Add("queue = %s", w.filter.Queue)
	}
	if w.filter.Kind != "" {
		where.Add("kind = %s", w.filter.Kind)
	}
}

// walkGroups reads the groups of state, queue and kind that the filter selects, all
// of them at once in the order of ids.
func (i *Inspector) walkGroups(ctx context.Context, walk jobWalk) (found jobsFound, err error) {
	err = postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		groups, err := walk.groups(ctx, tx)
		if err != nil || len(groups.states) == 0 {
			return err
		}
		if !walk.filter.Until.IsZero() {
			if err := walk.skip(ctx, tx); err != nil {
				return err
			}
		}
		found, err = i.merge(ctx, tx, walk, groups.merger())
		return err
	})
	return found, err
}

// jobGroups are combinations of state, queue and kind.
type jobGroups struct{ states, queues, kinds []string }

// groups finds the combinations that exist. Each costs one search in the index.
func (w jobWalk) groups(ctx context.Context, tx pgx.Tx) (groups jobGroups, err error) {
	err = tx.QueryRow(ctx, `
		WITH RECURSIVE groups AS (
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
		)
		SELECT coalesce(array_agg(state::text), '{}'), coalesce(array_agg(queue), '{}'), coalesce(array_agg(kind), '{}')
		FROM groups
		WHERE ($1 = '' OR queue = $1)
		  AND ($2 = '' OR kind = $2)
		  AND ($3::text[] IS NULL OR state = ANY($3::text[]::river_job_state[]))`,
		w.filter.Queue, w.filter.Kind, w.states).Scan(&groups.states, &groups.queues, &groups.kinds)
	return groups, err
}

// merger reads sorted parts of an index as one.
type merger struct {
	parts []string
	place func(jobPlace) []any // the first arguments of the parts: where they begin
	args  []any                // the others
	order string
	tests bool // a part has jobs of several queues or kinds, of which the filter may select one
}

// merger merges the groups, each of which the index river_job_inspect has in the
// order of ids.
func (g jobGroups) merger() merger {
	m := merger{args: []any{g.states, g.queues, g.kinds}, order: "id DESC"}
	m.place = func(place jobPlace) []any { return []any{place.Job} }
	for n := range g.states {
		m.parts = append(m.parts, fmt.Sprintf(`(
			SELECT id, NULL::timestamptz AS at%%s
			FROM river_job
			WHERE state = ($2::text[]::river_job_state[])[%[1]d] AND queue = ($3::text[])[%[1]d] AND kind = ($4::text[])[%[1]d] AND id < $1
			ORDER BY id DESC
		)`, n+1))
	}
	return m
}

// newest is a query of the newest jobs of all parts. Columns are those that it has
// beside the id and the time.
func (m merger) newest(columns, most string) string {
	parts := make([]string, len(m.parts))
	for n, part := range m.parts {
		parts[n] = fmt.Sprintf(part, columns)
	}
	return `SELECT id, at` + columns + ` FROM (` + strings.Join(parts, " UNION ALL ") + `) AS parts ORDER BY ` + m.order + ` LIMIT ` + most
}

// testedColumns are the columns that the conditions of a walk are about.
func (w jobWalk) testedColumns(tests bool) string {
	columns := ""
	if tests {
		columns += ", state, queue, kind"
	}
	if w.filter.Tag != "" {
		columns += ", tags"
	}
	if len(w.filter.Args) > 0 && !tests {
		columns += ", kind"
	}
	if len(w.filter.Args) > 0 {
		columns += ", args"
	}
	if w.filter.Batch != "" {
		columns += ", metadata"
	}
	if !w.filter.Since.IsZero() || !w.filter.Until.IsZero() {
		columns += ", created_at, attempted_at, finalized_at"
	}
	return columns
}

// merge finds the jobs that meet the conditions of the filter.
func (i *Inspector) merge(ctx context.Context, tx pgx.Tx, walk jobWalk, parts merger) (found jobsFound, err error) {
	where := postgres.NewConditions(slices.Concat(parts.place(walk.after), parts.args)...)
	most, bytes, columns := mostWalked, "0", walk.testedColumns(parts.tests)
	switch {
	case len(walk.filter.Args) > 0:
		most, bytes = mostArgsWalked, "pg_column_size(args)"
	case !parts.tests && !walk.filter.needsReading():
		most = walk.limit + 1
	}
	walked := `
		SELECT id, at, number` + columns + `
		FROM (
			SELECT *, row_number() OVER newest AS number, sum(` + bytes + `) OVER newest AS bytes
			FROM (` + parts.newest(columns, where.Place(most)) + `) AS newest
			WINDOW newest AS (ORDER BY ` + parts.order + ` ROWS UNBOUNDED PRECEDING)
		) AS measured
		WHERE bytes <= ` + where.Place(mostArgsBytes) + ` OR number = 1`
	args := where.Args()
	if parts.tests {
		walk.columns(where)
	}
	i.conditions(walk.filter.withoutCause(), jobTable, where)
	rows, err := tx.Query(ctx, `
		SELECT id, at, number
		FROM (`+walked+`) AS walked
		WHERE `+where.String()+`
		ORDER BY `+parts.order+`
		LIMIT `+where.Place(walk.limit+1), where.Args()...)
	if err != nil {
		return jobsFound{}, err
	}
	var place jobPlace
	var at *time.Time
	var number int
	_, err = pgx.ForEachRow(rows, []any{&place.Job, &at, &number}, func() error {
		if found.more = len(found.ids) == walk.limit; found.more {
			return nil
		}
		if at != nil {
			place.At = *at
		}
		found.ids, found.next, found.read = append(found.ids, place.Job), place, number
		return nil
	})
	if err != nil || found.more || most == walk.limit+1 {
		return found, err
	}
	return found, found.end(ctx, tx, parts, walked, args)
}

// end sets where a walk ended that read all it may read, and found less than its
// limit.
func (f *jobsFound) end(ctx context.Context, tx pgx.Tx, parts merger, walked string, args []any) error {
	var at *time.Time
	err := tx.QueryRow(ctx, `
		SELECT id, at, number FROM (`+walked+`) AS walked ORDER BY number DESC LIMIT 1`, args...).Scan(&f.next.Job, &at, &f.read)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if at != nil {
		f.next.At = *at
	}
	rest := slices.Concat(parts.place(f.next), parts.args)
	return tx.QueryRow(ctx, `SELECT EXISTS (`+parts.newest("", "1")+`)`, rest...).Scan(&f.more)
}

// skip moves the beginning to where jobs can be old enough for the filter: a job came
// into its state after it was created, and ids grow with time.
func (w *jobWalk) skip(ctx context.Context, tx pgx.Tx) error {
	// A job has the time at which its transaction began. No transaction that enqueues
	// jobs takes longer than the margin.
	const margin = time.Hour
	where := postgres.NewConditions(margin)
	until := fmt.Sprintf(w.filter.Until.sql(), where.Place(w.filter.Until.value()))
	var first int64
	err := tx.QueryRow(ctx, `
		WITH RECURSIVE bounds AS (
			SELECT coalesce(min(id), 0) AS low, coalesce(max(id), 0) + 1 AS high FROM river_job
			UNION ALL
			SELECT CASE WHEN middle.late THEN low ELSE middle.id + 1 END, CASE WHEN middle.late THEN (low + high) / 2 ELSE high END
			FROM bounds, LATERAL (
				SELECT j.id, j.created_at > `+until+` + $1::interval AS late
				FROM river_job AS j
				WHERE j.id >= (low + high) / 2
				ORDER BY j.id
				LIMIT 1
			) AS middle
			WHERE low < high
		)
		SELECT min(high) FROM bounds`, where.Args()...).Scan(&first)
	if err != nil {
		return fmt.Errorf("find the jobs of a time: %w", err)
	}
	w.after.Job = min(w.after.Job, first)
	return nil
}

// endOfTime is later than every job and task, and a time that PostgreSQL accepts.
var endOfTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// tookTooLong reports whether PostgreSQL ended a statement because of its timeout.
func tookTooLong(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == "57014"
}

func collectIDs(rows pgx.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
