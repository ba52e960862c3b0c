package storefront

import (
	"net/http"
	"strings"
	"time"

	"slipway/internal/throttle"
)

// Limits are the throttle rules of the store. The numbers are chosen as follows.
//
// Pages: a fast shopper opens a page every five seconds, 60 in five minutes. The
// default of 300 allows five such shoppers behind the address of one office, or
// fifteen who read slowly. For a larger office, raise the limit or safelist the address.
// Pictures are not counted, and assets do not come here. Pages that a browser fetches before a link is
// followed, while the pointer is on it, have a limit of their own, twice as high, so that
// looking at links uses up nobody's pages. A browser whose prefetch is refused asks
// again when the link is followed.
//
// Event streams: an open page reconnects every 16 to 20 seconds, about 20 times in
// five minutes. Ten times the limit of pages allows 150 open pages behind one
// address, or 75 while Redis is unavailable and each page polls 40 times.
//
// Carts and orders: three colleagues together add less than one line a second for
// a minute. Thirty orders a minute is an office at the start of a flash sale.
//
// Contacts: each can cause one reminder to an address that nobody has proven, so
// they are rarer. Sixty in an hour are an office in which thirty shoppers correct
// their form once. Mail providers end reminders for all their users from few
// addresses, and a link to end them cannot be guessed.
//
// Flash sales: a shopper without a cart sends a claim twice, so twenty claims in five
// minutes are ten shoppers behind one address. How many unpaid units an address
// holds is limited by shop.SaleFairness, also while Redis is unavailable.
//
// Bans: a shopper whose card was declined twice tries another one; five declined
// cards from one cart are card testing. A mail program may break one or two links
// to orders; ten wrong links are guesses. No browser requests "/.env".
func (s *Storefront) Limits(settings throttle.Settings) []throttle.Rule {
	rules := []throttle.Rule{
		throttle.Safelist("safelist", throttle.In(settings.Safelist)),
		throttle.Blocklist("blocklist", throttle.In(settings.Blocklist)),

		throttle.Fail2Ban("scanner", throttle.Ban{After: 5, Within: 10 * time.Minute, For: 30 * time.Minute}, throttle.PerIP, scans),
		throttle.Allow2BanByOutcome("order-guess",
			throttle.Ban{After: 10, Within: 10 * time.Minute, For: time.Hour}, perIP(showsOrder), notFound),
		throttle.Allow2BanByOutcome("declined-ip", throttle.Ban{After: 10, Within: time.Hour, For: time.Hour}, perIP(buys), declined),
		throttle.Allow2BanByOutcome("declined-cart", throttle.Ban{After: 5, Within: time.Hour, For: time.Hour}, s.perCart(buys), declined),

		throttle.Throttle("req-ip", settings.Requests, settings.RequestPeriod, perIP(asksForPage)),
		throttle.Throttle("prefetch-ip", 2*settings.Requests, settings.RequestPeriod, perIP(prefetches)),
		throttle.Throttle("live-ip", 10*settings.Requests, settings.RequestPeriod, perIP(followsEvents)),
		throttle.Throttle("cart-ip", 60, time.Minute, perIP(changesCart)),
		throttle.Throttle("hold-ip", 20, 5*time.Minute, perIP(claimsSaleUnit)).Protected(),
		throttle.Throttle("contact-ip", 60, time.Hour, perIP(givesContact)),
		throttle.Throttle("reminder-ip", 600, time.Minute, perIP(endsReminders)),
		throttle.Throttle("order-ip", 30, time.Minute, perIP(buys)).Protected(),

		// The store has no accounts yet. These rules are for a handler of POST /login
		// with the field "email", which must also call throttle.Limiter.Login.
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

// cardDeclined is the note of createOrder for the rules declined-ip and
// declined-cart.
const cardDeclined = "card declined"

func asksForPage(r *throttle.Request) bool {
	return !prefetches(r) && !followsEvents(r) && !endsReminders(r) && !r.Below("/pictures/")
}

// prefetches matches requests for pages that nobody has asked for yet. Any client may
// claim that, and gets no more than the limit of prefetch-ip.
func prefetches(r *throttle.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch")
}

// followsEvents matches the requests that an open page makes on its own: for its
// event stream, or for fragments when it has to poll.
func followsEvents(r *throttle.Request) bool { return r.Path == "/live" || r.Below("/live/") }

func changesCart(r *throttle.Request) bool { return r.Method == http.MethodPost && r.Below("/cart/") }

func claimsSaleUnit(r *throttle.Request) bool {
	return r.Method == http.MethodPost && r.Below("/sales/")
}

func givesContact(r *throttle.Request) bool { return r.Is(http.MethodPost, "/checkout") }

func endsReminders(r *throttle.Request) bool {
	return r.Method == http.MethodPost && r.Below("/reminders/")
}

func buys(r *throttle.Request) bool { return r.Is(http.MethodPost, "/orders") }

func showsOrder(r *throttle.Request) bool { return r.Below("/orders/") }

func logsIn(r *throttle.Request) bool { return r.Is(http.MethodPost, "/login") }

// scannedPaths are the beginnings of paths that scans matches.
var scannedPaths = []string{
	"/.env", "/.git", "/.aws", "/.ssh", "/wp-", "/wordpress", "/xmlrpc.php", "/phpmyadmin", "/cgi-bin/", "/vendor/phpunit", "/actuator",
	"/server-status",
}

// scans matches paths that only vulnerability scanners request.
func scans(r *throttle.Request) bool {
	path := strings.ToLower(r.Path)
	for _, prefix := range scannedPaths {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return strings.HasSuffix(path, ".php") || strings.HasSuffix(path, ".asp")
}

func notFound(_ *throttle.Request, status int) bool { return status == http.StatusNotFound }

func declined(r *throttle.Request, _ int) bool { return r.Noted(cardDeclined) }

// perIP is the key of a rule that counts the matching requests of each client.
func perIP(match func(*throttle.Request) bool) func(*throttle.Request) string {
	return func(r *throttle.Request) string {
		if match(r) {
			return r.IP
		}
		return ""
	}
}

// perCart is the key of a rule that counts the matching requests of each cart. A
// cart without a valid signature is not counted.
func (s *Storefront) perCart(match func(*throttle.Request) bool) func(*throttle.Request) string {
	return func(r *throttle.Request) string {
		if !match(r) {
			return ""
		}
		id, _ := s.cart.Read(r.Request)
		return id
	}
}

// perAccount is the key of a rule that counts the logins into each account.
func perAccount(r *throttle.Request) string {
	if logsIn(r) {
		return r.Account("email")
	}
	return ""
}
