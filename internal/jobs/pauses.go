package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Private

const (
	// pausesEvery is how often a worker reads what is paused.
	pausesEvery = time.Second
	// movedAtOnce bounds the jobs that one statement changes.
	movedAtOnce = 1000
	// moveFor bounds the time of one round, after which the worker reads again what is
	// paused.
	moveFor = 2 * time.Second
	// releaseEvery is how often a worker looks for jobs that nothing holds back any
	// more although it saw no pause end.
	releaseEvery = time.Minute
)

// pauses hold back the jobs of paused kinds and of paused batches. Such a job has
// River's state pending instead of available: River does not touch it, and its time,
// priority and id stay, so that it keeps its place. Every worker moves the jobs that
// wait, in bounded steps, and gives back those that it fetches before they are moved. It
// knows what is paused, so that a job of another kind costs nothing. No job depends on
// a worker that must remember it: pending jobs that nothing holds back are released.
//
// Batches that an operator cancelled are handled in the same way.
type pauses struct {
	db      *pgxpool.Pool
	held    atomic.Pointer[heldWork]
	rounds  *telemetry.LoopLog
	changed bool // what is held back since the last release
	// releasedAt is when the last release ended, which found all jobs.
	releasedAt time.Time
	after      pendingJob // where the release goes on
}

// heldWork is what is held back. The numbers are those of batches.
type heldWork struct {
	kinds     []string
	paused    []int64
	cancelled []int64
}

// pendingJob is the place of a job among those that are pending.
type pendingJob struct {
	queue       string
	priority    int
	scheduledAt time.Time
	id          int64
}

func newPauses(db *pgxpool.Pool, log *slog.Logger) *pauses {
	p := &pauses{
		db: db, changed: true,
		rounds: telemetry.NewLoopLog(log, "Worker could not apply pauses of jobs", "Worker applies pauses of jobs again"),
	}
	p.held.Store(&heldWork{})
	return p
}

// run applies what is paused until ctx ends.
func (p *pauses) run(ctx context.Context) {
	for waitFor(ctx, pausesEvery) {
		switch err := p.round(ctx); {
		case err == nil:
			p.rounds.Worked(ctx)
		case ctx.Err() == nil:
			p.rounds.Failed(ctx, err)
		}
	}
}

// read reads what is held back.
func (p *pauses) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	held := &heldWork{}
	err := p.db.QueryRow(ctx, `
		SELECT ARRAY(SELECT kind FROM paused_kinds WHERE backend = 'pg' ORDER BY kind),
		       ARRAY(SELECT id FROM job_batches WHERE paused_at IS NOT NULL AND succeeded_at IS NULL ORDER BY id),
		       ARRAY(SELECT id FROM job_batches WHERE cancelled_at IS NOT NULL AND finished_at IS NULL ORDER BY id)`,
	).Scan(&held.kinds, &held.paused, &held.cancelled)
	if err != nil {
		return fmt.Errorf("read what is paused: %w", err)
	}
	before := p.held.Swap(held)
	if !slices.Equal(before.kinds, held.kinds) || !slices.Equal(before.paused, held.paused) {
		p.changed, p.after = true, pendingJob{}
	}
	return nil
}

// hold parks a job that is paused, and cancels one whose batch was cancelled. It
// returns nil for a job that runs.
func (p *pauses) hold(ctx context.Context, run Run, job *rivertype.JobRow) error {
	held := p.held.Load()
	inBatch := run.Batch != 0 && !run.callback
	switch {
	case inBatch && slices.Contains(held.cancelled, run.Batch):
		return river.JobCancel(taskqueue.ErrCancelled)
	case slices.Contains(held.kinds, run.Kind), inBatch && slices.Contains(held.paused, run.Batch):
		return p.park(ctx, job.ID, job.AttemptedAt)
	}
	return nil
}

