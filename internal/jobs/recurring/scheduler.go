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
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// ErrNoSuchEntry means that config/recurring.yml has no entry with the key.
var ErrNoSuchEntry = errors.New("config/recurring.yml has no such entry")

// Scheduler enqueues the runs of entries that are due.
type Scheduler struct {
	db      *pgxpool.Pool
	jobs    *jobs.Jobs
	tasks   *jobs.Tasks
	entries []Entry
	log     *slog.Logger

	registeredAt time.Time
}

// NewScheduler returns a scheduler of entries, which Parse returns.
func NewScheduler(db *pgxpool.Pool, enqueuer *jobs.Jobs, tasks *jobs.Tasks, entries []Entry, log *slog.Logger) *Scheduler {
	return &Scheduler{db: db, jobs: enqueuer, tasks: tasks, entries: entries, log: log}
}

// Run enqueues due runs until ctx ends. It waits for a database that is
// unavailable.
func (s *Scheduler) Run(ctx context.Context) error {
	rounds := telemetry.NewLoopLog(s.log, "Scheduler could not check for due runs", "Scheduler checks for due runs again")
	for {
		if err := s.round(ctx); err == nil {
			rounds.Worked(ctx)
		} else if ctx.Err() == nil {
			rounds.Failed(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(checkEvery/2 + rand.N(checkEvery)):
		}
	}
}

// RunNow enqueues one run of an entry now, in addition to its schedule. It returns
// ErrNoSuchEntry when there is no entry with the key.
func (s *Scheduler) RunNow(ctx context.Context, key string) error {
	for _, entry := range s.entries {
		if entry.Key != key {
			continue
		}
		now, err := postgres.Now(ctx, s.db)
		if err != nil {
			return err
		}
		return s.enqueue(ctx, entry, now, true)
	}
	return fmt.Errorf("%w: %s", ErrNoSuchEntry, key)
}

// Private

const (
	// checkEvery is the average interval of the checks for due runs.
	checkEvery = time.Second
	// registerEvery is how often a release writes its entries. After a deploy, it
	// overwrites what the other release wrote.
	registerEvery = time.Minute
	// entryRetention is how long an entry stays that no release has written.
	entryRetention = 24 * time.Hour
	// runRetention is how long runs stay for operators to read; the newest run of an
	// entry stays longer. Older runs are not needed to enqueue each run once, because
	// last_run_at is later.
	runRetention = 24 * time.Hour
)

// round registers the entries when that is due, and enqueues due runs.
func (s *Scheduler) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if time.Since(s.registeredAt) > registerEvery {
		if err := s.register(ctx); err != nil {
			return err
		}
		s.registeredAt = time.Now()
	}
	registered, now, err := s.registered(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, entry := range s.entries {
		if last, is := registered[entry.Key]; entry.Enabled && is {
			if err := s.catchUp(ctx, entry, last, now); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", entry.Key, err))
			}
		}
	}
	return errors.Join(problems...)
}

// registered returns the time of the last handled run of each entry that is not paused, and the
// database's time.
func (s *Scheduler) registered(ctx context.Context) (lastRuns map[string]time.Time, now time.Time, err error) {
	if err := s.db.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return nil, time.Time{}, fmt.Errorf("ask the database for the time: %w", err)
	}
	rows, err := s.db.Query(ctx, `SELECT key, last_run_at FROM recurring_tasks WHERE paused_at IS NULL`)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the recurring work: %w", err)
	}
	lastRuns = map[string]time.Time{}
	var key string
	var last time.Time
	_, err = pgx.ForEachRow(rows, []any{&key, &last}, func() error {
		lastRuns[key] = last
		return nil
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the recurring work: %w", err)
	}
	return lastRuns, now, nil
}

