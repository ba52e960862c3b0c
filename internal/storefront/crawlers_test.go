package storefront_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCrawlers_IndexPublicPagesUnderOneAddress(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{baseURL: "https://leeward.example/"})
	site.exec(t, `UPDATE products SET category_id = (SELECT min(id) FROM categories WHERE slug = 'galley')`)

	for path, address := range map[string]string{
		"/": "/", "/?utm_source=x": "/", "/products/harbour-enamel-mug?x=1": "/products/harbour-enamel-mug",
		"/categories/galley?sort=name": "/categories/galley", "/categories/galley?page=2&sort=price-low&x=1": "/categories/galley?page=2",
		"/categories/galley?page=1": "/categories/galley",
	} {
		page := site.shopper(t).get(path)

		require.Equal(t, http.StatusOK, page.status, path)
		require.Empty(t, page.header.Get("X-Robots-Tag"), path)
		require.Contains(t, page.body, `<link rel="canonical" href="https://leeward.example`+address+`">`, path)
	}
}

func TestCrawlers_IndexNoPageThatIsOfOneShopperOrCostsMuch(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{baseURL: "http://leeward.example"})
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	placed := ada.post("/orders", ada.review())
	ada.add("harbour-enamel-mug", 1)

	for _, path := range []string{"/search?q=mug", "/search", "/cart", "/checkout", "/checkout/review", placed.path, "/live/fragments"} {
		page := ada.get(path)

		require.Equal(t, http.StatusOK, page.status, path)
		require.Equal(t, "noindex", page.header.Get("X-Robots-Tag"), path)
		require.NotContains(t, page.body, "canonical", path)
	}
}

func TestCrawlers_EveryRouteIsIndexedOrNot(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	indexed := []string{"/", "/categories/:slug", "/products/:slug", "/pictures/:file", "/sitemap.xml", "/robots.txt",
		"/live", "/speculation-rules.json"}

	for _, route := range site.routes(t) {
		answer := site.send(t, route.Method, filled(route), nil)

		require.Equal(t, slices.Contains(indexed, route.Path), answer.header.Get("X-Robots-Tag") == "", "%s %s", route.Method, route.Path)
	}
}

func TestCrawlers_ReadRobotsAndSitemap(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{baseURL: "https://leeward.example"})
	crawler := site.shopper(t)

	robots, pages := crawler.get("/robots.txt"), crawler.get("/sitemap.xml")

	require.Equal(t, "text/plain; charset=UTF-8", robots.header.Get("Content-Type"))
	for _, line := range []string{"User-agent: *", "Disallow: /search", "Disallow: /cart", "Sitemap: https://leeward.example/sitemap.xml"} {
		require.Contains(t, robots.body, line+"\n")
	}
	require.Equal(t, "application/xml; charset=UTF-8", pages.header.Get("Content-Type"))
	products, categories := site.count(t, `SELECT count(*) FROM products`), site.count(t, `SELECT count(*) FROM categories`)
	require.Equal(t, 1+products+categories, strings.Count(pages.body, "<loc>"))
	require.Contains(t, pages.body, "<loc>https://leeward.example/products/harbour-enamel-mug</loc>")
	require.Contains(t, pages.body, "<loc>https://leeward.example/categories/galley</loc>")
}
