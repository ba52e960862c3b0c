package storefront_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/shop"
)

func TestBuying_FromTheFrontPageToTheOrder(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)

	require.Contains(t, ada.get("/").body, "/products/harbour-enamel-mug")
	require.Contains(t, ada.get("/categories/galley").body, "/products/harbour-enamel-mug")
	require.Contains(t, ada.get("/products/harbour-enamel-mug").body, "/cart/lines")
	variant := ada.add("harbour-enamel-mug", 2)
	stock := site.count(t, `SELECT stock FROM variants WHERE id = $1`, variant)
	order := ada.post("/orders", ada.review())

	require.Equal(t, http.StatusOK, order.status, order.body)
	require.Regexp(t, `^/orders/[A-Z2-7]{26}$`, order.path)
	require.Contains(t, order.body, "LW-100001")
	require.Equal(t, stock-2, site.count(t, `SELECT stock FROM variants WHERE id = $1`, variant))
	require.Contains(t, site.shopper(t).get(order.path).body, "LW-100001", "the link is all it takes")
}

func TestBuying_IgnoresPricesThatTheBrowserSends(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	eve := site.shopper(t)
	variant := site.variant(t, "harbour-enamel-mug")
	cheap := url.Values{"price": {"1"}, "price_cents": {"1"}, "total": {"1"}, "total_cents": {"1"}, "shipping": {"0"}}

	form := url.Values{"variant_id": {strconv.FormatInt(variant, 10)}, "quantity": {"1"}}
	eve.post("/cart/lines", with(form, cheap))
	order := eve.post("/orders", with(eve.review(), cheap))

	require.Equal(t, http.StatusOK, order.status)
	price := site.count(t, `SELECT price_cents FROM variants WHERE id = $1`, variant)
	require.Equal(t, price+490, site.count(t, `SELECT total_cents FROM orders`))
}

func TestBuying_ADoubleClickMakesOneOrder(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	form := ada.review()

	var clicks sync.WaitGroup
	answers := make([]answer, 4)
	for i := range answers {
		clicks.Go(func() { answers[i] = ada.post("/orders", form) })
	}
	clicks.Wait()

	for _, shown := range answers {
		require.Equal(t, http.StatusOK, shown.status)
		require.Equal(t, answers[0].path, shown.path)
	}
	require.Equal(t, 1, site.count(t, `SELECT count(*) FROM orders`))
}

func TestBuying_ASecondTabFindsTheCartEmpty(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	first, second := ada.review(), ada.review()

	require.Regexp(t, "^/orders/", ada.post("/orders", first).path)
	late := ada.post("/orders", second)

	require.Equal(t, "/cart", late.path)
	require.Equal(t, 1, site.count(t, `SELECT count(*) FROM orders`))
}

func TestBuying_ShowsWhatIsWrongWithAPayment(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	form := ada.review()

	for card, expected := range map[string]int{
		"4000 0000 0000 0002": http.StatusUnprocessableEntity,
		"4000 0000 0000 0341": http.StatusGatewayTimeout,
		"1":                   http.StatusUnprocessableEntity,
		"":                    http.StatusUnprocessableEntity,
	} {
		refused := ada.post("/orders", with(form, url.Values{"card": {card}}))
		require.Equal(t, expected, refused.status, card)
		require.Contains(t, refused.body, "checkout_key")
		require.Contains(t, refused.body, `role="alert"`)
	}
	require.Zero(t, site.count(t, `SELECT count(*) FROM orders`))

	silent := with(form, url.Values{"card": {"4000 0000 0000 0341"}})
	again := hidden(t, ada.post("/orders", silent).body, "checkout_key")
	require.Equal(t, form.Get("checkout_key"), again, "the same key must be tried again")
}

func TestBuying_ShowsWhenAShopperMayOrderAgain(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(options *shop.Options) { options.OrderLimit = shop.OrderLimit{Orders: 1, Period: time.Hour} })
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	require.Regexp(t, "^/orders/", ada.post("/orders", ada.review()).path)
	ada.add("harbour-enamel-mug", 1)

	refused := ada.post("/orders", ada.review())

	require.Equal(t, http.StatusTooManyRequests, refused.status)
	seconds, err := strconv.Atoi(refused.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Greater(t, seconds, 3000)
	require.LessOrEqual(t, seconds, 3600)
	require.Contains(t, refused.body, "Nothing was charged")
	require.Contains(t, refused.body, "in 60 minutes")
	require.Contains(t, refused.body, "checkout_key", "the form is still there for later")
	require.Equal(t, 1, site.count(t, `SELECT count(*) FROM orders`))
}

