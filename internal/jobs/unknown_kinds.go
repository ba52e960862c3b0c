package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// unknownKinds logs the kinds of jobs that wait although this release has no
// handler of them: River leaves them to workers of another release.
type unknownKinds struct {
	db     *pgxpool.Pool
	known  []string
	queues []string // that this worker works
	log    *slog.Logger
}

// unknownKindsEvery is the interval of the search.
const unknownKindsEvery = time.Minute

// run searches until ctx ends.
func (u unknownKinds) run(ctx context.Context) {
	ticker := time.NewTicker(unknownKindsEvery)
	defer ticker.Stop()
	for {
		u.search(ctx) // an error shows in /health: the probe of the database finds it too
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (u unknownKinds) search(ctx context.Context) {
	kinds, err := u.find(ctx)
	if err != nil {
		return
	}
	for _, kind := range kinds {
		u.log.WarnContext(ctx, "Jobs wait for a worker of another release, because this one has no handler of their kind", "kind", kind)
	}
}

// find returns the kinds. It reads one row for each kind that waits, by the index
// river_job_inspect.
func (u unknownKinds) find(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	rows, err := u.db.Query(ctx, `
		WITH RECURSIVE waiting AS (
			SELECT names.queue, (
				SELECT min(kind) FROM river_job WHERE state = 'available' AND queue = names.queue
			) AS kind
			FROM unnest($1::text[]) AS names (queue)
			UNION ALL
			SELECT waiting.queue, (
				SELECT min(kind) FROM river_job WHERE state = 'available' AND queue = waiting.queue AND kind > waiting.kind
			)
			FROM waiting
			WHERE waiting.kind IS NOT NULL
		)
		SELECT DISTINCT kind FROM waiting WHERE kind IS NOT NULL AND kind <> ALL($2::text[]) ORDER BY kind`, u.queues, u.known)
	if err != nil {
		return nil, fmt.Errorf("find kinds without a handler: %w", err)
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find kinds without a handler: %w", err)
	}
	return kinds, nil
}
