package ops

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/postgres"
)

// Run writes what was collected to db every few seconds, until ctx ends; then it writes the
// rest.
func (r *Recorder) Run(ctx context.Context, db *pgxpool.Pool) error {
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	for {
		r.round(ctx, db, writeTimeout)
		select {
		case <-ctx.Done():
			r.pulse.written = time.Time{} // so that the longer steps are complete too
			r.round(context.WithoutCancel(ctx), db, lastWrite)
			return nil
		case <-ticker.C:
		}
	}
}

// Flush writes what was collected until now to db, and returns the first failure. It is not
// for use while Run runs.
func (r *Recorder) Flush(ctx context.Context, db *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(postgres.Yield(ctx), writeTimeout)
	defer cancel()
	var first error
	for _, part := range []func(context.Context, *pgxpool.Pool) error{r.storeFigures, r.storeErrors, r.storeTraces, r.prune} {
		err := part(ctx, db)
		if err != nil && postgres.Unusable(err) {
			return err // a database that is ill is spared the rest
		}
		first = cmp.Or(first, err)
	}
	return first
}

// Private

const (
	writeEvery   = 10 * time.Second
	writeTimeout = 3 * time.Second
	// lastWrite bounds the last write of a process that stops.
	lastWrite = time.Second
	// pruneEvery is the interval at which old rows are deleted.
	pruneEvery = 10 * time.Minute
	// pruneAtOnce bounds the rows of one statement.
	pruneAtOnce = 2000
	// pruneAfter is the number of traces of this process after which old ones are deleted
	// sooner.
	pruneAfter = 500
	// mostPendingSteps bounds the ended steps that wait for the database: half an hour.
	mostPendingSteps = 30
)

// round writes what it can, and logs the first failure.
func (r *Recorder) round(ctx context.Context, db *pgxpool.Pool, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.Flush(ctx, db); err != nil {
		r.writes.Failed(ctx, err)
		return
	}
	r.writes.Worked(ctx)
}

// storeFigures writes the present steps, and those that have ended and are not written
// yet. While the database is away, the steps go on by its last time.
func (r *Recorder) storeFigures(ctx context.Context, db *pgxpool.Pool) error {
	now, asking := r.askTime(ctx, db)
	if now.IsZero() {
		return asking // the database was never there; nothing is counted twice or lost
	}
	grown := r.pulse.grown(gather(r.options.Registry))
	for statement, one := range r.statements.take() {
		grown.Figures[nameOf(statementCard, statement)] = one
	}
	for client, one := range r.clients.take(r.options.Secret, now) {
		grown.Figures[nameOf(clientCard, client)] = one
	}
	r.ended = append(r.ended, r.pulse.add(now, grown)...)
	if asking == nil {
		asking = r.writeSteps(ctx, db, slices.Concat(r.ended, r.pulse.due(now)))
	}
	if asking == nil {
		r.ended = nil
	}
	if more := len(r.ended) - mostPendingSteps; more > 0 {
		r.dropped.WithLabelValues(droppedFigures).Add(float64(more))
		r.ended = slices.Clone(r.ended[more:])
	}
	return asking
}

// askTime returns the time of the database. When that does not reply, it is estimated
// from the last reply, and zero when there was none.
func (r *Recorder) askTime(ctx context.Context, db *pgxpool.Pool) (now time.Time, err error) {
	if now, err = postgres.Now(ctx, db); err != nil {
		if !r.askedAt.IsZero() {
			now = r.databaseTime.Add(time.Since(r.askedAt))
		}
		return now, err
	}
	r.databaseTime, r.askedAt = now, time.Now()
	return now, nil
}

func (r *Recorder) writeSteps(ctx context.Context, db *pgxpool.Pool, steps []storedStep) error {
	var minutes []int
	var ats []time.Time
	var figures []string
	for _, one := range steps {
		written, err := json.Marshal(one.sample)
		if err != nil {
			return fmt.Errorf("write figures: %w", err)
		}
		minutes, ats, figures = append(minutes, one.minutes), append(ats, one.at), append(figures, string(written))
	}
	_, err := db.Exec(ctx, `
		WITH process AS (
			INSERT INTO ops_processes (process, role, host, version, started_at, seen_at)
			VALUES ($1, $2, split_part($1, '/', 1), $3, clock_timestamp() - $4::interval, clock_timestamp())
			ON CONFLICT (process) DO UPDATE SET seen_at = excluded.seen_at
		)
		INSERT INTO ops_figures (process, step, at, figures)
		SELECT $1, *
		FROM unnest($5::integer[], $6::timestamptz[], $7::text[]::jsonb[])
		ON CONFLICT (process, step, at) DO UPDATE SET figures = excluded.figures`,
		r.process, r.options.Role, r.options.Version, time.Since(r.started), minutes, ats, figures)
	if err != nil {
		return fmt.Errorf("store figures: %w", err)
	}
	return nil
}

// prune deletes rows that are too old or too many, a bounded number of each table. When
// there are more, it goes on in the next round.
func (r *Recorder) prune(ctx context.Context, db *pgxpool.Pool) error {
	if time.Since(r.prunedAt) < pruneEvery && r.unpruned < pruneAfter {
		return nil
	}
	more := false
	for _, length := range stepMinutes {
		deleted, err := deleteRows(ctx, db, `
			DELETE FROM ops_figures
			WHERE ctid = ANY (ARRAY(SELECT ctid FROM ops_figures WHERE step = $1 AND at < now() - $2::interval LIMIT $3))`,
			length.minutes, length.kept, pruneAtOnce)
		if err != nil {
			return err
		}
		more = more || deleted == pruneAtOnce
	}
	for _, statement := range []string{
		`DELETE FROM ops_processes
		WHERE process IN (SELECT process FROM ops_processes WHERE seen_at < now() - $1::interval LIMIT $2)`,
		`DELETE FROM ops_errors
		WHERE id IN (SELECT id FROM ops_errors WHERE resolved_at IS NOT NULL AND last_at < now() - $1::interval LIMIT $2)`,
	} {
		deleted, err := deleteRows(ctx, db, statement, Kept, pruneAtOnce)
		if err != nil {
			return err
		}
		more = more || deleted == pruneAtOnce
	}
	for statement, most := range map[string]int{
		`DELETE FROM ops_traces
		WHERE id IN (
			SELECT id
			FROM (SELECT id, row_number() OVER (PARTITION BY kind, name ORDER BY id DESC) AS place FROM ops_traces) AS placed
			WHERE place > $1
			LIMIT $2
		)`: MostTracesOfName,
		`DELETE FROM ops_traces WHERE id IN (SELECT id FROM ops_traces ORDER BY id DESC OFFSET $1 LIMIT $2)`:          MostTraces,
		`DELETE FROM ops_errors WHERE id IN (SELECT id FROM ops_errors ORDER BY last_at DESC, id OFFSET $1 LIMIT $2)`: MostErrors,
	} {
		deleted, err := deleteRows(ctx, db, statement, most, pruneAtOnce)
		if err != nil {
			return err
		}
		more = more || deleted == pruneAtOnce
	}
	if !more {
		r.prunedAt, r.unpruned = time.Now(), 0
	}
	return nil
}

func deleteRows(ctx context.Context, db *pgxpool.Pool, statement string, arguments ...any) (int64, error) {
	deleted, err := db.Exec(ctx, statement, arguments...)
	if err != nil {
		return 0, fmt.Errorf("delete old rows of the pulse: %w", err)
	}
	return deleted.RowsAffected(), nil
}
