package shop

import (
	"context"
	"strconv"
	"time"

	"slipway/internal/failopen"
)

// saleClaims counts claims on the units of flash sales in Redis. It only
// refuses claims that would get no unit, before they reach PostgreSQL, and never
// grants one: PostgreSQL decides about every claim that is not refused here.
type saleClaims struct {
	redis *failopen.Redis // nil: every claim is unknown
}

// claimResult is the opinion of Redis about a claim.
type claimResult int

// The script returns these numbers. A claim is unknown when Redis is
// unavailable, slow, or has no count of the sale.
const (
	claimUnknown claimResult = iota
	claimCounted
	claimSoldOut
)

// claim takes one unit off the count of a sale. The same claim is counted once
// within life, however often it is sent, so that a client can repeat it after a
// lost reply.
func (c saleClaims) claim(ctx context.Context, saleID int64, claim string, life time.Duration) claimResult {
	result := claimUnknown
	c.run(ctx, "Shop.HoldSaleUnit", claimScript, saleID, []any{claim, 1, life.Milliseconds()}, func(reply failopen.Reply) error {
		number, err := reply.Int64()
		if err == nil {
			result = claimResult(number)
		}
		return err
	})
	return result
}

// unclaim undoes a claim that PostgreSQL did not grant, and returns its unit to the
// count. It also undoes a claim that Redis counted but whose reply was lost.
func (c saleClaims) unclaim(ctx context.Context, saleID int64, claim string) bool {
	return c.run(ctx, "Shop.HoldSaleUnit", unclaimScript, saleID, []any{claim, 1}, nil)
}

// setUnits sets how many units of a sale are left. The count expires after life,
// so that no mistake lasts longer. A count with a lower version than the stored
// one is ignored; the version grows with every change of the sale.
func (c saleClaims) setUnits(ctx context.Context, saleID, version int64, left int, life time.Duration) bool {
	arguments := []any{strconv.FormatInt(version, 10), left, life.Milliseconds()}
	return c.run(ctx, "Shop.tellUnits", setUnitsScript, saleID, arguments, nil)
}

// Private

// unitsLifetime is the expiry of the number of units in Redis. It bounds how long
// a wrong number can last.
const unitsLifetime = 5 * time.Second

// storeUnits copies the number of units left of a sale to Redis.
func (s *Shop) storeUnits(ctx context.Context, sale Sale) {
	if sale.State == SaleUpcoming || sale.State == SaleOver {
		return // PostgreSQL refuses all claims with ErrSaleClosed
	}
	s.claims.setUnits(ctx, sale.ID, sale.version, sale.Left(), unitsLifetime)
}

func (c saleClaims) run(
	ctx context.Context, source string, script *failopen.Script, saleID int64, arguments []any, read func(failopen.Reply) error,
) bool {
	if c.redis == nil {
		return false
	}
	return c.redis.Run(ctx, source, script, saleKeys(saleID), arguments, read)
}

// saleKeys are a hash with the number of units left and its version, and a
// sorted set of the counted claims with the time at which each expires.
func saleKeys(saleID int64) []string {
	sale := strconv.FormatInt(saleID, 10)
	return []string{"sale:" + sale + ":units", "sale:" + sale + ":claims"}
}

var claimScript = failopen.NewScript(`
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

// unclaimScript does not create a missing count of units, because that count would
// have only this one unit.
var unclaimScript = failopen.NewScript(`
	if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 and redis.call('HEXISTS', KEYS[1], 'left') == 1 then
		redis.call('HINCRBY', KEYS[1], 'left', ARGV[2])
	end
	return 1
`)

var setUnitsScript = failopen.NewScript(`
	local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '')
	if version and version > tonumber(ARGV[1]) then
		return 0
	end
	redis.call('HSET', KEYS[1], 'version', ARGV[1], 'left', ARGV[2])
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
	return 1
`)
