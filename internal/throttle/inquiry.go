package throttle

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

// inquiry is the decision about one request while it is made: first from the
// process's memory, which counts the request, then by Redis where it answers.
type inquiry struct {
	limiter *Limiter
	now     time.Time
	bans    []banStep
	counts  []countStep
	counted int  // of counts, by memory
	refused bool // by memory, at the last step that it counted
	news    bool // a key is refused for the first time, which Redis shall know
}

// Private

func (q *inquiry) decide(ctx context.Context) Decision {
	if len(q.bans)+len(q.counts) == 0 {
		return Decision{Result: Passed}
	}
	decision := q.fromMemory()
	q.refused = decision.Refused()
	if decision.Refused() && !q.struck() && !q.news && !q.limiter.isDue(q.now) {
		return q.settle(decision, storeLocal)
	}
	reply, ok := q.limiter.ask(ctx, q.call(), q.now)
	if !ok {
		if !decision.Refused() {
			decision = q.withoutRedis()
		}
		return q.settle(decision, storeLocal)
	}
	if byRedis := q.fromRedis(reply); byRedis.Refused() {
		decision = byRedis
	}
	return q.settle(decision, storeRedis)
}

// fromMemory counts the request and refuses what is refused whatever Redis
// would say, because the count of this process is part of Redis's.
func (q *inquiry) fromMemory() Decision {
	l := q.limiter
	for _, step := range q.bans {
		if l.bannedFor(step, q.now) > 0 {
			return banned(step)
		}
		if !step.strike {
			continue
		}
		t := l.apart.strike(step.at, q.now)
		q.banAt(step, t.count, l.apart.generation.Load())
		if step.rule.kind == fail2ban {
			return banned(step)
		}
	}
	for i := range q.counts {
		step := &q.counts[i]
		step.tally = step.memory.count(step.at, q.now)
		q.counted = i + 1
		// Neighbours share a coarse count; it says nothing of this one key.
		if !step.tally.coarse && q.over(*step) {
			return q.throttled(*step)
		}
	}
	return Decision{Result: Passed}
}

// fromRedis learns what Redis says and refuses by it.
func (q *inquiry) fromRedis(reply limitReply) Decision {
	l := q.limiter
	for i, answer := range reply.bans {
		step := q.bans[i]
		switch {
		case answer.strikes > 0:
			l.apart.learn(step.at, q.now, reply.generation, answer.strikes, 0)
			q.banAt(step, answer.strikes, reply.generation)
			if step.rule.kind == fail2ban {
				q.uncountFrom(0)
				return banned(step)
			}
		case answer.left > 0:
			l.apart.ban(step.at, q.now, answer.left, reply.generation)
			q.uncountFrom(0)
			return banned(step)
		}
	}
	for i, answer := range reply.counts {
		step := &q.counts[i]
		if !step.tally.coarse {
			step.memory.learn(step.at, q.now, reply.generation, answer.count, answer.previous)
		}
		step.tally.count = max(step.tally.count, answer.count)
		step.tally.previous = max(step.tally.previous, answer.previous)
		if step.tally.coarse {
			step.tally = tally{count: answer.count, previous: answer.previous}
		}
		if q.over(*step) {
			q.uncountFrom(i + 1)
			return q.throttled(*step)
		}
	}
	return Decision{Result: Passed}
}

// withoutRedis applies what only counts while Redis is away: the counts of
// neighbourhoods, and this process's share of what was left of each limit.
func (q *inquiry) withoutRedis() Decision {
	l := q.limiter
	for i, step := range q.counts {
		t := step.tally
		share := (max(0, step.limit-t.known) + l.divisor - 1) / l.divisor
		if step.limit != unlimited && (q.over(step) || t.count-t.known > share) {
			q.uncountFrom(i + 1)
			return q.throttled(step)
		}
	}
	return Decision{Result: Passed}
}

// settle counts and logs a decision. One that lets the request pass tells of
// the throttle with the least left.
func (q *inquiry) settle(decision Decision, store string) Decision {
	l := q.limiter
	if decision.Refused() {
		l.metrics.count(decision.Rule, store, string(decision.Result))
		return decision
	}
	for _, step := range q.counts {
		if step.limit == unlimited {
			l.metrics.count(step.rule.name, store, resultTracked)
			continue
		}
		l.metrics.count(step.rule.name, store, string(Passed))
		if left := q.left(step); decision.Limit == 0 || left*decision.Limit < decision.Left*step.limit {
			decision = q.describe(step, Passed)
		}
	}
	return decision
}

