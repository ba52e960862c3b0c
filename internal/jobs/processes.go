package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// A worker writes its beat every beatEvery. One whose beat is older than
// deadAfter is dead: others take what it had in hand.
const (
	beatEvery = 5 * time.Second
	deadAfter = 20 * time.Second
)

// ErrDeclaredDead ends a worker that was silent for so long that others have
// taken its work: what it would finish now, somebody else is doing.
var ErrDeclaredDead = errors.New("this worker was silent for too long and others have taken its work")

// State is what a worker does.
type State string

// A quiet worker takes no more work and finishes what it has in hand; a
// stopping one ends as soon as it has.
const (
	Working  State = "working"
	Quiet    State = "quiet"
	Stopping State = "stopping"
)

// Process is one worker in the table of processes.
type Process struct {
	ID          string    `json:"id"`
	Backend     Backend   `json:"backend"`
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Version     string    `json:"version"`
	Queues      []string  `json:"queues"`
	Concurrency int       `json:"concurrency"`
	State       State     `json:"state"`
	InHand      int       `json:"in_hand"`
	StartedAt   time.Time `json:"started_at"`
	BeatAt      time.Time `json:"beat_at"`
}

// Private

// heart keeps a worker in the table of processes, and releases the jobs of
// workers that are not there any more. Solid Queue does the same; River's own
// rescue knows no workers and waits for the longest timeout. It has a connection
// besides the pool: a worker whose jobs keep every other one busy is not dead.
type heart struct {
	db        *pgxpool.Pool // only says where the database is
	own       *postgres.Connection
	process   Process
	state     atomic.Value // State
	inHand    func() int
	log       *slog.Logger
	reporter  *telemetry.Reporter
	every     time.Duration // beatEvery
	deadAfter time.Duration // deadAfter

	// steadySince is when the beats began to arrive without a gap. Whoever was
	// cut off from the database may not judge others: they were too.
	steadySince time.Time

	// beatenAt is when the last beat was answered, which only its distance to others
	// counts of: this machine's clock may be set together with the database's.
	beatenAt time.Time
}

// newHeart makes the heart of a process of which backend, version and
// concurrency are given.
func newHeart(db *pgxpool.Pool, process Process, inHand func() int, log *slog.Logger, reporter *telemetry.Reporter) *heart {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	process.Host, process.PID = host, os.Getpid()
	process.ID = fmt.Sprintf("%s:%d:%s", host, process.PID, strings.ToLower(rand.Text()[:8]))
	h := &heart{db: db, own: postgres.Beside(db), process: process, inHand: inHand, log: log, reporter: reporter, every: beatEvery, deadAfter: deadAfter}
	for _, queue := range Queues {
		h.process.Queues = append(h.process.Queues, string(queue))
	}
	h.state.Store(Working)
	return h
}

// run beats until ctx ends, and then takes the worker off the table. It returns
// ErrDeclaredDead when that has happened, or must have.
func (h *heart) run(ctx context.Context) error {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	for lastRound := time.Now(); ; {
		if time.Since(lastRound) > h.deadAfter {
			// The process itself stood still, and with it what it had in hand.
			return ErrDeclaredDead
		}
		lastRound = time.Now()
		lastBeat, lastBeatenAt := h.process.BeatAt, h.beatenAt
		err := h.beat(ctx)
		// Then everybody seems to be silent for once.
		clockWasSet := (h.process.BeatAt.Sub(lastBeat) - h.beatenAt.Sub(lastBeatenAt)).Abs() > h.deadAfter/2
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrDeclaredDead):
			return err
		case err != nil:
			h.steadySince = time.Time{}
			h.log.WarnContext(ctx, "Worker's beat was not written", "error", err)
		case h.steadySince.IsZero() || clockWasSet:
			h.steadySince = time.Now()
		case time.Since(h.steadySince) > h.deadAfter:
			if err := h.releaseOrphans(ctx); err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "Jobs of dead workers were not released", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return h.signOff(ctx)
		case <-ticker.C:
		}
	}
}

// beat writes that the worker lives. The first one writes its row; a later one
// that finds no row was declared dead.
func (h *heart) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	connection, err := h.own.Open(ctx)
	if err != nil {
		return fmt.Errorf("connect for the worker's beat: %w", err)
	}
	if h.process.StartedAt.IsZero() {
		err := connection.QueryRow(ctx, `
			INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, in_hand)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (id) DO UPDATE SET beat_at = now()
			RETURNING started_at, beat_at`,
			h.process.ID, h.process.Backend, h.process.Host, h.process.PID, h.process.Version, h.process.Queues, h.process.Concurrency, h.state.Load(), h.inHand(),
		).Scan(&h.process.StartedAt, &h.process.BeatAt)
		if err != nil {
			return fmt.Errorf("enter the worker into the table of processes: %w", err)
		}
	} else {
		err := connection.QueryRow(ctx, `UPDATE job_processes SET beat_at = now(), state = $2, in_hand = $3 WHERE id = $1 RETURNING beat_at`,
			h.process.ID, h.state.Load(), h.inHand()).Scan(&h.process.BeatAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrDeclaredDead
		}
		if err != nil {
			return fmt.Errorf("write the worker's beat: %w", err)
		}
	}
	h.beatenAt = time.Now()
	return nil
}