// register writes the entries of this release to the database, and deletes old
// entries and runs. A new entry starts now. During a deploy, two releases
// overwrite each other's entries, and each enqueues the runs of its own file.
func (s *Scheduler) register(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var now time.Time
		if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
			return fmt.Errorf("ask the database for the time: %w", err)
		}
		for _, entry := range s.entries {
			_, err := tx.Exec(ctx, `
				INSERT INTO recurring_tasks (key, kind, backend, schedule, enabled, last_run_at, next_run_at)
				VALUES ($1, $2, $3, $4, $5, now(), $7)
				ON CONFLICT (key) DO UPDATE
				SET kind = excluded.kind, backend = excluded.backend, schedule = excluded.schedule, updated_at = now(),
				    next_run_at = excluded.next_run_at,
				    -- What was switched off is not made up for; what is due at this moment is not lost.
				    last_run_at = CASE
				        WHEN excluded.enabled AND NOT recurring_tasks.enabled THEN greatest(recurring_tasks.last_run_at, now() - $6::interval)
				        ELSE recurring_tasks.last_run_at
				    END,
				    enabled = excluded.enabled`,
				entry.Key, entry.Handler.Kind, entry.Backend, entry.Text, entry.Enabled, 2*checkEvery, entry.next(now))
			if err != nil {
				return fmt.Errorf("register recurring work %s: %w", entry.Key, err)
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM recurring_tasks WHERE updated_at < now() - $1::interval`, entryRetention); err != nil {
			return fmt.Errorf("delete entries that no release has: %w", err)
		}
		if _, err := tx.Exec(ctx, `
			DELETE FROM recurring_runs r
			WHERE enqueued_at < now() - $1::interval
			  AND run_at < (SELECT max(newest.run_at) FROM recurring_runs newest WHERE newest.task_key = r.task_key)`, runRetention); err != nil {
			return fmt.Errorf("delete old runs of recurring work: %w", err)
		}
		return nil
	})
}

// next returns the first run after a time, nil when there is none.
func (e Entry) next(after time.Time) *time.Time {
	next := e.Schedule.Next(after)
	if next.IsZero() || !e.Enabled {
		return nil
	}
	return &next
}

// catchUp enqueues the runs of an entry that are due since the last handled run.
func (s *Scheduler) catchUp(ctx context.Context, entry Entry, last, now time.Time) error {
	due, handled := entry.due(last, now)
	for _, at := range due {
		if err := s.enqueue(ctx, entry, at, false); err != nil {
			return err
		}
	}
	if len(due) > 0 && due[len(due)-1].Equal(handled) || handled.Equal(last) {
		return nil
	}
	_, err := s.db.Exec(ctx, `UPDATE recurring_tasks SET last_run_at = greatest(last_run_at, $2) WHERE key = $1`, entry.Key, handled)
	if err != nil {
		return fmt.Errorf("record that missed runs are skipped: %w", err)
	}
	return nil
}

// enqueue enqueues one run. The row of the run, which is unique, and its job or
// task commit together.
func (s *Scheduler) enqueue(ctx context.Context, entry Entry, at time.Time, manual bool) error {
	var deliver func(context.Context)
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		fresh, err := tx.Exec(ctx, `INSERT INTO recurring_runs (task_key, run_at, manual) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			entry.Key, at, manual)
		if err != nil {
			return fmt.Errorf("insert the run of %s: %w", at.Format(time.RFC3339), err)
		}
		if fresh.RowsAffected() == 0 {
			return nil // another worker has enqueued it
		}
		if !manual {
			_, err := tx.Exec(ctx, `UPDATE recurring_tasks SET last_run_at = greatest(last_run_at, $2), next_run_at = $3 WHERE key = $1`,
				entry.Key, at, entry.next(at))
			if err != nil {
				return fmt.Errorf("store the time of the run: %w", err)
			}
		}
		if entry.Overlap == OverlapSkip && !manual {
			busy, err := s.busy(ctx, tx, entry, at)
			if err != nil {
				return err
			}
			if busy {
				_, err := tx.Exec(ctx, `UPDATE recurring_runs SET skipped = true WHERE task_key = $1 AND run_at = $2`, entry.Key, at)
				return err
			}
		}
		deliver, err = s.insert(ctx, tx, entry, at)
		return err
	})
	if err != nil {
		return err
	}
	if deliver != nil {
		deliver(ctx)
		level := slog.LevelDebug // scheduled runs are routine
		if manual {
			level = slog.LevelInfo
		}
		s.log.Log(ctx, level, "Recurring work was enqueued",
			"key", entry.Key, "kind", entry.Handler.Kind, "run_at", at.UTC().Format(time.RFC3339), "manual", manual)
	}
	return nil
}

// insert enqueues the job or task of one run, named by runID.
func (s *Scheduler) insert(ctx context.Context, tx pgx.Tx, entry Entry, at time.Time) (deliver func(context.Context), err error) {
	run := jobs.NamedRun{Name: runID(entry.Key, at), Handler: entry.Handler, Queue: entry.Queue, Args: entry.Args}
	if entry.Backend == jobs.Redis {
		return s.tasks.EnqueueRun(ctx, tx, run)
	}
	_, err = s.jobs.EnqueueRun(ctx, tx, run) // an equal unique job does its work
	return func(context.Context) {}, err
}

// busy reports whether the run that was enqueued before a run is not done.
func (s *Scheduler) busy(ctx context.Context, tx pgx.Tx, entry Entry, at time.Time) (bool, error) {
	var before time.Time
	err := tx.QueryRow(ctx, `
		SELECT run_at
		FROM recurring_runs
		WHERE task_key = $1 AND run_at <> $2 AND NOT skipped
		ORDER BY enqueued_at DESC, run_at DESC
		LIMIT 1`, entry.Key, at).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find the previous run: %w", err)
	}
	if entry.Backend == jobs.Redis {
		return s.tasks.RunUnfinished(ctx, tx, entry.Queue, runID(entry.Key, before))
	}
	return s.jobs.RunUnfinished(ctx, tx, runID(entry.Key, before))
}

// runID names one run of an entry.
func runID(key string, at time.Time) string {
	return jobs.RecurringPrefix + key + ":" + at.UTC().Format("2006-01-02T15:04:05.000000Z")
}
