package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrCancelled is the error of a task that an operator cancelled.
var ErrCancelled = errors.New("cancelled")

// Cancellations are marks on tasks that an operator cancelled. A worker does not
// run a marked task again.
type Cancellations struct {
	redis     *redis.Client
	namespace namespace
}

// Mark marks a task as cancelled. The mark ends after a day.
func (c *Cancellations) Mark(ctx context.Context, id string) error {
	if err := c.redis.Set(ctx, c.namespace.cancelled(id), 1, markRetention).Err(); err != nil {
		return fmt.Errorf("mark the task %s as cancelled: %w", id, ofRedis(err))
	}
	return nil
}

// Unmark lets a task run again.
func (c *Cancellations) Unmark(ctx context.Context, id string) error {
	if err := c.redis.Del(ctx, c.namespace.cancelled(id)).Err(); err != nil {
		return fmt.Errorf("remove the cancellation mark of the task %s: %w", id, ofRedis(err))
	}
	return nil
}

// Has reports whether a task is marked.
func (c *Cancellations) Has(ctx context.Context, id string) (bool, error) {
	marks, err := c.redis.Exists(ctx, c.namespace.cancelled(id)).Result()
	return marks > 0, err
}

// Private

// marked returns those of the tasks that are marked.
func (c *Cancellations) marked(ctx context.Context, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.namespace.cancelled(id)
	}
	marks, err := c.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("look for cancelled tasks: %w", err)
	}
	var marked []string
	for i, mark := range marks {
		if mark != nil {
			marked = append(marked, ids[i])
		}
	}
	return marked, nil
}

const markRetention = 24 * time.Hour
