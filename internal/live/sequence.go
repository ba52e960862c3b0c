package live

import (
	"context"

	"slipway/internal/failopen"
)

// sequenceKey holds the number of the newest event.
const sequenceKey = "live:sequence"

// publishNext publishes payload after its number and the number of the event
// before, so that a subscriber can tell whether it has missed one. It returns the
// number.
func publishNext(ctx context.Context, redis *failopen.Redis, payload []byte) (number int64, ok bool) {
	keys, arguments := []string{sequenceKey}, []any{redis.Channel(channel), payload}
	ok = redis.Run(ctx, "Publisher.Publish", publishScript, keys, arguments, func(reply failopen.Reply) (err error) {
		number, err = reply.Int64()
		return err
	})
	return number, ok
}

// lastNumber is the number of the newest event, 0 when there was none yet.
func lastNumber(ctx context.Context, redis *failopen.Redis) (number int64, ok bool) {
	ok = redis.Command(ctx, "Hub.listen", "get", []string{sequenceKey}, func(reply failopen.Reply) (err error) {
		if reply.Missing() {
			return nil
		}
		number, err = reply.Int64()
		return err
	})
	return number, ok
}

// Private

// publishScript numbers events within Redis, so that all publishers share one
// order. A number is the time in microseconds, or one more than the last number
// if that is greater: it grows even when Redis has lost its data or has loaded
// an old copy of it.
var publishScript = failopen.NewScript(`
	local now = redis.call('TIME')
	local number = now[1] * 1000000 + now[2]
	local last = tonumber(redis.call('GET', KEYS[1])) or 0
	if number <= last then
		number = last + 1
	end
	number = string.format('%.0f', number)
	redis.call('SET', KEYS[1], number)
	redis.call('PUBLISH', ARGV[1], number .. ' ' .. string.format('%.0f', last) .. ' ' .. ARGV[2])
	return number
`)
