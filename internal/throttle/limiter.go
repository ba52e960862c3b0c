// Package throttle is Rack::Attack in Go: a store says in a few rules which
// requests are too many, and this says of each request whether it is one of
// them. It asks Redis, once for all rules; every request is also counted within
// the process, so that limits hold while Redis is away.
package throttle

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
)

// Options are what a Limiter needs.
type Options struct {
	Redis   *failopen.Redis
	Clients *Clients
	Rules   []Rule

	// Sliding estimates the last period from two windows. Without it counts begin
	// anew at each window's end, as Rack::Attack's do, and up to twice the limit
	// may pass around it.
	Sliding bool
	// FallbackDivisor is by how many processes what is left of a limit is divided
	// while Redis is away; 1 when less.
	FallbackDivisor int
	// Entries bound each of the two memories; 100,000 when zero.
	Entries int

	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Limiter decides about requests.
type Limiter struct {
	redis   *failopen.Redis
	clients *Clients
	rules   rules
	sliding bool
	divisor int64
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time

	traffic *memory      // of rules that every request may count for
	apart   *memory      // of bans and logins
	asked   atomic.Int64 // Unix milliseconds when Redis was last asked
}

// New makes a Limiter. The error is about the names of rules.
func New(options Options) (*Limiter, error) {
	sorted, err := sortRules(options.Rules)
	if err != nil {
		return nil, err
	}
	entries := options.Entries
	if entries == 0 {
		entries = 100_000
	}
	l := &Limiter{
		redis:   options.Redis,
		clients: options.Clients,
		rules:   sorted,
		sliding: options.Sliding,
		divisor: int64(max(1, options.FallbackDivisor)),
		log:     options.Log,
		now:     time.Now,
		traffic: newMemory(entries),
		apart:   newMemory(entries),
	}
	l.metrics = newMetrics(options.Registry, func() int { return l.apart.bans(l.now()) })
	return l, nil
}

// Check counts a request and decides about it. Use the returned request from
// here on: it carries what Answered and Note need.
func (l *Limiter) Check(r *http.Request) (*Request, Decision) {
	request := newRequest(r, l.clients)
	for _, rule := range l.rules.safelists {
		if rule.match(request) {
			l.metrics.count(rule.name, storeLocal, resultSafelisted)
			return request, Decision{Result: Passed, Rule: rule.name}
		}
	}
	for _, rule := range l.rules.blocklists {
		if rule.match(request) {
			l.metrics.count(rule.name, storeLocal, string(Blocked))
			return request, Decision{Result: Blocked, Rule: rule.name}
		}
	}

	now := l.now()
	asked := &inquiry{limiter: l, now: now, bans: l.banSteps(request), counts: l.countSteps(request)}
	if len(request.outcomes) > 0 {
		request.takeNotes()
	}
	return request, asked.decide(r.Context())
}

// Answered tells how a request was answered, for the rules that judge by it.
func (l *Limiter) Answered(r *Request, status int) {
	var bans []banStep
	for _, rule := range r.outcomes {
		if key := normalizeKey(rule.key(r)); key != "" && rule.outcome(r, status) {
			bans = append(bans, newBanStep(rule, key, true))
		}
	}
	if len(bans) > 0 {
		(&inquiry{limiter: l, now: l.now(), bans: bans}).decide(r.Context())
	}
}

// Private

// banStep is a ban rule that is about a request.
type banStep struct {
	rule   *Rule
	at     place
	strike bool
}

// countStep is a throttle, one of its levels, or a track that is about a
// request.
type countStep struct {
	rule   *Rule
	memory *memory
	at     place
	limit  int64
	tally  tally
}

func newBanStep(rule *Rule, key string, strike bool) banStep {
	return banStep{rule: rule, at: place{rule.name, key, rule.ban.Within}, strike: strike}
}

func (l *Limiter) banSteps(r *Request) []banStep {
	var steps []banStep
	for _, rule := range l.rules.bans {
		key := normalizeKey(rule.key(r))
		if key == "" {
			continue
		}
		if rule.outcome != nil {
			r.outcomes = append(r.outcomes, rule)
		}
		steps = append(steps, newBanStep(rule, key, rule.strike != nil && rule.strike(r)))
	}
	return steps
}

func (l *Limiter) countSteps(r *Request) []countStep {
	var steps []countStep
	for _, rules := range [][]*Rule{l.rules.throttles, l.rules.tracks} {
		for _, rule := range rules {
			limit, period := rule.limits(r)
			if limit == 0 || period < time.Millisecond {
				continue
			}
			key := normalizeKey(rule.key(r))
			if key == "" {
				continue
			}
			memory := l.traffic
			if rule.apart {
				memory = l.apart
			}
			for level := range max(1, rule.levels) {
				steps = append(steps, countStep{rule: rule, memory: memory, at: place{rule.name, key, period}, limit: int64(limit) * int64(level+1)})
				period *= 8
			}
		}
	}
	return steps
}

// estimate is how many requests a count stands for.
func (l *Limiter) estimate(count, previous int64, period time.Duration, now time.Time) int64 {
	return count + int64(math.Floor(float64(previous)*l.weight(period, now)))
}

// weight is how much of the previous window is part of the last period.
func (l *Limiter) weight(period time.Duration, now time.Time) float64 {
	if !l.sliding {
		return 0
	}
	return 1 - float64(now.UnixMilli()%period.Milliseconds())/float64(period.Milliseconds())
}

// reset is how long it takes until one more request passes, if none comes
// meanwhile. It is computed from the number of the window and not from the
// life of a key, which would make it wobble.
func (l *Limiter) reset(step countStep, count, previous int64, now time.Time) time.Duration {
	period := step.at.period
	toEnd := time.UnixMilli((windowOf(period, now) + 1) * period.Milliseconds()).Sub(now)
	if !l.sliding || l.estimate(count, previous, period, now) < step.limit {
		return toEnd
	}
	if count < step.limit && previous > 0 {
		// Within this window, when so much of the previous one has passed.
		weight := float64(step.limit-count) / float64(previous)
		return max(0, toEnd-time.Duration(weight*float64(period)))
	}
	return toEnd + time.Duration((1-float64(step.limit)/float64(count))*float64(period))
}

// bannedFor is what is left of a ban in this process's memory.
func (l *Limiter) bannedFor(step banStep, now time.Time) time.Duration {
	return l.apart.banned(step.at, now, step.rule.ban.For)
}

// isDue tells that Redis has not been asked for a second: somebody has to hear
// of a reset even when all requests are refused from memory.
func (l *Limiter) isDue(now time.Time) bool {
	last := l.asked.Load()
	return now.Sub(time.UnixMilli(last)).Abs() >= time.Second && l.asked.CompareAndSwap(last, now.UnixMilli())
}

// ask makes the one call of Redis. It does not end with the client's
// connection: who hangs up early is counted all the same.
func (l *Limiter) ask(ctx context.Context, call limitCall, now time.Time) (limitReply, bool) {
	l.asked.Store(now.UnixMilli())
	reply, ok := call.run(context.WithoutCancel(ctx), l.redis)
	if ok {
		l.traffic.reset(reply.generation)
		l.apart.reset(reply.generation)
	}
	return reply, ok
}