func TestBuying_ShowsTheReviewAgainWhenAPriceHasChanged(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	variant := ada.add("harbour-enamel-mug", 1)
	form := ada.review()
	_, err := site.db.Exec(t.Context(), `UPDATE variants SET price_cents = 5555 WHERE id = $1`, variant)
	require.NoError(t, err)

	refused := ada.post("/orders", form)

	require.Equal(t, http.StatusConflict, refused.status)
	require.Contains(t, refused.body, "€55.55")
	require.Zero(t, site.count(t, `SELECT count(*) FROM orders`))
}

func TestBuying_ShowsTheCartWhenSomethingHasSoldOutMeanwhile(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	variant := ada.add("harbour-enamel-mug", 2)
	form := ada.review()

	site.setStock(t, variant, 1)
	short := ada.post("/orders", form)
	require.Equal(t, http.StatusConflict, short.status)
	require.Contains(t, short.body, "Only 1 of Harbour Enamel Mug")

	site.setStock(t, variant, 0)
	gone := ada.post("/orders", form)
	require.Equal(t, http.StatusConflict, gone.status)
	require.Contains(t, gone.body, "has just sold out")
	require.Zero(t, site.count(t, `SELECT count(*) FROM orders`))
}

func TestQuantity_IsRefusedWithAMessageAndShownAsTyped(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	variant := site.variant(t, "harbour-enamel-mug")

	for _, typed := range []string{"0", "-1", "21", "99999999999999999999", "two", "1.5", "", "1e3", "٣", "<b>1</b>"} {
		refused := ada.post("/cart/lines", url.Values{"variant_id": {strconv.FormatInt(variant, 10)}, "quantity": {typed}})
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, typed)
		require.Contains(t, refused.body, "whole number from 1 to 20", typed)
		require.Contains(t, refused.body, "Harbour Enamel Mug")
		if typed != "" && !strings.Contains(typed, "<") {
			require.Contains(t, refused.body, fmt.Sprintf(`value="%s"`, typed))
		}
	}
	require.Zero(t, site.count(t, `SELECT count(*) FROM cart_lines`))

	ada.add("harbour-enamel-mug", 1)
	line := "/cart/lines/" + strconv.FormatInt(variant, 10)
	for _, typed := range []string{"-1", "21", "many"} {
		refused := ada.post(line, url.Values{"quantity": {typed}})
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, typed)
		require.Contains(t, refused.body, fmt.Sprintf(`value="%s"`, typed))
	}
	require.Equal(t, 1, site.count(t, `SELECT quantity FROM cart_lines`))
	ada.post(line, url.Values{"quantity": {"0"}})
	require.Zero(t, site.count(t, `SELECT count(*) FROM cart_lines`))
}

func TestAddToCart_ReportsAMissingProduct(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	variant := site.variant(t, "kelp-soap")
	site.setStock(t, variant, 0)

	soldOut := ada.post("/cart/lines", url.Values{"variant_id": {strconv.FormatInt(variant, 10)}, "quantity": {"1"}})
	require.Equal(t, http.StatusUnprocessableEntity, soldOut.status)
	require.Contains(t, soldOut.body, "has just sold out")

	for _, id := range []string{"987654321", "", "x", "-1", "1; DROP TABLE carts", "99999999999999999999"} {
		missing := ada.post("/cart/lines", url.Values{"variant_id": {id}, "quantity": {"1"}})
		require.Equal(t, http.StatusNotFound, missing.status, id)
	}
}

func TestCheckout_ShowsARefusedFormAsTyped(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	form := with(contact(), url.Values{"email": {"not an address"}, "name": {"Ada 🌊 عربي"}, "street": {strings.Repeat("x", 5000)}})

	refused := ada.post("/checkout", form)

	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	require.Contains(t, refused.body, "not a complete email address")
	require.Contains(t, refused.body, "This has 5000 characters")
	for _, kept := range []string{"not an address", "Ada 🌊 عربي", "Vienna", strings.Repeat("x", 5000)} {
		require.Contains(t, refused.body, kept)
	}
}

func TestCheckout_TakesHostileTextAsText(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	eve := site.shopper(t)
	eve.add("harbour-enamel-mug", 1)
	hostile := `"><script>alert(1)</script>'; DROP TABLE orders; --`
	form := with(contact(), url.Values{"name": {hostile}, "street": {hostile}, "city": {hostile}, "note": {hostile}})

	review := eve.post("/checkout", form)
	require.Equal(t, "/checkout/review", review.path)
	order := eve.post("/orders", url.Values{
		"checkout_key": {hidden(t, review.body, "checkout_key")}, "card": {"4242424242424242"},
	})

	require.Regexp(t, "^/orders/", order.path)
	require.NotContains(t, order.body, "<script>alert")
	require.Contains(t, order.body, "&lt;script&gt;")
	require.Equal(t, 1, site.count(t, `SELECT count(*) FROM orders`))

	for _, unprintable := range []string{"a\x00b", "a\x1bb", "a\xffb"} {
		refused := eve.shopAgain().post("/checkout", with(contact(), url.Values{"name": {unprintable}}))
		require.Equal(t, http.StatusUnprocessableEntity, refused.status)
		require.Contains(t, refused.body, "cannot be printed")
	}
}

