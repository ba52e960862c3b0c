// Package throttle is Rack::Attack in Go: it decides about each request by a
// list of rules. One call of Redis counts for all rules and all processes. Every
// request is also counted in the memory of its process, so that limits hold
// while Redis is unavailable.
package throttle

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
)

// Options are the parts and settings of a Limiter.
type Options struct {
	Redis   *failopen.Redis
	Clients *Clients
	Rules   []Rule

	// Sliding estimates the count of the last period from two windows. Without
	// it, counts restart with each window, as in Rack::Attack, and up to twice
	// the limit may pass around the end of a window.
	Sliding bool
	// FallbackDivisor is the number of processes that share the rest of a limit
	// while Redis is unavailable. Less than 1 means 1.
	FallbackDivisor int
	// Entries is the size of each of the two memories; 0 means 100,000.
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

	traffic    *memory      // counts of ordinary throttles and tracks
	protected  *memory      // bans, strikes, logins and protected throttles
	lastCalled atomic.Int64 // Unix milliseconds of the last call of Redis
}

// New makes a Limiter. The error names a rule whose name cannot be used.
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
		redis:     options.Redis,
		clients:   options.Clients,
		rules:     sorted,
		sliding:   options.Sliding,
		divisor:   int64(max(1, options.FallbackDivisor)),
		log:       options.Log,
		now:       time.Now,
		traffic:   newMemory(entries),
		protected: newMemory(entries),
	}
	l.metrics = newMetrics(options.Registry, func() int { return l.protected.bans(l.now()) })
	return l, nil
}

// Check counts a request and decides about it. The caller must handle the
// returned request in place of r: Answered and Note need it.
func (l *Limiter) Check(r *http.Request) (*Request, Decision) {
	request := newRequest(r, l.clients)
	for _, rule := range l.rules.safelists {
		if rule.match(request) {
			request.Safelisted = true
			l.metrics.count(rule.name, backendLocal, resultSafelisted)
			return request, Decision{Result: Passed, Rule: rule.name}
		}
	}
	for _, rule := range l.rules.blocklists {
		if rule.match(request) {
			l.metrics.count(rule.name, backendLocal, string(Blocked))
			return request, Decision{Result: Blocked, Rule: rule.name}
		}
	}

	now := l.now()
	e := &evaluation{limiter: l, now: now, bans: l.banSteps(request), counts: l.countSteps(request)}
	if len(request.outcomes) > 0 {
		request.takeNotes()
	}
	return request, e.decide(r.Context())
}

// Refuses reports whether the client of a request gets nothing at all: by a blocklist
// or by a ban that this process knows of. It counts nothing and calls no backend. A
// nil Limiter refuses nobody.
func (l *Limiter) Refuses(r *http.Request) bool {
	if l == nil {
		return false
	}
	request := newRequest(r, l.clients)
	for _, rule := range l.rules.safelists {
		if rule.match(request) {
			return false
		}
	}
	for _, rule := range l.rules.blocklists {
		if rule.match(request) {
			return true
		}
	}
	now := l.now()
	for _, rule := range l.rules.bans {
		key := normalizeKey(rule.key(request))
		if key != "" && l.bannedFor(newBanStep(rule, key, false), now) > 0 {
			return true
		}
	}
	return false
}

// Answered passes the status of a response to the rules of Allow2BanByOutcome.
func (l *Limiter) Answered(r *Request, status int) {
	var bans []banStep
	for _, rule := range r.outcomes {
		if key := normalizeKey(rule.key(r)); key != "" && rule.outcome(r, status) {
			bans = append(bans, newBanStep(rule, key, true))
		}
	}
	if len(bans) > 0 {
		(&evaluation{limiter: l, now: l.now(), bans: bans}).decide(r.Context())
	}
}

// Private

// banStep is one ban rule that applies to a request.
type banStep struct {
	rule   *Rule
	id     entryID
	strike bool
}

// countStep is one throttle, one of its levels, or one track that applies to a
// request.
type countStep struct {
	rule   *Rule
	memory *memory
	id     entryID
	limit  int64
	tally  tally
}

func newBanStep(rule *Rule, key string, strike bool) banStep {
	return banStep{rule: rule, id: entryID{rule.name, key, rule.ban.Within}, strike: strike}
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
			if rule.protected {
				memory = l.protected
			}
			for level := range max(1, rule.levels) {
				steps = append(steps, countStep{
					rule: rule, memory: memory, id: entryID{rule.name, key, period}, limit: int64(limit) * int64(level+1),
				})
				period *= 8
			}
		}
	}
	return steps
}

// bannedFor is the rest of a ban in the memory of this process, 0 without one.
func (l *Limiter) bannedFor(step banStep, now time.Time) time.Duration {
	return l.protected.banned(step.id, now, step.rule.ban.For)
}

// claimPoll returns true to one caller when no request has called Redis for a
// second. That caller must call Redis: otherwise a process that refuses all
// requests from memory would never learn of a reset.
func (l *Limiter) claimPoll(now time.Time) bool {
	last := l.lastCalled.Load()
	return now.Sub(time.UnixMilli(last)).Abs() >= time.Second && l.lastCalled.CompareAndSwap(last, now.UnixMilli())
}

// callRedis makes the one call of Redis. It goes on when the client closes its
// connection: a client must not escape the count by leaving early.
func (l *Limiter) callRedis(ctx context.Context, call limitCall, now time.Time) (limitReply, bool) {
	l.lastCalled.Store(now.UnixMilli())
	reply, ok := call.run(context.WithoutCancel(ctx), l.redis)
	if ok {
		l.traffic.reset(reply.generation)
		l.protected.reset(reply.generation)
	}
	return reply, ok
}
