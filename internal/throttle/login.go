package throttle

import (
	"context"
	"net/http"
	"time"
)

// Login guards one attempt to log in, by the rule FailedLogins. A login handler
//
//  1. calls Refused before it hashes the password, because that is the work that
//     an attacker causes, and replies 429 when the attempt is refused;
//  2. replies to a wrong password and to an unknown account with the same text
//     after the same work, and calls Failed;
//  3. calls Succeeded otherwise.
type Login struct {
	limiter     *Limiter
	ip, account banStep
	refused     time.Duration
}

// Login begins an attempt to log in. KnownDevice says that the browser has a
// signed cookie of an earlier login to this account. On such a device a ban of
// the account does not lock its owner out; a ban of the address always holds.
func (l *Limiter) Login(r *http.Request, account string, knownDevice bool) *Login {
	login := &Login{limiter: l}
	rule := l.rules.logins
	if rule == nil {
		return login
	}
	ip := l.clients.Bucket(l.clients.Address(r))
	login.ip = newBanStep(rule, ip, false)
	login.account = newBanStep(rule, accountKey(account), false)

	checked := []banStep{login.ip, login.account}
	if knownDevice {
		checked = checked[:1]
	}
	now := l.now()
	if (&evaluation{limiter: l, now: now, bans: checked}).decide(r.Context()).Refused() {
		for _, step := range checked {
			login.refused = max(login.refused, l.bannedFor(step, now))
		}
		login.refused = max(login.refused, time.Second)
	}
	return login
}

// Refused reports whether the attempt must not go on, and the rest of the ban.
func (g *Login) Refused() (time.Duration, bool) { return g.refused, g.refused > 0 }

// Failed counts one strike against the address and one against the account.
func (g *Login) Failed(ctx context.Context) {
	if g.limiter.rules.logins == nil {
		return
	}
	g.ip.strike, g.account.strike = true, true
	for _, step := range []banStep{g.ip, g.account} {
		// In a call of its own: a ban of one must not end the count of the other.
		(&evaluation{limiter: g.limiter, now: g.limiter.now(), bans: []banStep{step}}).decide(ctx)
	}
}

// Succeeded deletes the strikes of the account. The strikes of the address stay,
// because an attacker may have an account of its own.
func (g *Login) Succeeded(ctx context.Context) {
	if g.limiter.rules.logins == nil {
		return
	}
	now := g.limiter.now()
	g.limiter.protected.resetCount(g.account.id, now)
	key := countKey(g.account.id, windowOf(g.account.id.period, now))
	g.limiter.redis.Delete(context.WithoutCancel(ctx), "throttle.Login", key)
}