// shopAgain is the same browser with something in its cart again.
func (s *shopper) shopAgain() *shopper {
	s.add("kelp-soap", 1)
	return s
}

func TestCheckout_NeedsSomethingToBuy(t *testing.T) {
	t.Parallel()
	ada := newSite(t).shopper(t)

	require.Equal(t, "/cart", ada.get("/checkout").path)
	require.Equal(t, "/cart", ada.get("/checkout/review").path)
	require.Equal(t, "/cart", ada.post("/checkout", contact()).path)
	require.Equal(t, "/cart", ada.post("/orders", url.Values{"checkout_key": {"6f1ed002-ab54-4d9c-8b59-6e3a9f2d2c11"},
		"card": {"4242424242424242"}}).path)

	ada.add("kelp-soap", 1)
	require.Equal(t, "/checkout", ada.get("/checkout/review").path)
}

func TestCart_StartsEmptyWithAForgedOrExpiredCookie(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	address, err := url.Parse(site.url)
	require.NoError(t, err)
	signed := ada.http.Jar.Cookies(address)[0].Value

	expired := strings.Split(signed, ".")
	expired[1] = strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	for _, value := range []string{"forged", signed + "x", strings.Join(expired, "."), "x" + signed, strings.Repeat("a", 4000)} {
		eve := site.shopper(t)
		eve.http.Jar.SetCookies(address, []*http.Cookie{{Name: "cart", Value: value}})
		cart := eve.get("/cart")
		require.Equal(t, http.StatusOK, cart.status)
		require.Contains(t, cart.body, "has expired")
		require.NotContains(t, cart.body, "Harbour Enamel Mug")
		require.NotContains(t, eve.get("/cart").body, "has expired", "said once")
		eve.add("kelp-soap", 1)
		require.NotContains(t, eve.get("/cart").body, "has expired")
	}
}

func TestCart_CookiesOfOtherProgramsDoNotStopAShopper(t *testing.T) {
	t.Parallel()
	for name, baseURL := range map[string]string{"cart": "http://leeward.example", "__Host-cart": "https://leeward.example"} {
		site := newSiteWith(t, setup{baseURL: baseURL})
		variant := strconv.Itoa(int(site.variant(t, "harbour-enamel-mug")))
		bought := site.send(t, http.MethodPost, "/cart/lines?quantity=1&variant_id="+variant, nil)
		cookies := bought.header.Values("Set-Cookie")
		require.Len(t, cookies, 1)
		require.True(t, strings.HasPrefix(cookies[0], name+"="), cookies)
		signed, _, _ := strings.Cut(cookies[0], ";")

		for _, shadowed := range []string{"cart=c1-legacy; " + signed, name + "=c1-legacy; " + signed, signed + "; " + name + "=x"} {
			for range 2 {
				site.send(t, http.MethodPost, "/cart/lines?quantity=1&variant_id="+variant, http.Header{"Cookie": {shadowed}})
			}
			cart := site.send(t, http.MethodGet, "/cart", http.Header{"Cookie": {shadowed}})
			require.Contains(t, cart.body, "Harbour Enamel Mug")
			require.NotContains(t, cart.body, "has expired")
		}
		require.Equal(t, 1, site.count(t, `SELECT count(*) FROM carts`))
		require.Equal(t, 7, site.count(t, `SELECT quantity FROM cart_lines`))
	}
}

func TestCart_AnotherHostCannotPlantOne(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{baseURL: "https://leeward.example"})
	variant := strconv.Itoa(int(site.variant(t, "harbour-enamel-mug")))
	made := site.send(t, http.MethodPost, "/cart/lines?quantity=1&variant_id="+variant, nil)
	signed, _, _ := strings.Cut(made.header.Get("Set-Cookie"), ";")
	planted := strings.TrimPrefix(signed, "__Host-") // browsers take the prefix from this host alone

	victim := site.send(t, http.MethodGet, "/cart", http.Header{"Cookie": {planted}})

	require.NotContains(t, victim.body, "Harbour Enamel Mug")
	require.NotContains(t, victim.body, "has expired")
}

func with(form url.Values, more url.Values) url.Values {
	merged := url.Values{}
	for name, values := range form {
		merged[name] = values
	}
	for name, values := range more {
		merged[name] = values
	}
	return merged
}
