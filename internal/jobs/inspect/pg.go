package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// Private

// riverStates are River's names of each state.
var riverStates = map[State][]string{
	Pending: {"available"}, Scheduled: {"scheduled", "pending"}, Running: {"running"}, Retrying: {"retryable"},
	Failed: {"discarded"}, Cancelled: {"cancelled"}, Done: {"completed"},
}

func insertOnly(db *pgxpool.Pool) (*river.Client[pgx.Tx], error) {
	client, err := river.NewClient(riverpgxv5.New(db), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return client, nil
}

const jobColumns = `id, kind, queue, state::text, args, attempt, max_attempts, created_at, scheduled_at, attempted_at, finalized_at,
	coalesce(attempted_by[array_upper(attempted_by, 1)], ''), coalesce(to_jsonb(errors), '[]')`

func (i *Inspector) listJobs(ctx context.Context, filter Filter) ([]Item, error) {
	var states []string
	if filter.State != "" {
		states = riverStates[filter.State]
	}
	rows, err := i.db.Query(ctx, `
		SELECT `+jobColumns+`
		FROM river_job
		WHERE ($1 = '' OR queue = $1)
		  AND ($2 = '' OR kind = $2)
		  AND ($3::text[] IS NULL OR state = ANY($3::text[]::river_job_state[]))
		ORDER BY id DESC
		LIMIT $4`, filter.Queue, filter.Kind, states, filter.Limit)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	items, err := pgx.CollectRows(rows, i.scanJob)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return items, nil
}

func (i *Inspector) showJob(ctx context.Context, id ID) (Item, error) {
	rows, err := i.db.Query(ctx, `SELECT `+jobColumns+` FROM river_job WHERE id = $1`, id.Job)
	if err != nil {
		return Item{}, fmt.Errorf("read job %s: %w", id, err)
	}
	item, err := pgx.CollectExactlyOneRow(rows, i.scanJob)
	if errors.Is(err, pgx.ErrNoRows) {
		return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Item{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return item, nil
}

func (i *Inspector) scanJob(row pgx.CollectableRow) (Item, error) {
	item := Item{ID: ID{Backend: jobs.PG}}
	var state string
	var args, failures []byte
	var startedAt, finishedAt *time.Time
	err := row.Scan(&item.ID.Job, &item.Kind, &item.Queue, &state, &args, &item.Attempt, &item.MaxAttempts,
		&item.CreatedAt, &item.RunAt, &startedAt, &finishedAt, &item.Worker, &failures)
	if err != nil {
		return Item{}, err
	}
	item.Args = masked(args, i.hidden(item.Kind, args))
	if startedAt != nil {
		item.StartedAt = *startedAt
	}
	if finishedAt != nil {
		item.FinishedAt = *finishedAt
	}
	for ours, theirs := range riverStates {
		if slices.Contains(theirs, state) {
			item.State = ours
		}
	}
	if item.State != Running {
		item.Worker = ""
	}
	var attempts []rivertype.AttemptError
	if err := json.Unmarshal(failures, &attempts); err != nil {
		return Item{}, fmt.Errorf("read the failures of %s: %w", item.ID, err)
	}
	for _, attempt := range attempts {
		item.Error = telemetry.Scrub(attempt.Error)
		item.Errors = append(item.Errors, Attempt{
			Number: attempt.Attempt, At: attempt.At, Error: item.Error, Trace: telemetry.Scrub(attempt.Trace),
		})
	}
	return item, nil
}

func (i *Inspector) actOnJob(ctx context.Context, action Action, id ID) error {
	var err error
	switch action {
	case Retry, RunNow:
		_, err = i.river.JobRetry(ctx, id.Job)
	case Cancel:
		_, err = i.river.JobCancel(ctx, id.Job)
	case Discard:
		_, err = i.river.JobDelete(ctx, id.Job)
	}
	if errors.Is(err, rivertype.ErrNotFound) {
		return ErrNotFound
	}
	if errors.Is(err, rivertype.ErrJobRunning) {
		return fmt.Errorf("%w: it is running", ErrState)
	}
	return err
}
