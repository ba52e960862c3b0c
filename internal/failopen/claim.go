package failopen

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Claim is what Redis thinks of a claim on units of which there are few. It
// turns losers away cheaply and is never the authority: who holds the units
// decides about every claim that is not SoldOut.
type Claim int

// Unknown is the answer whenever Redis has none: it is away, slow, empty, or
// does not know the sale.
const (
	Unknown Claim = iota
	Claimed
	SoldOut
)

// String names the answer in metrics.
func (c Claim) String() string {
	switch c {
	case Claimed:
		return "claimed"
	case SoldOut:
		return "sold_out"
	default:
		return "unknown"
	}
}

// Claim takes units off the number that SetUnits has set for sale. The same id
// is counted once within ttl, however often it comes: an answer that was lost
// on its way has been given nevertheless. Source names the caller in logs.
func (r *Redis) Claim(ctx context.Context, source, sale, id string, units int, ttl time.Duration) Claim {
	claim := Unknown
	keys := claimKeys(sale)
	r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		result, err := claimUnits.Run(ctx, r.client, keys, id, units, ttl.Milliseconds()).Int()
		if err == nil && result != int(Unknown) {
			claim = Claim(result)
		}
		return err
	})
	return claim
}

// Unclaim forgets a claim that came to nothing and gives its units back. What
// Redis may have counted without anybody knowing is given back by it too.
func (r *Redis) Unclaim(ctx context.Context, source, sale, id string, units int) bool {
	keys := claimKeys(sale)
	return r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		return unclaimUnits.Run(ctx, r.client, keys, id, units).Err()
	})
}

// SetUnits says how many units of sale are left, for lifetime: after that
// Redis knows nothing again, so that no mistake lasts. Version is that of the
// count and grows with every change of it; an older count than the one that is
// there is ignored.
func (r *Redis) SetUnits(ctx context.Context, source, sale string, version int64, left int, lifetime time.Duration) bool {
	keys := claimKeys(sale)
	return r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		return setUnits.Run(ctx, r.client, keys, strconv.FormatInt(version, 10), left, lifetime.Milliseconds()).Err()
	})
}

// Private

// claimKeys are the number of units left, with its version, and the claims
// that were counted, with when each is forgotten.
func claimKeys(sale string) []string {
	return []string{"slipway:sale:" + sale + ":units", "slipway:sale:" + sale + ":claims"}
}

var claimUnits = redis.NewScript(`
	local unknown, claimed, soldOut = 0, 1, 2
	local left = tonumber(redis.call('HGET', KEYS[1], 'left') or '')
	if not left then
		return unknown
	end
	local units, ttl = tonumber(ARGV[2]), tonumber(ARGV[3])
	local time = redis.call('TIME')
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	local forgotten = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '')
	if forgotten and forgotten > now then
		return claimed
	end
	if left < units then
		return soldOut
	end
	redis.call('HSET', KEYS[1], 'left', string.format('%.0f', left - units))
	redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
	redis.call('ZADD', KEYS[2], now + ttl, ARGV[1])
	redis.call('PEXPIRE', KEYS[2], ttl)
	return claimed
`)

// unclaimUnits leaves a number that is gone alone: half of what is true would
// be worse than nothing.
var unclaimUnits = redis.NewScript(`
	if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 and redis.call('HEXISTS', KEYS[1], 'left') == 1 then
		redis.call('HINCRBY', KEYS[1], 'left', ARGV[2])
	end
	return 1
`)

var setUnits = redis.NewScript(`
	local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '')
	if version and version > tonumber(ARGV[1]) then
		return 0
	end
	redis.call('HSET', KEYS[1], 'version', ARGV[1], 'left', ARGV[2])
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
	return 1
`)
