package throttle

import (
	"fmt"
	"regexp"
	"time"
)

// Rule is one rule of Rack::Attack: a safelist, blocklist, throttle, track,
// Fail2Ban or Allow2Ban. Rules are evaluated by kind, in the order of
// Rack::Attack: safelists, blocklists, bans, throttles, tracks; rules of one
// kind in the order in which they are given.
//
// A rule's key function returns the discriminator of a request: requests with
// the same key are counted together. The rule ignores a request whose key is
// empty.
type Rule struct {
	name      string
	kind      kind
	match     func(*Request) bool
	key       func(*Request) string
	limits    func(*Request) (limit int, period time.Duration)
	levels    int
	protected bool
	ban       Ban
	strike    func(*Request) bool
	outcome   func(r *Request, status int) bool
}

// Ban says when a key is banned and for how long.
type Ban struct {
	After  int           // strikes that lead to a ban; 0 disables the rule
	Within time.Duration // window in which strikes are counted
	For    time.Duration // how long the ban lasts
}

// Safelist lets matching requests pass. No other rule sees or counts them.
func Safelist(name string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: safelist, match: match}
}

// Blocklist refuses matching requests with 403.
func Blocklist(name string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: blocklist, match: match}
}

// Throttle lets limit requests of one key pass in each period, and refuses the
// others with 429. A limit or a period of 0 disables the rule.
func Throttle(name string, limit int, period time.Duration, key func(*Request) string) Rule {
	return Varying(name, func(*Request) (int, time.Duration) { return limit, period }, key)
}

// Varying is a Throttle whose limit and period depend on the request.
func Varying(name string, limits func(*Request) (limit int, period time.Duration), key func(*Request) string) Rule {
	return Rule{name: name, kind: throttle, limits: limits, key: key, levels: 1}
}

// Backoff gives a Throttle several levels, like Rack::Attack's recipe for
// exponential backoff: level n lets n times the limit pass in 8 to the power of
// n-1 times the period. A client that stays at the limit is allowed ever less.
func (r Rule) Backoff(levels int) Rule {
	r.levels = levels
	return r
}

// Protected counts a Throttle in the protected memory of each process, beside
// bans and logins, where a flood of other requests cannot evict its counts.
func (r Rule) Protected() Rule {
	r.protected = true
	return r
}

// Fail2Ban refuses matching requests with 403 and counts a strike for each of
// them. After too many strikes the key is banned: all its requests get 403.
func Fail2Ban(name string, ban Ban, key func(*Request) string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: fail2ban, ban: ban, key: key, strike: match, protected: true}
}

// Allow2Ban is a Fail2Ban that lets matching requests pass until the key is
// banned.
func Allow2Ban(name string, ban Ban, key func(*Request) string, match func(*Request) bool) Rule {
	return Rule{name: name, kind: allow2ban, ban: ban, key: key, strike: match, protected: true}
}

// Allow2BanByOutcome is an Allow2Ban that decides about a strike after the
// request is answered: by the status, and by what handlers recorded with Note.
// It never changes that response.
func Allow2BanByOutcome(name string, ban Ban, key func(*Request) string, match func(r *Request, status int) bool) Rule {
	return Rule{name: name, kind: allow2ban, ban: ban, key: key, outcome: match, protected: true}
}

// FailedLogins bans addresses and accounts after too many failed logins. It has
// no effect on its own: a login handler calls Limiter.Login.
func FailedLogins(ban Ban) Rule {
	return Rule{name: failedLogins, kind: logins, ban: ban, protected: true}
}

// Track counts the requests of a key and refuses none.
func Track(name string, period time.Duration, key func(*Request) string) Rule {
	limits := func(*Request) (int, time.Duration) { return unlimited, period }
	return Rule{name: name, kind: track, key: key, levels: 1, limits: limits}
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

// unlimited is the limit of a rule that only counts.
const unlimited = -1

const failedLogins = "failed-login"

// rules are all rules, by kind.
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
			return rules{}, fmt.Errorf("throttle rule %q: a name must be unique and have 1 to 40 of the characters a-z, 0-9 and -", rule.name)
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
