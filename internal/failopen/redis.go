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

// Publish sends payload to all who listen on channel, preceded by a number and
// a space. Numbers of a channel only grow, also through a Redis that lost its
// data, so that a listener can tell what it has missed.
func (r *Redis) Publish(ctx context.Context, source, channel string, payload []byte) (number int64, ok bool) {
	ok = r.onKeys(ctx, source, []string{sequenceKey(channel)}, func(ctx context.Context) error {
		result, err := publishNumbered.Run(ctx, r.client, []string{sequenceKey(channel)}, channel, payload).Int64()
		number = result
		return err
	})
	return number, ok
}

// LastNumber is the number of the newest message of channel, 0 when there was
// none yet.
func (r *Redis) LastNumber(ctx context.Context, source, channel string) (number int64, ok bool) {
	ok = r.onKeys(ctx, source, []string{sequenceKey(channel)}, func(ctx context.Context) error {
		result, err := r.client.Get(ctx, sequenceKey(channel)).Int64()
		if err == redis.Nil {
			return nil
		}
		number = result
		return err
	})
	return number, ok
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

func sequenceKey(channel string) string { return "slipway:sequence:" + channel }

// publishNumbered numbers messages within Redis, so that all publishers share
// one order. A number is the time in microseconds, or one more than the last:
// so it grows even when Redis lost its data or took up an old copy of it.
var publishNumbered = redis.NewScript(`
	local now = redis.call('TIME')
	local number = now[1] * 1000000 + now[2]
	local last = tonumber(redis.call('GET', KEYS[1])) or 0
	if number <= last then
		number = last + 1
	end
	number = string.format('%.0f', number)
	redis.call('SET', KEYS[1], number)
	redis.call('PUBLISH', ARGV[1], number .. ' ' .. ARGV[2])
	return number
`)
