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
	listing, err := s.shop.Search(ctx, query, shop.ParseSort(c.QueryParam("sort")), pageNumber(c))
	if err != nil {
		return err
	}
	var suggested []shop.Card
	if listing.Total == 0 {
		if suggested, err = s.shop.Featured(ctx, suggestions); err != nil {
			return err
		}
	}
	layout, err := s.layout(c, "Search", "Search all that Leeward has.", productIDs(listing.Cards, suggested)...)
	if err != nil {
		return err
	}
	layout.Query = query
	return web.Render(c, http.StatusOK, templates.Search(templates.SearchPage{Layout: layout, Listing: listing, Suggestions: suggested}))
}
