package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/postgres"
)

// Recurring is one entry of config/recurring.yml, as the workers registered it.
type Recurring struct {
	Key      string       `json:"key"`
	Kind     string       `json:"kind"`
	Backend  jobs.Backend `json:"backend"`
	Schedule string       `json:"schedule"`
	Enabled  bool         `json:"enabled"` // in the file
	Paused   *time.Time   `json:"paused_at"`
	Last     *time.Time   `json:"last_run_at"`
	Next     *time.Time   `json:"next_run_at"`
	Runs     int          `json:"runs"` // of the last day
	Skipped  int          `json:"skipped"`
}

// RunsOf are the last runs of one entry, the newest first.
type RunsOf struct {
	Key  string         `json:"key"`
	Runs []RecurringRun `json:"runs"`
}

// RecurringRun is one run of an entry.
type RecurringRun struct {
	RunAt  time.Time `json:"run_at"`
	Manual bool      `json:"manual"` // an operator asked for it
	// Outcome is done, failed, cancelled, open (it waits or runs), skipped, because the
	// run before was not done, ended, when its job was deleted since, or sent, for a task
	// that has not failed for good.
	Outcome string `json:"outcome"`
}

// MostRuns is how many runs of each entry RecurringRuns returns.
const MostRuns = 20

// Recurring returns the entries that workers registered recently.
func (i *Inspector) Recurring(ctx context.Context) ([]Recurring, error) {
	rows, err := i.db.Query(ctx, `
		SELECT t.key, t.kind, t.backend, t.schedule, t.enabled, t.paused_at, max(r.run_at), t.next_run_at,
		       count(r.run_at), count(r.run_at) FILTER (WHERE r.skipped)
		FROM recurring_tasks t
		LEFT JOIN recurring_runs r ON r.task_key = t.key
		WHERE t.updated_at > now() - interval '5 minutes'
		   OR NOT EXISTS (SELECT FROM recurring_tasks WHERE updated_at > now() - interval '5 minutes')
		GROUP BY t.key
		ORDER BY t.key`)
	if err != nil {
		return nil, fmt.Errorf("list recurring work: %w", err)
	}
	recurring, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Recurring])
	if err != nil {
		return nil, fmt.Errorf("list recurring work: %w", err)
	}
	return recurring, nil
}

// RecurringRuns returns the last runs of every entry, with what became of each. The
// outcome of a task is read in PostgreSQL alone, where only failed tasks are.
func (i *Inspector) RecurringRuns(ctx context.Context) (all []RunsOf, err error) {
	err = postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		all, err = readRuns(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs of recurring work: %w", err)
	}
	return all, nil
}

// PauseRecurring stops the scheduler from enqueueing runs of an entry until
// ResumeRecurring, over restarts and deploys. An empty key means all entries.
func (i *Inspector) PauseRecurring(ctx context.Context, key string) error {
	return i.changeRecurring(ctx, key, `
		UPDATE recurring_tasks
		SET paused_at = coalesce(paused_at, now())
		WHERE key = $1 OR $1 = ''`)
}

// ResumeRecurring ends a pause. Runs that fell into it are not made up for.
func (i *Inspector) ResumeRecurring(ctx context.Context, key string) error {
	return i.changeRecurring(ctx, key, `
		UPDATE recurring_tasks
		SET last_run_at = CASE WHEN paused_at IS NULL THEN last_run_at ELSE greatest(last_run_at, now()) END, paused_at = NULL
		WHERE key = $1 OR $1 = ''`)
}

// Private

// readRuns finds the jobs of runs by River's index of metadata, which only a bitmap scan
// can use.
func readRuns(ctx context.Context, tx pgx.Tx) ([]RunsOf, error) {
	if _, err := tx.Exec(ctx, `SET LOCAL enable_bitmapscan = on`); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT t.key, r.run_at, r.manual, CASE
		           WHEN r.skipped THEN 'skipped'
		           WHEN t.backend = 'redis' THEN CASE
		               WHEN f.id IS NULL THEN 'sent' WHEN f.cancelled THEN 'cancelled' ELSE 'failed'
		           END
		           WHEN j.state IS NULL THEN 'ended'
		           WHEN j.state = 'completed' THEN 'done'
		           WHEN j.state = 'discarded' THEN 'failed'
		           WHEN j.state = 'cancelled' THEN 'cancelled'
		           ELSE 'open'
		       END
		FROM recurring_tasks t
		CROSS JOIN LATERAL (
			SELECT run_at, manual, skipped,
			       $2::text || t.key || ':' || to_char(run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS name
			FROM recurring_runs
			WHERE task_key = t.key
			ORDER BY run_at DESC
			LIMIT $1
		) r
		LEFT JOIN LATERAL (
			SELECT state FROM river_job
			WHERE t.backend = 'pg' AND metadata @> jsonb_build_object($3::text, r.name)
			LIMIT 1
		) j ON true
		LEFT JOIN failed_tasks f ON t.backend = 'redis' AND f.id = r.name
		ORDER BY t.key, r.run_at DESC`, MostRuns, jobs.RecurringPrefix, jobs.RunKey)
	if err != nil {
		return nil, err
	}
	var all []RunsOf
	var key string
	var run RecurringRun
	_, err = pgx.ForEachRow(rows, []any{&key, &run.RunAt, &run.Manual, &run.Outcome}, func() error {
		if len(all) == 0 || all[len(all)-1].Key != key {
			all = append(all, RunsOf{Key: key})
		}
		all[len(all)-1].Runs = append(all[len(all)-1].Runs, run)
		return nil
	})
	return all, err
}

func (i *Inspector) changeRecurring(ctx context.Context, key, statement string) error {
	changed, err := i.db.Exec(ctx, statement, key)
	if err != nil {
		return fmt.Errorf("pause or resume recurring work: %w", err)
	}
	if key != "" && changed.RowsAffected() == 0 {
		return fmt.Errorf("recurring work %q: %w", key, ErrNotFound)
	}
	return nil
}
