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
	namespace   namespace
	last        *redis.PubSub
}

// Subscribe ends the subscription before. The server drops one that failed without
// closing it, and tries again every five seconds.
func (s *subscriber) Subscribe(ctx context.Context, channels ...string) *redis.PubSub {
	if s.last != nil {
		_ = s.last.Close()
	}
	own := make([]string, len(channels))
	for i, channel := range channels {
		own[i] = s.namespace.channel(s.subscribing.Options().DB, channel)
	}
	s.last = s.subscribing.Subscribe(ctx, own...)
	return s.last
}

// canceller is the Redis of an asynq inspector, which publishes cancellations. Two
// installations may have a task with the same id.
type canceller struct {
	*redis.Client
	namespace namespace
}

// Publish publishes in the channel of this installation.
func (c *canceller) Publish(ctx context.Context, channel string, message any) *redis.IntCmd {
	return c.Client.Publish(ctx, c.namespace.channel(c.Options().DB, channel), message)
}
