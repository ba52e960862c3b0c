package failopen

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lookup is the outcome of Get.
type Lookup int

// Unavailable is the zero value: Redis did not reply, and the key may exist.
const (
	Unavailable Lookup = iota
	Missing
	Found
)

// Get reads the value that Set stored under key. The value is nil unless the
// key is Found.
func (r *Redis) Get(ctx context.Context, source, key string) (value []byte, lookup Lookup) {
	key = r.guard.options.key(key)
	ok := r.onKeys(ctx, source, []string{key}, func(ctx context.Context) error {
		stored, err := r.client.Get(ctx, key).Bytes()
		switch {
		case errors.Is(err, redis.Nil):
			lookup = Missing
			return nil
		case err == nil:
			value, lookup = stored, Found
		}
		return err
	})
	if !ok {
		return nil, Unavailable
	}
	return value, lookup
}

// Set stores value under key for life, in place of any other value, and
// reports whether Redis took it.
func (r *Redis) Set(ctx context.Context, source, key string, value []byte, life time.Duration) bool {
	return r.guard.Do(ctx, source, func(ctx context.Context) error {
		return r.client.Set(ctx, r.guard.options.key(key), value, life).Err()
	})
}

// Delete deletes keys and reports whether Redis replied.
func (r *Redis) Delete(ctx context.Context, source string, keys ...string) bool {
	return r.guard.Do(ctx, source, func(ctx context.Context) error {
		return r.client.Del(ctx, r.keys(keys)...).Err()
	})
}

// Lifetimes returns the keys that match pattern, and how long each of them has
// left. It scans all keys of Redis: use it for operators, never in a request.
func (r *Redis) Lifetimes(ctx context.Context, source, pattern string) (map[string]time.Duration, bool) {
	lifetimes := map[string]time.Duration{}
	cursor := uint64(0)
	for {
		ok := r.guard.Do(ctx, source, func(ctx context.Context) (err error) {
			cursor, err = r.scan(ctx, cursor, r.guard.options.key(pattern), lifetimes)
			return err
		})
		if !ok {
			return nil, false
		}
		if cursor == 0 {
			return lifetimes, true
		}
	}
}

// Private

// scanBatch is the number of keys that one step of a scan covers.
const scanBatch = 1000

// scan adds one batch of keys to lifetimes. The next cursor is 0 at the end.
func (r *Redis) scan(ctx context.Context, cursor uint64, pattern string, lifetimes map[string]time.Duration) (next uint64, err error) {
	keys, next, err := r.client.Scan(ctx, cursor, pattern, scanBatch).Result()
	if err != nil {
		return cursor, err
	}
	left := make([]*redis.DurationCmd, len(keys))
	_, err = r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			left[i] = pipe.PTTL(ctx, key)
		}
		return nil
	})
	if err != nil {
		return next, err
	}
	for i, key := range keys {
		if left[i].Val() > 0 { // a key may expire between the two commands
			lifetimes[strings.TrimPrefix(key, r.guard.options.key(""))] = left[i].Val()
		}
	}
	return next, nil
}
