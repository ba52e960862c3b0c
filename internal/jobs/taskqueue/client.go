package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"slipway/internal/failopen"
)

// Client enqueues tasks within the time limits of a guard. Without a Redis it
// refuses all of them.
type Client struct {
	guard     *failopen.Guard
	namespace namespace
	redis     *redis.Client // nil without Redis
	single    sender
	bulk      sender
	pipeline  *failopen.AutoPipeline // of bulk
}

// NewClient returns a client of the Redis that guard protects.
func NewClient(guard *failopen.Guard) (*Client, error) {
	client := &Client{guard: guard, namespace: namespace(guard.Options().Namespace)}
	if guard.Disabled() {
		return client, nil
	}
	options, err := failopen.QuickOptions(guard.Options())
	if err != nil {
		return nil, err
	}
	client.redis = redis.NewClient(options)
	client.single = sender{client.redis, asynq.NewClientFromRedisClient(client.redis)}
	client.pipeline = failopen.NewAutoPipeline(options, isNoAnswer)
	bulk := redis.NewClient(options)
	bulk.AddHook(client.pipeline)
	client.bulk = sender{bulk, asynq.NewClientFromRedisClient(bulk)}
	return client, nil
}

// Enqueue sends tasks to Redis and returns the outcome of each. Source names the
// caller in metrics. More than enqueuedAtOnce tasks take longer than the calls of
// one request may: each part has the time of one call, and the rest is refused once
// Redis does not take a part.
func (c *Client) Enqueue(ctx context.Context, source string, messages ...Message) []Outcome {
	if len(messages) <= enqueuedAtOnce {
		return c.enqueuePart(ctx, source, messages)
	}
	ctx = failopen.WithoutBudget(ctx)
	outcomes := make([]Outcome, 0, len(messages))
	for part := range slices.Chunk(messages, enqueuedAtOnce) {
		sent := c.enqueuePart(ctx, source, part)
		outcomes = append(outcomes, sent...)
		if slices.Contains(sent, Refused) {
			break
		}
	}
	return append(outcomes, slices.Repeat([]Outcome{Refused}, len(messages)-len(outcomes))...)
}

// Has reports whether Redis has the task, in any state. It is not ok when Redis
// does not reply.
func (c *Client) Has(ctx context.Context, source, queue, id string) (has, ok bool) {
	ok = c.guard.Do(ctx, source, func(ctx context.Context) error {
		found, err := c.redis.Exists(ctx, taskKey(c.namespace.queue(queue), id)).Result()
		has = found > 0
		return err
	})
	return has, ok
}

// State returns the state of the task. It is empty when Redis has no such task
// or does not reply.
func (c *Client) State(ctx context.Context, source, queue, id string) (state State) {
	if c.redis == nil {
		return ""
	}
	c.guard.Do(ctx, source, func(ctx context.Context) error {
		found, err := c.redis.HGet(ctx, taskKey(c.namespace.queue(queue), id), stateField).Result()
		if isNothing(err) {
			return nil
		}
		state = State(found)
		return err
	})
	return state
}

// Close ends the connections.
func (c *Client) Close() error {
	if c.redis == nil {
		return nil
	}
	c.pipeline.Stop()
	if err := errors.Join(c.redis.Close(), c.bulk.redis.Close()); err != nil {
		return fmt.Errorf("close the connections to the task queue: %w", err)
	}
	return nil
}

// Private

// enqueuedAtOnce is the most tasks that one call of the guard sends. They take a
// small part of the time that the guard gives a call.
const enqueuedAtOnce = failopen.PipelinedAtOnce

// enqueuePart sends tasks to Redis in one call of the guard.
func (c *Client) enqueuePart(ctx context.Context, source string, part []Message) []Outcome {
	outcomes := slices.Repeat([]Outcome{Refused}, len(part))
	c.guard.Do(ctx, source, func(ctx context.Context) (err error) {
		if len(part) == 1 {
			outcomes[0], err = c.enqueue(ctx, c.single, part[0])
			return err
		}
		group, ctx := errgroup.WithContext(ctx) // the first failure ends the others
		for i, message := range part {
			group.Go(func() (err error) {
				outcomes[i], err = c.enqueue(ctx, c.bulk, message)
				return err
			})
		}
		return group.Wait()
	})
	return outcomes
}

func (c *Client) enqueue(ctx context.Context, via sender, message Message) (Outcome, error) {
	if len(message.Unique) > 0 {
		if message.ID == "" {
			message.ID = uuid.NewString()
		}
		if claimed, err := claim(ctx, via.redis, c.namespace, message); err != nil || !claimed {
			return duplicateOr(err)
		}
	}
	_, err := via.asynq.EnqueueContext(ctx, message.task(), message.options(c.namespace)...)
	return outcomeOf(err)
}

// sender is a connection to Redis, and asynq's view of it.
type sender struct {
	redis *redis.Client
	asynq *asynq.Client
}
