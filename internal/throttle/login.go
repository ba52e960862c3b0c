package throttle

import (
	"context"
	"net/http"
	"time"
)

// Login guards one attempt to log in, by the rule FailedLogins. A handler
//
//  1. asks Refused before it hashes the password, which is the work that an
//     attacker wants done, and answers 429 when it says so;
//  2. answers a wrong password and an unknown account with the same words after
//     the same work, and tells Failed;
//  3. tells Succeeded otherwise.
type Login struct {
	limiter     *Limiter
	ip, account banStep
	refused     time.Duration
}

// Login begins an attempt. KnownDevice tells that the browser carries a signed
// cookie from an earlier login to this account: a ban of the account does not
// lock its owner out there, whereas a ban of the address holds for everybody.
func (l *Limiter) Login(r *http.Request, account string, knownDevice bool) *Login {
	login := &Login{limiter: l}
	rule := l.rules.logins
	if rule == nil {
		return login
	}
	ip := l.clients.Bucket(l.clients.Address(r))
	login.ip = newBanStep(rule, ip, false)
	login.account = newBanStep(rule, accountKey(account), false)

	asked := []banStep{login.ip, login.account}
	if knownDevice {
		asked = asked[:1]
	}
	now := l.now()
	if (&inquiry{limiter: l, now: now, bans: asked}).decide(r.Context()).Refused() {
		for _, step := range asked {
			login.refused = max(login.refused, l.bannedFor(step, now))
		}
		login.refused = max(login.refused, time.Second)
	}
	return login
}

// Refused tells that the attempt must not go on, and how long the ban lasts.
func (g *Login) Refused() (time.Duration, bool) { return g.refused, g.refused > 0 }

// Failed counts a strike against the address and one against the account.
func (g *Login) Failed(ctx context.Context) {
	if g.limiter.rules.logins == nil {
		return
	}
	g.ip.strike, g.account.strike = true, true
	for _, step := range []banStep{g.ip, g.account} {
		// Each by itself: a ban of one must not keep the other from counting.
		(&inquiry{limiter: g.limiter, now: g.limiter.now(), bans: []banStep{step}}).decide(ctx)
	}
}

// Succeeded forgets the failures of the account. Those of the address stay:
// an attacker may own an account too.
func (g *Login) Succeeded(ctx context.Context) {
	if g.limiter.rules.logins == nil {
		return
	}
	now := g.limiter.now()
	g.limiter.apart.pardon(g.account.at, now)
	g.limiter.redis.Delete(context.WithoutCancel(ctx), "throttle.Login", countKey(g.account.at, windowOf(g.account.at.period, now)))
}
