package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/postgres"
)

// MostCausedBy is the most items that CausedBy returns.
const MostCausedBy = 100

// CausedBy returns jobs that a job or task enqueued, the newest first.
func (i *Inspector) CausedBy(ctx context.Context, id ID) ([]Item, error) {
	return i.causedBy(ctx, jobs.ParentKey, id.String())
}

// CausedByRequest returns jobs that an HTTP request enqueued, itself or by other jobs
// and tasks, the newest first.
func (i *Inspector) CausedByRequest(ctx context.Context, request string) ([]Item, error) {
	return i.causedBy(ctx, jobs.RequestKey, request)
}

// Private

// causedBy finds jobs by River's index of metadata.
func (i *Inspector) causedBy(ctx context.Context, name, value string) ([]Item, error) {
	var ids []int64
	err := postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL enable_bitmapscan = on`); err != nil {
			return err
		}
		var err error
		ids, err = collectIDs(tx.Query(ctx, `
			WITH hits AS MATERIALIZED (
				SELECT id FROM river_job WHERE metadata @> $1::jsonb
			)
			SELECT id FROM hits ORDER BY id DESC LIMIT $2`, nested([]string{name}, quotedJSON(value)), MostCausedBy))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find what %s enqueued: %w", value, err)
	}
	stored, err := i.selectJobs(ctx, listedColumns, ids)
	if err != nil {
		return nil, err
	}
	items := make([]Item, len(stored))
	for n, job := range stored {
		items[n] = i.itemOfListedJob(job)
	}
	return items, nil
}

// addDetails adds what only Show returns.
func (i *Inspector) addDetails(ctx context.Context, item *Item) error {
	if item.ID.Backend == jobs.PG {
		if err := i.addJobDetails(ctx, item); err != nil {
			return err
		}
	}
	work := item.ID.Task
	if item.ID.Backend == jobs.PG {
		work = strconv.FormatInt(item.ID.Job, 10)
	}
	err := i.db.QueryRow(ctx, `
		SELECT key, woken_at IS NULL
		FROM key_waiters
		WHERE backend = $1 AND work_id = $2`, item.ID.Backend, work).Scan(&item.LimitKey, &item.LimitWaits)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the key of %s: %w", item.ID, err)
	}
	return nil
}

func (i *Inspector) addJobDetails(ctx context.Context, item *Item) error {
	var stored []byte
	err := i.db.QueryRow(ctx, `
		SELECT tags, metadata, unique_key IS NOT NULL
		FROM river_job
		WHERE id = $1`, item.ID.Job).Scan(&item.Tags, &stored, &item.Unique)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", item.ID, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("read job %s: %w", item.ID, err)
	}
	item.Metadata = i.mask.Args(item.Kind, stored)
	var metadata map[string]json.RawMessage
	if json.Unmarshal(stored, &metadata) != nil {
		return nil // other programs write there too
	}
	text := func(name string) (value string) {
		_ = json.Unmarshal(metadata[name], &value) // what is no text is left out
		return value
	}
	item.RequestID, item.Parent, item.Batch = text(jobs.RequestKey), text(jobs.ParentKey), text(jobs.BatchKey)
	item.ExpiresAt, _ = time.Parse(time.RFC3339Nano, text(jobs.ExpiresAtKey)) // zero: it does not expire
	return nil
}
