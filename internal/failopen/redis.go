package failopen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is what the program uses Redis for, besides tasks. Every method
// returns a value and whether there is one; none returns an error.
type Redis struct {
	guard  *Guard
	client *redis.Client // nil when disabled
}

// Open prepares to use the guarded Redis. It does not connect.
func Open(guard *Guard) (*Redis, error) {
	if guard.Disabled() {
		return &Redis{guard: guard}, nil
	}
	options, err := QuickOptions(guard.options)
	if err != nil {
		return nil, err
	}
	return &Redis{guard: guard, client: redis.NewClient(options)}, nil
}

// Close ends the connections.
func (r *Redis) Close() error {
	if r.client == nil {
		return nil
	}
	if err := r.client.Close(); err != nil {
		return fmt.Errorf("close Redis: %w", err)
	}
	return nil
}

// Ping tells whether Redis answers, through the guard: while the guard refuses
// calls it returns false at once.
func (r *Redis) Ping(ctx context.Context, source string) bool {
	return r.guard.Do(ctx, source, func(ctx context.Context) error {
		return r.client.Set(ctx, "slipway:probe", 1, time.Second).Err()
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
