package storefront_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// catalogue are pages that show the mug.
var catalogue = []string{"/", "/categories/galley", "/categories/everything?page=1", "/products/harbour-enamel-mug"}

func TestSharedPages_AreServedFromTheCacheUntilTheyChange(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true})
	ada := site.shopper(t)
	ada.awaitHit("/products/harbour-enamel-mug")

	mug := site.product(t, "harbour-enamel-mug")

	for change, text := range map[string]string{
		`UPDATE variants SET price_cents = 4711 WHERE product_id = $1`:                                       "€47.11",
		`UPDATE products SET tagline = 'Blue as the sea' WHERE id = $1`:                                      "Blue as the sea",
		`UPDATE variants SET stock = 0 WHERE product_id = $1`:                                                "Sold out",
		`UPDATE categories SET name = 'Caboose' WHERE id = (SELECT category_id FROM products WHERE id = $1)`: "Caboose",
	} {
		require.NotContains(t, ada.get("/products/harbour-enamel-mug").body, text)
		began := time.Now()
		_, err := site.db.Exec(t.Context(), change, mug)
		require.NoError(t, err)
		stacktest.Eventually(t, func() bool { return strings.Contains(ada.get("/products/harbour-enamel-mug").body, text) })
		t.Logf("%q shown after %s", text, time.Since(began).Round(time.Millisecond))
		ada.awaitHit("/products/harbour-enamel-mug")
	}
}

func TestSharedPages_AreNotForAShopper(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true})
	eve, ada := site.shopper(t), site.shopper(t)
	ada.add("harbour-enamel-mug", 3)
	for _, path := range catalogue {
		eve.awaitHit(path)

		own := ada.get(path)
		require.Equal(t, "bypass", own.header.Get("X-Cache"), path)
		require.Contains(t, own.body, `<span class="figure">3</span>`, path)
		require.Contains(t, own.header.Get("Cache-Control"), "private", path)

		shared := eve.get(path)
		require.Equal(t, "hit", shared.header.Get("X-Cache"), path)
		require.NotContains(t, shared.body, `<span class="figure">3</span>`, path)
		require.Empty(t, shared.header.Get("Set-Cookie"), path)
	}
}

// Over HTTPS, the cookie of the cart has another name.
func TestSharedPages_AreNotForAShopperOverHTTPS(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true, baseURL: "https://leeward.example"})
	form := url.Values{"variant_id": {strconv.FormatInt(site.variant(t, "harbour-enamel-mug"), 10)}, "quantity": {"3"}}
	added, err := http.DefaultTransport.RoundTrip(newForm(t, site.url+"/cart/lines", form))
	require.NoError(t, err)
	require.NoError(t, added.Body.Close())
	require.Len(t, added.Cookies(), 1)
	require.Equal(t, "__Host-cart", added.Cookies()[0].Name)
	eve := site.shopper(t)

	for _, path := range catalogue {
		eve.awaitHit(path)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.url+path, nil)
		require.NoError(t, err)
		request.AddCookie(added.Cookies()[0])
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)

		own := eve.read(response)
		require.Equal(t, "bypass", own.header.Get("X-Cache"), path)
		require.Contains(t, own.body, `<span class="figure">3</span>`, path)
	}
}

func newForm(t *testing.T, address string, fields url.Values) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(fields.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

func TestSharedPages_AnOrderExpiresThePagesOfItsProducts(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true})
	eve, ada := site.shopper(t), site.shopper(t)
	_, err := site.db.Exec(t.Context(), `UPDATE variants SET stock = 1 WHERE product_id = $1`, site.product(t, "harbour-enamel-mug"))
	require.NoError(t, err)
	ada.add("harbour-enamel-mug", 1)
	eve.awaitHit("/products/harbour-enamel-mug")
	require.NotContains(t, eve.get("/products/harbour-enamel-mug").body, "Sold out")

	require.Equal(t, http.StatusOK, ada.post("/orders", ada.review()).status)

	stacktest.Eventually(t, func() bool { return strings.Contains(eve.get("/products/harbour-enamel-mug").body, "Sold out") })
}

func TestSharedPages_CampaignsDoNotBreakTheirKeys(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true})
	ada := site.shopper(t)
	ada.awaitHit("/products/harbour-enamel-mug")

	for _, query := range []string{"?utm_source=mail", "?gclid=1&fbclid=2", "?x"} {
		require.Equal(t, "hit", ada.get("/products/harbour-enamel-mug"+query).header.Get("X-Cache"), query)
	}
	ada.awaitHit("/categories/everything?page=2")
	require.NotEqual(t, ada.get("/categories/everything").body, ada.get("/categories/everything?page=2&utm_source=mail").body)
}

func TestSharedPages_OfASaleAreNewEverySecond(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true})
	ada := site.shopper(t)
	ada.awaitHit("/")
	site.startSale(t, 5)
	pages := []string{"/", "/products/riggers-knife"}
	for _, path := range pages {
		stacktest.Eventually(t, func() bool { return strings.Contains(ada.get(path).body, "5 of 5 left") })
	}

	site.exec(t, `UPDATE flash_sales SET held = 4`)

	for _, path := range pages {
		stacktest.Eventually(t, func() bool { return strings.Contains(ada.get(path).body, "1 of 5 left") })
	}
}

// awaitHit asks for a page until it comes from the cache.
func (s *shopper) awaitHit(path string) {
	s.t.Helper()
	stacktest.Eventually(s.t, func() bool { return s.get(path).header.Get("X-Cache") == "hit" })
}

func (s site) product(t *testing.T, slug string) (id int64) {
	t.Helper()
	require.NoError(t, s.db.QueryRow(t.Context(), `SELECT id FROM products WHERE slug = $1`, slug).Scan(&id))
	return id
}

func TestSharedPages_ThoseThatOnlyShoppersSeeHaveACopyToo(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{hearsChanges: true})
	site.shopper(t).awaitHit("/categories/deck") // before that, changes are not heard and copies are thrown away
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	for _, path := range catalogue {
		require.Equal(t, "bypass", ada.get(path).header.Get("X-Cache"))
	}

	for _, path := range catalogue {
		stacktest.Eventually(t, func() bool {
			copied := site.send(t, http.MethodGet, path, http.Header{"Cache-Control": {"only-if-cached"}})
			return copied.status == http.StatusOK && !strings.Contains(copied.body, `class="figure">1<`)
		})
	}
}

func TestSpeculationRules_FetchPagesOfTheCatalogueAlone(t *testing.T) {
	t.Parallel()
	ada := newSite(t).shopper(t)
	page := ada.get("/products/harbour-enamel-mug")
	require.Equal(t, `"/speculation-rules.json"`, page.header.Get("Speculation-Rules"))

	served := ada.get("/speculation-rules.json")

	require.Equal(t, "application/speculationrules+json", served.header.Get("Content-Type"))
	var rules map[string][]struct {
		Where struct {
			Paths []string `json:"href_matches"`
		} `json:"where"`
		Eagerness string `json:"eagerness"`
	}
	require.NoError(t, json.Unmarshal([]byte(served.body), &rules))
	require.Len(t, rules, 1, "nothing is prerendered")
	require.Equal(t, []string{"/", "/categories/*", "/products/*"}, rules["prefetch"][0].Where.Paths)
}
