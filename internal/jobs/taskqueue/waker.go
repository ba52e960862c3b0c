package taskqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Waker makes tasks pending that wait for their time.
type Waker struct {
	redis     *redis.Client
	namespace namespace
}

// Wake moves a snoozed task to the head of its queue, and returns the state of the
// task: Pending when it was moved or was there, empty when Redis does not have it.
// A task that is about to be snoozed is Active. Wake waits at most within for it.
func (w *Waker) Wake(ctx context.Context, within time.Duration, queue, id string) (State, error) {
	stored := w.namespace.queue(queue)
	keys := []string{taskKey(stored, id), pendingKey(stored), retryKey(stored), scheduledKey(stored)}
	poll := time.NewTicker(wakePoll)
	defer poll.Stop()
	for deadline := time.Now().Add(within); ; {
		state, err := wakeTask.Run(ctx, w.redis, keys, id, time.Now().UnixNano()).Text()
		if err != nil {
			return "", fmt.Errorf("wake the task %s: %w", id, err)
		}
		if State(state) != Active || !time.Now().Before(deadline) {
			return State(state), nil
		}
		select {
		case <-ctx.Done():
			return Active, nil
		case <-poll.C:
		}
	}
}

// Private

// wakePoll is the interval between two looks at a task that still runs.
const wakePoll = 3 * time.Millisecond

// wakeTask returns the state of a task, after it has moved a waiting one.
var wakeTask = redis.NewScript(`
	local state = redis.call('HGET', KEYS[1], 'state') or ''
	if redis.call('ZREM', KEYS[3], ARGV[1]) + redis.call('ZREM', KEYS[4], ARGV[1]) == 0 then
		return state
	end
	redis.call('RPUSH', KEYS[2], ARGV[1])
	redis.call('HSET', KEYS[1], 'state', 'pending', 'pending_since', ARGV[2])
	return 'pending'
`)
