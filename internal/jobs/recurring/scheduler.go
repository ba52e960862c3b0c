package recurring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/jobs"
)

// ErrNoSuchTask tells that config/recurring.yml has no such key.
var ErrNoSuchTask = errors.New("there is no such recurring work")

// Scheduler enqueues what is due.
type Scheduler struct {
	db    *pgxpool.Pool
	jobs  *jobs.Jobs
	tasks *jobs.Tasks
	all   []Task
	log   *slog.Logger

	registeredAt time.Time
}

// NewScheduler makes a scheduler of all, which Parse has read.
func NewScheduler(db *pgxpool.Pool, enqueuer *jobs.Jobs, tasks *jobs.Tasks, all []Task, log *slog.Logger) *Scheduler {
	return &Scheduler{db: db, jobs: enqueuer, tasks: tasks, all: all, log: log}
}

// Run enqueues what is due until ctx ends. It waits for a database that is not
// there.
func (s *Scheduler) Run(ctx context.Context) error {
	for {
		err := s.round(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "Recurring work was not looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookEvery/2 + rand.N(lookEvery)):
		}
	}
}

// RunNow enqueues one run of a task at once, besides its schedule.
func (s *Scheduler) RunNow(ctx context.Context, key string) error {
	for _, task := range s.all {
		if task.Key != key {
			continue
		}
		var now time.Time
		if err := s.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
			return fmt.Errorf("ask the database for the time: %w", err)
		}
		return s.enqueue(ctx, task, now, true)
	}
	return fmt.Errorf("%w: %s", ErrNoSuchTask, key)
}

// Private

const (
	lookEvery = time.Second
	// registerEvery is how soon a release is back in the table that another one has
	// written to; forgetAfter is when nobody has told of a task for so long that
	// its release is gone.
	registerEvery = time.Minute
	forgetAfter   = 24 * time.Hour
	// longestGap is how far back runs are made up for.
	longestGap = 7 * 24 * time.Hour
	// punctual is how late a run may be that is not made up for.
	punctual = time.Minute
	// mostAtOnce bounds the runs of one task that one look enqueues.
	mostAtOnce = 1000
	// runsKept is how long runs can be looked at. What keeps a run from being
	// enqueued twice is last_run_at, which is beyond all of them but the newest.
	runsKept = 24 * time.Hour
)

func (s *Scheduler) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if time.Since(s.registeredAt) > registerEvery {
		if err := s.register(ctx); err != nil {
			return err
		}
		s.registeredAt = time.Now()
	}
	known, now, err := s.known(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, task := range s.all {
		if last, is := known[task.Key]; task.Enabled && is {
			if err := s.catchUp(ctx, task, last, now); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", task.Key, err))
			}
		}
	}
	return errors.Join(problems...)
}

// known returns up to when the runs of each task have been seen to.
func (s *Scheduler) known(ctx context.Context) (known map[string]time.Time, now time.Time, err error) {
	if err := s.db.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return nil, time.Time{}, fmt.Errorf("ask the database for the time: %w", err)
	}
	rows, err := s.db.Query(ctx, `SELECT key, last_run_at FROM recurring_tasks`)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the recurring work: %w", err)
	}
	known = map[string]time.Time{}
	var key string
	var last time.Time
	_, err = pgx.ForEachRow(rows, []any{&key, &last}, func() error {
		known[key] = last
		return nil
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the recurring work: %w", err)
	}
	return known, now, nil
}

