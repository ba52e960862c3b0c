package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Deploy is the first start of a version of the application.
type Deploy struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

// Deploys returns the deploys of a time, the oldest first. A zero time has no bound.
func (h *History) Deploys(ctx context.Context, from, to time.Time) ([]Deploy, error) {
	rows, err := h.db.Query(ctx, `
		SELECT version, first_seen_at
		FROM app_versions
		WHERE first_seen_at >= $1 AND ($2::timestamptz IS NULL OR first_seen_at < $2)
		ORDER BY first_seen_at`, from, nullable(to))
	if err != nil {
		return nil, fmt.Errorf("list deploys: %w", err)
	}
	deploys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Deploy])
	if err != nil {
		return nil, fmt.Errorf("list deploys: %w", err)
	}
	return deploys, nil
}

// Private

// mostVersions bounds the versions that are remembered. One that comes back later
// than that counts as new.
const mostVersions = 500

// storeVersion stores the version of this process once. It is new when no process had
// it before.
func (r *Recorder) storeVersion(ctx context.Context) error {
	if r.versionStored {
		return nil
	}
	if _, err := r.db.Exec(ctx, `INSERT INTO app_versions (version) VALUES ($1) ON CONFLICT DO NOTHING`, r.version); err != nil {
		return fmt.Errorf("store the version of this process: %w", err)
	}
	r.versionStored = true
	return nil
}

func nullable(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
