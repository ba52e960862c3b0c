package storefront_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/throttle"
)

func TestLimits_NeverRefuseABusyShopper(t *testing.T) {
	t.Parallel()
	shopper := newLimitedSite(t, usualLimits()).shopperAt(t, "192.0.2.1")

	for range 8 {
		for _, path := range []string{"/", "/categories/galley", "/products/harbour-enamel-mug", "/search?q=mug"} {
			require.Equal(t, http.StatusOK, shopper.get(path).status, path)
		}
		shopper.add("harbour-enamel-mug", 1)
	}
	for range 3 {
		fields := shopper.review()
		fields.Set("card", "4000 0000 0000 0002")
		require.Equal(t, http.StatusUnprocessableEntity, shopper.post("/orders", fields).status)
	}
	placed := shopper.post("/orders", shopper.review())

	require.Equal(t, http.StatusOK, placed.status)
	for range 50 {
		require.Equal(t, http.StatusOK, shopper.get(placed.path).status)
	}
}

func TestLimits_CountPagesAndNotTheirAssets(t *testing.T) {
	t.Parallel()
	limits := usualLimits()
	limits.Requests = 20
	limits.RequestPeriod = 24 * time.Hour
	site := newLimitedSite(t, limits)
	shopper := site.shopperAt(t, "192.0.2.1")

	for range 20 {
		require.Equal(t, http.StatusOK, shopper.get("/search").status)
	}

	refused := shopper.get("/search")
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Contains(t, refused.body, "Slowly, please")
	require.Equal(t, http.StatusTooManyRequests, shopper.get("/nowhere").status)
	require.Equal(t, http.StatusNotFound, shopper.get("/pictures/none").status)
	require.Equal(t, http.StatusNotFound, shopper.get("/assets/none").status)
	require.Equal(t, http.StatusOK, site.shopperAt(t, "192.0.2.2").get("/").status)
	require.Equal(t, http.StatusOK, site.shopperAt(t, "198.51.100.1").get("/").status, "on the safelist")
	require.Equal(t, http.StatusForbidden, site.shopperAt(t, "203.0.113.1").get("/").status, "on the blocklist")
}

func TestLimits_ContactsAreFewerThanPages(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, usualLimits())
	spammer := site.shopperAt(t, "192.0.2.1")
	statusOf := func() int { return spammer.post("/checkout", url.Values{}).status }

	refused := 0
	for range 125 { // of which 60 in each of at most two hours
		if statusOf() == http.StatusTooManyRequests {
			refused++
		}
	}

	require.GreaterOrEqual(t, refused, 5)
	require.Less(t, refused, 125-59)
	require.Equal(t, http.StatusOK, spammer.get("/").status)
	spammer.from = "192.0.2.2"
	require.NotEqual(t, http.StatusTooManyRequests, statusOf())
}

func TestLimits_LetAMailProviderEndManyReminders(t *testing.T) {
	t.Parallel()
	limits := usualLimits()
	limits.Requests, limits.RequestPeriod = 10, 24*time.Hour
	provider := newLimitedSite(t, limits).shopperAt(t, "192.0.2.1")

	for range 30 {
		require.Equal(t, http.StatusNotFound, provider.post("/reminders/x", nil).status)
	}
}

func TestLimits_BanScanners(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, usualLimits())
	scanner := site.shopperAt(t, "192.0.2.1")

	for _, path := range []string{"/.env", "/wp-login.php", "/.git/config", "//.env.production/"} {
		require.Equal(t, http.StatusForbidden, scanner.get(path).status, path)
		require.Equal(t, http.StatusOK, scanner.get("/").status)
	}
	scanner.get("/%2egit/HEAD")

	closed := scanner.get("/")
	require.Equal(t, http.StatusForbidden, closed.status)
	require.Contains(t, closed.body, "This harbour is closed to you")
	require.Equal(t, http.StatusOK, site.shopperAt(t, "192.0.2.2").get("/").status)
}

