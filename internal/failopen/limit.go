package failopen

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// LimitCall is all that one request wants to know of Redis about bans and
// limits: one round trip, whatever their number.
type LimitCall struct {
	Generation string // key of a number that LimitReset raises
	Bans       []LimitBan
	Counts     []LimitCount
}

// LimitBan looks whether Key is banned. With Strike set it first counts on
// Strikes, and bans Key for Lasts at the strike with number After in Within.
type LimitBan struct {
	Key, Strikes  string
	Strike        bool
	After         int64
	Within, Lasts time.Duration
	Blocks        bool // a strike ends the call, as a ban does
}

// LimitCount counts on Key, which lives for Life. Where the count, together
// with the share Weight of the count of Previous, is more than Limit, Over is
// put up for Life and the call ends. A negative Limit only counts. With Refused
// set nothing is counted: the caller knows that the limit is exceeded, and a
// number given to a refused request would be missing for one that may pass.
// Over is put up where Redis knows of the whole Limit, and the call ends.
type LimitCount struct {
	Key, Previous, Over string
	Refused             bool
	Limit               int64
	Weight              float64
	Life                time.Duration
}

// LimitReply is what Redis says: about the bans first, then about the counts,
// in their order, up to the first that ended the call.
type LimitReply struct {
	Generation int64 // 0 when there never was a reset
	Bans       []LimitBanned
	Counts     []LimitCounted
}

// LimitBanned is the answer to a LimitBan.
type LimitBanned struct {
	Left    time.Duration // of the ban; 0 when there is none
	Strikes int64         // 0 when none was counted
}

// LimitCounted is the answer to a LimitCount.
type LimitCounted struct {
	Count, Previous int64
}

// Limit asks and counts in one round trip. Every key gets its end of life
// together with its first value.
func (r *Redis) Limit(ctx context.Context, source string, call LimitCall) (reply LimitReply, ok bool) {
	keys, arguments := call.script()
	ok = r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		numbers, err := limit.Run(ctx, r.client, keys, arguments...).Int64Slice()
		if err != nil {
			return err
		}
		reply, err = call.read(numbers)
		return err
	})
	return reply, ok
}

// LimitReset deletes keys, and then tells all processes to forget what they
// remember, by the generation's key.
func (r *Redis) LimitReset(ctx context.Context, source, generation string, keys []string) bool {
	const batch = 1000
	for len(keys) > 0 {
		some := keys[:min(batch, len(keys))]
		keys = keys[len(some):]
		if !r.Delete(ctx, source, some...) {
			return false
		}
	}
	return r.onKeys(ctx, source, []string{generation}, func(ctx context.Context) error {
		return nextGeneration.Run(ctx, r.client, []string{generation}).Err()
	})
}

// Private

func (c LimitCall) script() (keys []string, arguments []any) {
	keys = make([]string, 0, 1+2*len(c.Bans)+3*len(c.Counts))
	arguments = make([]any, 0, 2+5*len(c.Bans)+4*len(c.Counts))
	keys = append(keys, c.Generation)
	arguments = append(arguments, len(c.Bans), len(c.Counts))
	for _, ban := range c.Bans {
		keys = append(keys, ban.Key, ban.Strikes)
		arguments = append(arguments, ban.Strike, ban.After, ban.Within.Milliseconds(), ban.Lasts.Milliseconds(), ban.Blocks)
	}
	for _, count := range c.Counts {
		keys = append(keys, count.Key, count.Previous, count.Over)
		arguments = append(arguments, count.Limit, count.Life.Milliseconds(), count.Weight, count.Refused)
	}
	return keys, arguments
}

func (c LimitCall) read(numbers []int64) (LimitReply, error) {
	if len(numbers)%2 != 1 || len(numbers) > 1+2*len(c.Bans)+2*len(c.Counts) {
		return LimitReply{}, fmt.Errorf("read the reply about limits: %d numbers", len(numbers))
	}
	reply := LimitReply{Generation: numbers[0]}
	for pairs := numbers[1:]; len(pairs) > 0; pairs = pairs[2:] {
		if len(reply.Bans) < len(c.Bans) {
			reply.Bans = append(reply.Bans, LimitBanned{Left: time.Duration(pairs[0]) * time.Millisecond, Strikes: pairs[1]})
		} else {
			reply.Counts = append(reply.Counts, LimitCounted{Count: pairs[0], Previous: pairs[1]})
		}
	}
	return reply, nil
}

// limit answers with the generation and a pair of numbers for each ban and
// each count. go-redis sends true and false as 1 and 0.
var limit = redis.NewScript(`
	local function value(name)
		return tonumber(redis.call('GET', name) or 0) or 0
	end

	local reply = { value(KEYS[1]) }
	local key, argument = 2, 3

	local function count(name, life)
		local number = redis.call('INCR', name)
		if number == 1 then
			redis.call('PEXPIRE', name, life)
		end
		return number
	end

	local function answer(one, other)
		table.insert(reply, one)
		table.insert(reply, other)
	end

	for _ = 1, tonumber(ARGV[1]) do
		local strike, after, within, lasts, blocks = unpack(ARGV, argument, argument + 4)
		local left, strikes = redis.call('PTTL', KEYS[key]), 0
		if left == -1 then
			left = 2147483647 -- put there by hand, for good
		end
		if left == -2 and strike == '1' then
			strikes = count(KEYS[key + 1], within)
			if strikes >= tonumber(after) then
				redis.call('SET', KEYS[key], 1, 'PX', lasts)
				left = tonumber(lasts)
			end
		end
		answer(math.max(left, 0), strikes)
		if strikes == 0 and left >= 0 or strikes > 0 and blocks == '1' then
			return reply
		end
		key, argument = key + 2, argument + 5
	end

	for _ = 1, tonumber(ARGV[2]) do
		local most, life, weight = tonumber(ARGV[argument]), ARGV[argument + 1], tonumber(ARGV[argument + 2])
		local refused = ARGV[argument + 3] == '1'
		local number, previous
		if refused then
			number = value(KEYS[key])
		else
			number = count(KEYS[key], life)
		end
		if weight > 0 then
			previous = value(KEYS[key + 1])
		else
			previous = 0
		end
		answer(number, previous)
		local left = most - number - math.floor(previous * weight)
		if most >= 0 and (left < 0 or refused and left == 0) then
			redis.call('SET', KEYS[key + 2], 1, 'PX', life, 'NX')
		end
		if refused or most >= 0 and left < 0 then
			return reply
		end
		key, argument = key + 3, argument + 4
	end
	return reply
`)

// nextGeneration is the time in microseconds, so that it grows even when Redis
// has lost the last one.
var nextGeneration = redis.NewScript(`
	local now = redis.call('TIME')
	local number = math.max(now[1] * 1000000 + now[2], (tonumber(redis.call('GET', KEYS[1]) or 0) or 0) + 1)
	redis.call('SET', KEYS[1], string.format('%.0f', number))
	return 1
`)
