package storefront_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestFlashSale_FromTheFrontPageToTheOrder(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 50)
	ada := site.shopper(t)

	home := ada.get("/").body
	require.Contains(t, home, "50 of 50 left")
	require.Contains(t, home, "data-countdown")
	require.Contains(t, ada.get("/products/riggers-knife").body, "Get it at this price")
	cart := ada.post(sale.path, url.Values{"claim_id": {hidden(t, home, "claim_id")}, "price": {"1"}})
	require.Equal(t, http.StatusOK, cart.status, cart.body)
	require.Equal(t, "/cart", cart.path)
	require.Contains(t, cart.body, "is yours at €29.90")
	require.Contains(t, cart.body, "for another")
	require.Contains(t, ada.get("/").body, "49 of 50 left")

	review := ada.review()
	require.Contains(t, ada.get("/checkout").body, "€29.90")
	order := ada.post("/orders", review)
	require.Regexp(t, "^/orders/", order.path, order.body)
	require.Contains(t, order.body, "€29.90")
	require.Equal(t, 2990+490, site.count(t, `SELECT total_cents FROM orders`))
	require.Equal(t, 1, site.count(t, `SELECT sold FROM flash_sales`))
	require.Zero(t, site.count(t, `SELECT held FROM flash_sales`))
}

func TestFlashSale_ADoubleClickHoldsOneUnitAlsoWithoutACart(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 50)
	ada := site.shopper(t)
	form := url.Values{"claim_id": {hidden(t, ada.get("/").body, "claim_id")}}

	var clicks sync.WaitGroup
	for range 6 {
		clicks.Go(func() { ada.post(sale.path, form) })
	}
	clicks.Wait()
	again := ada.post(sale.path, form)

	require.Equal(t, "/cart", again.path)
	require.Equal(t, 1, strings.Count(again.body, "cart-line-hold"))
	require.Equal(t, site.count(t, `SELECT held FROM flash_sales`), site.count(t, `SELECT count(DISTINCT cart_id) FROM sale_holds`),
		"no cart holds two")
}

func TestFlashSale_ACopyOfAPageServesEverybody(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 50)
	form := url.Values{"claim_id": {uuid.NewString()}}

	ada, grace := site.shopper(t), site.shopper(t)
	require.Equal(t, "/cart", ada.post(sale.path, form).path)
	require.Equal(t, "/cart", grace.post(sale.path, form).path)

	require.Equal(t, 2, site.count(t, `SELECT held FROM flash_sales`), "the same claim of another cart is another one")
}

