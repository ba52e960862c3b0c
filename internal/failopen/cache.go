package failopen

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Answer is what Redis says about a key.
type Answer int

// NoAnswer is not Missing: Redis did not say.
const (
	NoAnswer Answer = iota
	Missing
	Found
)

// Get reads what Set stored under key.
func (r *Redis) Get(ctx context.Context, source, key string) (value []byte, answer Answer) {
	said := r.on(ctx, source, []string{key}, func(ctx context.Context) error {
		stored, err := r.client.Get(ctx, key).Bytes()
		switch {
		case errors.Is(err, redis.Nil):
			answer = Missing
			return nil
		case err == nil:
			value, answer = stored, Found
		}
		return err
	})
	if !said {
		return nil, NoAnswer
	}
	return value, answer
}

// Set stores value under key for life, over whatever is there, and tells
// whether Redis took it.
func (r *Redis) Set(ctx context.Context, source, key string, value []byte, life time.Duration) bool {
	return r.guard.Do(ctx, source, func(ctx context.Context) error {
		return r.client.Set(ctx, key, value, life).Err()
	})
}
