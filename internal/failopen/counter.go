package failopen

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// presenceSlot is how finely Redis knows when a visitor was somewhere.
const presenceSlot = 30 * time.Second

// presenceSlots is how many slots a count goes back, the current one included:
// a visitor counts for 60 to 90 seconds.
const presenceSlots = 3

// Visit notes that visitor is at place now, and counts the visitors who were
// there within the last 60 to 90 seconds, in one round trip. Redis keeps no
// visitor: a HyperLogLog holds what it takes to count them, in at most 12 KB,
// and is off by 1 % at most where there are many.
func (r *Redis) Visit(ctx context.Context, source, place, visitor string) (visitors int, ok bool) {
	keys := presenceKeys(place, time.Now())
	ok = r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		count, err := visitAndCount.Run(ctx, r.client, keys, visitor, (presenceSlots * presenceSlot).Milliseconds()).Int()
		visitors = count
		return err
	})
	return visitors, ok
}

// Visitors counts as Visit does, and notes nobody.
func (r *Redis) Visitors(ctx context.Context, source, place string) (visitors int, ok bool) {
	keys := presenceKeys(place, time.Now())
	ok = r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		count, err := r.client.PFCount(ctx, keys...).Result()
		visitors = int(count)
		return err
	})
	return visitors, ok
}

// Private

// presenceKeys are the slots of place, the current one first.
func presenceKeys(place string, now time.Time) []string {
	keys := make([]string, presenceSlots)
	for i := range keys {
		slot := now.UnixNano()/int64(presenceSlot) - int64(i)
		keys[i] = "slipway:presence:" + place + ":" + strconv.FormatInt(slot, 10)
	}
	return keys
}

var visitAndCount = redis.NewScript(`
	redis.call('PFADD', KEYS[1], ARGV[1])
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return redis.call('PFCOUNT', unpack(KEYS))
`)
