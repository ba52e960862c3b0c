package storefront

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"slipway/internal/keyset"
	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

func (s *Storefront) showCategory(c echo.Context) error {
	ctx := c.Request().Context()
	reads := s.shop.Reads()
	category, listing := reads.Category(ctx, c.Param("slug"), shop.ParseSort(c.QueryParam("sort")), shop.Place{
		Page: pageNumber(c), After: keyset.Cursor(c.QueryParam("after")),
	})
	units := reads.CartUnits(s.cartID(c))
	if err := reads.Do(ctx); err != nil {
		return err
	}
	layout, err := s.layout(c, *units, category.Name, category.Tagline, productIDs(listing.Cards)...)
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, templates.Category(templates.CategoryPage{Layout: layout, Category: category, Listing: *listing}))
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
