package throttle

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/failopen"
)

// limitCall is everything that one request needs to ask Redis about bans and
// counts. It takes one round trip, however many rules there are.
type limitCall struct {
	now    time.Time
	bans   []banCheck
	counts []countCheck
}

// banCheck reads whether key is banned. With strike set and no ban, it counts a
// strike in the key strikes. When that count reaches after, it bans key for lasts.
// The count expires within after its first strike.
//
// A ban ends with its key, or lasts after now if that is sooner: the clock of Redis,
// which expires the key, may be set back. A key that an operator has set by hand
// ends as its expiry says.
type banCheck struct {
	key, strikes  string
	strike        bool
	after         int64
	within, lasts time.Duration
	blocks        bool // a strike ends the call, as a ban does
}

// countCheck counts a request in key, which expires after life. The estimate is
// that count plus weight times the count in previous. When the estimate is above
// limit, the check sets the key over, which expires after life too, and ends the
// call. With a negative limit, it only counts.
//
// With refused set, nothing is counted: this process already knows that the
// limit is exceeded, and counting its refusals would use up the allowance of
// requests that may still pass. The key over is then set as soon as the limit
// is reached, and the call ends.
type countCheck struct {
	key, previous, over string
	refused             bool
	limit               int64
	weight              float64
	life                time.Duration
}

// limitReply answers the ban checks first, then the count checks, in their
// order and up to the first that ended the call.
type limitReply struct {
	generation int64 // 0 when no reset was ever made
	bans       []banReply
	counts     []countReply
}

// banReply is the reply to a banCheck.
type banReply struct {
	left    time.Duration // until the ban ends; 0 when there is none
	strikes int64         // 0 when none was counted
}

// countReply is the reply to a countCheck.
type countReply struct {
	count, previous int64
}

// run makes the call. Every key gets its expiry together with its first value.
func (c limitCall) run(ctx context.Context, redis *failopen.Redis) (reply limitReply, ok bool) {
	keys, arguments := c.keysAndArguments()
	ok = redis.Run(ctx, "throttle.Limiter", limitScript, keys, arguments, func(raw failopen.Reply) error {
		numbers, err := raw.Int64s()
		if err != nil {
			return err
		}
		reply, err = c.parse(numbers)
		return err
	})
	return reply, ok
}

// Private

func (c limitCall) keysAndArguments() (keys []string, arguments []any) {
	keys = make([]string, 0, 1+2*len(c.bans)+3*len(c.counts))
	arguments = make([]any, 0, 3+5*len(c.bans)+4*len(c.counts))
	keys = append(keys, generationKey)
	arguments = append(arguments, len(c.bans), len(c.counts), c.now.UnixMilli())
	for _, ban := range c.bans {
		keys = append(keys, ban.key, ban.strikes)
		arguments = append(arguments, ban.strike, ban.after, ban.within.Milliseconds(), ban.lasts.Milliseconds(), ban.blocks)
	}
	for _, count := range c.counts {
		keys = append(keys, count.key, count.previous, count.over)
		arguments = append(arguments, count.limit, count.life.Milliseconds(), count.weight, count.refused)
	}
	return keys, arguments
}

func (c limitCall) parse(numbers []int64) (limitReply, error) {
	if len(numbers)%2 != 1 || len(numbers) > 1+2*len(c.bans)+2*len(c.counts) {
		return limitReply{}, fmt.Errorf("read the reply of the limit script: unexpected length %d", len(numbers))
	}
	reply := limitReply{generation: numbers[0]}
	for pairs := numbers[1:]; len(pairs) > 0; pairs = pairs[2:] {
		if len(reply.bans) < len(c.bans) {
			reply.bans = append(reply.bans, banReply{left: time.Duration(pairs[0]) * time.Millisecond, strikes: pairs[1]})
		} else {
			reply.counts = append(reply.counts, countReply{count: pairs[0], previous: pairs[1]})
		}
	}
	return reply, nil
}

// limitScript replies with the generation and then with a pair of numbers for
// each ban check and each count check. Booleans are sent as 1 and 0.
var limitScript = failopen.NewScript(`
	local function value(name)
		return tonumber(redis.call('GET', name) or 0) or 0
	end

	local reply = { value(KEYS[1]) }
	local now, key, argument = tonumber(ARGV[3]), 2, 4

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

	-- The rest of a ban: the value of its key is its end by the clock of the callers.
	local function rest(name, lasts)
		local left = redis.call('PTTL', name)
		if left == -1 then
			return 2147483647 -- put there by hand, for good
		end
		local till = left > 0 and value(name) or 0
		if till < 1000000000000 or till - now >= left then
			return left
		end
		if till <= now then
			redis.call('DEL', name)
			return -2
		end
		if left > tonumber(lasts) then
			redis.call('PEXPIRE', name, till - now)
		end
		return till - now
	end

	for _ = 1, tonumber(ARGV[1]) do
		local strike, after, within, lasts, blocks = unpack(ARGV, argument, argument + 4)
		local left, strikes = rest(KEYS[key], lasts), 0
		if left == -2 and strike == '1' then
			strikes = count(KEYS[key + 1], within)
			if strikes >= tonumber(after) then
				redis.call('SET', KEYS[key], string.format('%.0f', now + lasts), 'PX', lasts)
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
