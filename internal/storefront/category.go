package storefront

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

func (s *Storefront) showCategory(c echo.Context) error {
	category, listing, err := s.shop.Category(c.Request().Context(), c.Param("slug"), shop.ParseSort(c.QueryParam("sort")), pageNumber(c))
	if err != nil {
		return err
	}
	layout, err := s.layout(c, category.Name, category.Tagline, productIDs(listing.Cards)...)
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, templates.Category(templates.CategoryPage{Layout: layout, Category: category, Listing: listing}))
}

// listingQuery is the part of the query that selects a page of a list.
func listingQuery(c echo.Context) url.Values {
	query := url.Values{}
	if sort := shop.ParseSort(c.QueryParam("sort")); sort != shop.SortFeatured {
		query.Set("sort", string(sort))
	}
	if page := pageNumber(c); page != 1 {
		query.Set("page", strconv.Itoa(page))
	}
	return query
}

// pageNumber is the requested page of a list: 1 by default, and 0, which no list
// has, when it is not a number.
func pageNumber(c echo.Context) int {
	given := c.QueryParam("page")
	if given == "" {
		return 1
	}
	page, err := strconv.Atoi(given)
	if err != nil {
		return 0
	}
	return page
}
