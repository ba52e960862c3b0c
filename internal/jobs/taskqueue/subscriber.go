package taskqueue

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Private

// subscriber is the Redis of one asynq server. The server subscribes to
// cancellations in a goroutine of its own, where a panic of the client would end
// the process: its subscriptions use connections that take nothing but messages.
type subscriber struct {
	*redis.Client
	subscribing *redis.Client
	last        *redis.PubSub
}

// Subscribe ends the subscription before. The server drops one that failed without
// closing it, and tries again every five seconds.
func (s *subscriber) Subscribe(ctx context.Context, channels ...string) *redis.PubSub {
	if s.last != nil {
		_ = s.last.Close()
	}
	s.last = s.subscribing.Subscribe(ctx, channels...)
	return s.last
}
