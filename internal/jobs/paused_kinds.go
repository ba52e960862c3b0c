package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PausedKind is a kind of work that an operator paused.
type PausedKind struct {
	Backend  Backend   `json:"backend"`
	Kind     string    `json:"kind"`
	PausedAt time.Time `json:"paused_at"`
}

// PauseKind keeps the waiting work of a kind from running, until ResumeKind. Running
// work finishes, and other kinds of the queue go on. Workers do it within about a
// second, and know it after a restart of everything.
func PauseKind(ctx context.Context, db *pgxpool.Pool, backend Backend, kind string) error {
	_, err := db.Exec(ctx, `INSERT INTO paused_kinds (backend, kind) VALUES ($1, $2) ON CONFLICT DO NOTHING`, backend, kind)
	if err != nil {
		return fmt.Errorf("pause the kind %s: %w", kind, err)
	}
	return nil
}

// ResumeKind ends a pause. A kind may not be paused.
func ResumeKind(ctx context.Context, db *pgxpool.Pool, backend Backend, kind string) error {
	if _, err := db.Exec(ctx, `DELETE FROM paused_kinds WHERE backend = $1 AND kind = $2`, backend, kind); err != nil {
		return fmt.Errorf("resume the kind %s: %w", kind, err)
	}
	return nil
}

// PausedKinds returns the kinds that are paused.
func PausedKinds(ctx context.Context, db *pgxpool.Pool) ([]PausedKind, error) {
	rows, err := db.Query(ctx, `SELECT backend, kind, paused_at FROM paused_kinds ORDER BY backend, kind`)
	if err != nil {
		return nil, fmt.Errorf("list paused kinds: %w", err)
	}
	paused, err := pgx.CollectRows(rows, pgx.RowToStructByPos[PausedKind])
	if err != nil {
		return nil, fmt.Errorf("list paused kinds: %w", err)
	}
	return paused, nil
}
