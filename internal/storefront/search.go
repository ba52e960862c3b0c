package storefront

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// suggestions is the number of products shown when a search finds nothing.
const suggestions = 4

// Private

func (s *Storefront) search(c echo.Context) error {
	ctx := c.Request().Context()
	query := strings.TrimSpace(c.QueryParam("q"))
	reads := s.shop.Reads()
	listing := reads.Search(ctx, query, shop.ParseSort(c.QueryParam("sort")), pageNumber(c))
	suggested := &shop.FrontPage{}
	if listing.Total == 0 {
		suggested = reads.FrontPage(ctx, suggestions, 0)
	}
	units := reads.CartUnits(s.cartID(c))
	if err := reads.Do(ctx); err != nil {
		return err
	}
	layout, err := s.layout(c, *units, "Search", "Search all that Leeward has.", productIDs(listing.Cards, suggested.Featured)...)
	if err != nil {
		return err
	}
	layout.Query = query
	return web.Render(c, http.StatusOK, templates.Search(templates.SearchPage{
		Layout: layout, Listing: *listing, Suggestions: suggested.Featured,
	}))
}
