package storefront

import (
	"net/http"
	"strings"
	"time"

	"slipway/internal/assets"
	"slipway/internal/throttle"
)

// Limits are the store's rules against those who want too much. Here is what
// the numbers are for:
//
// A shopper in a hurry opens a page every five seconds, 60 in five minutes, so
// the default of 300 is five of them at once behind one office's address, or
// fifteen who read what they see. A large office belongs on the safelist, or
// the limit up. A page's pictures and assets are not counted. Its event stream
// comes back every 16 to 20 seconds, 20 times in five minutes, hence the limit
// of its own: ten times that of pages is 150 open pages behind one address, or
// 75 while Redis is away and each looks 40 times.
//
// Nobody fills a cart faster than a line a second for a minute, not even three
// colleagues. Thirty orders a minute is an office at the start of a flash sale.
// A card is declined twice, a shopper tries another; five times from one cart
// is somebody who tries cards. Links to orders are opened from a mail: one or
// two may be broken by it, ten are guesses. No browser asks for "/.env".
func (s *Storefront) Limits(settings throttle.Settings) []throttle.Rule {
	rules := []throttle.Rule{
		throttle.Safelist("safelist", throttle.In(settings.Safelist)),
		throttle.Blocklist("blocklist", throttle.In(settings.Blocklist)),

		throttle.Fail2Ban("scanner", throttle.Ban{After: 5, Within: 10 * time.Minute, For: 30 * time.Minute}, throttle.PerIP, scans),
		throttle.Allow2BanByOutcome("order-guess", throttle.Ban{After: 10, Within: 10 * time.Minute, For: time.Hour}, perIP(showsOrder), notFound),
		throttle.Allow2BanByOutcome("declined-ip", throttle.Ban{After: 10, Within: time.Hour, For: time.Hour}, perIP(buys), declined),
		throttle.Allow2BanByOutcome("declined-cart", throttle.Ban{After: 5, Within: time.Hour, For: time.Hour}, s.perCart(buys), declined),

		throttle.Throttle("req-ip", settings.Requests, settings.RequestPeriod, perIP(asksForPage)),
		throttle.Throttle("live-ip", 10*settings.Requests, settings.RequestPeriod, perIP(followsEvents)),
		throttle.Throttle("cart-ip", 60, time.Minute, perIP(fillsCart)),
		throttle.Throttle("order-ip", 30, time.Minute, perIP(buys)).Protected(),

		// The store has no accounts yet: these wait for a page that takes POST
		// /login with the field "email", and asks throttle.Limiter.Login.
		throttle.Throttle("login-ip", settings.Logins, settings.LoginPeriod, perIP(logsIn)).Protected(),
		throttle.Throttle("login-account", settings.Logins, settings.LoginPeriod, perAccount).Protected(),
		throttle.FailedLogins(settings.FailedLogins),
	}
	if settings.Countries != nil {
		rules = append(rules, throttle.Blocklist("country", settings.Countries.Refuses))
	}
	return rules
}

// Private

// cardDeclined is what createOrder notes for the rules above.
const cardDeclined = "card declined"

func asksForPage(r *throttle.Request) bool {
	return !followsEvents(r) && !r.Below(assets.Prefix) && !r.Below("/pictures/")
}

// followsEvents is an open page's own doing: a stream, or a look every few
// seconds while there is none.
func followsEvents(r *throttle.Request) bool { return r.Path == "/live" || r.Below("/live/") }

func fillsCart(r *throttle.Request) bool { return r.Is(http.MethodPost, "/cart/lines") }

func buys(r *throttle.Request) bool { return r.Is(http.MethodPost, "/orders") }

func showsOrder(r *throttle.Request) bool { return r.Below("/orders/") }

func logsIn(r *throttle.Request) bool { return r.Is(http.MethodPost, "/login") }

// scans tells what only those ask for who look for somebody else's mistakes.
func scans(r *throttle.Request) bool {
	asked := strings.ToLower(r.Path)
	for _, begin := range []string{"/.env", "/.git", "/.aws", "/.ssh", "/wp-", "/wordpress", "/xmlrpc.php", "/phpmyadmin", "/cgi-bin/", "/vendor/phpunit", "/actuator", "/server-status"} {
		if strings.HasPrefix(asked, begin) {
			return true
		}
	}
	return strings.HasSuffix(asked, ".php") || strings.HasSuffix(asked, ".asp")
}

func notFound(_ *throttle.Request, status int) bool { return status == http.StatusNotFound }

func declined(r *throttle.Request, _ int) bool { return r.Noted(cardDeclined) }

// perIP counts the requests of a client that match.
func perIP(match func(*throttle.Request) bool) func(*throttle.Request) string {
	return func(r *throttle.Request) string {
		if match(r) {
			return r.IP
		}
		return ""
	}
}

// perCart counts the requests of a cart that match. A cart that the browser
// made up itself is none.
func (s *Storefront) perCart(match func(*throttle.Request) bool) func(*throttle.Request) string {
	return func(r *throttle.Request) string {
		if !match(r) {
			return ""
		}
		id, _ := s.cart.Read(r.Request)
		return id
	}
}

// perAccount counts logins into an account, from wherever.
func perAccount(r *throttle.Request) string {
	if logsIn(r) {
		return r.Account("email")
	}
	return ""
}
