package throttle

import (
	"context"
	"log/slog"
	"time"
)

// evaluation is the decision about one request while it is made. The memory of
// the process decides first and counts the request; then Redis decides, if it
// replies.
type evaluation struct {
	limiter      *Limiter
	now          time.Time
	bans         []banStep
	counts       []countStep
	counted      int  // number of counts that memory has counted
	refused      bool // memory refused the request, at the last step that it counted
	newlyRefused bool // this is the first refusal of a key in its window, so Redis must learn of it
}

// Private

func (e *evaluation) decide(ctx context.Context) Decision {
	if len(e.bans)+len(e.counts) == 0 {
		return Decision{Result: Passed}
	}
	decision := e.decideByMemory()
	e.refused = decision.Refused()
	if decision.Refused() && !e.hasStrike() && !e.newlyRefused && !e.limiter.claimPoll(e.now) {
		return e.record(decision, backendLocal)
	}
	reply, ok := e.limiter.callRedis(ctx, e.call(), e.now)
	if !ok {
		if !decision.Refused() {
			decision = e.decideWithoutRedis()
		}
		return e.record(decision, backendLocal)
	}
	if byRedis := e.decideByReply(reply); byRedis.Refused() {
		decision = byRedis
	}
	return e.record(decision, backendRedis)
}

// decideByMemory counts the request and refuses it where Redis would do so too:
// every count of this process is part of the count in Redis.
func (e *evaluation) decideByMemory() Decision {
	l := e.limiter
	for _, step := range e.bans {
		if l.bannedFor(step, e.now) > 0 {
			return banned(step)
		}
		if !step.strike {
			continue
		}
		t := l.protected.strike(step.id, e.now)
		e.banIfDue(step, t.count, l.protected.generation.Load())
		if step.rule.kind == fail2ban {
			return banned(step)
		}
	}
	for i := range e.counts {
		step := &e.counts[i]
		step.tally = step.memory.count(step.id, e.now)
		e.counted = i + 1
		// The count of a shared bucket includes other keys.
		if !step.tally.shared && e.exceeded(*step) {
			return e.refuse(*step)
		}
	}
	return Decision{Result: Passed}
}

// decideByReply stores what Redis replied in memory, and decides by it.
func (e *evaluation) decideByReply(reply limitReply) Decision {
	l := e.limiter
	for i, answer := range reply.bans {
		step := e.bans[i]
		switch {
		case answer.strikes > 0:
			l.protected.learn(step.id, e.now, reply.generation, answer.strikes, 0)
			e.banIfDue(step, answer.strikes, reply.generation)
			if step.rule.kind == fail2ban {
				e.uncountFrom(0)
				return banned(step)
			}
		case answer.left > 0:
			l.protected.ban(step.id, e.now, answer.left, reply.generation)
			e.uncountFrom(0)
			return banned(step)
		}
	}
	for i, answer := range reply.counts {
		step := &e.counts[i]
		if !step.tally.shared {
			step.memory.learn(step.id, e.now, reply.generation, answer.count, answer.previous)
		}
		step.tally.count = max(step.tally.count, answer.count)
		step.tally.previous = max(step.tally.previous, answer.previous)
		if step.tally.shared {
			step.tally = tally{count: answer.count, previous: answer.previous}
		}
		if e.exceeded(*step) {
			e.uncountFrom(i + 1)
			return e.refuse(*step)
		}
	}
	return Decision{Result: Passed}
}

// decideWithoutRedis applies the limits that hold only while Redis is
// unavailable: those of shared buckets, and this process's share of the rest of
// each limit.
func (e *evaluation) decideWithoutRedis() Decision {
	l := e.limiter
	for i, step := range e.counts {
		t := step.tally
		share := (max(0, step.limit-t.known) + l.divisor - 1) / l.divisor
		if step.limit != unlimited && (e.exceeded(step) || t.count-t.known > share) {
			e.uncountFrom(i + 1)
			return e.refuse(step)
		}
	}
	return Decision{Result: Passed}
}

