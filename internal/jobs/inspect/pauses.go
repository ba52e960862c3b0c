package inspect

import (
	"context"
	"fmt"
	"slices"
)

// Pause is what an operator paused, so that work does not run before it is resumed.
type Pause string

// What can be paused.
const (
	KindPaused  Pause = "kind"
	QueuePaused Pause = "queue"
	BatchPaused Pause = "batch"
)

// Private

// pausable are the states in which a pause holds work back.
var pausable = []State{Pending, Scheduled, Retrying}

// markPaused sets what is paused of items.
func (i *Inspector) markPaused(ctx context.Context, items []Item) error {
	if !slices.ContainsFunc(items, func(item Item) bool { return slices.Contains(pausable, item.State) }) {
		return nil
	}
	var kinds, queues []string
	var batches bool
	err := i.db.QueryRow(ctx, `
		SELECT ARRAY(SELECT backend || ':' || kind FROM paused_kinds),
		       ARRAY(
		           SELECT 'pg:' || name FROM river_queue WHERE paused_at IS NOT NULL
		           UNION ALL
		           SELECT 'redis:' || queue FROM paused_task_queues
		       ),
		       EXISTS (SELECT FROM job_batches WHERE paused_at IS NOT NULL AND succeeded_at IS NULL)`).Scan(&kinds, &queues, &batches)
	if err != nil {
		return fmt.Errorf("read what is paused: %w", err)
	}
	for n := range items {
		item := &items[n]
		switch prefix := string(item.ID.Backend) + ":"; {
		case !slices.Contains(pausable, item.State):
		case slices.Contains(kinds, prefix+item.Kind):
			item.Paused = KindPaused
		case slices.Contains(queues, prefix+item.Queue):
			item.Paused = QueuePaused
		case item.parked && batches:
			item.Paused = BatchPaused
		}
	}
	return nil
}