func TestLimits_BanOrderGuessing(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, usualLimits())
	guesser := site.shopperAt(t, "192.0.2.1")
	guesser.add("harbour-enamel-mug", 1)
	placed := guesser.post("/orders", guesser.review())
	require.Equal(t, http.StatusOK, placed.status)

	for i := range 10 {
		require.Equal(t, http.StatusNotFound, guesser.get(fmt.Sprint("/orders/guess", i)).status)
	}

	require.Equal(t, http.StatusForbidden, guesser.get(placed.path).status)
	require.Equal(t, http.StatusOK, guesser.get("/").status)
	require.Equal(t, http.StatusOK, site.shopperAt(t, "192.0.2.2").get(placed.path).status)
}

func TestLimits_BanCardTesting(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, usualLimits())
	tester := site.shopperAt(t, "192.0.2.1")
	tester.add("harbour-enamel-mug", 1)
	try := func() int {
		fields := tester.review()
		fields.Set("card", "4000 0000 0000 0002")
		return tester.post("/orders", fields).status
	}

	// One cart, from wherever.
	for i := range 5 {
		tester.from = fmt.Sprint("192.0.2.", i)
		require.Equal(t, http.StatusUnprocessableEntity, try())
	}
	tester.from = "192.0.2.77"
	require.Equal(t, http.StatusForbidden, try())

	// One address, with cart after cart.
	for range 10 {
		tester = site.shopperAt(t, "198.51.99.1")
		tester.add("harbour-enamel-mug", 1)
		require.Equal(t, http.StatusUnprocessableEntity, try())
	}
	tester = site.shopperAt(t, "198.51.99.1")
	tester.add("harbour-enamel-mug", 1)
	require.Equal(t, http.StatusForbidden, try())
	require.Equal(t, http.StatusOK, tester.get("/cart").status)
}

func TestLimits_CartsAndLoginsHaveLimitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	limits := usualLimits()
	limits.Logins, limits.LoginPeriod = 3, 24*time.Hour
	site := newLimitedSite(t, limits)
	shopper := site.shopperAt(t, "192.0.2.1")

	refused := 0
	for range 125 { // of which 60 in each of at most two minutes
		if shopper.post("/cart/lines", url.Values{"variant_id": {"0"}}).status == http.StatusTooManyRequests {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 5)

	for i := range 3 {
		shopper.from = fmt.Sprint("192.0.2.", 10+i)
		require.Equal(t, http.StatusNotFound, shopper.post("/login", url.Values{"email": {"ada@example.com"}}).status)
	}
	shopper.from = "192.0.2.20"
	require.Equal(t, http.StatusTooManyRequests, shopper.post("/login/", url.Values{"email": {" ADA@example.com"}}).status)
	require.Equal(t, http.StatusNotFound, shopper.post("/login", url.Values{"email": {"bob@example.com"}}).status)
}

// Private

// usualLimits are the defaults, with one address on each list.
func usualLimits() *throttle.Settings {
	return &throttle.Settings{
		Safelist: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Blocklist: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Requests: 300, RequestPeriod: 5 * time.Minute, Logins: 10, LoginPeriod: time.Minute,
	}
}

// shopperAt is a shopper who comes from an address.
func (s site) shopperAt(t *testing.T, ip string) *shopper {
	t.Helper()
	shopper := s.shopper(t)
	shopper.from = ip
	shopper.http.Transport = forwarder{shopper}
	return shopper
}

// forwarder is the proxy that names the shopper's address.
type forwarder struct{ shopper *shopper }

func (f forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", f.shopper.from)
	return http.DefaultTransport.RoundTrip(r)
}

func TestLimits_APrefetchUsesUpNoPage(t *testing.T) {
	t.Parallel()
	limits := usualLimits()
	limits.Requests = 20
	limits.RequestPeriod = 24 * time.Hour
	site := newLimitedSite(t, limits)
	prefetch := func() int {
		return site.send(t, http.MethodGet, "/search", http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "Sec-Purpose": {"prefetch"},
		}).status
	}

	for range 40 {
		require.Equal(t, http.StatusOK, prefetch())
	}
	require.Equal(t, http.StatusTooManyRequests, prefetch())
	require.Equal(t, http.StatusOK, site.shopperAt(t, "192.0.2.1").get("/search").status)
}