// record counts a decision. When the request passes, it returns the decision of
// the throttle that has the smallest part of its limit left.
func (e *evaluation) record(decision Decision, backend string) Decision {
	l := e.limiter
	if decision.Refused() {
		l.metrics.count(decision.Rule, backend, string(decision.Result))
		return decision
	}
	for _, step := range e.counts {
		if step.limit == unlimited {
			l.metrics.count(step.rule.name, backend, resultTracked)
			continue
		}
		l.metrics.count(step.rule.name, backend, string(Passed))
		if left := e.left(step); decision.Limit == 0 || left*decision.Limit < decision.Left*step.limit {
			decision = e.describe(step, Passed)
		}
	}
	return decision
}

// banIfDue bans the key of a step when it has enough strikes.
func (e *evaluation) banIfDue(step banStep, strikes, generation int64) {
	ban := step.rule.ban
	if strikes >= int64(ban.After) && e.limiter.protected.ban(step.id, e.now, ban.For, generation) {
		e.limiter.log.Warn("Client banned", "rule", step.rule.name, "key", maskedKey(step.id.key), "for", ban.For.String(), "strikes", strikes)
	}
}

func (e *evaluation) hasStrike() bool {
	for _, step := range e.bans {
		if step.strike {
			return true
		}
	}
	return false
}

// exceeded reports whether the known count of a step is above its limit.
func (e *evaluation) exceeded(step countStep) bool {
	return step.limit != unlimited && e.estimate(step) > step.limit
}

func (e *evaluation) estimate(step countStep) int64 {
	return e.limiter.estimate(step.tally.count, step.tally.previous, step.id.period, e.now)
}

func (e *evaluation) left(step countStep) int64 { return max(0, step.limit-e.estimate(step)) }

// uncountFrom undoes in memory the counts of all steps from first on: a refused
// request counts only for the rules up to the one that refused it.
func (e *evaluation) uncountFrom(first int) {
	for i := first; i < e.counted; i++ {
		if step := e.counts[i]; !step.tally.shared {
			step.memory.uncount(step.id, e.now)
		}
	}
}

// refuse decides to refuse the request, and logs the first refusal of a key in
// each window.
func (e *evaluation) refuse(step countStep) Decision {
	if !step.tally.shared && step.memory.markRefused(step.id, e.now) {
		e.newlyRefused = true
		e.limiter.log.LogAttrs(context.Background(), slog.LevelWarn, "Request rate limited", slog.String("rule", step.rule.name),
			slog.String("key", maskedKey(step.id.key)), slog.Int64("limit", step.limit), slog.String("period", step.id.period.String()))
	}
	return e.describe(step, Throttled)
}

func (e *evaluation) describe(step countStep, result Result) Decision {
	return Decision{
		Result: result, Rule: step.rule.name, Limit: step.limit, Left: e.left(step), Period: step.id.period,
		Reset: e.limiter.reset(step, step.tally.count, step.tally.previous, e.now),
	}
}

func banned(step banStep) Decision { return Decision{Result: Banned, Rule: step.rule.name} }

// call is the call of Redis for all steps, or up to the step that refused.
func (e *evaluation) call() limitCall {
	call := limitCall{now: e.now}
	for _, step := range e.bans {
		ban := step.rule.ban
		call.bans = append(call.bans, banCheck{
			key: banKey(step.id), strikes: countKey(step.id, windowOf(step.id.period, e.now)), strike: step.strike,
			after: int64(ban.After), within: ban.Within, lasts: ban.For, blocks: step.rule.kind == fail2ban,
		})
	}
	counts := e.counts
	if e.refused {
		counts = counts[:e.counted]
	}
	for i, step := range counts {
		period := step.id.period
		window := windowOf(period, e.now)
		life := time.UnixMilli((window+1)*period.Milliseconds()).Sub(e.now) + time.Second
		weight := e.limiter.weight(period, e.now)
		if weight > 0 {
			life += period
		}
		call.counts = append(call.counts, countCheck{
			key: countKey(step.id, window), previous: countKey(step.id, window-1), over: overKey(step.id),
			refused: e.refused && i == e.counted-1, limit: step.limit, weight: weight, life: life,
		})
	}
	return call
}
