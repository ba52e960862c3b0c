package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// PausedTasks are the tasks of paused kinds. Such a task waits as one that is
// snoozed, in asynq's set of retries. A sorted set for each queue and kind holds their
// ids, so that they are found in their order when the pause ends. A task that the set
// misses runs when its snooze ends.
type PausedTasks struct {
	redis     *redis.Client
	namespace namespace
}

// Add notes a task that its worker is about to snooze.
func (p *PausedTasks) Add(ctx context.Context, task Run) error {
	at := task.EnqueuedAt
	if at.IsZero() {
		at = time.Now()
	}
	note := redis.Z{Score: float64(at.UnixMicro()), Member: task.ID}
	if err := p.redis.ZAdd(ctx, p.namespace.paused(task.Queue, task.Kind), note).Err(); err != nil {
		return fmt.Errorf("note the paused task %s: %w", task.ID, err)
	}
	return nil
}

// Release makes the oldest tasks of a kind pending, at most releasedAtOnce. It reports
// whether there may be more. A task that its worker has not snoozed yet stays for the
// next call.
func (p *PausedTasks) Release(ctx context.Context, queue, kind string) (more bool, err error) {
	stored := p.namespace.queue(queue)
	keys := []string{p.namespace.paused(queue, kind), pendingKey(stored), retryKey(stored)}
	released, err := releasePaused.Run(ctx, p.redis, keys, taskPrefix(stored), releasedAtOnce, time.Now().UnixNano()).Int()
	if err != nil {
		return false, fmt.Errorf("release the tasks of the kind %s: %w", kind, err)
	}
	return released == releasedAtOnce, nil
}

// Private

// releasedAtOnce bounds the tasks that one script moves, which blocks Redis for a
// millisecond or two.
const releasedAtOnce = 200

// releasePaused moves tasks behind those that wait. It returns how many ids it has
// taken from the set.
var releasePaused = redis.NewScript(`
	local taken = 0
	for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
		if redis.call('HGET', ARGV[1] .. id, 'state') ~= 'active' then
			redis.call('ZREM', KEYS[1], id)
			taken = taken + 1
			if redis.call('ZREM', KEYS[3], id) == 1 then
				redis.call('LPUSH', KEYS[2], id)
				redis.call('HSET', ARGV[1] .. id, 'state', 'pending', 'pending_since', ARGV[3])
			end
		end
	end
	return taken
`)
