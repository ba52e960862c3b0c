package failopen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis makes guarded calls of one Redis. No method returns an error: each
// reports whether the call went well.
type Redis struct {
	guard  *Guard
	client *redis.Client // nil when no Redis is configured

	pipeline *AutoPipeline // of client
}

// Open makes a client of the guarded Redis. It does not wait for a connection.
// The error says that the address cannot be read.
func Open(guard *Guard) (*Redis, error) {
	if guard.Disabled() {
		return &Redis{guard: guard}, nil
	}
	options, err := QuickOptions(guard.options)
	if err != nil {
		return nil, err
	}
	r := &Redis{guard: guard, client: redis.NewClient(options), pipeline: NewAutoPipeline(options, nil)}
	r.client.AddHook(r.pipeline)
	return r, nil
}

// Close closes the connections.
func (r *Redis) Close() error {
	if r.client == nil {
		return nil
	}
	r.pipeline.Stop()
	if err := r.client.Close(); err != nil {
		return fmt.Errorf("close Redis: %w", err)
	}
	return nil
}

// Ping reports whether Redis takes writes. It returns false at once while the
// breaker is open.
func (r *Redis) Ping(ctx context.Context, source string) bool {
	return r.guard.Do(ctx, source, func(ctx context.Context) error {
		return r.client.Set(ctx, r.guard.options.key(probeKey), 1, time.Second).Err()
	})
}

// Private

// onKeys makes a guarded call that uses keys. When one of them holds a type that
// the call cannot use, the call fails and all of them are deleted: otherwise
// every later call would fail too.
func (r *Redis) onKeys(ctx context.Context, source string, keys []string, call func(context.Context) error) bool {
	return r.guard.Do(ctx, source, func(ctx context.Context) error {
		err := call(ctx)
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			return errors.Join(err, r.client.Del(ctx, keys...).Err())
		}
		return err
	})
}