// register tells the database what this release's file says. A task that is
// new begins now. During a deploy two releases do so in turn, and each enqueues
// what its own file says; what no release has said for long is forgotten.
func (s *Scheduler) register(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		for _, task := range s.all {
			_, err := tx.Exec(ctx, `
				INSERT INTO recurring_tasks (key, kind, backend, schedule, enabled, last_run_at)
				VALUES ($1, $2, $3, $4, $5, now())
				ON CONFLICT (key) DO UPDATE
				SET kind = excluded.kind, backend = excluded.backend, schedule = excluded.schedule, updated_at = now(),
				    -- What was switched off is not made up for; what is due at this moment is not lost.
				    last_run_at = CASE
				        WHEN excluded.enabled AND NOT recurring_tasks.enabled THEN greatest(recurring_tasks.last_run_at, now() - $6::interval)
				        ELSE recurring_tasks.last_run_at
				    END,
				    enabled = excluded.enabled`,
				task.Key, task.Handler.Kind, task.Backend, task.Text, task.Enabled, 2*lookEvery)
			if err != nil {
				return fmt.Errorf("register recurring work %s: %w", task.Key, err)
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM recurring_tasks WHERE updated_at < now() - $1::interval`, forgetAfter); err != nil {
			return fmt.Errorf("forget recurring work that is gone: %w", err)
		}
		if _, err := tx.Exec(ctx, `
			DELETE FROM recurring_runs r
			WHERE enqueued_at < now() - $1::interval
			  AND run_at < (SELECT max(newest.run_at) FROM recurring_runs newest WHERE newest.task_key = r.task_key)`, runsKept); err != nil {
			return fmt.Errorf("forget old runs of recurring work: %w", err)
		}
		return nil
	})
}

// catchUp enqueues the runs of a task that are due and that nobody has seen to.
func (s *Scheduler) catchUp(ctx context.Context, task Task, last, now time.Time) error {
	due, seen := task.due(last, now)
	for _, at := range due {
		if err := s.enqueue(ctx, task, at, false); err != nil {
			return err
		}
	}
	if len(due) > 0 && due[len(due)-1].Equal(seen) || seen.Equal(last) {
		return nil
	}
	if _, err := s.db.Exec(ctx, `UPDATE recurring_tasks SET last_run_at = greatest(last_run_at, $2) WHERE key = $1`, task.Key, seen); err != nil {
		return fmt.Errorf("remember what is not made up for: %w", err)
	}
	return nil
}

// due are the runs after last and up to now that are to be enqueued; seen is
// the newest one that was looked at.
func (t Task) due(last, now time.Time) (due []time.Time, seen time.Time) {
	seen = last
	for at := t.Schedule.Next(later(last, now.Add(-longestGap))); !at.IsZero() && !at.After(now); at = t.Schedule.Next(at) {
		seen = at
		missed := func(run time.Time) bool { return now.Sub(run) > punctual }
		switch {
		case t.CatchUp == CatchUpNone && missed(at):
		case t.CatchUp == CatchUpLast && len(due) > 0 && missed(due[len(due)-1]):
			due[len(due)-1] = at // of those that were missed, only the newest counts
		default:
			due = append(due, at)
		}
		if len(due) == mostAtOnce {
			break // the next look goes on from here
		}
	}
	return due, seen
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// enqueue makes one run: its row, which exists once, and its work commit
// together.
func (s *Scheduler) enqueue(ctx context.Context, task Task, at time.Time, manual bool) error {
	var deliver func(context.Context)
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		fresh, err := tx.Exec(ctx, `INSERT INTO recurring_runs (task_key, run_at, manual) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, task.Key, at, manual)
		if err != nil {
			return fmt.Errorf("insert the run of %s: %w", at.Format(time.RFC3339), err)
		}
		if fresh.RowsAffected() == 0 {
			return nil // another worker was quicker
		}
		if !manual {
			_, err := tx.Exec(ctx, `UPDATE recurring_tasks SET last_run_at = greatest(last_run_at, $2), next_run_at = $3 WHERE key = $1`, task.Key, at, task.Schedule.Next(at))
			if err != nil {
				return fmt.Errorf("remember the run: %w", err)
			}
		}
		if task.Overlap == OverlapSkip && !manual {
			busy, err := s.busy(ctx, tx, task, at)
			if err != nil {
				return err
			}
			if busy {
				_, err := tx.Exec(ctx, `UPDATE recurring_runs SET skipped = true WHERE task_key = $1 AND run_at = $2`, task.Key, at)
				return err
			}
		}
		deliver, err = s.insert(ctx, tx, task, at)
		return err
	})
	if err != nil {
		return err
	}
	if deliver != nil {
		deliver(ctx)
		level := slog.LevelDebug // by the clock, all the time
		if manual {
			level = slog.LevelInfo
		}
		s.log.Log(ctx, level, "Recurring work enqueued", "key", task.Key, "kind", task.Handler.Kind, "run_at", at.UTC().Format(time.RFC3339), "manual", manual)
	}
	return nil
}

// insert enqueues the work of one run, on either backend. A task gets an id
// that names its run.
func (s *Scheduler) insert(ctx context.Context, tx pgx.Tx, task Task, at time.Time) (deliver func(context.Context), err error) {
	if task.Backend == jobs.Redis {
		return s.tasks.EnqueueRun(ctx, tx, task.Handler, task.Queue, task.Args, runID(task.Key, at))
	}
	return func(context.Context) {}, s.jobs.EnqueueRun(ctx, tx, task.Handler, task.Queue, task.Args, runID(task.Key, at))
}

// busy tells whether the run that was enqueued before the one of a time is not
// done yet.
func (s *Scheduler) busy(ctx context.Context, tx pgx.Tx, task Task, at time.Time) (bool, error) {
	var before time.Time
	err := tx.QueryRow(ctx, `
		SELECT run_at
		FROM recurring_runs
		WHERE task_key = $1 AND run_at <> $2 AND NOT skipped
		ORDER BY enqueued_at DESC, run_at DESC
		LIMIT 1`, task.Key, at).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find the run before: %w", err)
	}
	if task.Backend == jobs.Redis {
		return s.tasks.RunUnfinished(ctx, tx, task.Queue, runID(task.Key, before))
	}
	return s.jobs.RunUnfinished(ctx, tx, runID(task.Key, before))
}

// runID names one run of a task.
func runID(key string, at time.Time) string {
	return jobs.RecurringPrefix + key + ":" + at.UTC().Format("2006-01-02T15:04:05.000000Z")
}