// park gives back a job that was fetched although it is paused, as if it had not
// been. It returns nil when the pause has ended.
func (p *pauses) park(ctx context.Context, id int64, attemptedAt *time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTimeout)
	defer cancel()
	var paused, parked bool
	err := p.db.QueryRow(ctx, `
		WITH job AS MATERIALIZED (
			SELECT id, kind, metadata FROM river_job WHERE id = $1
		), held AS MATERIALIZED (
			SELECT EXISTS (
				SELECT FROM paused_kinds JOIN job USING (kind) WHERE backend = 'pg'
			) OR EXISTS (
				SELECT FROM job_batches AS batch JOIN job ON batch.id::text = job.metadata->>'`+BatchKey+`'
				WHERE paused_at IS NOT NULL AND succeeded_at IS NULL
			) AS paused
		), parked AS (
			UPDATE river_job
			SET state = (CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled' ELSE 'pending' END)::river_job_state,
			    finalized_at = CASE WHEN metadata ? 'cancel_attempted_at' THEN now() END,
			    attempt = greatest(attempt - 1, 0)
			WHERE id = $1 AND state = 'running' AND attempted_at = $2 AND (SELECT paused FROM held)
			RETURNING id
		)
		SELECT (SELECT paused FROM held), EXISTS (SELECT FROM parked)`, id, attemptedAt).Scan(&paused, &parked)
	switch {
	case postgres.Unusable(err):
		return Snooze(spread(busyPause), fmt.Sprintf("the job is paused and could not be parked: %v", err))
	case err != nil:
		return fmt.Errorf("park a paused job: %w", err)
	case parked:
		return &parkedError{"waits for the end of a pause"}
	case paused:
		return Snooze(spread(busyPause), "the job changed while it was parked")
	}
	return nil
}

// round reads what is held back, and moves jobs for a bounded time.
func (p *pauses) round(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	until, held := time.Now().Add(moveFor), p.held.Load()
	for _, kind := range held.kinds {
		if err := p.move(ctx, until, "pause the jobs of a kind", pauseKind, kind); err != nil {
			return err
		}
	}
	for _, batch := range held.paused {
		if err := p.move(ctx, until, "pause the jobs of a batch", pauseBatch, batch); err != nil {
			return err
		}
	}
	for _, batch := range held.cancelled {
		if err := p.move(ctx, until, "cancel the jobs of a batch", cancelWaiting, batch); err != nil {
			return err
		}
		if err := p.move(ctx, until, "cancel the running jobs of a batch", cancelRunning, batch); err != nil {
			return err
		}
	}
	if p.changed || time.Since(p.releasedAt) > releaseEvery {
		return p.release(ctx, until)
	}
	return nil
}

// move repeats a statement until it changes no more jobs, or the time is up.
func (p *pauses) move(ctx context.Context, until time.Time, what, statement string, of any) error {
	for {
		moved, err := p.exec(ctx, statement, of, movedAtOnce)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if moved < movedAtOnce || time.Now().After(until) {
			return nil
		}
	}
}

func (p *pauses) exec(ctx context.Context, statement string, arguments ...any) (moved int64, err error) {
	err = p.inTransaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, statement, arguments...)
		moved = tag.RowsAffected()
		return err
	})
	return moved, err
}

// inTransaction calls change in a transaction that searches indexes.
func (p *pauses) inTransaction(ctx context.Context, change func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	return pgx.BeginFunc(ctx, p.db, func(tx pgx.Tx) error {
		if err := postgres.PreferIndexes(ctx, tx); err != nil {
			return err
		}
		return change(ctx, tx)
	})
}

// release makes pending jobs available that nothing holds back. It passes through all
// pending jobs, in several rounds when there are many.
func (p *pauses) release(ctx context.Context, until time.Time) error {
	for {
		var last *pendingJob
		err := p.inTransaction(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			last, err = releasePage(ctx, tx, p.after)
			return err
		})
		if err != nil {
			return fmt.Errorf("release jobs whose pause has ended: %w", err)
		}
		if last == nil {
			p.changed, p.releasedAt, p.after = false, time.Now(), pendingJob{}
			return nil
		}
		if p.after = *last; time.Now().After(until) {
			p.changed = true // goes on in the next round
			return nil
		}
	}
}

