package throttle

import (
	"fmt"
	"regexp"
	"time"
)

// Rule is one line of a store's limits. Rules are evaluated in the order of
// Rack::Attack whatever order they are given in: safelists, blocklists, bans,
// throttles, tracks; within a kind as given.
//
// A key sorts requests: those with the same key are counted together. A
// request with an empty key is none of the rule's business.
type Rule struct {
	name    string
	kind    kind
	match   func(*Request) bool
	key     func(*Request) string
	limits  func(*Request) (limit int, period time.Duration)
	levels  int
	apart   bool
	ban     Ban
	strike  func(*Request) bool
	outcome func(r *Request, status int) bool
}

// Ban says when a ban is due and how long it lasts.
type Ban struct {
	After  int           // so many strikes; 0 switches the rule off
	Within time.Duration // one window of time
	For    time.Duration // the ban lasts
}

// Safelist lets requests pass that match. They are not counted either.
func Safelist(name string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: safelist, match: match}
}

// Blocklist refuses requests that match with 403.
func Blocklist(name string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: blocklist, match: match}
}

// Throttle lets limit requests of one key pass in each period, and answers the
// rest with 429. A limit or period of 0 switches the rule off.
func Throttle(name string, limit int, period time.Duration, key func(*Request) string) Rule {
	return ThrottleBy(name, func(*Request) (int, time.Duration) { return limit, period }, key)
}

// ThrottleBy is a Throttle whose limit and period depend on the request.
func ThrottleBy(name string, limits func(*Request) (limit int, period time.Duration), key func(*Request) string) Rule {
	return Rule{name: name, kind: throttle, limits: limits, key: key, levels: 1}
}

// Backoff adds levels to a Throttle, as Rack::Attack's recipe for exponential
// backoff does: level n lets n times the limit pass in 8 to the n-1 times the
// period. Whoever goes on at the limit is allowed less and less.
func (r Rule) Backoff(levels int) Rule {
	r.levels = levels
	return r
}

// Apart keeps the rule's memory in the space of bans and logins, which a flood
// of other requests cannot push out of the process.
func (r Rule) Apart() Rule {
	r.apart = true
	return r
}

// Fail2Ban refuses requests that match and counts a strike for each, and bans
// their key after too many: then every request of the key gets 403.
func Fail2Ban(name string, ban Ban, key func(*Request) string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: fail2ban, ban: ban, key: key, strike: match, apart: true}
}

// Allow2Ban lets requests that match pass until their key has made too many,
// and then bans it.
func Allow2Ban(name string, ban Ban, key func(*Request) string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: allow2ban, ban: ban, key: key, strike: match, apart: true}
}

// Allow2BanByOutcome is an Allow2Ban that judges a request by its answer: by
// the status, and by what handlers have said with Note. The answer itself goes
// out in any case.
func Allow2BanByOutcome(name string, ban Ban, key func(*Request) string, match func(r *Request, status int) bool) Rule {
	return Rule{name: name, kind: allow2ban, ban: ban, key: key, outcome: match, apart: true}
}

// FailedLogins bans addresses and accounts after too many failed logins. It
// does nothing by itself: a login handler asks Limiter.Login.
func FailedLogins(ban Ban) Rule {
	return Rule{name: failedLogins, kind: logins, ban: ban, apart: true}
}

// Track counts requests of a key and refuses none.
func Track(name string, period time.Duration, key func(*Request) string) Rule {
	return Rule{name: name, kind: track, key: key, levels: 1, limits: func(*Request) (int, time.Duration) { return unlimited, period }}
}

// Private

type kind int

const (
	safelist kind = iota
	blocklist
	fail2ban
	allow2ban
	logins
	throttle
	track
)

// unlimited is the limit of what is only counted.
const unlimited = -1

const failedLogins = "failed-login"

// rules are sorted by what happens to them.
type rules struct {
	safelists, blocklists, bans, throttles, tracks []*Rule
	logins                                         *Rule
}

var ruleName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

func sortRules(given []Rule) (rules, error) {
	var sorted rules
	known := map[string]bool{}
	for i := range given {
		rule := &given[i]
		if !ruleName.MatchString(rule.name) || known[rule.name] {
			return rules{}, fmt.Errorf("name a throttle rule %q: names are made of a-z, 0-9 and -, and are there once", rule.name)
		}
		known[rule.name] = true
		switch rule.kind {
		case safelist:
			sorted.safelists = append(sorted.safelists, rule)
		case blocklist:
			sorted.blocklists = append(sorted.blocklists, rule)
		case fail2ban, allow2ban:
			if rule.ban.active() {
				sorted.bans = append(sorted.bans, rule)
			}
		case logins:
			if rule.ban.active() {
				sorted.logins = rule
			}
		case throttle:
			sorted.throttles = append(sorted.throttles, rule)
		case track:
			sorted.tracks = append(sorted.tracks, rule)
		}
	}
	return sorted, nil
}

func (b Ban) active() bool { return b.After > 0 && b.Within > 0 && b.For > 0 }