// banAt bans the key of a step at the strike that is one too many.
func (q *inquiry) banAt(step banStep, strikes, generation int64) {
	ban := step.rule.ban
	if strikes >= int64(ban.After) && q.limiter.apart.ban(step.at, q.now, ban.For, generation) {
		q.limiter.log.Warn("Banned", "rule", step.rule.name, "key", shortened(step.at.key), "for", ban.For.String(), "strikes", strikes)
	}
}

func (q *inquiry) struck() bool {
	for _, step := range q.bans {
		if step.strike {
			return true
		}
	}
	return false
}

// over tells whether a step's limit is exceeded by what is known of it.
func (q *inquiry) over(step countStep) bool {
	return step.limit != unlimited && q.estimate(step) > step.limit
}

func (q *inquiry) estimate(step countStep) int64 {
	return q.limiter.estimate(step.tally.count, step.tally.previous, step.at.period, q.now)
}

func (q *inquiry) left(step countStep) int64 { return max(0, step.limit-q.estimate(step)) }

// uncountFrom takes back what memory counted beyond the rule that refused.
func (q *inquiry) uncountFrom(first int) {
	for i := first; i < q.counted; i++ {
		if step := q.counts[i]; !step.tally.coarse {
			step.memory.uncount(step.at, q.now)
		}
	}
}

func (q *inquiry) throttled(step countStep) Decision {
	if !step.tally.coarse && step.memory.firstRefusal(step.at, q.now) {
		q.news = true
		q.limiter.log.LogAttrs(context.Background(), slog.LevelWarn, "Throttled", slog.String("rule", step.rule.name),
			slog.String("key", shortened(step.at.key)), slog.Int64("limit", step.limit), slog.String("period", step.at.period.String()))
	}
	return q.describe(step, Throttled)
}

func (q *inquiry) describe(step countStep, result Result) Decision {
	return Decision{
		Result: result, Rule: step.rule.name, Limit: step.limit, Left: q.left(step), Period: step.at.period,
		Reset: q.limiter.reset(step, step.tally.count, step.tally.previous, q.now),
	}
}

func banned(step banStep) Decision { return Decision{Result: Banned, Rule: step.rule.name} }

// call is the question to Redis.
func (q *inquiry) call() limitCall {
	var call limitCall
	for _, step := range q.bans {
		ban := step.rule.ban
		call.bans = append(call.bans, banCheck{
			key: banKey(step.at), strikes: countKey(step.at, windowOf(step.at.period, q.now)), strike: step.strike,
			after: int64(ban.After), within: ban.Within, lasts: ban.For, blocks: step.rule.kind == fail2ban,
		})
	}
	counts := q.counts
	if q.refused {
		counts = counts[:q.counted]
	}
	for i, step := range counts {
		period := step.at.period
		window := windowOf(period, q.now)
		life := time.UnixMilli((window+1)*period.Milliseconds()).Sub(q.now) + time.Second
		weight := q.limiter.weight(period, q.now)
		if weight > 0 {
			life += period
		}
		call.counts = append(call.counts, countCheck{
			key: countKey(step.at, window), previous: countKey(step.at, window-1), over: overKey(step.at),
			refused: q.refused && i == q.counted-1, limit: step.limit, weight: weight, life: life,
		})
	}
	return call
}

// The keys in Redis. A key of requests comes last: it may hold any character.
const (
	keyPrefix     = "slipway:throttle:"
	generationKey = keyPrefix + "generation"
)

func countKey(at place, window int64) string {
	return keyPrefix + "count:" + at.rule + ":" + strconv.FormatInt(at.period.Milliseconds(), 10) + ":" + strconv.FormatInt(window, 10) + ":" + at.key
}

func banKey(at place) string  { return keyPrefix + "ban:" + at.rule + ":" + at.key }
func overKey(at place) string { return keyPrefix + "over:" + at.rule + ":" + at.key }
