package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Depth is how much work is in one queue now.
type Depth struct {
	Backend string         `json:"backend"`
	Queue   string         `json:"queue"`
	Counts  map[string]int `json:"counts"` // by state; a state that nobody could count is missing
	Oldest  time.Duration  `json:"oldest"` // how long the oldest pending one has been due
}

// DepthPoint is the depth of one queue in one step: the largest of each number.
type DepthPoint struct {
	At time.Time `json:"at"` // start of the step
	Depth
}

// The states of Depth.Counts, named as operators see them.
const (
	Pending   = "pending" // due, and waits for a worker
	Scheduled = "scheduled"
	Running   = "running"
	Retrying  = "retrying"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// States are all of them.
var States = []string{Pending, Scheduled, Running, Retrying, Failed, Cancelled}

// Depths returns the depth of each queue in each step, the oldest first. Steps
// without a sample are missing, for example while a backend was unavailable.
func (h *History) Depths(ctx context.Context, q Query) ([]DepthPoint, error) {
	now, err := h.now(ctx)
	if err != nil {
		return nil, err
	}
	s := q.spanAt(now)
	rows, err := h.db.Query(ctx, `
		SELECT extract(epoch FROM at)::bigint / $1 * $1 AS bin, backend, queue, max(oldest_ms),
		       ARRAY[max(pending), max(scheduled), max(running), max(retrying), max(failed), max(cancelled)]
		FROM job_depths
		WHERE at >= $2 AND at < $3 AND ($4 = '' OR backend = $4) AND ($5 = '' OR queue = $5)
		GROUP BY 1, 2, 3
		ORDER BY 1, 2, 3`, s.seconds(), s.from, s.to, q.Backend, q.Queue)
	if err != nil {
		return nil, fmt.Errorf("read the depths of queues: %w", err)
	}
	points, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DepthPoint, error) {
		point := DepthPoint{Depth: Depth{Counts: map[string]int{}}}
		var at, oldest int64
		var counts []*int
		err := row.Scan(&at, &point.Backend, &point.Queue, &oldest, &counts)
		point.At, point.Oldest = time.Unix(at, 0).UTC(), time.Duration(oldest)*time.Millisecond
		for i, count := range counts {
			if count != nil {
				point.Counts[States[i]] = *count
			}
		}
		return point, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the depths of queues: %w", err)
	}
	return points, nil
}

// Private

// storeDepths stores the depths once a minute, unless another process has done so.
func (r *Recorder) storeDepths(ctx context.Context, depths func() []Depth) error {
	minute := r.presentMinute()
	if depths == nil || minute == r.sampledMinute {
		return nil
	}
	now := depths()
	if len(now) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, depth := range now {
		counts := make([]*int, len(States))
		for i, state := range States {
			if count, known := depth.Counts[state]; known {
				counts[i] = &count
			}
		}
		batch.Queue(`
			INSERT INTO job_depths (at, backend, queue, pending, scheduled, running, retrying, failed, cancelled, oldest_ms)
			VALUES (date_trunc('minute', now()), $1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT DO NOTHING`, depth.Backend, depth.Queue, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5],
			max(depth.Oldest, 0).Milliseconds())
	}
	if err := r.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store the depths of queues: %w", err)
	}
	r.sampledMinute = minute
	return nil
}
