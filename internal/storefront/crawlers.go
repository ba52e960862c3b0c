package storefront

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/web"
)

// Private

// indexed lets crawlers index the pages of a route, each under one address: query
// returns the part of the query without which it is another page, nil for none.
func (s *Storefront) indexed(query func(c echo.Context) url.Values) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			address := url.URL{Path: c.Request().URL.Path}
			if query != nil {
				address.RawQuery = query(c).Encode()
			}
			c.Set(canonicalKey, s.baseURL+address.String())
			return next(c)
		}
	}
}

// notIndexed keeps the pages of a route out of search engines: they are of one
// shopper, or of no use to anybody else.
func notIndexed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("X-Robots-Tag", "noindex")
		return next(c)
	}
}

const canonicalKey = "canonical address"

func canonical(c echo.Context) string {
	address, _ := c.Get(canonicalKey).(string)
	return address
}

// canonicalListing is the part of the query that makes another page of a list: not
// its order.
func canonicalListing(c echo.Context) url.Values {
	if page := pageNumber(c); page > 1 {
		return url.Values{"page": {strconv.Itoa(page)}}
	}
	return nil
}

// showRobots keeps crawlers off pages that cost a statement in PostgreSQL each, or
// have nothing for them. Orders are not named, so that crawlers read their noindex.
func (s *Storefront) showRobots(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=3600")
	return c.String(http.StatusOK, `User-agent: *
Disallow: /cart
Disallow: /checkout
Disallow: /live
Disallow: /search

Sitemap: `+s.baseURL+`/sitemap.xml
`)
}

// showSitemap lists the pages that crawlers may index.
func (s *Storefront) showSitemap(c echo.Context) error {
	categories, err := s.shop.Categories(c.Request().Context())
	if err != nil {
		return err
	}
	products, err := s.shop.ProductSlugs(c.Request().Context(), maxSitemap-len(categories)-1)
	if err != nil {
		return err
	}
	web.Tag(c, shop.PagesOf()...)
	pages := sitemap{Locations: []location{{s.baseURL + "/"}}}
	for _, category := range categories {
		pages.Locations = append(pages.Locations, location{s.baseURL + "/categories/" + url.PathEscape(category.Slug)})
	}
	for _, slug := range products {
		pages.Locations = append(pages.Locations, location{s.baseURL + "/products/" + url.PathEscape(slug)})
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=3600")
	return c.XML(http.StatusOK, pages)
}

// maxSitemap is the largest number of pages in one sitemap, by its protocol.
const maxSitemap = 50_000

type sitemap struct {
	XMLName   xml.Name   `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
	Locations []location `xml:"url"`
}

type location struct {
	Address string `xml:"loc"`
}
