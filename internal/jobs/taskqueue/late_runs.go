package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// LateFor is how long a mark of LateRuns lasts. The worker that runs the handler
// renews it, so a mark ends with its worker.
const LateFor = 30 * time.Second

// LateRuns are marks on tasks whose attempt has ended although its handler still
// runs. No worker begins the next attempt of a marked task.
type LateRuns struct {
	redis     *redis.Client
	namespace namespace
}

// Mark marks a task for LateFor.
func (l *LateRuns) Mark(ctx context.Context, id string) error {
	if err := l.redis.Set(ctx, l.namespace.late(id), 1, LateFor).Err(); err != nil {
		return fmt.Errorf("mark the task %s as running: %w", id, err)
	}
	return nil
}

// Unmark lets the next attempt begin.
func (l *LateRuns) Unmark(ctx context.Context, id string) error {
	if err := l.redis.Del(ctx, l.namespace.late(id)).Err(); err != nil {
		return fmt.Errorf("unmark the task %s: %w", id, err)
	}
	return nil
}

// Has reports whether a task is marked.
func (l *LateRuns) Has(ctx context.Context, id string) (bool, error) {
	marks, err := l.redis.Exists(ctx, l.namespace.late(id)).Result()
	return marks > 0, err
}
