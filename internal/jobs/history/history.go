// Package history stores figures of jobs and tasks by time: how many ran and how
// they ended, how long they took and waited, and how many were in each queue.
// Processes record them in the background, and pages read them. All times are by
// the clock of the database.
package history

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/postgres"
)

const (
	// FineFor is how long figures are kept by minute. Coarser ones are kept for Kept.
	FineFor = 72 * time.Hour
	// Kept is how long figures and depths are kept.
	Kept = 7 * 24 * time.Hour
)

// History reads what a Recorder stored.
type History struct{ db *pgxpool.Pool }

// New returns the history in db.
func New(db *pgxpool.Pool) *History { return &History{db} }

// Private

// now is the time by the clock of the database.
func (h *History) now(ctx context.Context) (time.Time, error) {
	now, err := postgres.Now(ctx, h.db)
	return now.UTC(), err
}