// releaseOrphans removes dead workers and hands their jobs to the living, as
// if they had not begun: a crash uses up no attempt. Any number of workers may
// call it at once.
func (h *heart) releaseOrphans(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	connection, err := h.own.Open(ctx)
	if err != nil {
		return fmt.Errorf("connect to release jobs: %w", err)
	}
	var dead []string
	var released []releasedJob
	err = pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			DELETE FROM job_processes
			WHERE id IN (
				SELECT id FROM job_processes
				WHERE beat_at NOT BETWEEN now() - $1::interval AND now() + $1::interval -- after: the clock was set back since
				FOR UPDATE SKIP LOCKED
			)
			RETURNING id`, h.deadAfter)
		if err != nil {
			return fmt.Errorf("find dead workers: %w", err)
		}
		dead, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(dead) == 0 {
			return err
		}
		released, err = release(ctx, tx, dead, true)
		return err
	})
	if err != nil || len(dead) == 0 {
		return err
	}
	h.log.WarnContext(ctx, "Workers died, their jobs were released", "workers", strings.Join(dead, " "), "jobs", len(released))
	h.tellGivenUp(ctx, released)
	return nil
}

// tellGivenUp tells people of jobs that failed for good by killing their
// workers: no worker lives to tell of those.
func (h *heart) tellGivenUp(ctx context.Context, released []releasedJob) {
	for _, job := range released {
		if job.State == string(rivertype.JobStateDiscarded) {
			h.log.ErrorContext(ctx, "Job was given up: its workers died while they ran it", "kind", job.Kind, "id", job.ID, "times", job.Crashes)
			h.reporter.Unexpected("job "+job.Kind, strconv.FormatInt(job.ID, 10), &workersDied{job.Crashes})
		}
	}
}

// crashesForFree is how often a job may take its worker down, or be caught up
// in a crash, before that counts as an attempt: a job that kills whoever runs
// it must come to an end.
const crashesForFree = 5

// workersDied is the error of work that is given up because its workers died
// while they ran it.
type workersDied struct{ times int }

func (w *workersDied) Error() string {
	return fmt.Sprintf("the worker died %d times while it ran this", w.times)
}

// releasedJob is a job that its worker does not run any more.
type releasedJob struct {
	ID      int64
	Kind    string
	State   string // River's
	Crashes int
}

// release makes the running jobs of workers available again, with the attempt
// that they had begun still to come. Crashed tells that the workers died of
// something, and not in order.
func release(ctx context.Context, db querier, workers []string, crashed bool) ([]releasedJob, error) {
	rows, err := db.Query(ctx, `
		WITH orphans AS (
			SELECT id, metadata ? 'cancel_attempted_at' AS cancelled,
			       CASE WHEN $2 THEN coalesce((metadata->>'slipway:crashes')::int, 0) + 1 ELSE 0 END AS crashes
			FROM river_job
			WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = ANY($1)
			FOR UPDATE
		), decided AS (
			SELECT job.id, orphans.crashes,
			       CASE
			           WHEN orphans.cancelled THEN 'cancelled'
			           WHEN orphans.crashes <= $3 THEN 'available'
			           WHEN job.attempt >= job.max_attempts THEN 'discarded'
			           ELSE 'retryable'
			       END AS state
			FROM orphans JOIN river_job AS job USING (id)
		)
		UPDATE river_job AS job
		SET state = decided.state::river_job_state,
		    attempt = CASE WHEN decided.state = 'available' THEN greatest(job.attempt - 1, 0) ELSE job.attempt END,
		    scheduled_at = CASE WHEN decided.state = 'retryable' THEN now() + interval '1 minute' ELSE now() END,
		    finalized_at = CASE WHEN decided.state IN ('cancelled', 'discarded') THEN now() END,
		    errors = CASE
		        WHEN decided.state IN ('discarded', 'retryable') THEN array_append(job.errors, jsonb_build_object(
		            'at', now(), 'attempt', job.attempt, 'error', 'the worker died ' || decided.crashes || ' times while it ran this', 'trace', ''))
		        ELSE job.errors
		    END,
		    metadata = job.metadata || CASE WHEN $2 THEN jsonb_build_object('slipway:crashes', decided.crashes) ELSE '{}' END
		FROM decided
		WHERE job.id = decided.id
		RETURNING job.id, job.kind, decided.state, decided.crashes`, workers, crashed, crashesForFree)
	if err != nil {
		return nil, fmt.Errorf("release jobs of %s: %w", strings.Join(workers, " "), err)
	}
	released, err := pgx.CollectRows(rows, pgx.RowToStructByPos[releasedJob])
	if err != nil {
		return nil, fmt.Errorf("release jobs of %s: %w", strings.Join(workers, " "), err)
	}
	return released, nil
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

// signOff takes the worker off the table, so that nobody waits for its death.
func (h *heart) signOff(ctx context.Context) error {
	if h.process.StartedAt.IsZero() {
		return nil // it never was on it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	connection, err := h.own.Open(ctx)
	if err == nil {
		_, err = connection.Exec(ctx, `DELETE FROM job_processes WHERE id = $1`, h.process.ID)
	}
	if err != nil {
		h.log.Warn("Worker did not sign off; others will notice", "error", err)
		return nil
	}
	_ = h.own.Close(ctx) // there is nothing left to do on it
	return nil
}

// handBack releases what this worker itself has in hand. It has a connection
// for that alone: the heart may still beat on its own.
func (h *heart) handBack(ctx context.Context, crashed bool) (jobs int, err error) {
	own := postgres.Beside(h.db)
	connection, err := own.Open(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to hand jobs back: %w", err)
	}
	defer func() { _ = own.Close(ctx) }() // it has done its work, or is broken
	released, err := release(ctx, connection, []string{h.process.ID}, crashed)
	h.tellGivenUp(ctx, released)
	return len(released), err
}