func TestFlashSale_TooLateShoppersAreRefused(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 1)
	ada, grace := site.shopper(t), site.shopper(t)
	claim := func() url.Values { return url.Values{"claim_id": {uuid.NewString()}} }
	ada.post(sale.path, claim())

	late := grace.post(sale.path, claim())
	require.Equal(t, http.StatusConflict, late.status)
	require.Contains(t, late.body, "Somebody was quicker")
	require.Contains(t, site.shopper(t).get("/").body, "All in somebody")
	more := ada.post(sale.path, claim())
	require.Equal(t, http.StatusConflict, more.status, "she has one, and there are no more")

	site.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '2 minutes', ends_at = now() - interval '1 minute'`)
	over := grace.post(sale.path, claim())
	require.Equal(t, http.StatusConflict, over.status)
	require.Contains(t, over.body, "not open")

	for path, status := range map[string]int{"/sales/987654321/holds": 404, "/sales/x/holds": 404} {
		require.Equal(t, status, grace.post(path, claim()).status, path)
	}
	for _, id := range []string{"", "x", "{" + uuid.NewString() + "}"} {
		require.Equal(t, http.StatusUnprocessableEntity, grace.post(sale.path, url.Values{"claim_id": {id}}).status, id)
	}
}

func TestFlashSale_OneAddressTakesOnlyAFewUnits(t *testing.T) {
	t.Parallel()
	limits := usualLimits()
	site := newLimitedSite(t, limits)
	sale := site.startSale(t, 50)
	statuses := map[int]int{}

	for range 60 {
		thief := site.shopperAt(t, "192.0.2.1") // without cookies each time
		statuses[thief.post(sale.path, url.Values{"claim_id": {uuid.NewString()}}).status]++
	}

	require.Equal(t, 5, statuses[http.StatusOK], statuses)
	require.Equal(t, 55, statuses[http.StatusTooManyRequests], statuses)
	require.Equal(t, 5, site.count(t, `SELECT held FROM flash_sales`))
	require.Equal(t, 5, site.count(t, `SELECT count(*) FROM carts`))
	other := site.shopperAt(t, "192.0.2.2").post(sale.path, url.Values{"claim_id": {uuid.NewString()}})
	require.Equal(t, "/cart", other.path)
	for range 7 { // an address of the safelist, such as that of an office
		colleague := site.shopperAt(t, "198.51.100.1").post(sale.path, url.Values{"claim_id": {uuid.NewString()}})
		require.Equal(t, "/cart", colleague.path)
	}
	require.Zero(t, site.count(t, `SELECT count(*) FROM sale_holds WHERE holder LIKE '%192.0.2%'`), "no address is stored")
}

func TestFlashSale_SaysThatAnAddressHoldsEnough(t *testing.T) {
	t.Parallel()
	site := newLimitedSite(t, usualLimits())
	sale := site.startSale(t, 50)
	for range 5 {
		require.Equal(t, "/cart", site.shopperAt(t, "192.0.2.1").post(sale.path, url.Values{"claim_id": {uuid.NewString()}}).path)
	}

	refused := site.shopperAt(t, "192.0.2.1").post(sale.path, url.Values{"claim_id": {uuid.NewString()}})

	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Contains(t, refused.body, "Enough for one address")
}

func TestFlashSale_EnforcesTheLimitOfACart(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 50)
	ada := site.shopper(t)
	ada.post(sale.path, url.Values{"claim_id": {uuid.NewString()}})

	refused := ada.post(sale.path, url.Values{"claim_id": {uuid.NewString()}})

	require.Equal(t, "/cart", refused.path)
	require.Contains(t, refused.body, "you have them already")
	require.Equal(t, 1, site.count(t, `SELECT held FROM flash_sales`))
}

func TestFlashSale_AnExpiredHoldIsShownAndNeverChargedMore(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 1)
	ada := site.shopper(t)
	ada.post(sale.path, url.Values{"claim_id": {uuid.NewString()}})
	review := ada.review()
	site.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 second'`)

	cart := ada.get("/cart")
	require.Contains(t, cart.body, "at €29.90 has run out")
	require.Contains(t, cart.body, "€46.00")
	site.shopper(t).post(sale.path, url.Values{"claim_id": {uuid.NewString()}})
	refused := ada.post("/orders", review)

	require.Equal(t, http.StatusConflict, refused.status)
	require.Contains(t, refused.body, "Nothing was charged")
	require.Zero(t, site.count(t, `SELECT count(*) FROM orders`))
}

func TestFlashSale_AShopperGivesAUnitBack(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 1)
	ada := site.shopper(t)
	cart := ada.post(sale.path, url.Values{"claim_id": {uuid.NewString()}})
	_, rest, _ := strings.Cut(cart.body, `action="/cart/holds/`)
	claim, _, _ := strings.Cut(rest, `"`)

	require.Equal(t, http.StatusNotFound, site.shopper(t).post("/cart/holds/"+claim, nil).status)
	emptied := ada.post("/cart/holds/"+claim, nil)

	require.Contains(t, emptied.body, "Your cart is empty")
	require.Zero(t, site.count(t, `SELECT held FROM flash_sales`))
}

func TestFlashSale_NeedsABrowserThatKeepsItsCart(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	sale := site.startSale(t, 1)

	answer, err := http.PostForm(site.url+sale.path, url.Values{"claim_id": {uuid.NewString()}}) // forgets cookies

	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode)
	require.Zero(t, site.count(t, `SELECT held FROM flash_sales`))
}

// flashSale is a sale of the rigger's knife at €29.90 instead of €46.00.
type flashSale struct{ path string }

func (s site) startSale(t *testing.T, units int) flashSale {
	t.Helper()
	id := s.count(t, `
		INSERT INTO flash_sales (variant_id, price_cents, units, starts_at, ends_at)
		SELECT id, 2990, $1, now() - interval '1 minute', now() + interval '1 hour' FROM variants WHERE sku = 'LW-KNF-WAL'
		RETURNING id`, units)
	return flashSale{path: "/sales/" + strconv.Itoa(id) + "/holds"}
}

func (s site) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), statement)
	require.NoError(t, err)
}
