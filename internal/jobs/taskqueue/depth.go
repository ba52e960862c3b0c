package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
)

// Depth is how many tasks are in one queue.
type Depth struct {
	Queue     string
	Waiting   int           // for a worker
	Oldest    time.Duration // how long the oldest of them has waited
	Scheduled int
	Running   int
	Retrying  int // failed, and wait for another attempt
}

// DepthReader reads the depth of all queues, on one connection of its own.
type DepthReader struct {
	guard     *failopen.Guard
	namespace namespace
	redis     *redis.Client
	queues    []Queue // with their names in Redis
}

// NewDepthReader reads the Redis that guard protects, which must not be
// disabled.
func NewDepthReader(guard *failopen.Guard, queues []Queue) (*DepthReader, error) {
	bounds := guard.Options()
	bounds.PoolSize, bounds.MinIdle = 1, 0
	options, err := failopen.QuickOptions(bounds)
	if err != nil {
		return nil, err
	}
	n := namespace(bounds.Namespace)
	return &DepthReader{guard: guard, namespace: n, redis: redis.NewClient(options), queues: in(n, queues)}, nil
}

// Read returns the depth of every queue in Redis. It is not ok when Redis does
// not reply. Source names the caller in metrics.
func (d *DepthReader) Read(ctx context.Context, source string) (depths []Depth, ok bool) {
	ok = d.guard.Do(ctx, source, func(ctx context.Context) error {
		// An asynq client adds a queue to the set of queues only once. When Redis has
		// lost that set, tasks of later enqueues would stay invisible. An error is
		// ignored: a Redis that is full refuses this command.
		d.redis.SAdd(ctx, queuesKey, namesOf(d.queues))
		inspector := asynq.NewInspectorFromRedisClient(d.redis)
		all, err := inspector.Queues()
		if err != nil {
			return err
		}
		for _, queue := range all {
			name, own := d.namespace.name(queue)
			if !own {
				continue
			}
			info, err := inspector.GetQueueInfo(queue)
			if err != nil {
				return err
			}
			depths = append(depths, Depth{
				Queue: name, Waiting: info.Pending, Oldest: info.Latency,
				Scheduled: info.Scheduled, Running: info.Active, Retrying: info.Retry,
			})
		}
		return nil
	})
	return depths, ok
}

// Close ends the connection.
func (d *DepthReader) Close() error {
	if err := d.redis.Close(); err != nil {
		return fmt.Errorf("close the connection to the task queue: %w", err)
	}
	return nil
}