// releasePage releases pending jobs that come after a place, and returns the last that
// it looked at, nil when there was none.
func releasePage(ctx context.Context, tx pgx.Tx, after pendingJob) (*pendingJob, error) {
	rows, err := tx.Query(ctx, releaseSQL, after.queue, after.priority, after.scheduledAt, after.id, movedAtOnce)
	if err != nil {
		return nil, err
	}
	last, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (job pendingJob, err error) {
		err = row.Scan(&job.queue, &job.priority, &job.scheduledAt, &job.id, nil)
		return job, err
	})
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return &last[0], nil
}

// waitFor waits, and reports false when ctx ended first.
func waitFor(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// ofBatch finds the jobs of the batch $1.
const ofBatch = InBatch + `$1::bigint::text`

const pauseKind = `
	UPDATE river_job
	SET state = 'pending'
	WHERE id IN (
		SELECT job.id
		FROM river_queue
		CROSS JOIN LATERAL (
			SELECT id FROM river_job
			WHERE state = 'available' AND queue = river_queue.name AND kind = $1
			LIMIT $2
			FOR UPDATE SKIP LOCKED
		) AS job
		LIMIT $2
	) AND EXISTS (SELECT FROM paused_kinds WHERE backend = 'pg' AND kind = $1)`

const pauseBatch = `
	UPDATE river_job
	SET state = 'pending'
	WHERE id IN (SELECT id FROM river_job WHERE ` + ofBatch + ` AND state = 'available' LIMIT $2 FOR UPDATE SKIP LOCKED)
	  AND EXISTS (SELECT FROM job_batches WHERE id = $1 AND paused_at IS NOT NULL)`

const cancelWaiting = `
	UPDATE river_job
	SET state = 'cancelled', finalized_at = now(), metadata = metadata || jsonb_build_object('cancel_attempted_at', now())
	WHERE id IN (
		SELECT id FROM river_job
		WHERE ` + ofBatch + ` AND state IN ('available', 'pending', 'retryable', 'scheduled')
		LIMIT $2
		FOR UPDATE SKIP LOCKED
	)`

// cancelRunning tells River's workers to end the contexts of runs, as River does when
// one job is cancelled.
const cancelRunning = `
	WITH running AS (
		SELECT id FROM river_job
		WHERE ` + ofBatch + ` AND state = 'running' AND NOT metadata ? 'cancel_attempted_at'
		LIMIT $2
		FOR UPDATE SKIP LOCKED
	), marked AS (
		UPDATE river_job
		SET metadata = metadata || jsonb_build_object('cancel_attempted_at', now())
		WHERE id IN (SELECT id FROM running)
		RETURNING id, queue
	)
	SELECT pg_notify(current_schema() || '.river_control', json_build_object('action', 'cancel', 'job_id', id, 'queue', queue)::text)
	FROM marked`

const releaseSQL = `
	WITH page AS MATERIALIZED (
		SELECT id, kind, queue, priority, scheduled_at, metadata->>'` + BatchKey + `' AS batch
		FROM river_job
		WHERE state = 'pending' AND (queue, priority, scheduled_at, id) > ($1::text, $2::smallint, $3::timestamptz, $4::bigint)
		ORDER BY queue, priority, scheduled_at, id
		LIMIT $5
	), released AS (
		UPDATE river_job
		SET state = 'available'
		WHERE id IN (
			SELECT job.id
			FROM page
			JOIN river_job AS job USING (id)
			WHERE job.state = 'pending'
			  AND page.kind <> ALL (ARRAY(SELECT kind FROM paused_kinds WHERE backend = 'pg'))
			  AND coalesce(page.batch, '') <>
			      ALL (ARRAY(SELECT id::text FROM job_batches WHERE paused_at IS NOT NULL AND succeeded_at IS NULL))
			FOR UPDATE OF job SKIP LOCKED
		)
		RETURNING queue
	), notified AS MATERIALIZED (
		-- As River does when it inserts a job.
		SELECT pg_notify(current_schema() || '.river_insert', json_build_object('queue', queue)::text)::text AS sent
		FROM (SELECT DISTINCT queue FROM released) AS queues
	)
	SELECT queue, priority, scheduled_at, id, (SELECT count(sent) FROM notified)
	FROM page
	ORDER BY queue DESC, priority DESC, scheduled_at DESC, id DESC
	LIMIT 1`
